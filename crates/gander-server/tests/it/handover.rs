//! Handing the store over: what waits, what is refused, what is sealed, and how it is called off (G10).

use gander_api::seal::Seal;
use gander_journal::{Facts, Journal};
use serde_json::{Value, json};

use crate::world::{World, body, id, said, text};

/// What the journal of a stopped server says of itself.
fn facts(world: &World) -> Facts {
    let inspected = Journal::inspect(world.dir.path(), gander_journal::Options::default()).unwrap();
    inspected.facts().unwrap().clone()
}

fn seal(world: &World) -> Seal {
    Seal::read(world.dir.path()).unwrap().expect("a seal")
}

async fn windows(world: &World) -> Value {
    let mut windows = world.get("windows").await.ok()["windows"].clone();
    for window in windows.as_array_mut().unwrap() {
        // Who looks at it is of this process.
        window.as_object_mut().unwrap().remove("attached");
    }
    windows
}

async fn names(world: &World) -> Vec<(String, Value)> {
    let list = world.get("sessions?status=all&limit=500").await.ok();
    let mut names: Vec<_> =
        list["sessions"].as_array().unwrap().iter().map(|s| (text(&s["id"]), s["name"].clone())).collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    names
}

/// Waits until the server wants to end, as `serve` does, and ends it.
async fn ends(world: &mut World) {
    let asked = tokio::time::timeout(crate::world::PATIENCE, world.running().stop_requested()).await;
    asked.expect("the handover to end");
    world.stop().await;
}

/// The story: five windows, two of them untouched new chats, one with a half-typed draft, one in the middle of an
/// answer that waits for its user.
struct Story {
    writing: (String, String),
    busy: (String, String),
    turn: String,
}

async fn story(world: &World) -> Story {
    let _untouched = (world.window().await, world.window().await);
    let done = world.window().await;
    world.turn(&done.1, "/echo done long ago").await;
    let writing = world.window().await;
    world.turn(&writing.1, "/echo first").await;
    draft(world, &writing, 1, "half a sen").await;
    let busy = world.window().await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&busy.1, "/permission go on").await;
    changes.until("the request", |c| c["data"]["kind"] == "permission" && c["type"] == "open_item").await;
    Story { writing, busy, turn }
}

async fn draft(world: &World, window: &(String, String), rev: u64, words: &str) {
    let body = json!({"session_id": window.1, "rev": rev, "text": words, "attachments": []});
    world.put(&format!("windows/{}/draft", window.0), body).await.ok();
}

async fn allow(world: &World, session: &str) {
    let asked = world.session(session).await["turn"]["permissions"][0].clone();
    let option = asked["options"][0]["optionId"].clone();
    let path = format!("sessions/{session}/permissions/{}", text(&asked["id"]));
    world.post(&path, json!({"option_id": option})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_handover_waits_for_a_turn_takes_no_new_one_and_seals_everything() {
    let mut world = World::start().await;
    let story = story(&world).await;
    let names_before = names(&world).await;
    let mut changes = world.changes(None).await;

    let begun = world.post("handover", json!({"to": "9.9.9"})).await;
    assert_eq!(begun.status, 202, "{}", begun.text());
    assert_eq!(begun.json()["state"], "waiting");
    let turns = &begun.json()["turns"];
    assert_eq!(
        (turns[0]["session_id"].as_str(), turns[0]["turn_id"].as_str()),
        (Some(&*story.busy.1), Some(&*story.turn))
    );
    assert_eq!(turns.as_array().unwrap().len(), 1);
    changes.until("that windows are told", |c| c["type"] == "handover" && c["data"]["state"] == "waiting").await;
    let mut late = world.changes(None).await;
    late.until("that a window that comes is told", |c| c["type"] == "handover").await;

    // No new turn, and what is safe is said; everything else works.
    let path = format!("sessions/{}/turns", story.writing.1);
    let refused = world.post(&path, world.send_body(&story.writing.1, &id(), "/echo no").await).await;
    assert!(text(&refused.refused(503, "handing_over")["safe"]).contains("draft"));
    let busy = format!("sessions/{}/turns", story.busy.1);
    world.post(&busy, world.send_body(&story.busy.1, &id(), "/echo q").await).await.refused(503, "handing_over");
    let again = world.send_body(&story.busy.1, &story.turn, "/permission go on").await;
    let again = world.post(&format!("sessions/{}/turns", story.busy.1), again).await.ok();
    assert_eq!(again["repeated"], true, "what was accepted before gets its first answer");
    draft(&world, &story.writing, 2, "half a sentence").await;
    world.post("handover", json!({"upgrade": id()})).await.refused(409, "wrong_state");

    allow(&world, &story.busy.1).await;
    let sealed = changes.until("the seal", |c| c["type"] == "handover" && c["data"]["state"] == "sealed").await;
    let states: Vec<&str> =
        changes.seen.iter().filter(|c| c["type"] == "handover").map(|c| c["data"]["state"].as_str().unwrap()).collect();
    assert!(states.contains(&"frozen"), "{states:?}");
    // Frozen: nothing is written any more, and reading goes on.
    let body = json!({"session_id": story.writing.1, "rev": 3, "text": "too late", "attachments": []});
    world.put(&format!("windows/{}/draft", story.writing.0), body).await.refused(503, "handing_over");
    world.post("windows", json!({})).await.refused(503, "handing_over");
    world.delete("handover").await.refused(409, "wrong_state");
    let windows_before = windows(&world).await;
    ends(&mut world).await;

    let (seal, facts) = (seal(&world), facts(&world));
    assert!(seal.is(&facts) && facts.clean, "{facts:?}");
    assert_eq!((seal.heads.len(), seal.windows.len(), seal.drafts.len()), (5, 5, 1));
    assert_eq!((sealed["data"]["seal"]["root"].as_str(), seal.sessions), (Some(&*seal.root.to_string()), 5));
    world.serve().await;
    // The snapshot holds it, and came back whole from the vault.
    let backups = world.get("backups").await.ok();
    assert_eq!(backups["backups"][0]["id"], json!(seal.snapshot));
    assert_eq!(backups["backups"][0]["root"], json!(seal.root.to_string()));
    assert_eq!(backups["backups"][0]["reason"], "upgrade");
    assert!(world.post("backups/verify", json!({})).await.ok()["ok"].as_bool().unwrap());
    assert_eq!(windows(&world).await, windows_before);
    assert_eq!(names(&world).await, names_before);
    assert_eq!(world.get("health").await.ok()["root"], json!(seal.root.to_string()), "a start appends nothing");
    let drafts = world.get(&format!("sessions/{}/drafts", story.writing.1)).await.ok();
    assert_eq!(drafts["drafts"][0]["text"], "half a sentence");
    assert_eq!(world.get("handover").await.ok()["state"], "none");
    world.turn(&story.busy.1, "/echo and on").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_handover_that_is_called_off_leaves_everything_as_if_it_had_not_been() {
    let mut world = World::start().await;
    let story = story(&world).await;
    let path = format!("sessions/{}/turns", story.busy.1);
    let next = id();
    world.post(&path, world.send_body(&story.busy.1, &next, "/echo queued").await).await.ok();
    let (_, other) = world.window().await;
    let mut changes = world.changes(None).await;
    world.send(&other, "/permission keeps it waiting").await;
    changes.until("the request", |c| c["data"]["kind"] == "permission" && c["type"] == "open_item").await;
    world.post("handover", json!({})).await.ok();
    allow(&world, &story.busy.1).await;
    // Its turn ends, and the one that waits does not start.
    changes.ended(&story.turn).await;
    assert_eq!(world.session(&story.busy.1).await["queue"], json!({"count": 1, "held": false}));
    assert_eq!(world.delete("handover").await.ok()["state"], "none");
    // Now the queue goes on by itself, and new turns are taken.
    assert_eq!(changes.ended(&next).await["state"], "ended");
    assert_eq!(world.turn(&story.writing.1, "/echo yes").await["state"], "ended");
    assert!(Seal::read(world.dir.path()).unwrap().is_none());
    world.delete("handover").await.ok();
    world.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_turns_that_do_not_end_are_interrupted_and_can_be_continued() {
    for how in ["now", "deadline", "said"] {
        let mut world = World::start().await;
        let (_, session) = world.window().await;
        let mut changes = world.changes(None).await;
        let turn = world.send(&session, "/stream 4000 chunks 20 ms").await;
        changes.until("some text", |c| c["type"] == "open_item" && c["data"]["turn"] == json!(turn)).await;
        let wish = match how {
            "now" => json!({"interrupt": true}),
            "deadline" => json!({"deadline_ms": 50}),
            _ => json!({}),
        };
        world.post("handover", wish).await.ok();
        if how == "said" {
            world.post("handover/interrupt", json!({})).await.ok();
        }
        let ended = changes.ended(&turn).await;
        assert_eq!(ended["state"], "interrupted", "{how}");
        assert!(text(&ended["reason"]).contains("hand over"), "{ended}");
        ends(&mut world).await;
        assert!(seal(&world).is(&facts(&world)));
        world.serve().await;
        let before = world.entries(&session).await;
        assert!(!said(&before).is_empty(), "what was streamed stands");
        let goes_on = json!({"new_turn_id": id(), "how": "resend"});
        world.post(&format!("sessions/{session}/turns/{turn}/continue"), goes_on).await.ok();
        let after = world.entries(&session).await;
        let prompt = after.iter().rfind(|entry| entry["kind"] == "prompt").unwrap();
        assert_eq!(body(prompt)["data"]["continues"]["turn"], json!(turn));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_without_a_backup_nothing_is_handed_over() {
    let mut world = World::start().await;
    let story = story(&world).await;
    std::fs::write(world.dir.path().join("vault"), "in the way").unwrap();
    let mut changes = world.changes(None).await;
    world.post("handover", json!({"interrupt": true})).await.ok();
    let failed = changes.until("that it failed", |c| c["type"] == "handover" && c["data"]["failed"].is_string()).await;
    assert!(text(&failed["data"]["failed"]).starts_with("no backup could be made"), "{failed}");
    assert_eq!(failed["data"]["state"], "none");
    assert!(Seal::read(world.dir.path()).unwrap().is_none());
    // The turn was not even interrupted, and new ones are taken.
    assert_eq!(world.session(&story.busy.1).await["turn"]["id"], json!(story.turn));
    assert_eq!(world.turn(&story.writing.1, "/echo yes").await["state"], "ended");
    std::fs::remove_file(world.dir.path().join("vault")).unwrap();
    world.post("handover", json!({"interrupt": true})).await.ok();
    ends(&mut world).await;
    assert!(seal(&world).is(&facts(&world)));
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_seal_that_cannot_be_written_leaves_everything_going_on() {
    let mut world = World::start().await;
    let story = story(&world).await;
    std::fs::create_dir_all(world.dir.path().join("upgrade/seal.json.new")).unwrap();
    let mut changes = world.changes(None).await;
    world.post("handover", json!({"interrupt": true})).await.ok();
    changes.until("that it failed", |c| c["type"] == "handover" && c["data"]["failed"].is_string()).await;
    // It had been frozen: it is not any more.
    draft(&world, &story.writing, 2, "goes on").await;
    assert_eq!(world.turn(&story.writing.1, "/echo yes").await["state"], "ended");
    assert_eq!(world.turn(&story.busy.1, "/echo also here").await["state"], "ended");
    std::fs::remove_dir(world.dir.path().join("upgrade/seal.json.new")).unwrap();
    world.post("handover", json!({})).await.ok();
    ends(&mut world).await;
    assert!(seal(&world).is(&facts(&world)));
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_an_upgrade_that_nobody_drives_takes_nothing_over() {
    let world = World::start().await;
    let story = story(&world).await;
    let mut changes = world.changes(None).await;
    world.post("handover", json!({"upgrade": id()})).await.ok();
    let failed = changes.until("that it failed", |c| c["type"] == "handover" && c["data"]["failed"].is_string()).await;
    assert!(text(&failed["data"]["failed"]).contains("has ended"), "{failed}");
    assert_eq!(world.session(&story.busy.1).await["turn"]["id"], json!(story.turn));
    world.post("handover", json!({"upgrade": "nonsense"})).await.refused(400, "bad_request");
    allow(&world, &story.busy.1).await;
    changes.ended(&story.turn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_draft_that_is_being_typed_is_waited_for() {
    let mut world = World::start().await;
    let writing = world.window().await;
    world.post("handover", json!({})).await.ok();
    // Somebody types on and on: every save that is acknowledged is in the seal, and the handover comes all the same.
    let mut acknowledged = String::new();
    for rev in 1.. {
        let words = format!("{rev} words");
        let body = json!({"session_id": writing.1, "rev": rev, "text": words, "attachments": []});
        let answer = world.put(&format!("windows/{}/draft", writing.0), body).await;
        if answer.status == 503 {
            answer.refused(503, "handing_over");
            break;
        }
        answer.ok();
        acknowledged = words;
    }
    ends(&mut world).await;
    let drafts: Vec<Value> = seal(&world).drafts.iter().map(|d| serde_json::from_str(d.get()).unwrap()).collect();
    assert_eq!(drafts[0]["text"], json!(acknowledged));
    assert!(seal(&world).is(&facts(&world)));
}
