//! The HTTP interface of the running server, as any program uses it: the runtime file's token, JSON, and the changes as
//! server-sent events.

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing that is asked here takes longer, unless nobody is there.
const PATIENCE: Duration = Duration::from_secs(20);
/// The server says something at least every 20 s.
const SILENCE: Duration = Duration::from_secs(50);
/// No change is longer: an open item's text comes in pieces.
const CHANGE_MAX_BYTES: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    /// Nobody is there, or the connection broke.
    Gone(String),
    /// The server refused; its own words.
    Refused(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone(why) => write!(f, "Gander gave no answer ({why})"),
            Self::Refused(words) => f.write_str(words),
        }
    }
}

fn gone(error: impl std::fmt::Display) -> Error {
    Error::Gone(error.to_string())
}

/// A running server, and the right to use it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Server {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    token: String,
    pub pid: u32,
    pub version: String,
    pub epoch: u64,
}

impl Server {
    /// What a runtime file says.
    pub fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_slice(&std::fs::read(path)?).map_err(io::Error::from)
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    pub async fn answers(&self) -> bool {
        self.get("health").await.is_ok()
    }

    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value, Error> {
        self.ask(Method::DELETE, path, None).await
    }

    /// Puts content into the store; gives its hash, size and kind.
    pub async fn put_blob(&self, bytes: Vec<u8>, mime: &str) -> Result<Value, Error> {
        self.exchange(Method::POST, "blobs", Some(mime), bytes.into()).await
    }

    /// One operation in JSON.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let (kind, bytes) = match body {
            Some(body) => (Some("application/json"), body.to_string().into()),
            None => (None, Bytes::new()),
        };
        self.exchange(method, path, kind, bytes).await
    }

    /// One operation; `path` is below `/api/v1/`. Null where the answer has no body.
    async fn exchange(&self, method: Method, path: &str, kind: Option<&str>, body: Bytes) -> Result<Value, Error> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", self.bearer()?);
        if let Some(kind) = kind {
            headers.insert("content-type", HeaderValue::from_str(kind).map_err(gone)?);
        }
        let answer = timeout(PATIENCE, async {
            let response = self.send(method, &format!("/api/v1/{path}"), headers, body).await?;
            let status = response.status();
            let bytes = response.into_body().collect().await.map_err(gone)?.to_bytes();
            Ok((status, bytes))
        });
        let (status, bytes) = answer.await.map_err(gone)??;
        if status.is_success() {
            return if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes).map_err(gone) };
        }
        Err(refused(status.as_u16(), &bytes))
    }

    fn bearer(&self) -> Result<HeaderValue, Error> {
        HeaderValue::from_str(&format!("Bearer {}", self.token)).map_err(gone)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let stream = TcpStream::connect(self.address()).await.map_err(gone)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(gone)?;
        // It ends with the answer's body.
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", self.address());
        if let Some(all) = request.headers_mut() {
            all.extend(headers);
        }
        let request = request.body(Full::new(body)).map_err(gone)?;
        sender.send_request(request).await.map_err(gone)
    }

    /// Lets this program's pages in: gives the cookie, as the server sets it.
    pub async fn let_in(&self, label: &str) -> Result<String, Error> {
        let code = self.post("auth/codes", &serde_json::json!({})).await?;
        let code = code["code"].as_str().unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", HeaderValue::from_str(label).map_err(gone)?);
        let path = format!("/auth?code={code}");
        let response =
            timeout(PATIENCE, self.send(Method::GET, &path, headers, Bytes::new())).await.map_err(gone)??;
        let cookie = response.headers().get("set-cookie").and_then(|value| value.to_str().ok());
        cookie.map(str::to_owned).ok_or_else(|| refused(response.status().as_u16(), b""))
    }

    /// Whether a cookie still lets pages in. A server that does not answer has not said no.
    pub async fn lets_in(&self, cookie: &str) -> bool {
        let mut headers = HeaderMap::new();
        let Ok(cookie) = HeaderValue::from_str(cookie) else { return false };
        headers.insert("cookie", cookie);
        headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        match timeout(PATIENCE, self.send(Method::GET, "/api/v1/health", headers, Bytes::new())).await {
            Ok(Ok(response)) => response.status().is_success(),
            Ok(Err(_)) | Err(_) => true,
        }
    }

    /// The changes after a cursor, as they come.
    pub async fn changes(&self, after: &str) -> Result<Changes, Error> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", self.bearer()?);
        headers.insert("accept", HeaderValue::from_static("text/event-stream"));
        let path = format!("/api/v1/changes?after={}", encode(after));
        let response =
            timeout(PATIENCE, self.send(Method::GET, &path, headers, Bytes::new())).await.map_err(gone)??;
        if !response.status().is_success() {
            return Err(refused(response.status().as_u16(), b""));
        }
        Ok(Changes { body: response.into_body(), buffer: Vec::new(), searched: 0 })
    }
}

fn refused(status: u16, body: &[u8]) -> Error {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| problem[name].as_str().filter(|text| !text.is_empty());
    let words = [text("detail").or_else(|| text("title")), text("safe"), text("todo")];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let words = if words.is_empty() { format!("Gander refused ({status}).") } else { words.join(" ") };
    Error::Refused(words)
}

/// A part of a path or a query.
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

/// Changes, one after the other.
pub struct Changes {
    body: Incoming,
    buffer: Vec<u8>,
    /// How much of the buffer holds no end of an event.
    searched: usize,
}

/// One change.
#[derive(Debug, Clone, Deserialize)]
pub struct Change {
    #[serde(rename = "type")]
    pub kind: String,
    pub session_id: Option<String>,
    pub window_id: Option<String>,
    #[serde(default)]
    pub data: Value,
}

impl Changes {
    /// The next one. Nothing when the stream ended: the server stopped, or says nothing any more. Cancel safe.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            while let Some(event) = self.event() {
                if let Some(change) = read_event(&event) {
                    return Some(change);
                }
            }
            if self.buffer.len() > CHANGE_MAX_BYTES {
                return None;
            }
            let frame = timeout(SILENCE, self.body.frame()).await.ok()??.ok()?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    fn event(&mut self) -> Option<Vec<u8>> {
        let from = self.searched.saturating_sub(1);
        let end = self.buffer[from..].windows(2).position(|pair| pair == b"\n\n").map(|at| from + at);
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return None;
        };
        self.searched = 0;
        let rest = self.buffer.split_off(end + 2);
        Some(std::mem::replace(&mut self.buffer, rest))
    }
}

fn read_event(event: &[u8]) -> Option<Change> {
    let text = std::str::from_utf8(event).ok()?;
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
    serde_json::from_str(&data.join("\n")).ok()
}

#[cfg(test)]
mod tests {
    use super::{encode, read_event, refused};

    #[test]
    fn an_event_is_read_and_a_comment_is_not() {
        let change =
            read_event(b"event: window\nid: c1\ndata: {\"cursor\":\"c1\",\"type\":\"window\",\ndata: \"data\":{}}\n\n");
        assert_eq!(change.unwrap().kind, "window");
        assert!(read_event(b": ping\n\n").is_none());
    }

    #[test]
    fn what_was_refused_is_said_in_the_servers_own_words() {
        let error = refused(503, br#"{"code":"not_saving","detail":"The disk is full.","safe":"All is kept."}"#);
        assert_eq!(error.to_string(), "The disk is full. All is kept.");
        assert_eq!(refused(500, b"").to_string(), "Gander refused (500).");
    }

    #[test]
    fn a_part_of_an_address_is_encoded() {
        assert_eq!(encode("a b/ü&"), "a%20b%2F%C3%BC%26");
    }
}
