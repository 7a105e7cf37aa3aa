//! A program that talks to a serving Gander: requests and the stream of changes, over nothing but a socket.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// No answer in so long is a failure (an `Err` of kind `WouldBlock` or `TimedOut`), not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where it serves, and the credential. Cheap to clone; each request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    /// `127.0.0.1:PORT`
    pub address: String,
    pub token: String,
}

/// An answer that came.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The problem document's code; empty when it is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    /// From what the runtime file says.
    pub fn of(runtime: &Value) -> Self {
        let text = |name: &str| runtime[name].as_str().unwrap_or_default().to_owned();
        Self {
            address: text("url").trim_start_matches("http://").trim_end_matches('/').to_owned(),
            token: text("token"),
        }
    }

    /// One request below `/api/v1/`. An `Err` means that no whole answer came: what was asked may have been done or not.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let authorization = format!("Bearer {}", self.token);
        let headers = [("Host", self.address.as_str()), ("Authorization", &authorization)];
        let bytes = body.map(|body| body.to_string().into_bytes());
        self.raw(method, &format!("/api/v1/{path}"), &headers, bytes.as_deref())
    }

    /// One request with exactly these headers (and those that describe the body).
    pub fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Result<Answer> {
        let mut socket = self.connect()?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                request.push_str("Content-Type: application/json\r\n");
            }
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        socket.write_all(request.as_bytes())?;
        socket.write_all(body.unwrap_or_default())?;
        let mut reader = BufReader::new(socket);
        let head = head(&mut reader)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, head.clone()))?;
        let lower = head.to_ascii_lowercase();
        let mut body = Vec::new();
        if lower.contains("transfer-encoding: chunked") {
            while let Some(chunk) = chunk(&mut reader)? {
                body.extend(chunk);
            }
        } else {
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            match length {
                Some(length) => {
                    body.resize(length, 0);
                    reader.read_exact(&mut body)?;
                }
                None => _ = reader.read_to_end(&mut body)?,
            }
        }
        Ok(Answer { status, head, body })
    }

    /// The changes after a cursor, from now on without one, as server-sent events.
    pub fn changes(&self, after: Option<&str>) -> Result<Events> {
        let mut socket = self.connect()?;
        let query = after.map(|after| format!("?after={after}")).unwrap_or_default();
        let request = format!(
            "GET /api/v1/changes{query} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\r\n",
            self.address, self.token
        );
        socket.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(socket);
        let head = head(&mut reader)?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(Error::new(ErrorKind::InvalidData, head));
        }
        Ok(Events { reader, text: Vec::new() })
    }

    fn connect(&self) -> Result<TcpStream> {
        let socket = TcpStream::connect(&self.address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket)
    }
}

/// A stream of changes.
pub struct Events {
    reader: BufReader<TcpStream>,
    text: Vec<u8>,
}

impl Iterator for Events {
    type Item = Value;

    /// The next change; `None` when the stream has ended, however it did.
    fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.text.drain(..end + 2).collect();
                let event = String::from_utf8(event).ok()?;
                if let Some(change) =
                    event.lines().find_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
                {
                    return Some(change);
                }
                continue;
            }
            self.text.extend(chunk(&mut self.reader).ok()??);
        }
    }
}

fn head(reader: &mut impl BufRead) -> Result<String> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            return Ok(head);
        }
        head.push_str(&line);
    }
}

/// The next part of a chunked body; `None` at its end.
fn chunk(reader: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let size = usize::from_str_radix(line.trim(), 16).map_err(|_| Error::new(ErrorKind::InvalidData, line))?;
    let mut bytes = vec![0; size + 2];
    reader.read_exact(&mut bytes)?;
    bytes.truncate(size);
    Ok((size > 0).then_some(bytes))
}
