//! What an agent, a disk or a clumsy hand can do: a clear error or a finding each, nothing lost, nothing else disturbed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::world::{World, body, id, kinds, said, text};

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_are_a_finding_and_the_answer_goes_on() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let ended = world.turn(&session, "/garbage 3\n/invalid-utf8\n/echo and on it goes").await;
    assert_eq!(ended["state"], "ended");
    let said = said(&world.entries(&session).await);
    assert!(said.contains("and on it goes") && said.contains("bad \u{fffd}"), "{said}");
    let findings = world.get("findings").await.ok()["findings"].clone();
    assert!(findings.as_array().unwrap().iter().any(|finding| finding["kind"] == "agent_garbage"), "{findings}");
    assert!(findings.as_array().unwrap().iter().all(|finding| finding["subject"]["session"] == session.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_after_the_turns_end_is_an_entry_marked_late() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "/late").await;
    changes.ended(&turn).await;
    let late = changes.until("the late entry", |c| c["type"] == "entry" && body(&c["data"])["late"] == true).await;
    assert_eq!(late["data"]["kind"], "message");
    assert!(late["data"]["body"].as_str().unwrap().contains("after the turn's end"));
    assert_eq!(world.session(&session).await["running"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_updates_are_kept_byte_for_byte() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/unknown").await;
    let entries = world.entries(&session).await;
    let kept =
        entries.iter().find_map(|entry| entry["body"].as_str().filter(|body| body.contains("gander_test_unknown")));
    assert!(
        kept.unwrap().contains(r#""kept":[1,2.50,"three"]"#) || kept.unwrap().contains(r#""kept":[1,2.5,"three"]"#)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn g07_a_title_is_only_text_and_never_goes_over_a_users_name() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    let html = "<img src=x onerror=alert(1)> & <b>bold</b>";
    world.send(&session, &format!("/title {html}")).await;
    let named = changes.until("the title", |c| c["type"] == "session" && c["data"]["name"] == html).await;
    assert_eq!(named["data"]["named_by"], "agent");
    world.patch(&format!("sessions/{session}"), json!({"name": "  Mine now  "})).await.ok();
    world.turn(&session, "/title Something else").await;
    world.turn(&session, "/echo a turn later").await;
    let session = world.session(&session).await;
    assert_eq!((&session["name"], &session["named_by"]), (&json!("Mine now"), &json!("user")));
    world.patch(&format!("sessions/{}", text(&session["id"])), json!({"name": " "})).await.refused(400, "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_error_and_an_exit_interrupt_the_turn_and_say_why() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let ended = world.turn(&session, "/error -32000 Log in first").await;
    assert_eq!(ended["state"], "interrupted", "{ended}");
    assert!(text(&ended["error"]["message"]).contains("Log in first"), "{ended}");
    let ended = world.turn(&session, "/exit 7").await;
    assert_eq!(ended["state"], "interrupted", "{ended}");
    assert!(text(&ended["error"]["message"]).contains('7'), "{ended}");
    assert_eq!(world.turn(&session, "/echo fine").await["state"], "ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_output_of_100_mb_is_kept_and_holds_nobody_up() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let (_, neighbour) = world.window().await;
    let mut changes = world.changes(None).await;
    let big = world.send(&session, "/big 100000000").await;
    let other = world.send(&neighbour, "/stream 30 chunks 10 ms").await;
    assert_eq!(changes.ended(&other).await["state"], "ended");
    if !changes.seen.iter().any(|c| c["data"]["kind"] == "turn_ended" && body(&c["data"])["turn"] == big) {
        assert_eq!(changes.ended(&big).await["state"], "ended");
    }
    let longest = changes.seen.iter().map(|change| change.to_string().len()).max().unwrap();
    assert!(longest < 2 << 20, "no message of the stream grows with the output: {longest}");
    let page = world.get(&format!("sessions/{session}/entries")).await;
    assert!(page.body.len() < 2 << 20, "nor does the page: {}", page.body.len());
    let entries = page.ok()["entries"].as_array().unwrap().clone();
    let call = entries.iter().find(|entry| entry["data_bytes"].as_u64() > Some(100_000_000)).unwrap();
    let data = world.get(&format!("sessions/{session}/entries/{}/data", call["seq"])).await;
    assert_eq!((data.status, data.body.len() as u64), (200, call["data_bytes"].as_u64().unwrap()));
    assert!(data.header("content-security-policy").unwrap().contains("sandbox"));
    world.get(&format!("sessions/{session}/entries/99999/data")).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_33_000_entries_opens_at_its_end_and_pages_both_ways() {
    use gander_model::{Body, By, Kind, SessionId};
    let world = World::start().await;
    let (_, session) = world.window().await;
    let id: SessionId = session.parse().unwrap();
    for batch in 0..33 {
        world
            .running()
            .gander()
            .journal()
            .write(move |tx| {
                for n in 0..1000 {
                    let text = format!("entry {}", batch * 1000 + n);
                    let body = Body::with(By::Gander, &json!({"text": text})).unwrap();
                    tx.append(id, Kind::NOTE, body)?;
                }
                Ok(())
            })
            .await
            .unwrap();
    }
    let page = world.get(&format!("sessions/{session}/entries")).await.ok();
    let seqs = |page: &Value| -> Vec<u64> {
        page["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
    };
    let head = page["session"]["head"]["seq"].as_u64().unwrap();
    assert!(head >= 33_000);
    assert_eq!(seqs(&page), (head - 199..=head).collect::<Vec<_>>());
    assert_eq!(page["verified"], true);
    let earlier = world.get(&format!("sessions/{session}/entries?before={}", text(&page["next"]))).await.ok();
    assert_eq!(seqs(&earlier), (head - 399..=head - 200).collect::<Vec<_>>());
    let first = world.get(&format!("sessions/{session}/entries?after=0&limit=5")).await.ok();
    assert_eq!((seqs(&first), &first["next"]), ((1..=5).collect(), &json!("5")));
    assert_eq!(world.entries(&session).await.len() as u64, head);
    let most = world.get(&format!("sessions/{session}/entries?limit=500")).await.ok();
    assert_eq!(seqs(&most), (head - 499..=head).collect::<Vec<_>>());
    assert_eq!(world.turn(&session, "/echo still quick").await["state"], "ended");
}

/// A disk that can be full.
#[derive(Default)]
struct FullDisk(AtomicBool);

impl gander_journal::Faults for FullDisk {
    fn before_commit(&self) -> std::io::Result<()> {
        if self.0.load(Ordering::SeqCst) { Err(std::io::Error::from(std::io::ErrorKind::StorageFull)) } else { Ok(()) }
    }

    fn before_reopen(&self) -> std::io::Result<()> {
        self.before_commit()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g01_while_nothing_can_be_saved_nothing_is_acknowledged_and_it_heals_by_itself() {
    let mut world = World::start().await;
    world.stop().await;
    let disk = Arc::new(FullDisk::default());
    let mut options = world.options();
    options.gander.journal.faults = disk.clone();
    world.serve_with(options).await;
    let (window, session) = world.window().await;
    let mut changes = world.changes(None).await;
    world.turn(&session, "/echo hello").await;
    let greeting = said(&world.entries(&session).await);
    let turn = world.send(&session, "/stream 100 chunks 10 ms").await;
    changes
        .until("some text", |c| {
            c["type"] == "open_item" && c["data"]["text"].as_str().is_some_and(|t| t.contains("chunk"))
        })
        .await;
    disk.0.store(true, Ordering::SeqCst);
    let told = changes.until("NOT SAVING", |c| c["type"] == "status" && c["data"]["saving"] == false).await;
    assert!(told["data"]["reason"].is_string() && told["data"]["safe"].is_string());
    let draft = json!({"session_id": session, "rev": 1, "text": "x", "attachments": []});
    world.put(&format!("windows/{window}/draft"), draft.clone()).await.refused(503, "not_saving");
    let prompt = world.send_body(&session, &id(), "/echo no").await;
    world.post(&format!("sessions/{session}/turns"), prompt).await.refused(503, "not_saving");
    let health = world.get("health").await.ok();
    assert_eq!((&health["ok"], &health["saving"]), (&json!(false), &json!(false)));
    // What was shown stays readable, and a page that comes now is told at once.
    assert_eq!(world.get(&format!("sessions/{session}/entries")).await.ok()["verified"], true);
    let mut late = world.changes(None).await;
    late.until("the status", |c| c["type"] == "status" && c["data"]["saving"] == false).await;

    disk.0.store(false, Ordering::SeqCst);
    changes.until("saving again", |c| c["type"] == "status" && c["data"]["saving"] == true).await;
    assert_eq!(changes.ended(&turn).await["state"], "ended");
    world.put(&format!("windows/{window}/draft"), draft).await.ok();
    let chunks = (1..=100).map(|chunk| format!("chunk {chunk} of 100\n"));
    let expected: String = std::iter::once(greeting).chain(chunks).collect();
    assert_eq!(said(&world.entries(&session).await), expected, "nothing is lost and nothing is doubled");
    world.restart().await;
    assert_eq!(said(&world.entries(&session).await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_streams_in_is_bounded_and_comes_back_inert() {
    let world = World::start().await;
    let token = format!("Bearer {}", world.running().token());
    let post = |mime: &'static str, body: Vec<u8>| {
        let (world, token) = (&world, &token);
        async move {
            let headers = [("Host", world.address()), ("Authorization", token.as_str()), ("Content-Type", mime)];
            world.raw("POST", "/api/v1/blobs", &headers, &body).await
        }
    };
    let html = b"<script>alert(1)</script>".to_vec();
    let blob = post("text/html", html.clone()).await.ok();
    assert_eq!((&blob["bytes"], &blob["mime"]), (&json!(25), &json!("text/html")));
    let answer = world.get(&format!("blobs/{}", text(&blob["hash"]))).await;
    assert_eq!(answer.body, html);
    assert_eq!(answer.header("content-disposition").as_deref(), Some("attachment"));
    assert!(answer.header("content-security-policy").unwrap().starts_with("sandbox"));
    assert_eq!(post("text/html", html).await.ok()["hash"], blob["hash"], "once per content");
    let png = post("text/html", b"\x89PNG\r\n\x1a\nrest".to_vec()).await.ok();
    assert_eq!(png["mime"], "image/png");
    let large = post("application/octet-stream", vec![7; 64 << 20]).await.ok();
    assert_eq!(large["bytes"], 64 << 20);
    post("application/octet-stream", vec![7; (64 << 20) + 1]).await.refused(413, "too_large");
    for wrong in ["0".repeat(64), "x".to_owned(), "..%2f..%2fjournal.db".to_owned()] {
        world.get(&format!("blobs/{wrong}")).await.refused(404, "not_found");
    }

    let (_, session) = world.window().await;
    let mut body_ = world.send_body(&session, &id(), "/echo see this").await;
    body_["content"].as_array_mut().unwrap().push(json!({"type": "blob", "hash": blob["hash"], "name": "page.html"}));
    let mut changes = world.changes(None).await;
    let turn = text(&world.post(&format!("sessions/{session}/turns"), body_.clone()).await.ok()["turn_id"]);
    assert_eq!(changes.ended(&turn).await["state"], "ended");
    let entries = world.entries(&session).await;
    let prompt = body(entries.iter().find(|entry| entry["kind"] == "prompt").unwrap());
    assert_eq!(
        prompt["data"]["content"][1],
        json!({"type": "blob", "hash": blob["hash"], "name": "page.html", "mime": "text/html", "bytes": 25})
    );
    body_["turn_id"] = json!(id());
    body_["content"][1]["hash"] = json!("1".repeat(64));
    world.post(&format!("sessions/{session}/turns"), body_).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn g08_a_second_process_is_told_who_holds_the_journal() {
    let world = World::start().await;
    let error = match gander_server::Server::start(world.options()).await {
        Ok(_) => panic!("a second server on one journal"),
        Err(error) => error,
    };
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    world.get("health").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_read_are_told_and_never_written_over() {
    let mut world = World::start().await;
    world.patch("config", json!({"theme": "dark"})).await.ok();
    world.restart().await;
    assert_eq!(world.get("config").await.ok()["theme"], "dark");
    world.patch("config", json!({"theme": "purple"})).await.refused(400, "bad_request");
    world.stop().await;
    let file = world.dir.path().join("config.toml");
    let broken = "theme = \"dark\"\nthis is not toml";
    std::fs::write(&file, broken).unwrap();
    world.serve().await;
    assert_eq!(world.get("findings").await.ok()["findings"][0]["kind"], "settings_not_read");
    world.patch("config", json!({"theme": "light"})).await.refused(400, "bad_request");
    world.post("agents", json!({"id": "x", "command": "x"})).await.refused(400, "bad_request");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), broken);
    std::fs::write(&file, "unknown = 1\ntheme = \"light\"\n[future]\nkey = true\n").unwrap();
    world.restart().await;
    world.post("agents", json!({"id": "mine", "command": "/bin/true", "env": {"KEY": "secret"}})).await.ok();
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains("unknown = 1") && kept.contains("[future]") && kept.contains("secret"), "{kept}");
    let listed = world.get("agents").await;
    assert!(!listed.text().contains("secret"), "an environment is not shown again");
    assert!(kinds(&[]).is_empty());
    assert_eq!(world.delete("agents/mine").await.status, 204);
    world.delete("agents/mine").await.refused(404, "not_found");
    world.delete("agents/scratch").await.refused(409, "wrong_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_hide_something_are_refused_from_people_and_cleaned_from_others() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let path = format!("sessions/{session}");
    world.patch(&path, json!({"name": "Plain"})).await.ok();
    let long = "x".repeat(201);
    for (name, says) in [
        ("invoice\u{202e}fdp.exe", "U+202E"),
        ("a\u{2067}b", "U+2067"),
        ("a\u{200f}b", "U+200F"),
        ("a\u{1b}[2Jb", "U+001B"),
        ("two\nlines", "line break"),
        (" ", "not empty"),
        (long.as_str(), "200 characters"),
    ] {
        let problem = world.patch(&path, json!({"name": name, "pinned": true})).await.refused(400, "bad_request");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    let kept = world.session(&session).await;
    assert_eq!((&kept["name"], &kept["pinned"]), (&json!("Plain"), &json!(false)), "nothing of it was done");

    let (_, other) = world.window().await;
    world.turn(&other, "\u{202e}/title Evil\u{2066}\u{7} title\u{202e}").await;
    world.turn(&other, "/title Evil\u{2066}\u{7} title\u{202e}").await;
    let named = world.session(&other).await;
    assert_eq!((&named["name"], &named["named_by"]), (&json!("Evil title"), &json!("agent")));
    let first = world.entries(&other).await.into_iter().find(|entry| entry["kind"] == "named").unwrap();
    let name = crate::world::body(&first)["data"]["name"].clone();
    assert!(name.as_str().unwrap().chars().all(|c| !gander_model::text::reorders(c) && !c.is_control()), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_names_what_is_not_here_is_refused_and_the_kept_one_stays() {
    let world = World::start().await;
    let (window, session) = world.window().await;
    let path = format!("windows/{window}/draft");
    let draft = |rev: u64, attachments: serde_json::Value| json!({"session_id": session, "rev": rev, "text": format!("draft {rev}"), "attachments": attachments});
    world.put(&path, draft(1, json!([]))).await.ok();
    let unknown = "ab".repeat(32);
    for attachments in [
        json!([{"hash": unknown, "name": "a.png", "mime": "image/png", "bytes": 1}]),
        json!([{"type": "blob", "hash": unknown, "name": "a.png"}]),
        json!([{"type": "blob", "hash": "no hash", "name": "a.png"}]),
    ] {
        let problem = world.put(&path, draft(2, attachments)).await.refused(404, "not_found");
        assert!(problem["detail"].as_str().unwrap().contains("attachment"), "{problem}");
    }
    for attachments in [json!([7]), json!([{"name": "a.png"}]), json!([{"type": "blob"}])] {
        world.put(&path, draft(2, attachments)).await.refused(400, "bad_request");
    }
    world.put(&path, draft(2, json!(vec![json!({"hash": unknown}); 201]))).await.refused(413, "too_large");
    let kept = world.get(&format!("windows/{window}")).await.ok()["draft"].clone();
    assert_eq!((&kept["rev"], &kept["text"], &kept["attachments"]), (&json!(1), &json!("draft 1"), &json!([])));
    world.put(&path, draft(2, json!([]))).await.ok();
}
