//! The platform that this binary is for, as packages name it.

fn main() {
    println!("cargo:rustc-env=GANDER_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo:rerun-if-changed=build.rs");
}
