//! The web UI is embedded from `web/dist`. Where it was not built yet, a page that says how to build it stands in, so
//! that `cargo build` needs no Node.

use std::{env, fs, path::PathBuf};

const PLACEHOLDER: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Gander</title>
<meta name=\"viewport\" content=\"width=device-width\">
<body>
<h1>The web UI is not built</h1>
<p>The server runs and your sessions are safe. Build the UI with <code>make web</code> (Node and npm are needed), then reload.</p>
</body>
</html>
";

fn main() {
    let Some(crate_dir) = env::var_os("CARGO_MANIFEST_DIR") else { return };
    let dist = PathBuf::from(crate_dir).join("../../web/dist");
    let page = dist.join("index.html");
    if !page.exists() {
        fs::create_dir_all(&dist).expect("web/dist can be created");
        fs::write(&page, PLACEHOLDER).expect("web/dist/index.html can be written");
    }
    println!("cargo:rerun-if-changed=../../web/dist");
}
