//! A data folder, a server on it, and a client that says what a program would say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use gander_server::{Running, ServeOptions, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, handshake::client::Request};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long anything may take before the test says what it waited for. Far beyond what it takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The built-in agent as a program.
pub fn agent_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/agent");
    assert!(program.exists(), "{} is built together with the tests", program.display());
    program
}

pub struct World {
    pub dir: tempfile::TempDir,
    pub work: tempfile::TempDir,
    running: Option<Running>,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["code"], code);
        for member in ["type", "title", "detail", "safe", "todo"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {problem}");
        }
        problem
    }
}

pub fn options(dir: &Path) -> ServeOptions {
    let mut options = ServeOptions::new(dir);
    options.gander.program = Some(agent_program());
    options.gander.path = Some("".into());
    options
}

impl World {
    pub async fn start() -> World {
        let mut world = World::closed();
        world.serve().await;
        world
    }

    /// Nobody serves yet.
    pub fn closed() -> World {
        World { dir: tempfile::tempdir().unwrap(), work: tempfile::tempdir().unwrap(), running: None }
    }

    pub fn options(&self) -> ServeOptions {
        let mut options = options(self.dir.path());
        options.gander.home = Some(self.work.path().to_owned());
        options
    }

    pub async fn serve(&mut self) {
        let options = self.options();
        self.serve_with(options).await;
    }

    pub async fn serve_with(&mut self, options: ServeOptions) {
        assert!(self.running.is_none());
        self.running = Some(Server::start(options).await.unwrap());
    }

    pub async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.serve().await;
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn address(&self) -> &str {
        self.running().url().strip_prefix("http://").unwrap()
    }

    /// A request with exactly these header lines.
    pub async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        exchange(self.address(), method, path, headers, body).await
    }

    async fn with_token(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let token = format!("Bearer {}", self.running().token());
        let address = self.address().to_owned();
        let mut headers = vec![("Host", address.as_str()), ("Authorization", token.as_str())];
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        if !bytes.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        self.raw(method, &format!("/api/v1/{path}"), &headers, &bytes).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.with_token("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.with_token("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.with_token("PUT", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.with_token("PATCH", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.with_token("DELETE", path, None).await
    }

    /// A new window with a new chat: (window id, session id).
    pub async fn window(&self) -> (String, String) {
        let window = self.post("windows", json!({})).await.ok();
        (text(&window["id"]), text(&window["session_id"]))
    }

    pub async fn session(&self, session: &str) -> Value {
        self.get(&format!("sessions/{session}")).await.ok()["session"].clone()
    }

    pub async fn send_body(&self, session: &str, turn: &str, prompt: &str) -> Value {
        let head = self.session(session).await["head"].clone();
        json!({"turn_id": turn, "expected_head": head, "content": [{"type": "text", "text": prompt}]})
    }

    pub async fn send(&self, session: &str, prompt: &str) -> String {
        let turn = id();
        let body = self.send_body(session, &turn, prompt).await;
        let answer = self.post(&format!("sessions/{session}/turns"), body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        turn
    }

    /// Sends and waits for the turn's end; gives `turn_ended`'s data.
    pub async fn turn(&self, session: &str, prompt: &str) -> Value {
        let mut changes = self.changes(None).await;
        let turn = self.send(session, prompt).await;
        changes.ended(&turn).await
    }

    pub async fn entries(&self, session: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().map_or(0, |entry| entry["seq"].as_u64().unwrap());
            let page = self.get(&format!("sessions/{session}/entries?after={after}&limit=500")).await.ok();
            assert_eq!(page["verified"], true);
            let entries = page["entries"].as_array().unwrap();
            all.extend(entries.iter().cloned());
            if page["next"].is_null() {
                return all;
            }
        }
    }

    pub async fn changes(&self, after: Option<&str>) -> Changes {
        let query = after.map(|after| format!("?after={after}")).unwrap_or_default();
        let mut request = format!("ws://{}/api/v1/changes{query}", self.address()).into_client_request().unwrap();
        let token = format!("Bearer {}", self.running().token()).parse().unwrap();
        request.headers_mut().insert("Authorization", token);
        Changes::open(request).await.unwrap()
    }
}

pub async fn exchange(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    // A server that refuses a large body answers before it has read it, and may close.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time");
    parse(&answer)
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no HTTP answer: {:?}", String::from_utf8_lossy(answer));
    });
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = answer[end + 4..].to_vec();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = unchunk(&body);
    }
    Answer { status, head, body }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&rest[..end]).trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    body
}

/// The changes over a WebSocket.
pub struct Changes {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    waiting: std::collections::VecDeque<Value>,
    pub seen: Vec<Value>,
}

impl Changes {
    pub async fn open(request: Request) -> Result<Changes, tokio_tungstenite::tungstenite::Error> {
        let config = tokio_tungstenite::tungstenite::protocol::WebSocketConfig::default();
        let (socket, _) = tokio_tungstenite::connect_async_with_config(request, Some(config), false).await?;
        Ok(Changes { socket, waiting: Default::default(), seen: Vec::new() })
    }

    pub async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                self.seen.push(change.clone());
                return Some(change);
            }
            match self.socket.next().await? {
                Ok(Message::Text(text)) => match serde_json::from_str(text.as_str()).unwrap() {
                    Value::Array(changes) => self.waiting.extend(changes),
                    change => self.waiting.push_back(change),
                },
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Reads on until a change is what is waited for.
    pub async fn until(&mut self, what: &str, mut is: impl FnMut(&Value) -> bool) -> Value {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let change = self.next().await?;
                if is(&change) {
                    return Some(change);
                }
            }
        })
        .await;
        match found {
            Ok(Some(change)) => change,
            Ok(None) => panic!("the stream ended before {what}"),
            Err(_) => {
                panic!("{what} did not come; last seen: {:#?}", self.seen.iter().rev().take(8).collect::<Vec<_>>())
            }
        }
    }

    /// Waits for a turn's end.
    pub async fn ended(&mut self, turn: &str) -> Value {
        let change = self
            .until("the turn's end", |change| {
                change["type"] == "entry"
                    && change["data"]["kind"] == "turn_ended"
                    && body(&change["data"])["turn"] == turn
            })
            .await;
        body(&change["data"])["data"].clone()
    }

    pub fn cursor(&self) -> String {
        text(&self.seen.iter().rev().find(|change| change["cursor"].is_string()).unwrap()["cursor"])
    }
}

/// An entry's body.
pub fn body(entry: &Value) -> Value {
    serde_json::from_str(entry["body"].as_str().unwrap_or("null")).unwrap()
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A new UUID.
pub fn id() -> String {
    let mut bytes = [0u8; 10];
    getrandom::fill(&mut bytes).unwrap();
    gander_model::TurnId::from_parts(1_700_000_000_000, &bytes).to_string()
}

/// The text of a session's messages, in order.
pub fn said(entries: &[Value]) -> String {
    entries
        .iter()
        .filter(|entry| entry["kind"] == "message")
        .flat_map(|entry| body(entry)["data"].as_array().cloned().unwrap_or_default())
        .filter_map(|update| update["content"]["text"].as_str().map(str::to_owned))
        .collect()
}

pub fn kinds(entries: &[Value]) -> Vec<String> {
    entries.iter().map(|entry| text(&entry["kind"])).collect()
}
