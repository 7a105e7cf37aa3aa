//! Gander's version in one place: the workspace's, or the next minor one under the feature `next`. Part of the build scripts of those
//! crates that say it; they share no dependency.

use std::env;

/// Gives it to the crate as `GANDER_VERSION`.
pub fn tell() {
    let part = |name: &str| env::var(name).ok().and_then(|part| part.parse::<u64>().ok()).unwrap_or_default();
    let whole = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = if env::var_os("CARGO_FEATURE_NEXT").is_some() {
        format!("{}.{}.0", part("CARGO_PKG_VERSION_MAJOR"), part("CARGO_PKG_VERSION_MINOR") + 1)
    } else {
        whole
    };
    println!("cargo:rustc-env=GANDER_VERSION={version}");
    println!("cargo:rerun-if-changed=../version.rs");
}
