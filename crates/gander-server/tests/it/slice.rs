//! The main job, end to end.

use serde_json::json;

use crate::world::{World, body, kinds, said, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_answered_shown_and_there_after_a_restart() {
    let mut world = World::start().await;
    let (window, session) = world.window().await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "/stream 20 chunks 5 ms").await;
    let ended = changes.ended(&turn).await;
    assert_eq!(ended, json!({"state": "ended", "stop_reason": "end_turn", "usage": ended["usage"]}));

    // What was streamed is what became the entry, and none of it came twice or was left out.
    let mut streamed = String::new();
    for change in changes.seen.iter().filter(|change| change["type"] == "open_item") {
        if change["data"]["kind"] == "message" {
            assert_eq!(change["data"]["from"], streamed.len(), "{change}");
            streamed.push_str(change["data"]["text"].as_str().unwrap());
        }
    }
    let entries = world.entries(&session).await;
    let answer = said(&entries);
    assert!(!answer.is_empty());
    assert!(answer.starts_with(&streamed), "{streamed:?} of {answer:?}");
    assert_eq!(entries[0]["kind"], "created");
    assert!(kinds(&entries).iter().any(|kind| kind == "linked"), "{:?}", kinds(&entries));

    changes.until("the agent's title", |c| c["type"] == "session" && c["data"]["named_by"] == "agent").await;
    let entries = world.entries(&session).await;
    let before = world.session(&session).await;
    assert_eq!(before["running"], false);
    let url = world.running().url().to_owned();
    world.restart().await;
    assert_eq!(world.running().url(), url, "the port is kept");
    assert_eq!(world.entries(&session).await, entries);
    assert_eq!(world.session(&session).await, before);
    let windows = world.get("windows").await.ok();
    assert_eq!(text(&windows["windows"][0]["id"]), window);
    assert_eq!(text(&windows["windows"][0]["session_id"]), session);

    // The agent's own session is loaded again and compared, and the conversation goes on in it.
    let ended = world.turn(&session, "/echo again").await;
    assert_eq!(ended["state"], "ended", "{ended}");
    let entries = world.entries(&session).await;
    let links = entries.iter().filter(|entry| entry["kind"] == "linked").count();
    assert_eq!(links, 1, "a clean replay appends nothing: {:?}", kinds(&entries));
    assert!(said(&entries).contains("again"));
    assert!(entries.iter().filter(|e| e["kind"] == "prompt").all(|e| body(e)["turn"].is_string()));
}
