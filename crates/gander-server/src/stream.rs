//! Changes as they come: over a WebSocket for pages, as server-sent events for scripts. Both read the same feed, which
//! reads the journal; a client that is slow makes its own feed wait and nobody else's.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use gander_api::dto::ChangesQuery;
use gander_api::{ApiError, Attachment, Code, Feed, Push};
use gander_model::WindowId;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::grant::Caller;
use crate::listen::is_true;
use crate::problem::{Ask, Problem};
use crate::server::App;

/// A client that takes nothing for so long is cut off; it goes on from its cursor when it comes back.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a silent stream says that it lives.
const PING: Duration = Duration::from_secs(20);
/// How many changes go into one message.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 256 * 1024;

/// Changes after a cursor, without a gap: each `{cursor,type,session_id?,window_id?,data}`.
///
/// With `Upgrade: websocket` a WebSocket (one JSON message a change, or an array of them), else server-sent events
/// (`id` is the cursor, `event` the type); `Last-Event-ID` is honoured.
#[utoipa::path(get, path = "/changes", tag = "changes", params(ChangesQuery),
    responses((status = 200, description = "A stream of changes", content_type = "text/event-stream", body = gander_api::dto::Change),
        (status = 101, description = "A WebSocket")))]
pub async fn changes(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Ask(query): Ask<ChangesQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let Ok(permit) = app.streams.clone().try_acquire_owned() else {
        return Err(ApiError::new(Code::TooMany, "More than 256 streams are open.").into());
    };
    let (mut parts, _) = request.into_parts();
    let last = parts.headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let after = last.filter(|last| !last.is_empty()).or(query.after);
    if parts.headers.contains_key(header::UPGRADE) {
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app)
            .await
            .map_err(|rejection| Problem(ApiError::bad(rejection.to_string())))?;
        let feed = app.gander.feed(after.as_deref()).await?;
        return Ok(upgrade
            .max_message_size(64 * 1024)
            .max_frame_size(64 * 1024)
            .on_upgrade(move |socket| Talk { app, caller, feed, attachment: None, permit }.run(socket)));
    }
    let feed = app.gander.feed(after.as_deref()).await?;
    Ok(events(app, caller, feed, permit))
}

fn events(app: App, caller: Caller, feed: Feed, permit: OwnedSemaphorePermit) -> Response {
    let stream = stream::unfold((app, caller, feed, permit), |(app, caller, mut feed, permit)| async move {
        let mut stopping = app.stopping.clone();
        let event = tokio::select! {
            push = feed.next() => {
                let push = push?;
                let event = Event::default().event(push.kind).data(&*push.json);
                match &push.cursor {
                    Some(cursor) => event.id(cursor),
                    None => event,
                }
            }
            () = tokio::time::sleep(PING) => Event::default().event("ping").data(r#"{"type":"ping","data":{}}"#),
            () = app.grants.until_revoked(&caller) => return None,
            () = is_true(&mut stopping) => return None,
        };
        Some((Ok::<_, Infallible>(event), (app, caller, feed, permit)))
    });
    let mut response = Sse::new(stream).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
    response
}

/// What a page says on its socket.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    Attach {
        window_id: WindowId,
        tab: String,
    },
    Focus,
    #[serde(other)]
    Other,
}

struct Talk {
    app: App,
    caller: Caller,
    feed: Feed,
    attachment: Option<Attachment>,
    permit: OwnedSemaphorePermit,
}

enum Step {
    Pushed(Option<Push>),
    Heard(Option<Result<Message, axum::Error>>),
    Taken(String),
    Ping,
    Over,
}

impl Talk {
    async fn run(mut self, mut socket: WebSocket) {
        let reason = loop {
            let step = self.step(&mut socket).await;
            let message = match step {
                Step::Pushed(Some(first)) => self.batch(first),
                Step::Pushed(None) | Step::Over => break "stopping",
                Step::Heard(Some(Ok(Message::Text(text)))) => match self.heard(text.as_str()).await {
                    Some(answer) => answer,
                    None => continue,
                },
                Step::Heard(Some(Ok(Message::Close(_)) | Err(_)) | None) => return,
                Step::Heard(Some(Ok(_))) => continue,
                Step::Taken(by) => {
                    self.attachment = None;
                    serde_json::json!({"type": "taken", "by": by}).to_string()
                }
                Step::Ping => r#"{"type":"ping","data":{}}"#.to_owned(),
            };
            match timeout(SEND_TIMEOUT, socket.send(Message::Text(message.into()))).await {
                Ok(Ok(())) => {}
                // It is gone, or takes nothing any more.
                Ok(Err(_)) | Err(_) => return,
            }
        };
        let close = CloseFrame { code: close_code::AWAY, reason: reason.into() };
        let _ = timeout(SEND_TIMEOUT, socket.send(Message::Close(Some(close)))).await;
        drop(self.permit);
    }

    async fn step(&mut self, socket: &mut WebSocket) -> Step {
        let mut stopping = self.app.stopping.clone();
        tokio::select! {
            push = self.feed.next() => Step::Pushed(push),
            heard = socket.recv() => Step::Heard(heard),
            by = taken(&mut self.attachment) => Step::Taken(by),
            () = tokio::time::sleep(PING) => Step::Ping,
            () = self.app.grants.until_revoked(&self.caller) => Step::Over,
            () = is_true(&mut stopping) => Step::Over,
        }
    }

    /// One change, or an array of those that wait with it.
    fn batch(&mut self, first: Push) -> String {
        let mut message = String::new();
        let mut count = 1;
        while count < BATCH && message.len() < BATCH_BYTES {
            let Some(next) = self.feed.try_next() else { break };
            if count == 1 {
                message.push('[');
                message.push_str(&first.json);
            }
            message.push(',');
            message.push_str(&next.json);
            count += 1;
        }
        if count == 1 {
            return first.json.to_string();
        }
        message.push(']');
        message
    }

    async fn heard(&mut self, text: &str) -> Option<String> {
        match serde_json::from_str(text) {
            Ok(Said::Attach { window_id, tab }) => {
                // The earlier one lets go first, or a page that attaches again would take its window from itself.
                self.attachment = None;
                let tab: String = tab.chars().take(80).collect();
                Some(match self.app.gander.attach(window_id, &tab).await {
                    Ok(attachment) => {
                        self.attachment = Some(attachment);
                        serde_json::json!({"type": "attached", "window_id": window_id}).to_string()
                    }
                    Err(error) => serde_json::json!({"type": "error", "data": error.problem()}).to_string(),
                })
            }
            Ok(Said::Focus) => {
                let window = self.attachment.as_ref()?.window();
                let error = self.app.gander.focus_window(window).await.err()?;
                Some(serde_json::json!({"type": "error", "data": error.problem()}).to_string())
            }
            Ok(Said::Other) => None,
            Err(error) => {
                let error = ApiError::bad(format!("This message is not understood: {error}."));
                Some(serde_json::json!({"type": "error", "data": error.problem()}).to_string())
            }
        }
    }
}

async fn taken(attachment: &mut Option<Attachment>) -> String {
    match attachment {
        Some(attachment) => attachment.taken().await,
        None => std::future::pending().await,
    }
}
