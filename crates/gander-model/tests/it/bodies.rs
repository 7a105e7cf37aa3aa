//! Bodies: written in one way, read in any.

use gander_model::{Body, By, Data, ItemId, TurnId};
use serde_json::json;

#[test]
fn a_body_is_written_in_a_fixed_order_and_read_back() {
    let mut body = Body::with(By::Agent, &json!([{"a": 1}])).unwrap();
    body.turn = Some(TurnId::from_bytes([1; 16]));
    body.item = Some(ItemId::from_bytes([2; 16]));
    body.ord = Some(3);
    body.interrupted = true;
    let bytes = body.to_bytes();
    assert_eq!(
        String::from_utf8(bytes.clone()).unwrap(),
        concat!(
            r#"{"v":1,"turn":"01010101-0101-0101-0101-010101010101","#,
            r#""item":"02020202-0202-0202-0202-020202020202","ord":3,"by":"agent","interrupted":true,"data":[{"a":1}]}"#
        )
    );
    let read = Body::parse(&bytes).unwrap();
    assert_eq!(read.to_bytes(), bytes);
    assert!(read.extra.is_empty());
}

#[test]
fn unknown_fields_and_unknown_shapes_are_kept() {
    let bytes = br#"{"v":9,"turn":"not an id","by":"martian","mood":{"x": 1.50},"data":{"k": [ ]}}"#;
    let body = Body::parse(bytes).unwrap();
    assert_eq!(body.v, 9);
    assert_eq!(body.turn, None);
    assert_eq!(body.by, By::Other("martian".into()));
    assert_eq!(body.extra["turn"].get(), "\"not an id\"");
    assert_eq!(body.extra["mood"].get(), r#"{"x": 1.50}"#);
    assert!(matches!(&body.data, Data::Inline(raw) if raw.get() == r#"{"k": [ ]}"#));
}

#[test]
fn what_is_no_object_is_no_body() {
    for bytes in [&b"[]"[..], b"", b"{", b"{\"a\":\"\xff\"}"] {
        assert!(Body::parse(bytes).is_err());
    }
}
