#[path = "../version.rs"]
mod version;

fn main() {
    version::tell();
    println!("cargo:rerun-if-changed=build.rs");
}
