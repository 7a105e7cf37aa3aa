//! The document from which the web UI's client is generated is a golden file.

#[test]
fn the_openapi_document_is_the_golden_file() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/openapi.json");
    let mut document = gander_server::openapi().to_pretty_json().unwrap();
    document.push('\n');
    if std::env::var_os("GANDER_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == document, "web/openapi.json is not what the code says: run the test with GANDER_UPDATE_GOLDEN=1");
}
