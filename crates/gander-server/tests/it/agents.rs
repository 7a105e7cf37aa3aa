//! Agents' processes, what they offer, and what they keep of a session themselves.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::odd_agents::odd;
use crate::world::{PATIENCE, World, agent_program, body, said, text};

fn names(commands: &Value) -> Vec<String> {
    commands["commands"].as_array().unwrap().iter().map(|command| text(&command["name"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_that_an_agent_offers_are_given_and_told() {
    let mut world = World::start().await;
    let (_, builtin) = world.window().await;
    let offered = world.get(&format!("sessions/{builtin}/commands")).await.ok();
    assert!(names(&offered).contains(&"help".to_owned()), "the built-in agent's before it runs: {offered}");

    let session = odd(&world, "offers").await;
    let path = format!("sessions/{session}/commands");
    assert_eq!(world.get(&path).await.ok(), json!({"commands": []}), "nobody knows any yet");
    let mut changes = world.changes(None).await;
    let turn = world.send(&session, "hello").await;
    let told = changes.until("the commands", |change| change["type"] == "commands").await;
    assert_eq!((&told["session_id"], &told["cursor"]), (&json!(session), &Value::Null));
    let expected = json!({"commands": [{"name": "tidy", "description": "Tidy up", "hint": "FOLDER"}]});
    assert_eq!(told["data"], expected);
    changes.ended(&turn).await;
    assert_eq!(world.get(&path).await.ok(), expected);
    assert_eq!(said(&world.entries(&session).await), "hello", "they are no part of the conversation");

    // A chat that has not begun is offered what its agent offered last, also after a restart.
    let fresh = text(&world.post("windows", json!({"agent": "offers"})).await.ok()["session_id"]);
    world.restart().await;
    for session in [&session, &fresh] {
        assert_eq!(world.get(&format!("sessions/{session}/commands")).await.ok(), expected);
    }
    world.get(&format!("sessions/{}/commands", crate::world::id())).await.refused(404, "not_found");
}

/// Blocks the journal while a process runs that carries both an agent's mark and this test's variable.
struct StallsBehindSpawn {
    variable: String,
    found: Mutex<Option<u32>>,
    released: AtomicBool,
}

impl StallsBehindSpawn {
    fn marked(&self) -> Option<u32> {
        let wanted = |environ: &[u8]| {
            let text = String::from_utf8_lossy(environ);
            text.contains(&self.variable) && text.contains("GANDER_AGENT_MARK=")
        };
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.find(|pid| std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| wanted(&environ)))
    }
}

impl gander_journal::Faults for StallsBehindSpawn {
    fn before_commit(&self) -> std::io::Result<()> {
        if let Some(pid) = self.marked() {
            *self.found.lock().unwrap() = Some(pid);
            while !self.released.load(Ordering::SeqCst) {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

/// Lets the journal go on whatever becomes of the test.
struct Release(Arc<StallsBehindSpawn>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.released.store(true, Ordering::SeqCst);
    }
}

fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A crash in the instant after a spawn: what is on disk then is copied away, and the next start is made from that.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_started_in_the_instant_before_a_crash_is_ended_at_the_next_start() {
    let mut world = World::closed();
    let stall = Arc::new(StallsBehindSpawn {
        variable: format!("GANDER_TEST_SPAWN={}", crate::world::id()),
        found: Mutex::default(),
        released: AtomicBool::new(false),
    });
    let release = Release(stall.clone());
    let mut options = world.options();
    options.gander.journal.faults = stall.clone();
    world.serve_with(options).await;
    let (name, value) = stall.variable.split_once('=').unwrap();
    let program = agent_program().with_file_name("odd_agent");
    let agent = json!({"id": "deaf", "command": program, "args": ["deaf"], "env": {name: value}});
    world.post("agents", agent).await.ok();
    let session = text(&world.post("windows", json!({"agent": "deaf"})).await.ok()["session_id"]);
    world.send(&session, "hello?").await;
    let pid = until("the agent", || *stall.found.lock().unwrap()).await;
    assert!(runs(pid));

    let mut crashed = World::closed();
    copy(world.dir.path(), crashed.dir.path());
    // The kept port is still taken by the one that did not really crash.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    crashed.serve_with(gander_server::ServeOptions { port: Some(port), ..crashed.options() }).await;
    until("the agent's end", || (!runs(pid)).then_some(())).await;
    assert_eq!(crashed.session(&session).await["running"], false);
    drop(release);
    crashed.stop().await;
    world.stop().await;
}

/// As a crash leaves it; through another process, since opening the database's files here would drop its locks.
fn copy(from: &Path, to: &Path) {
    for name in ["journal.db", "journal.db-wal", "witness"] {
        let file = from.join(name);
        if file.exists() {
            assert!(std::process::Command::new("cp").arg(&file).arg(to).status().unwrap().success());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_agents_at_once_is_changed_while_they_run() {
    let world = World::start().await;
    assert_eq!(world.patch("config", json!({"max_agents": 1})).await.ok()["max_agents"], 1);
    let (_, first) = world.window().await;
    let (_, second) = world.window().await;
    let mut changes = world.changes(None).await;
    let running = world.send(&first, "/stream 100000 chunks 20 ms").await;
    changes.until("the first agent", |c| c["type"] == "open_item").await;
    let waiting = world.send(&second, "/echo at last").await;
    changes.until("the second turn", |c| c["type"] == "session" && c["data"]["id"] == json!(second)).await;
    assert_eq!(world.session(&second).await["turn"]["state"], "starting", "there is room for one");
    world.patch("config", json!({"max_agents": 2})).await.ok();
    assert_eq!(changes.ended(&waiting).await["state"], "ended", "and now there is for two");

    // Fewer again: the one with nothing to do goes, the one that works stays.
    let agents = || agents_of(world.dir.path()).len();
    assert_eq!(agents(), 2);
    world.patch("config", json!({"max_agents": 1})).await.ok();
    until("one agent to go", || (agents() == 1).then_some(())).await;
    assert_eq!(world.session(&first).await["turn"]["state"], "running");
    world.post(&format!("sessions/{first}/turns/{running}/cancel"), json!({})).await.ok();
    assert_eq!(changes.ended(&running).await["stop_reason"], "cancelled");
}

/// Two that wait at once are each given the place of one that is idle.
#[tokio::test(flavor = "multi_thread")]
async fn two_sends_at_once_each_find_an_idle_agent_to_replace() {
    let world = World::start().await;
    world.patch("config", json!({"max_agents": 2})).await.ok();
    let mut idle = Vec::new();
    for _ in 0..2 {
        let (_, session) = world.window().await;
        world.turn(&session, "/echo first").await;
        idle.push(session);
    }
    let (_, one) = world.window().await;
    let (_, two) = world.window().await;
    let mut changes = world.changes(None).await;
    let (first, second) = tokio::join!(world.send(&one, "/echo one"), world.send(&two, "/echo two"));
    let mut ended = 0;
    changes
        .until("both turns' ends", |change| {
            let turn = change["data"]["kind"] == "turn_ended";
            ended += usize::from(turn && [&first, &second].contains(&&text(&body(&change["data"])["turn"])));
            ended == 2
        })
        .await;
}

/// The built-in agent's processes that work for a data folder.
fn agents_of(dir: &Path) -> Vec<u32> {
    let home = format!("GANDER_SCRATCH_HOME={}", dir.join("scratch").display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ours = |environ: &[u8]| environ.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes());
    pids.filter(|pid| std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| ours(&environ)) && runs(*pid))
        .collect()
}

fn memories(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir.join("scratch")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_has_the_agents_own_memory_erased_or_says_what_stays() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo a secret for the bin").await;
    assert!(std::fs::read_to_string(&memories(world.dir.path())[0]).unwrap().contains("secret for the bin"));
    world.patch(&format!("sessions/{session}"), json!({"status": "trashed"})).await.ok();
    let purged = world.post(&format!("sessions/{session}/purge"), json!({})).await.ok();
    assert_eq!((&purged["agents"][0]["agent"], &purged["agents"][0]["erased"]), (&json!("scratch"), &json!(true)));
    assert_eq!(memories(world.dir.path()), Vec::<PathBuf>::new(), "{purged}");
    assert_eq!(agents_of(world.dir.path()), [0u32; 0], "no process of it is left that could write it again");

    let session = odd(&world, "keeps").await;
    world.turn(&session, "hello").await;
    world.patch(&format!("sessions/{session}"), json!({"status": "trashed"})).await.ok();
    let purged = world.post(&format!("sessions/{session}/purge"), json!({})).await.ok();
    let kept = &purged["agents"][0];
    assert_eq!((&kept["erased"], &kept["agent_session_id"]), (&json!(false), &json!("same")));
    let detail = text(&kept["detail"]);
    assert!(detail.contains("keeps its own session same") && detail.contains("does not offer"), "{detail}");
}

/// An agent that cannot be asked at the purge is asked at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_could_not_be_asked_to_forget_is_asked_at_the_next_start() {
    let mut world = World::start().await;
    let program = world.work.path().join("agent");
    std::os::unix::fs::symlink(agent_program(), &program).unwrap();
    let home = world.work.path().join("memory");
    let env = json!({"GANDER_SCRATCH_HOME": home});
    world.post("agents", json!({"id": "mine", "command": program, "env": env})).await.ok();
    let session = text(&world.post("windows", json!({"agent": "mine"})).await.ok()["session_id"]);
    world.turn(&session, "/echo remember me").await;
    let kept = || std::fs::read_dir(&home).unwrap().count();
    assert_eq!(kept(), 1);
    world.patch(&format!("sessions/{session}"), json!({"status": "trashed"})).await.ok();
    std::fs::remove_file(&program).unwrap();
    let purged = world.post(&format!("sessions/{session}/purge"), json!({})).await.ok();
    assert_eq!(purged["agents"][0]["erased"], false);
    let detail = text(&purged["agents"][0]["detail"]);
    assert!(detail.contains("asked again at the next start"), "{detail}");
    assert_eq!(kept(), 1);
    std::os::unix::fs::symlink(agent_program(), &program).unwrap();
    world.restart().await;
    until("the agent to forget", || (kept() == 0).then_some(())).await;
}
