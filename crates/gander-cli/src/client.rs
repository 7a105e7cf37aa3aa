//! The HTTP API as a program uses it: JSON with the launch's bearer token, problems as [`Failure`]s, changes as events.

use std::io::Read;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::failure::Failure;

/// An instance's address and the right to use it.
#[derive(Clone)]
pub struct Client {
    /// `127.0.0.1:PORT`
    address: String,
    token: String,
}

/// Why an instance gave no answer at all.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nothing listens there.
    Gone(std::io::Error),
    /// The connection broke off.
    Broken(hyper::Error),
    /// The request cannot even be written (an odd address or token in the runtime file).
    Malformed(hyper::http::Error),
}

impl From<NoAnswer> for Failure {
    fn from(why: NoAnswer) -> Self {
        let failure =
            Failure::new("Gander gave no answer.", "See with `gander doctor` whether it still runs, and try again.");
        match why {
            NoAnswer::Gone(error) => failure.because(&error),
            NoAnswer::Broken(error) => failure.because(&error),
            NoAnswer::Malformed(error) => failure.because(&error),
        }
    }
}

impl Client {
    /// `url`: `http://127.0.0.1:PORT`.
    pub fn new(url: &str, token: &str) -> Self {
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { address, token: token.to_owned() }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// An answer that is a file.
    pub async fn get_file(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let response = self.send(Method::GET, path, Bytes::new(), None, "*/*").await?;
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(NoAnswer::Broken)?.to_bytes();
        if status.is_success() {
            return Ok(bytes.to_vec());
        }
        Err(Failure::of_problem(status.as_u16(), serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// Sends a file as it is.
    pub async fn post_file(&self, path: &str, file: FileBody, mime: &str) -> Result<Value, Failure> {
        let response = self.send_body(Method::POST, path, file, Some(mime), "application/json").await?;
        answer(response).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::DELETE, path, None).await
    }

    /// One operation; `path` is below `/api/v1/`. Null where the answer has no body.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mime = body.map(|_| "application/json");
        answer(self.send(method, path, bytes, mime, "application/json").await?).await
    }

    /// Whether the instance answers, and takes the token.
    pub async fn answers(&self) -> Result<bool, NoAnswer> {
        Ok(self.send(Method::GET, "health", Bytes::new(), None, "application/json").await?.status().is_success())
    }

    /// The changes after a cursor, as they come.
    pub async fn changes(&self, after: &str) -> Result<Changes, Failure> {
        let path = format!("changes?after={}", encode(after));
        let response = self.send(Method::GET, &path, Bytes::new(), None, "text/event-stream").await?;
        if !response.status().is_success() {
            return Err(Failure::of_problem(response.status().as_u16(), Value::Null));
        }
        Ok(Changes { body: response.into_body(), buffer: Vec::new() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        mime: Option<&str>,
        accept: &str,
    ) -> Result<Response<Incoming>, NoAnswer> {
        self.send_body(method, path, Full::new(body), mime, accept).await
    }

    async fn send_body<B>(
        &self,
        method: Method,
        path: &str,
        body: B,
        mime: Option<&str>,
        accept: &str,
    ) -> Result<Response<Incoming>, NoAnswer>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = TcpStream::connect(&self.address).await.map_err(NoAnswer::Gone)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(NoAnswer::Broken)?;
        // It ends with the answer's body, or when the runtime does.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header("host", &self.address)
            .header("authorization", format!("Bearer {}", self.token))
            .header("accept", accept);
        if let Some(mime) = mime {
            request = request.header("content-type", mime);
        }
        let request = request.body(body).map_err(NoAnswer::Malformed)?;
        sender.send_request(request).await.map_err(NoAnswer::Broken)
    }
}

/// A file on its way up, a piece at a time.
pub struct FileBody {
    file: std::fs::File,
    left: u64,
}

impl FileBody {
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = std::fs::File::open(path)?;
        let left = file.metadata()?.len();
        Ok(Self { file, left })
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let mut piece = Vec::new();
        let want = self.left.min(256 * 1024);
        match (&mut self.file).take(want).read_to_end(&mut piece) {
            Ok(0) if self.left > 0 => {
                Poll::Ready(Some(Err(std::io::Error::other("the file became shorter while it was read"))))
            }
            Ok(0) => Poll::Ready(None),
            Ok(read) => {
                self.left -= read as u64;
                Poll::Ready(Some(Ok(Frame::data(piece.into()))))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// An answer's JSON. Null where it has no body.
async fn answer(response: Response<Incoming>) -> Result<Value, Failure> {
    let status = response.status();
    let bytes = response.into_body().collect().await.map_err(NoAnswer::Broken)?.to_bytes();
    let value = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
    match value {
        Ok(value) if status.is_success() => Ok(value),
        Ok(problem) => Err(Failure::of_problem(status.as_u16(), problem)),
        Err(_) if !status.is_success() => Err(Failure::of_problem(status.as_u16(), Value::Null)),
        Err(error) => Err(Failure::new(
            "Gander's answer is no JSON.",
            "Something else may listen at its address: see `gander doctor`.",
        )
        .because(&error)),
    }
}

/// Changes as server-sent events.
pub struct Changes {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Changes {
    /// The next change; nothing when the instance ended the stream.
    pub async fn next(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(change) = data_of(&event) {
                    return Ok(Some(change));
                }
                continue;
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    let frame = frame.map_err(NoAnswer::Broken)?;
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// The JSON of one event's `data` lines; a comment or a ping without any is none.
fn data_of(event: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(event).ok()?;
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
    serde_json::from_str(&data.join("\n")).ok()
}

/// A value fit for a query or a path.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A query string from the pairs that have a value.
pub fn query(pairs: &[(&str, Option<String>)]) -> String {
    let given =
        pairs.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={}", encode(value))));
    let joined = given.collect::<Vec<_>>().join("&");
    if joined.is_empty() { joined } else { format!("?{joined}") }
}

#[cfg(test)]
mod tests {
    use super::{data_of, query};

    #[test]
    fn queries_are_escaped() {
        let pairs = [("q", Some("a b&c=ü/".to_owned())), ("after", None), ("limit", Some("5".to_owned()))];
        assert_eq!(query(&pairs), "?q=a%20b%26c%3D%C3%BC%2F&limit=5");
        assert_eq!(query(&[("q", None)]), "");
    }

    #[test]
    fn events_are_read() {
        assert_eq!(data_of(b"id: 4\nevent: entry\ndata: {\"a\":1}\n\n").unwrap()["a"], 1);
        assert!(data_of(b": keep alive\n\n").is_none());
    }
}
