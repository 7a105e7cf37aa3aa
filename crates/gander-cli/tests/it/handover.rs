//! From one process to the next: a newer version that finds an older one, and kills at every moment of a handover (G10).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use gander_testing::client::{Client, Events};
use gander_testing::gander::{Gander, PATIENCE};
use gander_testing::home::TempHome;
use serde_json::{Value, json};

use super::storm::Random;
use super::{done, gander, json as cli, refused};

fn id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn ok(client: &Client, method: &str, path: &str, body: Value) -> Value {
    let answer = client.ask(method, path, Some(&body)).unwrap();
    assert!(answer.is_ok(), "{method} {path}: {}", answer.text());
    answer.json()
}

fn get(client: &Client, path: &str) -> Value {
    let answer = client.ask("GET", path, None).unwrap();
    assert!(answer.is_ok(), "{path}: {}", answer.text());
    answer.json()
}

fn window(client: &Client) -> (String, String) {
    let window = ok(client, "POST", "windows", json!({}));
    (window["id"].as_str().unwrap().to_owned(), window["session_id"].as_str().unwrap().to_owned())
}

fn send(client: &Client, session: &str, text: &str) -> String {
    let head = get(client, &format!("sessions/{session}"))["session"]["head"].clone();
    let turn = id();
    let body = json!({"turn_id": turn, "expected_head": head, "content": [{"type": "text", "text": text}]});
    ok(client, "POST", &format!("sessions/{session}/turns"), body);
    turn
}

fn until(events: &mut Events, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let late = Instant::now() + PATIENCE;
    let found = events.find(|change| {
        // Something comes every few seconds, if only a sign of life.
        assert!(Instant::now() < late, "waited in vain for {what}");
        is(change)
    });
    found.unwrap_or_else(|| panic!("the stream ended before {what}"))
}

fn ended(events: &mut Events, turn: &str) -> Value {
    let ended = until(events, "the turn's end", |change| {
        change["data"]["kind"] == "turn_ended" && change["data"]["body"].as_str().unwrap().contains(turn)
    });
    let body: Value = serde_json::from_str(ended["data"]["body"].as_str().unwrap()).unwrap();
    body["data"].clone()
}

fn handover(change: &Value, state: &str) -> bool {
    change["type"] == "handover" && change["data"]["state"] == state
}

/// Five windows: two untouched new chats, one read to its end, one with a half-typed draft, one that is for an answer.
struct Story {
    writing: (String, String),
    busy: (String, String),
    rev: u64,
}

impl Story {
    fn new(client: &Client) -> Self {
        window(client);
        window(client);
        let (read, writing, busy) = (window(client), window(client), window(client));
        let mut events = client.changes(None).unwrap();
        for (session, text) in
            [(&read.1, "/echo done long ago"), (&writing.1, "/echo first"), (&busy.1, "/echo before")]
        {
            let turn = send(client, session, text);
            ended(&mut events, &turn);
        }
        ok(client, "PATCH", &format!("sessions/{}", busy.1), json!({"name": "Its own name"}));
        Story { writing, busy, rev: 0 }
    }

    fn types(&mut self, client: &Client, text: &str) {
        self.rev += 1;
        let body = json!({"session_id": self.writing.1, "rev": self.rev, "text": text, "attachments": []});
        ok(client, "PUT", &format!("windows/{}/draft", self.writing.0), body);
    }
}

/// What windows show and sessions are called, with what is typed.
fn looks(client: &Client) -> Value {
    let mut windows = get(client, "windows")["windows"].clone();
    windows
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .for_each(|window| drop(window.as_object_mut().unwrap().remove("attached")));
    let list = get(client, "sessions?status=all&limit=500");
    let mut names: Vec<String> = list["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| format!("{} {}", session["id"], session["name"]))
        .collect();
    names.sort();
    json!({"windows": windows, "names": names})
}

fn no_errors(client: &Client) {
    let findings = get(client, "findings");
    let errors: Vec<_> =
        findings["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "error").collect();
    assert!(errors.is_empty(), "{errors:?}");
}

/// From now on the runtime file says that an older version serves.
fn call_it_older(home: &TempHome) {
    let path = home.gander_home().join("runtime.json");
    let mut runtime: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    runtime["version"] = json!("0.0.1");
    std::fs::write(&path, runtime.to_string()).unwrap();
}

fn serve_beside(gander: &Gander<'_>, arguments: &[&str]) -> Child {
    let arguments: Vec<&str> = ["serve"].into_iter().chain(arguments.iter().copied()).collect();
    gander.command(&arguments).stderr(Stdio::null()).spawn().unwrap()
}

/// Ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn g08_g10_a_newer_version_asks_an_older_one_to_hand_over_and_kills_nothing() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let mut older = gander.serve(&[]).unwrap();
    let client = Client::of(older.runtime());
    let mut story = Story::new(&client);
    story.types(&client, "half a sen");
    let mut events = client.changes(None).unwrap();
    let turn = send(&client, &story.busy.1, "/permission go on");
    until(&mut events, "the request", |change| change["data"]["kind"] == "permission");
    call_it_older(&home);

    // Called off in a window: both versions say so, and the older one goes on.
    let mut newer = serve_beside(&gander, &[]);
    until(&mut events, "that it waits", |change| handover(change, "waiting"));
    assert_eq!(client.ask("DELETE", "handover", None).unwrap().json()["state"], "none");
    assert_eq!(newer.wait().unwrap().code(), Some(2));
    story.types(&client, "half a sentence");

    let mut newer = Ends(serve_beside(&gander, &[]));
    until(&mut events, "that it waits", |change| handover(change, "waiting"));
    let before = looks(&client);
    let asked = get(&client, &format!("sessions/{}", story.busy.1))["session"]["turn"]["permissions"][0].clone();
    let option = asked["options"][0]["optionId"].clone();
    let permission = asked["id"].as_str().unwrap();
    ok(&client, "POST", &format!("sessions/{}/permissions/{permission}", story.busy.1), json!({"option_id": option}));
    assert_eq!(ended(&mut events, &turn)["state"], "ended");
    let root = until(&mut events, "the seal", |change| handover(change, "sealed"))["data"]["seal"]["root"].clone();
    // It ends by itself, and well.
    assert!(older.wait().unwrap().success());
    let mut line = String::new();
    BufReader::new(newer.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let first: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(first["pid"], newer.0.id());
    assert_eq!(first["url"], older.runtime()["url"], "the port is kept");
    let runtime = std::fs::read(home.gander_home().join("runtime.json")).unwrap();
    let client = Client::of(&serde_json::from_slice(&runtime).unwrap());
    assert_eq!(looks(&client), before);
    assert_eq!(get(&client, "health")["root"], root);
    no_errors(&client);
    // The same version again is refused, as ever.
    assert!(refused(&gander, &["serve"]).contains("already"));
}

/// Something that answers as a Gander from before handovers would.
fn ancient(home: &TempHome, listener: &TcpListener) -> std::thread::JoinHandle<Vec<String>> {
    let address = listener.local_addr().unwrap();
    std::fs::create_dir_all(home.gander_home()).unwrap();
    let path = home.gander_home().join("runtime.json");
    let runtime = json!({"url": format!("http://{address}"), "token": "t".repeat(43), "pid": std::process::id(), "version": "0.0.1", "epoch": 1});
    std::fs::write(&path, runtime.to_string()).unwrap();
    let listener = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut asked = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut bytes = [0; 4096];
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                let read = stream.read(&mut bytes).unwrap();
                if read == 0 {
                    break;
                }
                request.extend(&bytes[..read]);
            }
            let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
            let (status, body) = match line.split(' ').collect::<Vec<_>>()[..] {
                ["GET", "/api/v1/health", ..] => ("200 OK", json!({"ok": true, "version": "0.0.1"})),
                ["POST", "/api/v1/stop", ..] => ("202 Accepted", json!({})),
                _ => ("404 Not Found", json!({"code": "not_found", "detail": "There is no such operation."})),
            };
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).unwrap();
            asked.push(line);
            if asked.last().unwrap().starts_with("POST /api/v1/stop") {
                // As the last thing that it does.
                std::fs::remove_file(&path).unwrap();
                return asked;
            }
        }
        asked
    })
}

#[test]
fn g10_an_older_version_without_handovers_is_stopped_only_when_somebody_says_so() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let answering = ancient(&home, &listener);
    let said = refused(&gander, &["serve"]);
    assert!(said.contains("does not know how to hand over") && said.contains("--yes"), "{said}");
    let mut newer = Ends(serve_beside(&gander, &["--yes"]));
    let asked = answering.join().unwrap();
    assert_eq!(asked.iter().filter(|line| line.starts_with("POST /api/v1/stop")).count(), 1, "{asked:?}");
    let mut line = String::new();
    BufReader::new(newer.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["pid"], newer.0.id());
}

/// Where a handover is cut off: a state, and how much later.
const MOMENTS: [&str; 5] = ["asked", "waiting", "interrupted", "frozen", "sealed"];

#[test]
fn g10_a_kill_at_any_moment_of_a_handover_leaves_an_ordinary_start() {
    let seed: u64 = match std::env::var("GANDER_STORM_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => uuid::Uuid::now_v7().as_u128() as u64,
    };
    let rounds: usize = std::env::var("GANDER_STORM_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap());
    println!("GANDER_STORM_SEED={seed} GANDER_STORM_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let mut serving = gander.serve(&[]).unwrap();
    let mut client = Client::of(serving.runtime());
    let mut story = Story::new(&client);
    for round in 0..rounds * MOMENTS.len() {
        let moment = MOMENTS[round % MOMENTS.len()];
        println!("round {round}: {moment}");
        story.types(&client, &format!("half a sentence, {round}"));
        // Each time another window's: what an agent remembers of turns that were cut off is another story.
        story.busy = window(&client);
        ok(&client, "PATCH", &format!("sessions/{}", story.busy.1), json!({"name": format!("Name {round}")}));
        let mut events = client.changes(None).unwrap();
        let turn = send(&client, &story.busy.1, "/stream 4000 chunks 20 ms");
        until(&mut events, "some text", |change| change["type"] == "open_item");
        let before = looks(&client);
        let asking = {
            let client = client.clone();
            std::thread::spawn(move || client.ask("POST", "handover", Some(&json!({"interrupt": true}))))
        };
        match moment {
            "asked" => {}
            "interrupted" => drop(ended(&mut events, &turn)),
            state => drop(until(&mut events, state, |change| handover(change, state))),
        }
        let later = Instant::now() + Duration::from_micros(random.next() % 12_000);
        while Instant::now() < later {
            std::hint::spin_loop();
        }
        serving.kill().unwrap();
        // Taken or cut off: both are answers.
        let _ = asking.join().unwrap();
        serving = gander.serve(&[]).unwrap();
        client = Client::of(serving.runtime());
        assert_eq!(looks(&client), before, "round {round}, {moment}");
        no_errors(&client);
        assert_eq!(get(&client, "handover")["state"], "none");
        let page = get(&client, &format!("sessions/{}/entries?limit=20", story.busy.1));
        let last = page["entries"].as_array().unwrap().iter().rfind(|entry| entry["kind"] == "turn_ended").unwrap();
        let body = last["body"].as_str().unwrap();
        assert!(body.contains(&turn) && body.contains("\"interrupted\""), "round {round}, {moment}: {body}");
    }
    // And one that nobody cuts off, by itself and from the command line.
    let mut events = client.changes(None).unwrap();
    ok(&client, "POST", "handover", json!({}));
    let root = until(&mut events, "the seal", |change| handover(change, "sealed"))["data"]["seal"]["root"].clone();
    assert!(serving.wait().unwrap().success());
    assert_eq!(cli(&gander, &["verify"])["root"], root);
    done(&gander, &["backup", "verify"]);
}
