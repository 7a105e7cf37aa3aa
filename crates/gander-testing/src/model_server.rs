//! A small OpenAI-compatible server on loopback (chat completions, streamed or whole), so that a real agent runs without a
//! key or a network. What it answers, the prompt says: see [`crate::model_script`].
//!
//! Beside the API it answers `GET /requests` (what was asked so far, oldest first) and `POST /release` (ends held answers).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::model_script::{Script, text_of};

/// Requests beyond this many are forgotten, oldest first; the count goes on.
const KEPT_REQUESTS: usize = 1_000;

type Body = BoxBody<Bytes, Infallible>;

/// A running model server; dropping it stops it.
pub struct ModelServer {
    address: SocketAddr,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

struct State {
    log: Mutex<Log>,
    /// Counts releases: a held answer ends when it changes.
    releases: watch::Sender<u64>,
}

#[derive(Default)]
struct Log {
    count: u64,
    kept: VecDeque<Value>,
}

impl ModelServer {
    /// Starts on a free port of loopback, in the runtime that it is called from.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { log: Mutex::default(), releases: watch::channel(0).0 });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, accepting })
    }

    /// Where it listens: `http://127.0.0.1:PORT`. The API is below `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many completions were asked for.
    pub fn count(&self) -> u64 {
        self.state.log().count
    }

    /// Ends every answer that is held open.
    pub fn release(&self) {
        self.state.release();
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self) {
        self.releases.send_modify(|releases| *releases += 1);
    }

    /// Keeps a request, and gives its number.
    fn keep(&self, request: &Value) -> u64 {
        let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Vec<Value> =
            messages.iter().map(|message| json!({"role": message["role"], "text": text_of(message)})).collect();
        let tools: Vec<&Value> =
            request["tools"].as_array().into_iter().flatten().map(|tool| &tool["function"]["name"]).collect();
        let mut log = self.log();
        log.count += 1;
        let number = log.count;
        if log.kept.len() == KEPT_REQUESTS {
            log.kept.pop_front();
        }
        log.kept.push_back(json!({"number": number, "model": request["model"], "stream": request["stream"], "messages": texts, "tools": tools}));
        number
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| answer(request, Arc::clone(&state)));
            // A client that goes away in the middle of an answer is what the tests are about.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(whole(StatusCode::BAD_REQUEST, &json!({"error": {"message": "the request broke off"}}))),
    };
    Ok(match (&head.method, head.uri.path()) {
        (&Method::POST, path) if path.ends_with("/chat/completions") => complete(&body, &state),
        (&Method::GET, path) if path.ends_with("/models") => {
            whole(StatusCode::OK, &json!({"object": "list", "data": [{"id": "gander-test", "object": "model"}]}))
        }
        (&Method::GET, "/requests") => {
            let log = state.log();
            whole(StatusCode::OK, &json!({"count": log.count, "requests": log.kept}))
        }
        (&Method::POST, "/release") => {
            state.release();
            whole(StatusCode::OK, &json!({}))
        }
        (_, path) => whole(StatusCode::NOT_FOUND, &json!({"error": {"message": format!("{path} is not served here")}})),
    })
}

fn complete(body: &[u8], state: &Arc<State>) -> Response<Body> {
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return whole(StatusCode::BAD_REQUEST, &json!({"error": {"message": "the request is no JSON"}}));
    };
    let number = state.keep(&request);
    let script = Script::of(&request);
    if let Script::Error { status } = script {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return whole(status, &json!({"error": {"message": "failing, as the prompt asked", "type": "server_error"}}));
    }
    if request["stream"] == true {
        streamed(script, number, state)
    } else {
        whole(StatusCode::OK, &completion(&script, number))
    }
}

fn whole(status: StatusCode, value: &Value) -> Response<Body> {
    respond(status, "application/json", Full::new(Bytes::from(value.to_string())).boxed())
}

fn respond(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(content_type));
    response
}

fn streamed(script: Script, number: u64, state: &Arc<State>) -> Response<Body> {
    let (send, receive) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(4);
    let mut releases = state.releases.subscribe();
    tokio::spawn(async move {
        let event = |value: Value| Ok(Frame::data(Bytes::from(format!("data: {value}\n\n"))));
        // A failed send means that the client is gone, and so is the reason to go on.
        let finish = match script {
            Script::Text { chunks, delay, hold } => {
                for chunk in chunks {
                    if send
                        .send(event(delta(number, json!({"role": "assistant", "content": chunk}), None)))
                        .await
                        .is_err()
                    {
                        return;
                    }
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                }
                if hold {
                    tokio::select! {
                        () = send.closed() => return,
                        _ = releases.changed() => {}
                    }
                }
                "stop"
            }
            Script::Tool { name, arguments } => {
                let call = json!({"index": 0, "id": format!("call-{number}"), "type": "function", "function": {"name": name, "arguments": arguments.to_string()}});
                if send
                    .send(event(delta(number, json!({"role": "assistant", "tool_calls": [call]}), None)))
                    .await
                    .is_err()
                {
                    return;
                }
                "tool_calls"
            }
            Script::Error { .. } => return,
        };
        let mut last = delta(number, json!({}), Some(finish));
        last["usage"] = usage();
        for frame in [event(last), Ok(Frame::data(Bytes::from_static(b"data: [DONE]\n\n")))] {
            if send.send(frame).await.is_err() {
                return;
            }
        }
    });
    let frames = futures::stream::unfold(receive, async |mut frames| Some((frames.recv().await?, frames)));
    respond(StatusCode::OK, "text/event-stream", StreamBody::new(frames).boxed())
}

fn delta(number: u64, delta: Value, finish: Option<&str>) -> Value {
    json!({"id": format!("answer-{number}"), "object": "chat.completion.chunk", "created": 1, "model": "gander-test",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn usage() -> Value {
    json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18})
}

fn completion(script: &Script, number: u64) -> Value {
    let (message, finish) = match script {
        Script::Text { chunks, .. } => (json!({"role": "assistant", "content": chunks.concat()}), "stop"),
        Script::Tool { name, arguments } => (
            json!({"role": "assistant", "content": null, "tool_calls": [{"id": format!("call-{number}"), "type": "function",
                "function": {"name": name, "arguments": arguments.to_string()}}]}),
            "tool_calls",
        ),
        Script::Error { .. } => (json!({"role": "assistant", "content": ""}), "stop"),
    };
    json!({"id": format!("answer-{number}"), "object": "chat.completion", "created": 1, "model": "gander-test",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage()})
}
