//! Commits that reach the disk and say that they failed: what is done again after one is there once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::world::{Answer, World, agent_program, body, id, kinds, text};

/// A disk on which every commit lands and is reported as failed: all but those that a healing journal needs, its probe and
/// the next one, and `more` for each that has failed.
#[derive(Default)]
struct Landing {
    on: AtomicBool,
    sound: AtomicU32,
    failed: AtomicU32,
    more: u32,
}

impl gander_journal::Faults for Landing {
    fn after_commit(&self) -> io::Result<()> {
        let less = |sound: u32| sound.checked_sub(1);
        if !self.on.load(Ordering::SeqCst) || self.sound.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
        {
            return Ok(());
        }
        self.failed.fetch_add(1, Ordering::SeqCst);
        Err(io::Error::other("injected"))
    }

    fn before_reopen(&self) -> io::Result<()> {
        self.sound.store(2 + self.more * self.failed.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(())
    }
}

/// A request as a page makes it that was told that nothing is saved: again, word for word.
async fn insist(world: &World, method: &str, path: &str, body: Value) -> Answer {
    loop {
        let answer = match method {
            "PUT" => world.put(path, body.clone()).await,
            "PATCH" => world.patch(path, body.clone()).await,
            _ => world.post(path, body.clone()).await,
        };
        if answer.status != 503 {
            return answer;
        }
        answer.refused(503, "not_saving");
        tokio::task::yield_now().await;
    }
}

/// A session in which everything happens that is written again when it may not have been saved.
async fn conversation(disk: Arc<Landing>, failing: bool) -> (World, String) {
    let mut world = World::closed();
    let mut options = world.options();
    options.gander.journal.faults = disk.clone();
    world.serve_with(options).await;
    let program = agent_program().with_file_name("odd_agent");
    world.post("agents", json!({"id": "all", "command": program, "args": ["all"]})).await.ok();
    let window = world.post("windows", json!({"agent": "all"})).await.ok();
    let (window, session) = (text(&window["id"]), text(&window["session_id"]));
    let mut changes = world.changes(None).await;
    disk.on.store(failing, Ordering::SeqCst);
    let turns = format!("sessions/{session}/turns");
    let draft = |rev: u64| json!({"session_id": session, "rev": rev, "text": "and more", "attachments": []});

    let (first, second) = (id(), id());
    let prompt = world.send_body(&session, &first, "everything").await;
    insist(&world, "POST", &turns, prompt).await.ok();
    changes.until("the request", |c| c["type"] == "session" && c["data"]["turn"]["permissions"][0].is_object()).await;

    // A prompt that waits: from its draft into the queue, changed there, and started by the turn's end.
    insist(&world, "PUT", &format!("windows/{window}/draft"), draft(1)).await.ok();
    let mut waits = world.send_body(&session, &second, "and more").await;
    (waits["window_id"], waits["draft_rev"]) = (json!(window), json!(1));
    insist(&world, "POST", &turns, waits).await.ok();
    let edit = json!({"content": [{"type": "text", "text": "and more, changed"}], "position": 0});
    let queue = insist(&world, "PATCH", &format!("sessions/{session}/queue/{second}"), edit).await.ok();
    assert_eq!(queue["items"].as_array().unwrap().len(), 1);
    let late_save = insist(&world, "PUT", &format!("windows/{window}/draft"), draft(1)).await;
    assert_eq!(late_save.status, 409, "the draft was sent: {}", late_save.text());

    // The answer is told to the agent, also when its commit said that it failed.
    let asked = text(&world.session(&session).await["turn"]["permissions"][0]["id"]);
    world.post(&format!("sessions/{session}/permissions/{asked}"), json!({"option_id": "yes"})).await.ok();
    assert_eq!(changes.ended(&first).await["state"], "ended");
    assert_eq!(changes.ended(&second).await["state"], "ended");
    changes.until("the late words", |c| c["type"] == "entry" && body(&c["data"])["late"] == true).await;
    insist(&world, "PATCH", &format!("sessions/{session}"), json!({"name": "Mine"})).await.ok();
    disk.on.store(false, Ordering::SeqCst);
    (world, session)
}

/// What entries say, without what is made anew each time.
fn told(entries: &[Value]) -> Vec<String> {
    let without = |mut data: Value| {
        if let Some(data) = data.as_object_mut() {
            data.retain(|name, _| !["machine", "permission_id", "after", "window_id", "cwd"].contains(&name.as_str()));
        }
        data
    };
    entries.iter().map(|entry| format!("{} {}", text(&entry["kind"]), without(body(entry)["data"].clone()))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn g09_nothing_that_is_written_again_after_an_unknown_outcome_is_there_twice() {
    let (sound, session) = conversation(Arc::default(), false).await;
    let expected = sound.entries(&session).await;
    // What an agent proposes as a title is recorded when it comes, whatever waits to be.
    let in_order = |entries: &[Value]| {
        let mut told = told(entries);
        told.sort_by_key(|line| line.starts_with("named"));
        told
    };
    let disk = Arc::new(Landing::default());
    let (mut world, session) = conversation(disk.clone(), true).await;
    let failed = disk.failed.load(Ordering::SeqCst);
    assert!(failed > 10, "{failed} commits failed");
    assert_eq!(in_order(&world.entries(&session).await), in_order(&expected));
    let images = |entries: &[Value]| told(entries).iter().map(|line| line.matches("\"image\"").count()).sum::<usize>();
    assert_eq!(images(&expected), 3, "two in the message and one in the thought: {:?}", kinds(&expected));
    let findings = world.get("findings").await.ok()["findings"].clone();
    assert_eq!(findings, json!([]));

    world.restart().await;
    assert_eq!(in_order(&world.entries(&session).await), in_order(&expected));
}

/// Its pieces are put anew from the first after each failure, so more and more of them are let through.
#[tokio::test(flavor = "multi_thread")]
async fn g01_a_large_output_whose_pieces_fail_is_whole_and_there_once() {
    const BYTES: usize = 6_000_000;
    let mut world = World::closed();
    let disk = Arc::new(Landing { more: 1, ..Landing::default() });
    let mut options = world.options();
    options.gander.journal.faults = disk.clone();
    world.serve_with(options).await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    world.turn(&session, "/echo hello").await;
    disk.on.store(true, Ordering::SeqCst);
    let turn = id();
    let prompt = world.send_body(&session, &turn, &format!("/big {BYTES}\n/big {BYTES} message")).await;
    insist(&world, "POST", &format!("sessions/{session}/turns"), prompt).await.ok();
    assert_eq!(changes.ended(&turn).await["state"], "ended");
    disk.on.store(false, Ordering::SeqCst);
    assert!(disk.failed.load(Ordering::SeqCst) > 8);
    for _ in 0..2 {
        let mut large = 0;
        for entry in world.entries(&session).await.iter().filter(|entry| entry["data_bytes"].as_u64().is_some()) {
            let data = world.get(&format!("sessions/{session}/entries/{}/data", entry["seq"])).await;
            let geese = data.text().matches("quick brown goose").count();
            assert_eq!(geese, BYTES / 74, "{} {}", entry["kind"], data.body.len());
            large += 1;
        }
        assert_eq!(large, 2);
        let journal = world.running().gander().journal().clone();
        let report = tokio::task::spawn_blocking(move || journal.verify(|_, _| {}, || false)).await.unwrap().unwrap();
        assert!(report.ok, "{:?}", report.findings);
        world.restart().await;
    }
}
