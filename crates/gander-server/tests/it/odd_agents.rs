//! Agents that do what no agent should.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::world::{World, agent_program, body, said, text};

/// A window with a chat with an odd agent.
pub async fn odd(world: &World, mode: &str) -> String {
    let program = agent_program().with_file_name("odd_agent");
    world.post("agents", json!({"id": mode, "command": program, "args": [mode]})).await.ok();
    text(&world.post("windows", json!({"agent": mode})).await.ok()["session_id"])
}

fn findings(world: &Value, kind: &str) -> Vec<Value> {
    world["findings"].as_array().unwrap().iter().filter(|finding| finding["kind"] == kind).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn g13_what_is_for_an_unknown_session_is_kept_as_a_finding_and_shown_in_none() {
    let world = World::start().await;
    let session = odd(&world, "stray").await;
    assert_eq!(world.turn(&session, "hello").await["state"], "ended");
    let entries = world.entries(&session).await;
    assert_eq!(said(&entries), "for you");
    assert!(entries.iter().all(|entry| entry["kind"] != "permission"), "nobody is asked for another session");
    let found = findings(&world.get("findings").await.ok(), "unknown_session_update");
    assert!(found.len() >= 3, "also what came before the prompt: {found:?}");
    assert_eq!(found[0]["subject"]["session"], json!(session));
    assert_eq!(found[0]["subject"]["agent_session"], "somebody else's");
    assert_eq!(world.session(&session).await["name"], "hello", "and another session's title names nothing here");
}

#[tokio::test(flavor = "multi_thread")]
async fn g13_an_id_given_out_twice_belongs_to_one_session_at_a_time() {
    let world = World::start().await;
    let first = odd(&world, "twice").await;
    let second = odd(&world, "twice").await;
    assert_eq!(world.turn(&first, "one").await["state"], "ended");
    assert_eq!(world.turn(&second, "two").await["state"], "ended");
    let reused = findings(&world.get("findings").await.ok(), "agent_session_reused");
    assert_eq!((reused.len(), &reused[0]["subject"]["session"]), (1, &json!(first)));
    let links: Vec<_> = world.entries(&second).await.iter().filter(|e| e["kind"] == "linked").map(body).collect();
    assert_eq!((links.len(), &links[0]["data"]["agent_session_id"]), (1, &json!("same")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_before_any_prompt_is_no_part_of_the_answer() {
    let world = World::start().await;
    let session = odd(&world, "greeter").await;
    world.turn(&session, "hi").await;
    let messages: Vec<Value> =
        world.entries(&session).await.iter().filter(|e| e["kind"] == "message").map(body).collect();
    let late: Vec<_> = messages.iter().filter(|message| message["late"] == true).collect();
    assert_eq!((messages.len(), late.len()), (2, 1), "{messages:?}");
    assert_eq!(late[0]["data"][0]["content"]["text"], "Welcome! ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_kept_whole_in_few_commits_and_a_reader_that_stalls_misses_nothing() {
    let world = World::start().await;
    let session = odd(&world, "flood").await;
    // A page that is open and does not read.
    let mut request = format!("ws://{}/api/v1/changes", world.address()).into_client_request().unwrap();
    let token = format!("Bearer {}", world.running().token()).parse().unwrap();
    request.headers_mut().insert("Authorization", token);
    let (mut stalled, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "pour").await;
    assert_eq!(changes.ended(&turn).await["state"], "ended");
    let whole: String = (0..20_000).map(|n| format!("{n:05} ")).collect();
    let entries = world.entries(&session).await;
    let message = entries.iter().find(|entry| entry["kind"] == "message").unwrap();
    let data = world.get(&format!("sessions/{session}/entries/{}/data", message["seq"])).await.ok();
    assert_eq!(data.as_array().unwrap().len(), 1, "neighbours that differ only in text are joined");
    assert_eq!(data[0]["content"]["text"], whole);
    let parts = changes.seen.iter().filter(|change| change["type"] == "open_item").count();
    assert!(parts < 2_000, "{parts} commits for 20,000 chunks");

    let mut entries: Vec<u64> = Vec::new();
    let head = world.session(&session).await["head"]["seq"].as_u64().unwrap();
    tokio::time::timeout(crate::world::PATIENCE, async {
        while !entries.contains(&head) {
            let message = stalled.next().await.unwrap().unwrap();
            let Ok(text) = message.to_text() else { continue };
            let changes = match serde_json::from_str(text) {
                Ok(Value::Array(changes)) => changes,
                Ok(change) => vec![change],
                Err(_) => continue,
            };
            for change in changes {
                assert_ne!(change["type"], "reset");
                entries.extend(change["data"]["seq"].as_u64().filter(|_| change["type"] == "entry"));
            }
        }
    })
    .await
    .unwrap();
    assert!(entries.windows(2).all(|pair| pair[1] == pair[0] + 1), "{entries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_answers_nothing_can_be_cancelled_and_does_not_hold_up_a_stop() {
    let mut world = World::start().await;
    let session = odd(&world, "deaf").await;
    let other = odd(&world, "deaf").await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "hello?").await;
    world.post(&format!("sessions/{session}/turns/{turn}/cancel"), json!({})).await.ok();
    assert_eq!(changes.ended(&turn).await["state"], "not_sent");
    let waiting = world.send(&other, "hello?").await;
    tokio::time::timeout(Duration::from_secs(30), world.restart()).await.expect("a stop in time");
    let session = world.session(&other).await;
    assert_eq!((&session["interrupted"], &session["running"]), (&json!(waiting), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_leaves_without_an_answer_interrupts_its_turn() {
    let world = World::start().await;
    let session = odd(&world, "quitter").await;
    let ended = world.turn(&session, "stay").await;
    assert_eq!(ended["state"], "interrupted", "{ended}");
    assert!(ended["error"]["message"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_said_and_leaves_the_journal_free() {
    let mut world = World::start().await;
    let port: u16 = world.address().rsplit(':').next().unwrap().parse().unwrap();
    world.stop().await;
    let squatter = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let error = match gander_server::Server::start(world.options()).await {
        Ok(_) => panic!("two servers on one port"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(&port.to_string()) && error.contains("--port"), "{error}");
    drop(squatter);
    // Any port, for once: who comes back later still finds the journal where it was.
    world.serve_with(gander_server::ServeOptions { port: Some(0), ..world.options() }).await;
    assert!(!world.address().ends_with(&format!(":{port}")));
    world.stop().await;
    world.serve().await;
    assert!(world.address().ends_with(&format!(":{port}")), "the port is kept");
}
