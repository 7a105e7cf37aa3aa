//! Changes without gaps: across reconnects and restarts, for many tabs, over both transports.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{World, id, text};

#[tokio::test(flavor = "multi_thread")]
async fn g05_a_reconnect_goes_on_where_it_was_cut_off() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let mut whole = world.changes(None).await;
    let mut cursor = {
        whole.until("hello", |change| change["type"] == "hello").await;
        text(&whole.seen[0]["data"]["cursor"])
    };
    let turn = world.send(&session, "/stream 60 chunks 10 ms").await;

    // Cut off after every third change, and on from its cursor.
    let mut pieced: Vec<Value> = Vec::new();
    let mut over = false;
    while !over {
        let mut piece = world.changes(Some(&cursor)).await;
        for _ in 0..3 {
            let change = piece.until("a change", |change| change["cursor"].is_string()).await;
            over = change["data"]["kind"] == "turn_ended";
            pieced.push(change);
            // Nothing need follow the end.
            if over {
                break;
            }
        }
        cursor = piece.cursor();
    }
    whole.ended(&turn).await;
    let entries = |changes: &[Value]| -> Vec<Value> {
        changes.iter().filter(|c| c["type"] == "entry").map(|c| c["data"]["seq"].clone()).collect()
    };
    let last = whole.seen.iter().filter(|c| c["type"] == "entry").count();
    assert_eq!(entries(&pieced)[..last], entries(&whole.seen)[..], "every entry once, in order");
    let mut from: std::collections::HashMap<String, u64> = Default::default();
    for part in pieced.iter().filter(|c| c["type"] == "open_item" && c["data"]["text"].is_string()) {
        let known = from.entry(text(&part["data"]["item"])).or_default();
        assert_eq!(part["data"]["from"], *known, "no gap within an item");
        *known += part["data"]["text"].as_str().unwrap().len() as u64;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_good_after_a_restart_and_a_foreign_one_is_reset() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "/echo one").await;
    changes.ended(&turn).await;
    let cursor = changes.cursor();
    world.restart().await;
    world.patch(&format!("sessions/{session}"), json!({"name": "after the restart"})).await.ok();
    let mut changes = world.changes(Some(&cursor)).await;
    changes.until("the name", |c| c["type"] == "session" && c["data"]["name"] == "after the restart").await;
    assert!(changes.seen.iter().all(|change| change["type"] != "reset"));

    for wrong in ["nonsense", &format!("{}.1", id()), &format!("{}.999999999", cursor.split('.').next().unwrap())] {
        let mut changes = world.changes(Some(wrong)).await;
        let reset = changes.until("reset", |change| change["type"] == "reset").await;
        assert!(reset["data"]["cursor"].is_string());
        assert!(reset.get("cursor").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_tabs_see_the_same() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let mut tabs = Vec::new();
    for _ in 0..32 {
        tabs.push(world.changes(None).await);
    }
    let turn = world.send(&session, "/stream 40 chunks 5 ms").await;
    let mut shown = Vec::new();
    for tab in &mut tabs {
        tab.ended(&turn).await;
        let parts: String =
            tab.seen.iter().filter_map(|c| c["data"]["text"].as_str().filter(|_| c["type"] == "open_item")).collect();
        let entries: Vec<Value> =
            tab.seen.iter().filter(|c| c["type"] == "entry").map(|c| c["data"]["hash"].clone()).collect();
        shown.push((parts, entries));
    }
    assert!(shown[0].1.len() >= 3);
    assert!(shown.iter().all(|tab| tab.1 == shown[0].1));
}

/// Server-sent events as a script reads them.
async fn events(world: &World, path: &str, headers: &str, until: &str) -> String {
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n{headers}\r\n",
        world.address(),
        world.running().token()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut got = String::new();
    let mut buffer = [0u8; 4096];
    tokio::time::timeout(crate::world::PATIENCE, async {
        while !got.contains(until) {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the stream ended: {got}");
            got.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{until} did not come: {got}"));
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_have_the_same_cursors() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let cursor = text(&world.get("windows").await.ok()["cursor"]);
    world.turn(&session, "/echo hello there").await;
    let got = events(&world, &format!("/api/v1/changes?after={cursor}"), "", "turn_ended").await;
    assert!(got.contains("content-type: text/event-stream"), "{got}");
    assert!(got.contains("event: hello") && got.contains("event: status") && got.contains("event: entry"), "{got}");
    let last = got.rsplit("\nid: ").next().unwrap().lines().next().unwrap().trim().to_owned();
    world.patch(&format!("sessions/{session}"), json!({"name": "heard of"})).await.ok();
    let got = events(&world, "/api/v1/changes?after=ignored", &format!("Last-Event-ID: {last}\r\n"), "heard of").await;
    assert!(!got.contains("event: reset"), "{got}");
    assert!(!got.contains("\"kind\":\"prompt\""), "what was seen does not come again: {got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_tab_takes_the_window_over_and_leaving_detaches_it() {
    let world = World::start().await;
    let (window, _) = world.window().await;
    let attached = || async { world.get(&format!("windows/{window}")).await.ok()["attached"].clone() };
    let mut watcher = world.changes(None).await;
    watcher.until("status", |c| c["type"] == "status").await;
    let mut first = world.changes(None).await;
    first.say(json!({"type": "attach", "window_id": window, "tab": "one"})).await;
    first.until("attached", |c| c["type"] == "attached").await;
    watcher.until("attached", |c| c["type"] == "window" && c["data"]["attached"] == true).await;
    assert_eq!(attached().await, true);
    let mut second = world.changes(None).await;
    second.say(json!({"type": "attach", "window_id": window, "tab": "two"})).await;
    second.until("attached", |c| c["type"] == "attached").await;
    let taken = first.until("taken", |c| c["type"] == "taken").await;
    assert_eq!(taken["by"], "two");
    drop(first);
    second.say(json!({"type": "focus"})).await;
    second.say(json!({"type": "later"})).await;
    second.say(json!({"type": "attach", "window_id": id(), "tab": "two"})).await;
    second.until("an error", |c| c["type"] == "error" && c["data"]["code"] == "not_found").await;
    watcher.until("detached", |c| c["type"] == "window" && c["data"]["attached"] == false).await;
    assert_eq!(attached().await, false);
    assert_eq!(world.get(&format!("windows/{window}")).await.ok()["open"], true, "only an explicit close closes");
}
