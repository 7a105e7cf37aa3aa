//! Snapshots over HTTP: made, read back, restored into another store, and erased from.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::world::{PATIENCE, World, kinds, said, text};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Flips a bit in the middle of a file.
fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

fn vault_of(world: &World) -> PathBuf {
    world.dir.path().join("vault")
}

/// Another store whose backups lie in the first one's vault.
async fn another_on(first: &World) -> World {
    let other = World::closed();
    let folder = toml::Value::String(vault_of(first).display().to_string());
    std::fs::write(other.dir.path().join("config.toml"), format!("[backup]\nfolder = {folder}\n")).unwrap();
    let mut other = other;
    other.serve().await;
    other
}

async fn back_up(world: &World) -> Value {
    let made = world.post("backups", json!({})).await.ok();
    assert_eq!(made["verified"], true);
    assert_eq!(made["findings"], json!([]));
    made
}

async fn restore(world: &World, snapshot: &Value, body: Value) -> Value {
    world.post(&format!("backups/{}/restore", text(&snapshot["snapshot"])), body).await.ok()
}

fn counts(report: &Value) -> [u64; 4] {
    ["added", "forwarded", "copied", "unchanged"].map(|name| report[name].as_u64().unwrap())
}

async fn root(world: &World) -> String {
    text(&world.get("health").await.ok()["root"])
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_g11_a_store_comes_back_from_its_snapshot_in_another_place() {
    let world = World::start().await;
    let (window, session) = world.window().await;
    world.turn(&session, "/echo the first answer").await;
    let (drafting, other) = world.window().await;
    let draft = json!({"session_id": other, "rev": 7, "text": "half typ", "attachments": []});
    world.put(&format!("windows/{drafting}/draft"), draft).await.ok();

    let made = back_up(&world).await;

    assert_eq!(made["root"], root(&world).await);
    assert_eq!(made["sessions"], 2);
    let listed = world.get("backups").await.ok();
    assert_eq!(listed["backups"][0]["id"], made["snapshot"]);
    assert_eq!((&listed["backups"][0]["own"], &listed["backups"][0]["reason"]), (&json!(true), &json!("hand")));
    assert!(world.get("health").await.ok()["backed_up_at"].is_string());
    let again = back_up(&world).await;
    assert_eq!(again["new_bytes"], 0, "nothing changed");
    let verified = world.post("backups/verify", json!({})).await.ok();
    assert_eq!((&verified["ok"], &verified["snapshots"]), (&json!(true), &json!(2)), "{verified}");

    let elsewhere = another_on(&world).await;
    let preview = restore(&elsewhere, &made, json!({"dry_run": true})).await;
    assert_eq!(counts(&preview), [2, 0, 0, 0]);
    elsewhere.get(&format!("sessions/{session}")).await.refused(404, "not_found");
    let done = restore(&elsewhere, &made, json!({"windows": true})).await;
    assert_eq!((counts(&done), &done["windows"], &done["drafts"]), ([2, 0, 0, 0], &json!(2), &json!(1)), "{done}");
    assert_eq!(root(&elsewhere).await, root(&world).await);
    assert_eq!(elsewhere.entries(&session).await, world.entries(&session).await);
    let windows = elsewhere.get("windows").await.ok();
    let shown = |id: &str| windows["windows"].as_array().unwrap().iter().find(|w| w["id"] == id).unwrap().clone();
    assert_eq!(shown(&window)["session_id"], session);
    assert_eq!(
        (&shown(&drafting)["session_id"], &shown(&drafting)["draft"]["text"]),
        (&json!(other), &json!("half typ"))
    );
    // Nothing is doubled, and the chat goes on.
    let done = restore(&elsewhere, &made, json!({"windows": true})).await;
    assert_eq!((counts(&done), &done["windows"], &done["drafts"]), ([0, 0, 0, 2], &json!(0), &json!(0)));
    let ended = elsewhere.turn(&session, "/echo and on").await;
    assert_eq!(ended["state"], "ended", "{ended}");
}

/// Starts a job and waits for its end.
async fn job(world: &World, path: &str, body: Value) -> Value {
    let mut job = world.post(path, body).await.ok();
    let ended = async {
        while job["state"] == "running" {
            tokio::task::yield_now().await;
            job = world.get(&format!("jobs/{}", text(&job["id"]))).await.ok();
        }
        job
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the job ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_drill_restores_a_snapshot_and_says_when_it_could_not() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo hello").await;
    job(&world, "jobs/drill", json!({})).await["error"]["code"].as_str().filter(|code| *code == "not_found").unwrap();
    let made = world.post("backups", json!({"reason": "upgrade"})).await.ok();
    assert_eq!(world.get("backups").await.ok()["backups"][0]["reason"], "upgrade");
    world.turn(&session, "/echo and on").await;

    let done = job(&world, "jobs/drill", json!({})).await;
    assert_eq!(done["state"], "done", "{done}");
    let drill = &done["drill"];
    assert_eq!((&drill["ok"], &drill["snapshot"]), (&json!(true), &made["snapshot"]), "{drill}");
    assert_eq!((&drill["restored_root"], &drill["root"]), (&made["root"], &made["root"]));
    assert_eq!((&drill["sessions"], &drill["entries"]), (&made["sessions"], &made["entries"]));

    let all = json!({"reason": "upgrade", "drill": true, "exports": true, "version": "9.9.9"});
    let all = world.post("backups", all).await.ok();
    assert_eq!((&all["drilled"], &all["exported"]), (&json!(true), &json!(1)), "{all}");
    assert!(text(&all["exports"]).ends_with("-before-9.9.9") && text(&all["place"]).ends_with("vault"), "{all}");

    for segment in files(&vault_of(&world).join("segments")) {
        flip(&segment);
    }
    let done = job(&world, "jobs/drill", json!({"snapshot": made["snapshot"]})).await;
    assert_eq!(done["drill"]["ok"], false, "{done}");
    let findings = world.get("findings").await.ok();
    let kinds: Vec<_> = findings["findings"].as_array().unwrap().iter().map(|f| text(&f["kind"])).collect();
    assert!(kinds.contains(&"backup_drill_failed".to_owned()), "{findings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_open_sessions_are_written_for_people_and_erasing_reaches_them() {
    let world = World::start().await;
    let (_, talked) = world.window().await;
    world.turn(&talked, "/echo my password is hunter2").await;
    world.window().await;
    let (drafting, drafted) = world.window().await;
    let (closed, left) = world.window().await;
    world.turn(&left, "/echo not open any more").await;
    world.delete(&format!("windows/{closed}")).await;
    let draft = json!({"session_id": drafted, "rev": 7, "text": "half <typed>", "attachments": []});
    world.put(&format!("windows/{drafting}/draft"), draft).await.ok();

    let done = job(&world, "exports", json!({"version": "0.2.0"})).await;
    assert_eq!(done["state"], "done", "{done}");
    let exports = &done["exports"];
    assert_eq!((&exports["sessions"], &exports["findings"]), (&json!(3), &json!([])), "{exports}");
    let folder = PathBuf::from(text(&exports["folder"]));
    assert!(folder.starts_with(world.dir.path().join("exports")), "{folder:?}");
    assert!(text(&exports["folder"]).ends_with("-before-0.2.0"));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let all = |end: &str| -> String {
        let of = files(&folder).into_iter().filter(|file| file.extension().is_some_and(|e| e == end));
        of.map(|file| std::fs::read_to_string(file).unwrap()).collect()
    };
    let index = read("index.html");
    assert!(index.contains(&talked) && index.contains(&drafted) && !index.contains(&left));
    assert!(read("README.md").contains(".md)"));
    assert!(all("md").contains("hunter2") && all("md").contains("half <typed>"));
    assert!(all("json").contains("hunter2") && all("json").contains("half <typed>"));
    for link in index.split("href=\"").skip(1) {
        let name = link.split('"').next().unwrap();
        assert!(folder.join(name).is_file(), "{name}");
    }
    let again = job(&world, "exports", json!({"version": "0.2.0"})).await;
    assert!(text(&again["exports"]["folder"]).ends_with("-before-0.2.0-2"), "nothing is written over");

    world.post("exports", json!({"version": ""})).await.refused(400, "bad_request");
    for entry in world.entries(&talked).await {
        if entry["body"].as_str().is_some_and(|body| body.contains("hunter2")) {
            world.post(&format!("sessions/{talked}/redact"), json!({"seq": entry["seq"]})).await.ok();
        }
    }
    for file in files(&world.dir.path().join("exports")) {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("hunter2"), "{file:?}");
    }
    assert!(all("md").contains("half <typed>"), "other sessions' exports stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn g11_a_session_that_went_two_ways_gets_one_copy_beside_it() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo common").await;
    let first = back_up(&world).await;
    let elsewhere = another_on(&world).await;
    restore(&elsewhere, &first, json!({})).await;
    world.turn(&session, "/echo here").await;
    let second = back_up(&world).await;

    // A prefix is forwarded.
    let third = another_on(&world).await;
    restore(&third, &first, json!({})).await;
    assert_eq!(counts(&restore(&third, &second, json!({})).await), [0, 1, 0, 0]);
    assert_eq!(third.entries(&session).await, world.entries(&session).await);

    // Another way on is left alone, and the snapshot's way stands beside it.
    elsewhere.turn(&session, "/echo elsewhere").await;
    let before = elsewhere.entries(&session).await;
    let done = restore(&elsewhere, &second, json!({"sessions": [session]})).await;
    assert_eq!(counts(&done), [0, 0, 1, 0], "{done}");
    assert!(done["before"].is_string(), "a snapshot was made first");
    assert_eq!(elsewhere.entries(&session).await, before);
    let sessions = elsewhere.get("sessions?status=all").await.ok();
    let copy = sessions["sessions"].as_array().unwrap().iter().find(|s| s["id"] != session).unwrap().clone();
    assert!(text(&copy["name"]).ends_with("(recovered)"), "{copy}");
    let copied = elsewhere.entries(&text(&copy["id"])).await;
    assert!(said(&copied).contains("common") && said(&copied).contains("here"), "{:?}", kinds(&copied));
    assert!(!said(&copied).contains("elsewhere"));
    assert_eq!(counts(&restore(&elsewhere, &second, json!({})).await), [0, 0, 0, 1], "and never a second copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn g02_what_is_redacted_leaves_the_snapshots_by_itself() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo my password is hunter2").await;
    let old = back_up(&world).await;
    let holds = || {
        files(&vault_of(&world)).iter().any(|file| {
            let bytes = std::fs::read(file).unwrap_or_default();
            let text = if file.extension().is_some_and(|e| e == "zst") {
                zstd::decode_all(&bytes[..]).unwrap_or_default()
            } else {
                bytes
            };
            text.windows(7).any(|window| window == b"hunter2")
        })
    };
    assert!(holds());
    // Prompt, answer, and the name made from the prompt.
    for entry in world.entries(&session).await {
        if entry["body"].as_str().is_some_and(|body| body.contains("hunter2")) {
            world.post(&format!("sessions/{session}/redact"), json!({"seq": entry["seq"]})).await.ok();
        }
    }
    let gone = async {
        while holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the erased text leaves the vault");
    let verified = world.post("backups/verify", json!({})).await.ok();
    assert_eq!(verified["ok"], true, "{verified}");

    // Restored where the session is not, it is whole but for what was erased, and verifies.
    let elsewhere = another_on(&world).await;
    restore(&elsewhere, &old, json!({})).await;
    let entries = elsewhere.entries(&session).await;
    assert!(entries.iter().any(|entry| entry["erased"] == true));
    assert!(!entries.iter().any(|entry| entry["body"].as_str().is_some_and(|body| body.contains("hunter2"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn quitting_makes_a_snapshot_of_what_changed_and_only_then() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo hello").await;
    world.restart().await;
    let listed = world.get("backups").await.ok();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["backups"][0]["reason"], "quit");
    assert!(world.get("health").await.ok()["backed_up_at"].is_string());
    world.restart().await;
    assert_eq!(world.get("backups").await.ok()["backups"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_vault_is_named_and_the_next_snapshot_heals_it() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo hello").await;
    let first = back_up(&world).await;
    flip(&files(&vault_of(&world).join("segments")).remove(0));

    let verified = world.post("backups/verify", json!({})).await.ok();
    assert_eq!(verified["ok"], false);
    for finding in verified["findings"].as_array().unwrap() {
        assert_eq!(finding["kind"], "damaged_object", "{finding}");
        assert_eq!(finding["severity"], "error");
        assert_eq!(finding["subject"]["snapshots"], json!([first["snapshot"]]));
    }
    let healed = back_up(&world).await;
    let elsewhere = another_on(&world).await;
    assert_eq!(counts(&restore(&elsewhere, &healed, json!({})).await), [1, 0, 0, 0]);
    assert_eq!(elsewhere.entries(&session).await, world.entries(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_refused() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo hello").await;
    let made = back_up(&world).await;
    world.post("backups/nonsense/restore", json!({})).await.refused(404, "not_found");
    let unknown = "01a31860-0000-7000-8000-000000000000";
    world.post(&format!("backups/{unknown}/restore"), json!({})).await.refused(404, "not_found");
    let path = format!("backups/{}/restore", text(&made["snapshot"]));
    world.post(&path, json!({"sessions": [unknown]})).await.refused(404, "not_found");
    world.post(&path, json!({"sessions": ["x"]})).await.refused(400, "bad_request");
    world.post(&path, json!({"everything": true})).await.refused(400, "bad_request");
    world.post("backups/prune", json!({"last": 0})).await.refused(400, "bad_request");
    let pruned = world.post("backups/prune", json!({"last": 1, "dry_run": true})).await.ok();
    assert_eq!(pruned["forgotten"].as_array().unwrap().len(), 1, "{pruned}");
    assert_eq!(world.get("backups").await.ok()["backups"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn g11_an_exported_session_is_imported_elsewhere_with_its_chain() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo one").await;
    let seq = world.session(&session).await["head"]["seq"].clone();
    let fork = world.post(&format!("sessions/{session}/fork"), json!({"at_seq": seq})).await.ok();
    let fork = text(&fork["session"]["id"]);
    world.turn(&fork, "/echo two").await;
    for (format, mime) in [
        ("json", "application/json"),
        ("markdown", "text/markdown"),
        ("html", "text/html"),
        ("jsonl", "application/x-ndjson"),
    ] {
        let file = world.get(&format!("sessions/{fork}/export?format={format}")).await;
        assert_eq!(file.status, 200);
        assert!(file.header("content-type").unwrap().starts_with(mime));
        assert!(file.header("content-disposition").unwrap().starts_with("attachment; filename=\""));
        assert!(file.header("content-security-policy").unwrap().contains("sandbox"));
        assert!(file.text().contains("one") && file.text().contains("two"), "{format}: the inherited part too");
    }
    world.get(&format!("sessions/{fork}/export?format=docx")).await.refused(400, "bad_request");
    let lines = world.get(&format!("sessions/{fork}/export?format=jsonl")).await.body;

    let elsewhere = World::start().await;
    let import = async |bytes: &[u8]| {
        let token = format!("Bearer {}", elsewhere.running().token());
        let address = elsewhere.address().to_owned();
        let headers = [("Host", address.as_str()), ("Authorization", token.as_str())];
        elsewhere.raw("POST", "/api/v1/import", &headers, bytes).await
    };
    let half = &lines[..lines.len() / 2];
    import(half).await.refused(400, "bad_request");
    elsewhere.get(&format!("sessions/{fork}")).await.refused(404, "not_found");
    assert_eq!(counts(&import(&lines).await.ok()), [2, 0, 0, 0]);
    assert_eq!(elsewhere.entries(&fork).await, world.entries(&fork).await);
    assert_eq!(counts(&import(&lines).await.ok()), [0, 0, 0, 2]);
    // The parent came as far as the fork needs it; its own export brings the rest.
    world.turn(&session, "/echo three").await;
    let parent = world.get(&format!("sessions/{session}/export?format=jsonl")).await.body;
    assert_eq!(counts(&import(&parent).await.ok()), [0, 1, 0, 0]);
    assert_eq!(elsewhere.entries(&session).await, world.entries(&session).await);
}

/// Waits until a finding of this kind is open, or none is.
async fn finding(world: &World, kind: &str, open: bool) -> Value {
    let found = async {
        loop {
            let findings = world.get("findings").await.ok();
            let found = findings["findings"].as_array().unwrap().iter().find(|f| f["kind"] == kind).cloned();
            if found.is_some() == open {
                return found.unwrap_or_default();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{kind} open: {open}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_journal_put_back_in_time_is_told_with_the_restore_that_heals_it() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo early").await;
    back_up(&world).await;
    world.stop().await;
    // An older copy of the whole folder but the vault, its witness included: it agrees with itself.
    let dir = world.dir.path().to_owned();
    let parts = ["journal.db", "witness"];
    let old: Vec<_> = parts.iter().map(|name| std::fs::read(dir.join(name)).unwrap()).collect();
    world.serve().await;
    world.turn(&session, "/echo late").await;
    let (_, new) = world.window().await;
    world.turn(&new, "/echo new").await;
    let made = back_up(&world).await;
    let whole = world.entries(&session).await;
    world.stop().await;
    let newest = std::fs::read_dir(dir.join("vault/snapshots")).unwrap().count();
    assert!(newest >= 2);
    for (name, bytes) in parts.iter().zip(old) {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
    let _ = std::fs::remove_file(dir.join("journal.db-wal"));
    world.serve().await;

    let found = finding(&world, "journal_behind_snapshot", true).await;
    assert_eq!((&found["severity"], &found["subject"]["count"]), (&json!("error"), &json!(2)), "{found}");
    assert!(text(&found["remedy"]).contains("gander backup restore "), "{found}");
    let snapshot = found["subject"]["snapshot"].clone();
    // A new snapshot of what is left does not hide what is missing.
    back_up(&world).await;
    finding(&world, "journal_behind_snapshot", true).await;
    world.restart().await;
    finding(&world, "journal_behind_snapshot", true).await;

    let done = restore(&world, &json!({"snapshot": snapshot}), json!({"windows": true})).await;
    assert_eq!(counts(&done), [1, 1, 0, 0], "{done}");
    finding(&world, "journal_behind_snapshot", false).await;
    assert_eq!(world.entries(&session).await, whole);
    let _ = made;
}

#[tokio::test(flavor = "multi_thread")]
async fn g09_g11_queue_and_unfinished_answers_come_back_with_windows() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    let mut changes = world.changes(None).await;
    world.send(&session, "/stream 3 chunks 1 ms\n/hang").await;
    changes.until("some of the answer", |change| change["type"] == "open_item").await;
    let mut body = world.send_body(&session, &crate::world::id(), "/echo queued").await;
    body["when_busy"] = json!("queue");
    assert_eq!(world.post(&format!("sessions/{session}/turns"), body).await.json()["state"], "queued");
    let made = back_up(&world).await;

    let elsewhere = another_on(&world).await;
    let told = restore(&elsewhere, &made, json!({"windows": true, "dry_run": true})).await;
    let done = restore(&elsewhere, &made, json!({"windows": true})).await;
    assert_eq!((&done["windows"], &done["queue"]), (&json!(1), &json!(1)), "{done}");
    for what in ["added", "windows", "drafts", "queue", "open_items"] {
        assert_eq!(told[what], done[what], "{what}: {told}");
    }
    assert!(done["open_items"].as_u64().unwrap() > 0, "{done}");
    let queue = elsewhere.get(&format!("sessions/{session}/queue")).await.ok();
    assert_eq!((&queue["held"], queue["items"].as_array().unwrap().len()), (&json!(true), 1), "{queue}");
    let entries = elsewhere.entries(&session).await;
    assert!(entries.iter().any(|entry| entry["body"].as_str().unwrap_or_default().contains("\"interrupted\":true")));
    assert_eq!(kinds(&entries).last().unwrap(), "turn_ended");
    let verified = job(&elsewhere, "jobs/verify", json!({})).await;
    assert_eq!(verified["report"]["ok"], true, "{verified}");
    // Nothing is doubled.
    let again = restore(&elsewhere, &made, json!({"windows": true})).await;
    assert_eq!((&again["queue"], &again["open_items"], &again["copied"]), (&json!(0), &json!(0), &json!(0)), "{again}");
    assert_eq!(elsewhere.entries(&session).await.len(), entries.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_follows_each_snapshot_and_an_empty_policy_removes_nothing() {
    let mut world = World::closed();
    let config = world.dir.path().join("config.toml");
    let keep =
        |last: u32| format!("[backup]\nkeep = {{ last = {last}, hourly = 0, daily = 0, weekly = 0, monthly = 0 }}\n");
    std::fs::write(&config, keep(0)).unwrap();
    world.serve().await;
    let (_, session) = world.window().await;
    for n in 0..3 {
        world.turn(&session, &format!("/echo {n}")).await;
        back_up(&world).await;
    }
    let found = finding(&world, "backups_not_pruned", true).await;
    assert!(text(&found["detail"]).contains("keeps nothing"), "{found}");
    let count = async |world: &World| world.get("backups").await.ok()["backups"].as_array().unwrap().len();
    assert_eq!(count(&world).await, 3);
    world.stop().await;
    std::fs::write(&config, keep(2)).unwrap();
    world.serve().await;
    world.turn(&session, "/echo more").await;
    back_up(&world).await;
    let pruned = async {
        while count(&world).await > 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, pruned).await.expect("the old ones are forgotten");
    finding(&world, "backups_not_pruned", false).await;
    assert_eq!(world.post("backups/verify", json!({})).await.ok()["ok"], true);

    // A torn manifest stops it, and is moved aside on request.
    let listed = world.get("backups").await.ok();
    let oldest = text(&listed["backups"][1]["id"]);
    let manifest = vault_of(&world).join(format!("snapshots/{oldest}.json"));
    let bytes = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &bytes[..bytes.len() / 2]).unwrap();
    world.post("backups/prune", json!({})).await.refused(409, "wrong_state");
    let preview = world.post("backups/prune", json!({"discard_damaged": true, "dry_run": true})).await.ok();
    assert_eq!(preview["discarded"], json!([oldest]), "{preview}");
    assert!(manifest.exists());
    let done = world.post("backups/prune", json!({"discard_damaged": true})).await.ok();
    assert_eq!(done["discarded"], json!([oldest]), "{done}");
    assert!(!manifest.exists());
    world.post("backups/prune", json!({})).await.ok();
}
