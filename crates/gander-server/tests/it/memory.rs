//! An agent's own memory: loaded and compared before anything is sent to it (G13).

use serde_json::json;

use crate::world::{World, body, id, kinds, said, text};

/// The built-in agent's memory of its only session.
fn memory(world: &World) -> std::path::PathBuf {
    let folder = std::fs::read_dir(world.dir.path().join("scratch")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn g13_a_contradiction_sends_nothing_and_offers_a_hand_over() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo the truth").await;
    world.stop().await;
    let file = memory(&world);
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, before.replace("the truth", "another story")).unwrap();
    let tampered = std::fs::read_to_string(&file).unwrap();
    world.serve().await;
    let ended = world.turn(&session, "/echo more").await;
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("not_sent"), &json!("contradiction")), "{ended}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), tampered, "the agent got nothing");
    let findings = world.get("findings").await.ok();
    assert_eq!(findings["findings"][0]["kind"], "agent_memory_contradicts");

    let turn = text(&world.session(&session).await["interrupted"]);
    let mut changes = world.changes(None).await;
    let new = id();
    let path = format!("sessions/{session}/turns/{turn}/continue");
    world.post(&path, json!({"new_turn_id": new, "how": "hand_over"})).await.ok();
    assert_eq!(changes.ended(&new).await["state"], "ended");
    let entries = world.entries(&session).await;
    let links: Vec<_> =
        entries.iter().filter(|e| e["kind"] == "linked").map(|e| body(e)["data"]["via"].clone()).collect();
    assert_eq!(links, ["new", "new"]);
    // The new agent session was told what was said, and is bound from now on, also over a restart.
    world.restart().await;
    assert_eq!(
        world.turn(&session, "/echo and on").await["state"],
        "ended",
        "{:?}",
        world.get("findings").await.text()
    );
    let entries = world.entries(&session).await;
    assert_eq!(entries.iter().filter(|e| e["kind"] == "linked").count(), 2, "{:?}", kinds(&entries));
}

#[tokio::test(flavor = "multi_thread")]
async fn g13_what_the_agent_heard_elsewhere_is_appended_and_marked() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo here").await;
    world.stop().await;
    let file = memory(&world);
    let mut memory = std::fs::read_to_string(&file).unwrap();
    let said_elsewhere = json!({"prompt": [{"type": "text", "text": "asked in a terminal"}]});
    let answered = json!({"update": {"sessionUpdate": "agent_message_chunk",
        "content": {"type": "text", "text": "answered in a terminal"}}});
    memory.push_str(&format!("{said_elsewhere}\n{answered}\n"));
    std::fs::write(&file, memory).unwrap();
    world.serve().await;
    assert_eq!(world.turn(&session, "/echo and on").await["state"], "ended");
    let entries = world.entries(&session).await;
    let elsewhere: Vec<_> = entries.iter().filter(|entry| body(entry)["elsewhere"] == true).collect();
    assert_eq!(elsewhere.len(), 2, "{:?}", kinds(&entries));
    assert_eq!(body(elsewhere[0])["data"]["content"][0]["text"], "asked in a terminal");
    assert!(said(&entries).contains("answered in a terminal"));
    world.restart().await;
    assert_eq!(world.turn(&session, "/echo once more").await["state"], "ended");
    let entries = world.entries(&session).await;
    assert_eq!(entries.iter().filter(|entry| body(entry)["elsewhere"] == true).count(), 2, "only once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_forgot_gets_a_new_session_and_the_transcript() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo remember the goose").await;
    world.stop().await;
    std::fs::remove_file(memory(&world)).unwrap();
    world.serve().await;
    assert_eq!(world.turn(&session, "/echo go on").await["state"], "ended");
    let entries = world.entries(&session).await;
    assert_eq!(entries.iter().filter(|entry| entry["kind"] == "linked").count(), 2, "{:?}", kinds(&entries));
    let told = std::fs::read_to_string(memory(&world)).unwrap();
    assert!(told.contains("remember the goose") && told.contains("<transcript>"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_have_nothing_to_do_give_way() {
    let mut world = World::start().await;
    std::fs::write(world.dir.path().join("config.toml"), "max_agents = 1\n").unwrap();
    world.restart().await;
    let (_, first) = world.window().await;
    let (_, second) = world.window().await;
    for round in 0..2 {
        for session in [&first, &second] {
            assert_eq!(world.turn(session, &format!("/echo round {round}")).await["state"], "ended");
        }
    }
    for session in [&first, &second] {
        let entries = world.entries(session).await;
        assert_eq!(entries.iter().filter(|e| e["kind"] == "linked").count(), 1, "{:?}", kinds(&entries));
    }
    // One that is at work does not; the other waits, and can be cancelled while it does.
    let mut changes = world.changes(None).await;
    let busy = world.send(&first, "/stream 400 chunks 20 ms").await;
    changes.until("some text", |c| c["type"] == "open_item").await;
    let waits = world.send(&second, "/echo waits").await;
    assert_eq!(world.session(&second).await["turn"]["state"], "starting");
    world.post(&format!("sessions/{second}/turns/{waits}/cancel"), json!({})).await.ok();
    assert_eq!(changes.ended(&waits).await["state"], "not_sent");
    world.post(&format!("sessions/{first}/turns/{busy}/cancel"), json!({})).await.ok();
    assert_eq!(changes.ended(&busy).await["stop_reason"], "cancelled");
}
