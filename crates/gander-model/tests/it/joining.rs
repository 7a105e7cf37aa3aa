//! Joining neighbours that differ only in text.

use gander_model::updates::{join, text_len, text_of};
use serde_json::value::RawValue;

fn raws(texts: &[&str]) -> Vec<Box<RawValue>> {
    texts.iter().map(|t| RawValue::from_string((*t).to_owned()).unwrap()).collect()
}

fn joined(texts: &[&str]) -> String {
    join(raws(texts).iter().map(|raw| &**raw)).get().to_owned()
}

#[test]
fn neighbours_that_differ_only_in_text_become_one_and_keep_every_other_byte() {
    let one = r#"{ "sessionUpdate":"agent_message_chunk","content":{"type":"text", "text":"Hel\u006c"},"x":1 }"#;
    let two = r#"{ "sessionUpdate":"agent_message_chunk","content":{"type":"text", "text":"o \"you\""},"x":1 }"#;
    let both = joined(&[one, two]);
    assert_eq!(
        both,
        r#"[{ "sessionUpdate":"agent_message_chunk","content":{"type":"text", "text":"Hel\u006co \"you\""},"x":1 }]"#
    );
    let update = RawValue::from_string(both[1..both.len() - 1].to_owned()).unwrap();
    assert_eq!(text_of(&update).unwrap(), "Hello \"you\"");
}

#[test]
fn anything_else_that_differs_keeps_them_apart() {
    let text = r#"{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"a"}}"#;
    let others = [
        r#"{"sessionUpdate":"agent_thought_chunk","content":{"type":"text","text":"a"}}"#,
        r#"{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"a"},"messageId":"m"}"#,
        r#"{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"a","_meta":{}}}"#,
        r#"{"sessionUpdate":"agent_message_chunk","content":{"type":"image","data":"QQ==","mimeType":"image/png"}}"#,
        r#"{"sessionUpdate":"tool_call_update","toolCallId":"t","content":{"type":"text","text":"a"}}"#,
    ];
    for other in others {
        assert_eq!(joined(&[text, other, text]), format!("[{text},{other},{text}]"));
    }
}

#[test]
fn equal_tool_updates_are_not_joined() {
    let update = r#"{"sessionUpdate":"tool_call_update","toolCallId":"t","status":"in_progress"}"#;
    assert_eq!(joined(&[update, update]), format!("[{update},{update}]"));
}

#[test]
fn a_character_cut_in_half_becomes_whole() {
    let high = r#"{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"\ud83e"}}"#;
    let low = r#"{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"\uddA2"}}"#;
    let both = joined(&[high, low]);
    let update = RawValue::from_string(both[1..both.len() - 1].to_owned()).unwrap();
    assert_eq!(text_of(&update).unwrap(), "🦢");
}

#[test]
fn the_length_of_a_text_is_told_without_making_it() {
    let pairs = r"Grüß \u0047ott 🪿 \ud83e\uddA2 \u00e9 \u20ac";
    let halves = [r"\ud83e", r"\ud83e\u0041", r"\udda2"];
    for text in ["", "plain", r#"a\n\"b\" \\u0041 \/ \b"#, pairs].into_iter().chain(halves) {
        let update =
            format!(r#"{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"{text}"}}}}"#);
        let update = RawValue::from_string(update).unwrap();
        assert_eq!(text_len(&update), text_of(&update).map(|text| text.len() as u64), "{text}");
    }
    let other = RawValue::from_string(r#"{"sessionUpdate":"plan","entries":[]}"#.to_owned()).unwrap();
    assert_eq!(text_len(&other), None);
}

#[test]
fn nothing_gives_an_empty_array() {
    assert_eq!(joined(&[]), "[]");
}
