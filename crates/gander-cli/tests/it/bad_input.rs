//! What people, disks, clocks and attackers do to a running Gander: a clear answer each, and nothing lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Barrier;

use gander_testing::client::{Answer, Client};
use gander_testing::gander::{Gander, Serving};
use gander_testing::home::TempHome;
use serde_json::{Value, json};

use super::gander;

fn served(gander: &Gander<'_>) -> (Serving, Client) {
    let serving = gander.serve(&[]).unwrap();
    let client = Client::of(serving.runtime());
    (serving, client)
}

fn ok(answer: Answer) -> Value {
    assert!(answer.is_ok(), "{}", answer.text());
    answer.json()
}

fn window(client: &Client) -> (String, String) {
    let window = ok(client.ask("POST", "windows", Some(&json!({}))).unwrap());
    (text(&window["id"]), text(&window["session_id"]))
}

fn session(client: &Client, id: &str) -> Value {
    ok(client.ask("GET", &format!("sessions/{id}"), None).unwrap())["session"].clone()
}

fn send(client: &Client, session: &str, prompt: &str, rest: &Value) -> Answer {
    let head = self::session(client, session)["head"].clone();
    let content = json!([{"type": "text", "text": prompt}]);
    let mut body = json!({"turn_id": uuid::Uuid::now_v7().to_string(), "expected_head": head, "content": content});
    for (name, value) in rest.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    client.ask("POST", &format!("sessions/{session}/turns"), Some(&body)).unwrap()
}

fn draft(client: &Client, window: &str, session: &str, rev: u64) -> Answer {
    let body = json!({"session_id": session, "rev": rev, "text": format!("draft {rev}"), "attachments": []});
    client.ask("PUT", &format!("windows/{window}/draft"), Some(&body)).unwrap()
}

fn entries(client: &Client, session: &str) -> Vec<Value> {
    let page = ok(client.ask("GET", &format!("sessions/{session}/entries?after=0&limit=500"), None).unwrap());
    page["entries"].as_array().unwrap().clone()
}

/// Reads changes until one is what is waited for; the stream's own time limit ends a wait for nothing.
fn until(changes: &mut impl Iterator<Item = Value>, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    changes.find(|change| is(change)).unwrap_or_else(|| panic!("the stream ended before {what}"))
}

fn idle(client: &Client, session: &str) {
    let mut changes = client.changes(None).unwrap();
    if self::session(client, session)["running"] == true {
        until(&mut changes, "the turn's end", |change| {
            change["type"] == "session" && change["session_id"] == session && change["data"]["running"] == false
        });
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// All at the same moment.
fn at_once<T: Send, F: FnOnce() -> T + Send>(works: Vec<F>) -> Vec<T> {
    let barrier = Barrier::new(works.len());
    std::thread::scope(|scope| {
        let barrier = &barrier;
        let begin = |work: F| {
            scope.spawn(move || {
                barrier.wait();
                work()
            })
        };
        let threads: Vec<_> = works.into_iter().map(begin).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn g01_a_full_disk_in_mid_stream_is_said_loses_nothing_and_heals_when_it_is_freed() {
    let home = TempHome::new().unwrap();
    // A process's own limit of file sizes stands for the disk: nothing can be written while it is zero.
    let script = home.path().join("gander-limited");
    std::fs::write(&script, format!("#!/bin/sh\ntrap '' XFSZ\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_gander")))
        .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let gander = Gander::new(&script, &home).env("GANDER_SCRATCH_PACE_MS", "0");
    let (mut serving, client) = served(&gander);
    let pid = serving.pid().to_string();
    let limit = |size: &str| {
        let done =
            Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={size}:unlimited")]).status().unwrap();
        assert!(done.success());
    };
    let (window, session) = window(&client);
    ok(draft(&client, &window, &session, 1));
    let mut changes = client.changes(None).unwrap();
    ok(send(&client, &session, "/stream 400 chunks 5 ms", &json!({})));
    until(&mut changes, "text", |change| change["type"] == "open_item");

    limit("0");
    until(&mut changes, "NOT SAVING", |change| change["type"] == "status" && change["data"]["saving"] == false);
    let refused = draft(&client, &window, &session, 2);
    assert_eq!((refused.status, refused.code().as_str()), (503, "not_saving"), "{}", refused.text());
    assert_eq!(client.ask("POST", "windows", Some(&json!({}))).unwrap().code(), "not_saving");
    // What is there can be read all the time.
    assert!(client.ask("GET", &format!("sessions/{session}/entries"), None).unwrap().is_ok());

    limit("unlimited");
    until(&mut changes, "saving", |change| change["type"] == "status" && change["data"]["saving"] == true);
    ok(draft(&client, &window, &session, 3));
    idle(&client, &session);
    let said: String = entries(&client, &session)
        .iter()
        .filter(|entry| entry["kind"] == "message")
        .flat_map(|entry| {
            let body: Value = serde_json::from_str(entry["body"].as_str().unwrap()).unwrap();
            body["data"].as_array().unwrap().clone()
        })
        .filter_map(|update| update["content"]["text"].as_str().map(str::to_owned))
        .collect();
    let whole: String = (1..=400).map(|n| format!("chunk {n} of 400\n")).collect();
    assert!(said.ends_with(&whole), "the answer has a gap: {said}");

    serving.kill().unwrap();
    let (_serving, client) = served(&gander);
    let drafts = ok(client.ask("GET", &format!("sessions/{session}/drafts"), None).unwrap());
    assert_eq!(drafts["drafts"][0]["text"], "draft 3");
}

#[test]
fn a_code_opens_once_and_a_token_ends_with_its_process() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let (mut serving, client) = served(&gander);
    let code = ok(client.ask("POST", "auth/codes", Some(&json!({}))).unwrap());
    let path = text(&code["url"]).split_once(&client.address).unwrap().1.to_owned();
    let visit = || client.raw("GET", &path, &[("Host", &client.address), ("Sec-Fetch-Site", "none")], None).unwrap();
    let first = visit();
    assert_eq!(first.status, 303, "{}", first.text());
    let replayed = visit();
    assert_eq!(replayed.status, 401, "{}", replayed.text());
    assert!(!replayed.head.to_ascii_lowercase().contains("set-cookie"), "{}", replayed.head);

    serving.kill().unwrap();
    let (_serving, new) = served(&gander);
    assert_eq!(client.address, new.address);
    let old = client.ask("GET", "windows", None).unwrap();
    assert_eq!((old.status, old.code().as_str()), (401, "unauthorized"));
    assert!(new.ask("GET", "windows", None).unwrap().is_ok());
}

#[test]
fn g06_new_chats_of_16_windows_at_the_same_moment_are_16_sessions() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let (_serving, client) = served(&gander);
    let windows: Vec<String> = (0..16).map(|_| window(&client).0).collect();
    for round in 1..=3 {
        let new_chat = |window: &String| {
            let answer = client.ask("POST", &format!("windows/{window}/new-chat"), Some(&json!({}))).unwrap();
            text(&ok(answer)["session"]["id"])
        };
        let new_chat = &new_chat;
        let works = windows.iter().map(|window| move || new_chat(window));
        let sessions = at_once(works.collect());
        let different: std::collections::BTreeSet<&String> = sessions.iter().collect();
        assert_eq!(different.len(), windows.len(), "round {round}: two windows share a new chat");
        for (window, session) in windows.iter().zip(&sessions).step_by(2) {
            ok(draft(&client, window, session, 1));
        }
    }
}

#[test]
fn g07_a_title_that_races_the_users_name_never_wins() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let (_serving, client) = served(&gander);
    for round in 0..10 {
        let (_, session) = window(&client);
        let name = format!("The user's own {round}");
        let works: Vec<Box<dyn FnOnce() + Send>> = vec![
            Box::new(|| drop(ok(send(&client, &session, "/title The agent's\n/echo x\n/title Again", &json!({}))))),
            Box::new(|| {
                drop(ok(client.ask("PATCH", &format!("sessions/{session}"), Some(&json!({"name": name}))).unwrap()));
            }),
        ];
        at_once(works);
        idle(&client, &session);
        let session = self::session(&client, &session);
        assert_eq!((session["name"].as_str(), session["named_by"].as_str()), (Some(name.as_str()), Some("user")));
    }
}

#[test]
fn g08_of_two_windows_that_send_at_the_same_moment_one_is_told() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let (_serving, client) = served(&gander);
    let (first, session) = window(&client);
    let second = ok(client.ask("POST", "windows", Some(&json!({"session_id": session}))).unwrap());
    let windows = [first, text(&second["id"])];
    for round in 1..=3 {
        let head = self::session(&client, &session)["head"].clone();
        let to_send = |window: &String| {
            let rest = json!({"window_id": window, "expected_head": head});
            send(&client, &session, "/echo x", &rest)
        };
        let to_send = &to_send;
        let works = windows.iter().map(|window| move || to_send(window));
        let mut codes: Vec<(u16, String)> =
            at_once(works.collect()).iter().map(|answer| (answer.status, answer.code())).collect();
        codes.sort();
        assert_eq!(codes, [(202, String::new()), (409, "head_moved".to_owned())], "round {round}");
        idle(&client, &session);
        assert_eq!(entries(&client, &session).iter().filter(|entry| entry["kind"] == "prompt").count(), round);
    }
}

#[test]
fn one_reader_that_takes_nothing_holds_up_none_of_31() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let (_serving, client) = served(&gander);
    let (_, session) = window(&client);
    let mut slow = TcpStream::connect(&client.address).unwrap();
    let request = format!(
        "GET /api/v1/changes HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\r\n",
        client.address, client.token
    );
    slow.write_all(request.as_bytes()).unwrap();
    // It is connected, and reads no further.
    slow.read_exact(&mut [0; 8]).unwrap();
    let streams: Vec<_> = (0..31).map(|_| client.changes(None).unwrap()).collect();
    let works = streams.into_iter().map(|mut stream| {
        move || {
            let mut seen = Vec::new();
            until(&mut stream.by_ref().inspect(|change| seen.push(change["cursor"].clone())), "the end", |change| {
                change["type"] == "entry" && change["data"]["kind"] == "turn_ended"
            });
            seen
        }
    });
    let threads: Vec<_> = works.map(std::thread::spawn).collect();
    // More than the sockets' buffers hold.
    let big = "/big 400000 message\n".repeat(12);
    ok(send(&client, &session, &format!("{big}/stream 50 chunks 1 ms"), &json!({})));
    let seen: Vec<Vec<Value>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let cursors = |seen: &Vec<Value>| seen.iter().filter(|cursor| cursor.is_string()).cloned().collect::<Vec<_>>();
    for one in &seen {
        assert_eq!(cursors(one).last(), cursors(&seen[0]).last());
    }
}

#[test]
fn numbers_and_blocks_that_make_no_sense_are_refused_and_close_nothing() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let (_serving, client) = served(&gander);
    let (window, session) = window(&client);
    let far = client.ask("PATCH", &format!("windows/{window}"), Some(&json!({"ordinal": u64::MAX}))).unwrap();
    assert_eq!(far.status, 400, "{}", far.text());
    self::window(&client);
    assert_eq!(draft(&client, &window, &session, u64::MAX).status, 400);
    let sent = send(&client, &session, "x", &json!({"window_id": window, "draft_rev": u64::MAX}));
    assert_eq!(sent.status, 400, "{}", sent.text());
    ok(draft(&client, &window, &session, 1));

    ok(send(&client, &session, "/delay 600000", &json!({"window_id": window})));
    let waiting = ok(send(&client, &session, "/echo waits", &json!({"window_id": window})));
    let item = format!("sessions/{session}/queue/{}", text(&waiting["turn_id"]));
    let unknown = json!({"content": [{"type": "blob", "hash": "0".repeat(64), "name": "x"}]});
    let refused = client.ask("PATCH", &item, Some(&unknown)).unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (404, "not_found"), "{}", refused.text());
}

/// The most memory that a process had at once so far, in bytes.
fn peak(serving: &Serving) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn the_largest_attachment_passes_through_in_bounded_memory() {
    const BYTES: usize = 64 << 20;
    let home = TempHome::new().unwrap();
    let program = gander(&home);
    let (serving, client) = served(&program);
    let address = text(&serving.runtime()["url"]).trim_start_matches("http://").to_owned();
    let bearer = format!("Bearer {}", text(&serving.runtime()["token"]));
    let headers = [("Host", address.as_str()), ("Authorization", &bearer), ("Content-Type", "application/zip")];
    let body: Vec<u8> = (0..BYTES).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    // One that is cut off leaves nothing, and keeps nobody out.
    for _ in 0..8 {
        let mut socket = TcpStream::connect(&address).unwrap();
        let head = format!("POST /api/v1/blobs HTTP/1.1\r\nHost: {address}\r\nAuthorization: {bearer}\r\n");
        socket.write_all(format!("{head}Content-Length: {BYTES}\r\n\r\n").as_bytes()).unwrap();
        socket.write_all(&body[..3 << 20]).unwrap();
    }
    let before = peak(&serving);
    let blob = ok(client.raw("POST", "/api/v1/blobs", &headers, Some(&body)).unwrap());
    assert_eq!((&blob["bytes"], &blob["mime"]), (&json!(BYTES), &json!("application/zip")));
    let up = peak(&serving) - before;
    let back = client.ask("GET", &format!("blobs/{}", text(&blob["hash"])), None).unwrap();
    assert!(back.is_ok() && back.body == body, "it came back as it was");
    let down = peak(&serving) - before;
    assert!(up.max(down) < 32 << 20, "up: {up} bytes more, down: {down} bytes more");
}

/// Two copies are the agent's own line and what is read of it; the rest is pieces.
#[test]
fn a_tool_output_of_100_mb_is_held_twice_and_written_in_pieces() {
    const BYTES: u64 = 100_000_000;
    for what in ["", " message"] {
        let home = TempHome::new().unwrap();
        let program = gander(&home);
        let (serving, client) = served(&program);
        let (_, session) = window(&client);
        let turn = |prompt: &str| {
            let turn = text(&ok(send(&client, &session, prompt, &json!({})))["turn_id"]);
            let path = format!("sessions/{session}");
            while ok(client.ask("GET", &path, None).unwrap())["session"]["running"] == true {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            turn
        };
        turn("/echo hello");
        let before = peak(&serving);
        turn(&format!("/big {BYTES}{what}"));
        let more = peak(&serving) - before;
        assert!(more < BYTES * 5 / 2, "{more} bytes more");
        let entries = ok(client.ask("GET", &format!("sessions/{session}/entries"), None).unwrap());
        let large =
            entries["entries"].as_array().unwrap().iter().filter(|entry| entry["data_bytes"].as_u64() > Some(BYTES));
        assert_eq!(large.count(), 1);
    }
}
