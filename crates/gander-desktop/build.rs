#[path = "../version.rs"]
mod version;

fn main() {
    version::tell();
    tauri_build::build();
}
