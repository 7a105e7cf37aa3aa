//! As much of an HTTP client as measuring needs: one kept connection, and one event stream, over plain sockets.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// A kept connection to a server, with its bearer token.
pub struct Client {
    authority: String,
    token: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to `url` (`http://127.0.0.1:PORT`).
    pub fn connect(url: &str, token: &str) -> io::Result<Self> {
        let authority = url.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
        let stream = TcpStream::connect(&authority)?;
        stream.set_nodelay(true)?;
        Ok(Self { authority, token: token.to_owned(), stream: BufReader::with_capacity(1 << 16, stream) })
    }

    fn head(&mut self, method: &str, path: &str, accept: &str, body: &[u8]) -> io::Result<(u16, Option<usize>)> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: {accept}\r\n",
            self.authority, self.token
        );
        if !body.is_empty() {
            request.push_str("Content-Type: application/json\r\n");
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let socket = self.stream.get_mut();
        socket.write_all(&[request.as_bytes(), body].concat())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let mut length = None;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                return Ok((status, length));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
    }

    fn call(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        let (status, length) = self.head(method, path, "application/json", body)?;
        let mut answer = vec![0; length.ok_or_else(|| io::Error::other("an answer without a length"))?];
        self.stream.read_exact(&mut answer)?;
        if !(200..300).contains(&status) {
            return Err(io::Error::other(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer))));
        }
        Ok(answer)
    }

    /// The bytes of a GET, which is what is timed.
    pub fn get_raw(&mut self, path: &str) -> io::Result<Vec<u8>> {
        self.call("GET", path, b"")
    }

    /// A GET's document.
    pub fn get(&mut self, path: &str) -> io::Result<Value> {
        Ok(serde_json::from_slice(&self.get_raw(path)?)?)
    }

    /// A request with a document, and its answer (null where it has none).
    pub fn send(&mut self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let answer = self.call(method, path, body.to_string().as_bytes())?;
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? })
    }

    /// Turns the connection into the stream of changes.
    pub fn changes(mut self) -> io::Result<Changes> {
        let (status, _) = self.head("GET", "/api/v1/changes", "text/event-stream", b"")?;
        if status != 200 {
            return Err(io::Error::other(format!("the stream of changes answered {status}")));
        }
        Ok(Changes { stream: self.stream })
    }
}

/// The stream of changes, as server-sent events.
pub struct Changes {
    stream: BufReader<TcpStream>,
}

impl Changes {
    /// Waits for the next change's document.
    pub fn next(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(data) = line.strip_prefix("data:") {
                return Ok(serde_json::from_str(data.trim())?);
            }
        }
    }
}
