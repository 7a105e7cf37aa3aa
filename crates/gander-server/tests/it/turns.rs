//! Turns: one at a time, queued, cancelled, cut off and continued (G8, G9).

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, body, id, kinds, said, text};

fn prompts(entries: &[Value]) -> Vec<String> {
    entries
        .iter()
        .filter(|entry| entry["kind"] == "prompt")
        .map(|entry| text(&body(entry)["data"]["content"][0]["text"]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn g09_a_repeated_turn_id_is_not_a_second_prompt() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let path = format!("sessions/{session}/turns");
    let mut changes = world.changes(None).await;
    let turn = id();
    let body = world.send_body(&session, &turn, "/echo once").await;
    let first = world.post(&path, body.clone()).await;
    assert_eq!(first.status, 202, "{}", first.text());
    let first = first.json();
    assert_eq!((&first["state"], &first["repeated"]), (&json!("running"), &json!(false)));
    let again = world.post(&path, body.clone()).await.ok();
    assert_eq!(again["repeated"], true);
    changes.ended(&turn).await;
    assert_eq!(world.post(&path, body.clone()).await.ok()["repeated"], true, "also when it has ended");
    let mut other = body.clone();
    other["content"][0]["text"] = json!("/echo something else");
    world.post(&path, other).await.refused(409, "turn_id_reused");
    assert_eq!(prompts(&world.entries(&session).await), ["/echo once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn g08_prompts_wait_for_their_turn_and_can_be_changed_until_it_comes() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let path = format!("sessions/{session}/turns");
    let mut changes = world.changes(None).await;
    let running = world.send(&session, "/permission go on").await;
    changes.until("the request", |c| c["data"]["kind"] == "permission" && c["type"] == "open_item").await;

    let mut refuse = world.send_body(&session, &id(), "/echo no").await;
    refuse["when_busy"] = json!("refuse");
    world.post(&path, refuse).await.refused(409, "turn_running");
    let mut waiting = Vec::new();
    for word in ["one", "two", "three"] {
        let turn = id();
        let sent = world.post(&path, world.send_body(&session, &turn, &format!("/echo {word}")).await).await.ok();
        assert_eq!(sent["state"], "queued");
        waiting.push(turn);
    }
    let edit = json!({"content": [{"type": "text", "text": "/echo two, changed"}], "position": 0});
    let queue = world.patch(&format!("sessions/{session}/queue/{}", waiting[1]), edit.clone()).await.ok();
    let order: Vec<&Value> = queue["items"].as_array().unwrap().iter().map(|item| &item["turn_id"]).collect();
    assert_eq!(order, [&waiting[1], &waiting[0], &waiting[2]]);
    assert_eq!(
        world.delete(&format!("sessions/{session}/queue/{}", waiting[2])).await.ok()["items"].as_array().unwrap().len(),
        2
    );
    let gone = world.send_body(&session, &waiting[2], "/echo three").await;
    assert_eq!(world.post(&path, gone).await.ok()["repeated"], true, "deleted ones are remembered");
    world.patch(&format!("sessions/{session}/queue/{running}"), edit).await.refused(409, "turn_started");
    assert_eq!(world.session(&session).await["queue"], json!({"count": 2, "held": false}));

    let asked = world.session(&session).await["turn"]["permissions"][0].clone();
    let option = asked["options"][0]["optionId"].clone();
    world
        .post(&format!("sessions/{session}/permissions/{}", text(&asked["id"])), json!({"option_id": option}))
        .await
        .ok();
    for turn in [&running, &waiting[1], &waiting[0]] {
        assert_eq!(changes.ended(turn).await["state"], "ended");
    }
    let entries = world.entries(&session).await;
    assert_eq!(prompts(&entries), ["/permission go on", "/echo two, changed", "/echo one"]);
    assert_eq!(world.session(&session).await["queue"], json!({"count": 0, "held": false}));
}

#[tokio::test(flavor = "multi_thread")]
async fn g09_a_queue_is_held_after_a_bad_end_and_after_a_restart() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "/stream 400 chunks 20 ms").await;
    let queued = world.send(&session, "/echo later").await;
    changes.until("some text", |c| c["type"] == "open_item").await;
    world.post(&format!("sessions/{session}/turns/{turn}/cancel"), json!({})).await.ok();
    let ended = changes.ended(&turn).await;
    assert_eq!((&ended["state"], &ended["stop_reason"]), (&json!("ended"), &json!("cancelled")));
    assert_eq!(world.session(&session).await["queue"], json!({"count": 1, "held": true}));

    // A send meanwhile starts at once, and what waits goes on waiting.
    assert_eq!(world.turn(&session, "/echo now").await["state"], "ended");
    world.restart().await;
    let queue = world.get(&format!("sessions/{session}/queue")).await.ok();
    assert_eq!((&queue["held"], &queue["items"][0]["turn_id"]), (&json!(true), &json!(queued)));
    let mut changes = world.changes(None).await;
    world.post(&format!("sessions/{session}/queue/resume"), json!({})).await.ok();
    assert_eq!(changes.ended(&queued).await["state"], "ended");
    assert!(said(&world.entries(&session).await).contains("later"));
}

#[tokio::test(flavor = "multi_thread")]
async fn g08_a_send_says_which_conversation_it_was_composed_against() {
    let world = World::start().await;
    let (first, session) = world.window().await;
    let second = text(&world.post("windows", json!({"session_id": session})).await.ok()["id"]);
    let path = format!("sessions/{session}/turns");
    let compose = |window: &str, turn: &str, text: &str, head: &Value| json!({"turn_id": turn, "window_id": window, "expected_head": head, "content": [{"type": "text", "text": text}]});
    let old = world.session(&session).await["head"].clone();
    world.turn(&session, "/echo before").await;
    let head = world.session(&session).await["head"].clone();
    world.patch(&format!("sessions/{session}"), json!({"name": "A name does not count"})).await.ok();

    let mut changes = world.changes(None).await;
    let turn = id();
    world.post(&path, compose(&first, &turn, "/echo from the first", &head)).await.ok();
    changes.ended(&turn).await;
    // The second window composed against what it saw before the first one's prompt.
    let problem =
        world.post(&path, compose(&second, &id(), "/echo from the second", &head)).await.refused(409, "head_moved");
    assert_eq!(problem["head"], world.session(&session).await["head"]);
    world.post(&path, compose(&second, &id(), "/echo older still", &old)).await.refused(409, "head_moved");
    let mut forged = head.clone();
    forged["hash"] = json!("0".repeat(64));
    world.post(&path, compose(&second, &id(), "/echo forged", &forged)).await.refused(409, "head_moved");
    let turn = id();
    world.post(&path, compose(&second, &turn, "/echo now it knows", &problem["head"])).await.ok();
    changes.ended(&turn).await;
    let sent = prompts(&world.entries(&session).await);
    assert_eq!(sent, ["/echo before", "/echo from the first", "/echo now it knows"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_windows_on_one_session_at_once_are_live_views_of_one_turn() {
    let world = World::start().await;
    let (first, session) = world.window().await;
    let second = text(&world.post("windows", json!({"session_id": session})).await.ok()["id"]);
    let head = world.session(&session).await["head"].clone();
    let path = format!("sessions/{session}/turns");
    let send = |window: String| {
        let (world, path, head) = (&world, &path, &head);
        async move {
            let body = json!({"turn_id": id(), "window_id": window, "expected_head": head, "when_busy": "refuse",
                "content": [{"type": "text", "text": "/stream 10 chunks 5 ms"}]});
            world.post(path, body).await
        }
    };
    let (one, two) = tokio::join!(send(first), send(second));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409], "{} {}", one.text(), two.text());
    assert_eq!(prompts(&world.entries(&session).await).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn g09_sending_moves_the_draft_and_an_old_save_cannot_bring_it_back() {
    let mut world = World::start().await;
    let (window, session) = world.window().await;
    let path = format!("windows/{window}/draft");
    let draft = |rev: u64, text: &str| json!({"session_id": session, "rev": rev, "text": text, "attachments": []});
    world.put(&path, draft(1, "/echo hel")).await.ok();
    world.put(&path, draft(5, "/echo hello")).await.ok();
    world.put(&path, draft(5, "/echo hello")).await.ok();
    let stale = world.put(&path, draft(4, "/echo hell")).await.refused(409, "draft_stale");
    assert_eq!(stale["current"]["text"], "/echo hello");
    world.put(&path, draft(5, "another")).await.refused(409, "draft_stale");
    assert_eq!(world.get(&format!("sessions/{session}/drafts")).await.ok()["drafts"][0]["window_id"], json!(window));
    world.restart().await;
    assert_eq!(world.get(&format!("windows/{window}")).await.ok()["draft"]["text"], "/echo hello");

    let mut changes = world.changes(None).await;
    let mut body = world.send_body(&session, &id(), "/echo hello").await;
    body["window_id"] = json!(window);
    body["draft_rev"] = json!(5);
    let turn = text(&world.post(&format!("sessions/{session}/turns"), body).await.ok()["turn_id"]);
    changes.until("the cleared draft", |c| c["type"] == "draft" && c["data"]["text"] == "").await;
    changes.ended(&turn).await;
    let stale = world.put(&path, draft(5, "/echo hello")).await.refused(409, "draft_stale");
    assert_eq!((&stale["current"]["rev"], &stale["current"]["text"]), (&json!(5), &json!("")));
    world.put(&path, draft(6, "next")).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_is_shown_again_answered_once_and_lapses_with_a_restart() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "/permission dig a hole").await;
    changes.until("the request", |c| c["type"] == "session" && c["data"]["turn"]["permissions"][0].is_object()).await;
    drop(changes);

    // A page that was not there finds it.
    let page = world.get(&format!("sessions/{session}/entries")).await.ok();
    let item = page["open_items"].as_array().unwrap().iter().find(|item| item["kind"] == "permission").unwrap();
    let asked = &page["session"]["turn"]["permissions"][0];
    assert_eq!(item["data"]["permission_id"], asked["id"]);
    assert_eq!(item["data"]["options"], asked["options"]);
    assert!(item["data"]["tool_call"].is_object());
    let path = format!("sessions/{session}/permissions/{}", text(&asked["id"]));
    world.post(&path, json!({"option_id": "not offered"})).await.refused(409, "wrong_state");
    let mut changes = world.changes(None).await;
    let option = asked["options"][0]["optionId"].clone();
    world.post(&path, json!({"option_id": option})).await.ok();
    world.post(&path, json!({"option_id": option})).await.refused(409, "permission_closed");
    assert_eq!(changes.ended(&turn).await["state"], "ended");
    let entries = world.entries(&session).await;
    let answer = body(entries.iter().find(|entry| entry["kind"] == "permission").unwrap());
    assert_eq!((&answer["data"]["outcome"], &answer["data"]["option_id"]), (&json!("selected"), &option));

    let turn = world.send(&session, "/permission dig another").await;
    changes.until("the request", |c| c["type"] == "session" && c["data"]["turn"]["permissions"][0].is_object()).await;
    let asked = text(&world.session(&session).await["turn"]["permissions"][0]["id"]);
    world.restart().await;
    world
        .post(&format!("sessions/{session}/permissions/{asked}"), json!({"option_id": option}))
        .await
        .refused(409, "permission_closed");
    let entries = world.entries(&session).await;
    let last = body(entries.iter().rev().find(|entry| entry["kind"] == "permission").unwrap());
    assert_eq!(last["data"]["outcome"], "lapsed");
    assert_eq!(world.session(&session).await["interrupted"], json!(turn));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_stop_is_ended() {
    let mut world = World::start().await;
    world.stop().await;
    let mut options = world.options();
    options.gander.cancel_grace = Duration::from_millis(200);
    world.serve_with(options).await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "/stream 3 chunks 1 ms\n/hang").await;
    changes.until("some text", |c| c["type"] == "open_item").await;
    world.post(&format!("sessions/{session}/turns/{turn}/cancel"), json!({})).await.ok();
    let ended = changes.ended(&turn).await;
    assert_eq!((&ended["state"], &ended["stop_reason"]), (&json!("ended"), &json!("cancelled")));
    world.post(&format!("sessions/{session}/turns/{turn}/cancel"), json!({})).await.refused(409, "turn_not_running");
    assert!(!said(&world.entries(&session).await).is_empty(), "what it had said is kept");
    assert_eq!(world.turn(&session, "/echo alive").await["state"], "ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_agent_interrupts_its_turn_alone_and_offers_continue() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let (_, neighbour) = world.window().await;
    let mut changes = world.changes(None).await;
    let other = world.send(&neighbour, "/stream 50 chunks 10 ms").await;
    let turn = world.send(&session, "/stream 10 chunks 10 ms\n/crash").await;
    let ended = changes.ended(&turn).await;
    assert_eq!(ended["state"], "interrupted");
    assert!(ended["error"]["message"].is_string(), "{ended}");
    let entries = world.entries(&session).await;
    let message = entries.iter().find(|entry| entry["kind"] == "message").unwrap();
    assert_eq!(body(message)["interrupted"], true);
    let partial = said(&entries);
    assert!(!partial.is_empty());
    assert_eq!(world.session(&session).await["interrupted"], json!(turn));
    assert_eq!(changes.ended(&other).await["state"], "ended");

    let path = format!("sessions/{session}/turns/{turn}/continue");
    world.post(&path, json!({"new_turn_id": id(), "how": "rerun"})).await.refused(400, "bad_request");
    let new = id();
    let sent = world.post(&path, json!({"new_turn_id": new, "how": "continue"})).await;
    assert_eq!(sent.status, 202, "{}", sent.text());
    assert_eq!(changes.ended(&new).await["state"], "ended");
    let entries = world.entries(&session).await;
    let prompt = body(entries.iter().rev().find(|entry| entry["kind"] == "prompt").unwrap());
    assert_eq!(prompt["data"]["continues"], json!({"turn": turn, "how": "continue"}));
    assert!(text(&prompt["data"]["content"][0]["text"]).contains(&partial), "the agent is given what it lost");
    assert_eq!(world.session(&session).await["interrupted"], Value::Null);
    let links = entries.iter().filter(|entry| entry["kind"] == "linked").count();
    assert_eq!(links, 1, "its own session was loaded again and matched: {:?}", kinds(&entries));
    assert_eq!(world.get("findings").await.ok()["findings"], json!([]));

    let ended_turn = other;
    world
        .post(
            &format!("sessions/{neighbour}/turns/{ended_turn}/continue"),
            json!({"new_turn_id": id(), "how": "resend"}),
        )
        .await
        .refused(409, "wrong_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_mid_stream_keeps_what_was_said_and_reruns_nothing() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "/stream 500 chunks 20 ms").await;
    changes.until("some text", |c| c["type"] == "open_item" && c["data"]["from"].as_u64() > Some(20)).await;
    world.restart().await;
    while changes.next().await.is_some() {}
    let shown: String = changes
        .seen
        .iter()
        .filter(|c| c["type"] == "open_item" && c["data"]["kind"] == "message")
        .map(|c| text(&c["data"]["text"]))
        .collect();
    let entries = world.entries(&session).await;
    assert!(said(&entries).starts_with(&shown), "all that a window had shown is there");
    let end = body(entries.iter().find(|entry| entry["kind"] == "turn_ended").unwrap());
    assert_eq!(end["data"]["state"], "interrupted");
    assert_eq!(world.session(&session).await["interrupted"], json!(turn));
    assert_eq!(world.session(&session).await["running"], false);

    let mut changes = world.changes(None).await;
    let new = id();
    let path = format!("sessions/{session}/turns/{turn}/continue");
    world.post(&path, json!({"new_turn_id": new, "how": "hand_over"})).await.ok();
    changes.until("the new agent session", |c| c["data"]["kind"] == "linked").await;
    world.post(&format!("sessions/{session}/turns/{new}/cancel"), json!({})).await.ok();
    assert_eq!(changes.ended(&new).await["stop_reason"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_kept_and_said() {
    let world = World::start().await;
    let (window, _) = world.window().await;
    let gone = tempfile::tempdir().unwrap();
    let chat = world.post(&format!("windows/{window}/new-chat"), json!({"cwd": gone.path()})).await.ok();
    let session = text(&chat["session"]["id"]);
    gone.close().unwrap();
    let ended = world.turn(&session, "/echo where").await;
    assert_eq!(ended["state"], "not_sent");
    assert!(text(&ended["error"]["message"]).contains("is gone"), "{ended}");
    world.patch(&format!("sessions/{session}"), json!({"cwd": "/nowhere/at/all"})).await.refused(400, "bad_request");
    world.patch(&format!("sessions/{session}"), json!({"cwd": world.work.path()})).await.ok();
    let turn = text(&world.session(&session).await["interrupted"]);
    let mut changes = world.changes(None).await;
    let new = id();
    let path = format!("sessions/{session}/turns/{turn}/continue");
    world.post(&path, json!({"new_turn_id": new, "how": "resend"})).await.ok();
    assert_eq!(changes.ended(&new).await["state"], "ended");

    let added = json!({"id": "missing", "command": "/nowhere/agent"});
    assert_eq!(world.post("agents", added).await.ok()["available"], false);
    let chat = world.post(&format!("windows/{window}/new-chat"), json!({"agent": "missing"})).await.ok();
    let ended = world.turn(&text(&chat["session"]["id"]), "hello").await;
    assert_eq!(ended["state"], "not_sent", "{ended}");
    world.post(&format!("windows/{window}/new-chat"), json!({"agent": "unheard of"})).await.refused(404, "not_found");
    for content in
        [json!([]), json!([{"type": "text", "text": "  "}]), json!([{"text": "x"}]), json!([{"type": "blob"}])]
    {
        let mut body = world.send_body(&session, &id(), "x").await;
        body["content"] = content;
        world.post(&format!("sessions/{session}/turns"), body).await.refused(400, "bad_request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g13_replaced_characters_and_a_crash_do_not_stop_the_next_send() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    assert_eq!(world.turn(&session, "/invalid-utf8").await["state"], "ended");
    assert!(said(&world.entries(&session).await).contains("bad \u{fffd}\u{fffd} bytes"));
    assert_eq!(world.turn(&session, "/crash").await["state"], "interrupted");
    assert_eq!(world.turn(&session, "/echo on we go").await["state"], "ended");
    let links = world.entries(&session).await.iter().filter(|entry| entry["kind"] == "linked").count();
    assert_eq!(links, 1, "the same agent session goes on");
    let found = world.get("findings").await.ok();
    assert!(found["findings"].as_array().unwrap().iter().all(|f| f["kind"] != "agent_memory_contradicts"), "{found}");
}

/// Somebody went on with the agent's own session outside of Gander.
#[tokio::test(flavor = "multi_thread")]
async fn g13_what_was_said_elsewhere_belongs_to_the_turn_that_it_follows() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "/echo here").await;
    changes.ended(&turn).await;
    world.stop().await;
    let memory = std::fs::read_dir(world.dir.path().join("scratch")).unwrap().next().unwrap().unwrap().path();
    let more = [
        json!({"prompt": [{"type": "text", "text": "from afar"}]}),
        json!({"update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "and back"}}}),
    ];
    let mut kept = std::fs::read_to_string(&memory).unwrap();
    more.iter().for_each(|line| kept.push_str(&format!("{line}\n")));
    std::fs::write(&memory, kept).unwrap();
    world.serve().await;
    assert_eq!(world.turn(&session, "/echo home again").await["state"], "ended");
    let entries = world.entries(&session).await;
    let found: Vec<Value> = entries.iter().map(body).filter(|body| body["elsewhere"] == true).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|found| found["turn"] == json!(turn)), "{found:?}");
    assert!(said(&entries).contains("and back"));

    // And what it found belongs to what the agent is compared with from now on.
    world.restart().await;
    assert_eq!(world.turn(&session, "/echo once more").await["state"], "ended");
    assert_eq!(world.entries(&session).await.iter().filter(|e| body(e)["elsewhere"] == true).count(), 2);
    assert_eq!(world.get("findings").await.ok()["findings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_hears_nothing_is_recorded_and_then_killed_without_being_asked_again() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "/stream 3 chunks 1 ms\n/hang").await;
    let mut heard = String::new();
    changes
        .until("what it says before it hangs", |change| {
            heard.push_str(change["data"]["text"].as_str().unwrap_or_default());
            heard.contains("chunk 3 of 3")
        })
        .await;
    let asked = std::time::Instant::now();
    world.stop().await;
    // It has three seconds for its last words. Asked to close, to end and to end at once, it would take ten.
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());
    world.serve().await;
    assert_eq!(world.session(&session).await["interrupted"], json!(turn));
    assert!(said(&world.entries(&session).await).contains("chunk 3 of 3"));
}
