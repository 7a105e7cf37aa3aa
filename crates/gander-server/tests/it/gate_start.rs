//! Starting on a journal that another version wrote last, and taking over within an upgrade (G10).

use std::path::Path;

use gander_api::seal::{COPY, Seal};
use gander_journal::{Facts, Journal};
use gander_model::UpgradeId;
use gander_server::{ServeOptions, Server};
use gander_upgrade::lock::Holder;
use gander_upgrade::state::{Kind, Phase, Side, State};
use gander_upgrade::{Place, Version};
use serde_json::{Value, json};

use crate::world::{World, id, text};

fn facts(dir: &Path) -> Facts {
    let inspected = Journal::inspect(dir, gander_journal::Options::default()).unwrap();
    inspected.facts().unwrap().clone()
}

/// As another version.
fn options_of(world: &World, version: &str) -> ServeOptions {
    let mut options = world.options();
    options.gander.journal.version = version.to_owned();
    options
}

async fn refused(options: ServeOptions) -> String {
    let error = Server::start(options).await.err().expect("no start");
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn snapshots(world: &World) -> Vec<Value> {
    world.get("backups").await.ok()["backups"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_another_version_backs_up_before_it_writes_and_only_then() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo hello").await;
    world.stop().await;
    let before = facts(world.dir.path());
    world.serve_with(options_of(&world, "0.9.0")).await;
    let made = snapshots(&world).await;
    let last = made.iter().find(|snapshot| snapshot["reason"] == "upgrade").expect("a backup before the upgrade");
    assert_eq!(last["root"], json!(before.root.to_string()));
    assert_eq!(world.get("health").await.ok()["root"], json!(before.root.to_string()));
    world.stop().await;
    assert_eq!(facts(world.dir.path()).written_by, "0.9.0");
    // The same version again needs none.
    world.serve_with(options_of(&world, "0.9.0")).await;
    let again = snapshots(&world).await.iter().filter(|snapshot| snapshot["reason"] == "upgrade").count();
    assert_eq!(again, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_without_a_verified_backup_another_version_does_not_start() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo hello").await;
    world.stop().await;
    let before = facts(world.dir.path());
    let vault = world.dir.path().join("vault");
    let aside = world.dir.path().join("aside");
    std::fs::rename(&vault, &aside).unwrap();
    std::fs::write(&vault, "in the way").unwrap();
    let why = refused(options_of(&world, "0.9.0")).await;
    assert!(
        why.contains(&format!("gander {} wrote this journal last", gander_model::VERSION))
            && why.contains("nothing was changed"),
        "{why}"
    );
    assert_eq!(facts(world.dir.path()), before, "not even an epoch");
    // The version that wrote it starts as ever.
    world.serve().await;
    world.stop().await;
    std::fs::remove_file(&vault).unwrap();
    std::fs::rename(&aside, &vault).unwrap();
    world.serve_with(options_of(&world, "0.9.0")).await;
    assert!(snapshots(&world).await.iter().any(|snapshot| snapshot["reason"] == "upgrade"));
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_bucket_out_of_reach_is_replaced_by_the_data_folder() {
    let mut world = World::start().await;
    world.window().await;
    world.stop().await;
    std::fs::write(world.dir.path().join("config.toml"), "[backup]\nfolder = \"/proc/nowhere\"\n").unwrap();
    world.serve_with(options_of(&world, "0.9.0")).await;
    world.stop().await;
    std::fs::remove_file(world.dir.path().join("config.toml")).unwrap();
    world.serve_with(options_of(&world, "0.9.0")).await;
    assert!(snapshots(&world).await.iter().any(|snapshot| snapshot["reason"] == "upgrade"));
}

/// An upgrade whose old version has sealed the store: (its id, what was sealed).
async fn sealed(world: &mut World) -> (UpgradeId, Seal) {
    let upgrade: UpgradeId = id().parse().unwrap();
    let place = Place::new(world.dir.path());
    std::fs::create_dir_all(place.dir()).unwrap();
    let side = |version: &str| Side { version: Version::parse(version).unwrap(), program: "/gander".into(), format: 1 };
    let state: State = serde_json::from_value(json!({
        "v": 1, "id": upgrade, "kind": Kind::Upgrade, "from": side("0.1.0"), "to": side("0.9.0"), "phase": "prepare",
        "steps": [], "driver": holder(), "pointer_before": null, "pointer_after": null,
    }))
    .unwrap();
    State::begin(&place, &state).unwrap();
    let driver = gander_upgrade::lock::Lock::take(&place.driver_lock()).unwrap();
    world.post("handover", json!({"upgrade": upgrade, "to": "0.9.0", "interrupt": true})).await.ok();
    tokio::time::timeout(crate::world::PATIENCE, world.running().stop_requested()).await.unwrap();
    world.stop().await;
    drop(driver);
    let seal = Seal::read(world.dir.path()).unwrap().unwrap();
    let state = State::read(&place).unwrap().unwrap();
    assert_eq!((state.phase, text(&state.seal.unwrap()["root"])), (Phase::Seal, seal.root.to_string()));
    State::advance(&place, upgrade, &[Phase::Seal], Phase::Switch, 0, |_| {}).unwrap();
    State::advance(&place, upgrade, &[Phase::Switch], Phase::Start, 0, |_| {}).unwrap();
    (upgrade, seal)
}

fn holder() -> Value {
    serde_json::to_value(Holder::this(0)).unwrap()
}

fn taking_over(world: &World, upgrade: UpgradeId) -> ServeOptions {
    let mut options = options_of(world, "0.9.0");
    options.gander.upgrade = Some(upgrade);
    options
}

fn state(world: &World) -> State {
    State::read(&Place::new(world.dir.path())).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_new_version_compares_with_the_seal_commits_and_only_then_writes() {
    let mut world = World::start().await;
    let (window, session) = world.window().await;
    world.turn(&session, "/echo hello").await;
    let body = json!({"session_id": session, "rev": 1, "text": "half a sen", "attachments": []});
    world.put(&format!("windows/{window}/draft"), body).await.ok();
    let (upgrade, seal) = sealed(&mut world).await;
    let snapshots_before = world.dir.path().join("vault");
    assert!(snapshots_before.exists());
    let mut options = taking_over(&world, upgrade);
    options.port = Some(free_port());
    world.serve_with(options).await;
    let state = state(&world);
    let check = state.check.unwrap();
    assert_eq!((state.phase, check.ok), (Phase::Commit, true));
    assert_eq!((&check.root_before, &check.root_after), (&seal.root.to_string(), &seal.root.to_string()));
    assert_eq!(check.documents_before, check.documents_after);
    assert_eq!(check.counts["drafts"], 1);
    assert_eq!(world.get("health").await.ok()["root"], json!(seal.root.to_string()));
    let drafts = world.get(&format!("sessions/{session}/drafts")).await.ok();
    assert_eq!(drafts["drafts"][0]["text"], "half a sen");
    world.turn(&session, "/echo and on").await;
    world.stop().await;
    // A second start of the same upgrade finds nothing to do, and touches nothing.
    let before = facts(world.dir.path());
    assert!(refused(taking_over(&world, upgrade)).await.contains("nothing to check"));
    assert_eq!(facts(world.dir.path()), before);
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_journal_that_is_not_the_sealed_one_is_not_taken_over() {
    for what in ["a session", "a draft", "no seal", "a damaged seal", "another upgrade"] {
        let mut world = World::start().await;
        let (window, session) = world.window().await;
        world.turn(&session, "/echo hello").await;
        let (upgrade, _) = sealed(&mut world).await;
        let seal = world.dir.path().join(gander_api::seal::FILE);
        let mut asked = upgrade;
        match what {
            "a session" | "a draft" => {
                let journal = Journal::open(world.dir.path(), gander_journal::Options::default()).unwrap();
                let (window, session) = (window.parse().unwrap(), session.parse().unwrap());
                journal
                    .write(move |tx| {
                        if what == "a session" {
                            return tx.name(session, "another", gander_model::NamedBy::User, None).map(drop);
                        }
                        let attachments = serde_json::value::to_raw_value(&json!([])).unwrap();
                        let text = "someone else's".to_owned();
                        tx.save_draft(gander_journal::Draft { window, session, rev: 9, text, attachments })
                    })
                    .await
                    .unwrap();
            }
            "no seal" => std::fs::remove_file(&seal).unwrap(),
            "a damaged seal" => {
                let text = std::fs::read_to_string(&seal).unwrap();
                std::fs::write(&seal, text.replacen("\"sessions\":1", "\"sessions\":2", 1)).unwrap();
            }
            _ => asked = id().parse().unwrap(),
        }
        let before = facts(world.dir.path());
        let why = refused(taking_over(&world, asked)).await;
        assert!(why.contains("does not take over"), "{what}: {why}");
        assert_eq!(facts(world.dir.path()), before, "{what}: nothing was written");
        let state = state(&world);
        if what == "another upgrade" {
            assert_eq!(state.phase, Phase::Start);
        } else {
            assert_eq!((state.phase, state.check.unwrap().ok), (Phase::Check, false), "{what}");
            assert!(state.failed.is_some());
        }
        // The old version goes on.
        world.serve().await;
        world.turn(&session, "/echo still here").await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g10_of_a_driver_that_gives_up_and_a_new_version_exactly_one_wins() {
    let mut world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo hello").await;
    let (upgrade, _) = sealed(&mut world).await;
    let place = Place::new(world.dir.path());
    State::advance(&place, upgrade, &[Phase::Start, Phase::Check], Phase::Rollback, 0, |_| {}).unwrap();
    let before = facts(world.dir.path());
    assert!(refused(taking_over(&world, upgrade)).await.contains("does not take over"));
    assert_eq!(facts(world.dir.path()), before);
    assert_eq!(state(&world).phase, Phase::Rollback);
    assert!(!world.dir.path().join(COPY).exists(), "nothing was migrated, so nothing was copied");
}

#[tokio::test(flavor = "multi_thread")]
async fn g12_an_older_copy_put_back_after_a_seal_is_told_with_the_restore_that_heals_it() {
    let mut world = World::start().await;
    let (window, session) = world.window().await;
    world.turn(&session, "/echo old").await;
    world.stop().await;
    let old = world.work.path().join("old.db");
    std::fs::copy(world.dir.path().join("journal.db"), &old).unwrap();
    world.serve().await;
    world.turn(&session, "/echo new, and lost").await;
    let (_, other) = world.window().await;
    world.turn(&other, "/echo a whole session").await;
    let body = json!({"session_id": session, "rev": 4, "text": "a lost draft", "attachments": []});
    world.put(&format!("windows/{window}/draft"), body).await.ok();
    world.post("handover", json!({})).await.ok();
    tokio::time::timeout(crate::world::PATIENCE, world.running().stop_requested()).await.unwrap();
    world.stop().await;
    // Everything that could tell inside the folder is put back with it.
    for file in ["journal.db-wal", "journal.db-shm", "witness", "index.db"] {
        let _ = std::fs::remove_file(world.dir.path().join(file));
    }
    std::fs::copy(&old, world.dir.path().join("journal.db")).unwrap();
    world.serve().await;
    let told = async |world: &World| -> Option<Value> {
        let findings = world.get("findings").await.ok();
        findings["findings"].as_array().unwrap().iter().find(|f| f["kind"] == "journal_behind_seal").cloned()
    };
    let found = eventually(async || told(&world).await).await;
    assert_eq!(found["subject"]["sessions"].as_array().unwrap().len(), 2, "{found}");
    let snapshot = text(&found["subject"]["snapshot"]);
    assert!(text(&found["remedy"]).contains(&snapshot));
    world.post(&format!("backups/{snapshot}/restore"), json!({"windows": true})).await.ok();
    assert!(crate::world::said(&world.entries(&session).await).contains("new, and lost"));
    // Healed: the next start closes it.
    world.restart().await;
    eventually(async || told(&world).await.is_none().then_some(())).await;
}

/// Asks until there is an answer.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, asking).await.expect("an answer in time")
}
