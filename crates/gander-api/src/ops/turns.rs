//! Sending, cancelling, continuing, and answering an agent (G8, G9).

use gander_journal::TurnPhase;
use gander_journal::{Continues, ReadError, Send, Tx, WhenBusy, WriteError};
use gander_model::{Body, By, Kind, PermissionId, SessionId, TurnId};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::convert;
use crate::dto;
use crate::error::{ApiError, Code};
use crate::gander::Gander;
use crate::live::{self, Command};

/// Content blocks of a prompt, attachments of a draft.
pub(super) const MAX_BLOCKS: usize = 200;
/// How much of a cut-off answer is supplied to the agent that goes on with it.
const CUT_MAX_BYTES: usize = 64 * 1024;

/// Content blocks have a type, and there is something in them.
pub(super) fn check_content(content: &[Value]) -> Result<(), ApiError> {
    if content.is_empty() {
        return Err(ApiError::bad("`content` is empty."));
    }
    if content.len() > MAX_BLOCKS {
        return Err(ApiError::new(Code::TooLarge, format!("`content` has more than {MAX_BLOCKS} blocks.")));
    }
    for block in content {
        let text = |name: &str| block.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        match text("type") {
            None => return Err(ApiError::bad("A content block has no `type`.")),
            Some("text") if block.get("text").and_then(Value::as_str).is_none() => {
                return Err(ApiError::bad("A text block has no `text`."));
            }
            Some("blob") if text("hash").is_none() => return Err(ApiError::bad("A blob block has no `hash`.")),
            Some(_) => {}
        }
    }
    let only_text = content.iter().all(|block| block.get("type").and_then(Value::as_str) == Some("text"));
    let blank = |block: &Value| block.get("text").and_then(Value::as_str).is_none_or(|text| text.trim().is_empty());
    if only_text && content.iter().all(blank) {
        return Err(ApiError::bad("The prompt says nothing."));
    }
    Ok(())
}

impl Gander {
    /// Sends a prompt. When this returns it is on disk; the agent gets it afterwards.
    pub async fn send(&self, session: SessionId, body: dto::SendBody) -> Result<dto::Sent, ApiError> {
        self.check_serving()?;
        check_content(&body.content)?;
        if let Some(rev) = body.draft_rev {
            super::windows::check_rev(rev)?;
        }
        let when_busy = match body.when_busy.as_deref() {
            None | Some("queue") => WhenBusy::Queue,
            Some("refuse") => WhenBusy::Refuse,
            Some(_) => return Err(ApiError::bad("when_busy is queue or refuse.")),
        };
        let content = self.described(body.content).await?;
        let send = Send {
            session,
            turn: body.turn_id,
            window: body.window_id,
            draft_rev: body.draft_rev,
            expected_head: Some(convert::head_in(&body.expected_head)?),
            content: to_raw_value(&content).map_err(ApiError::internal)?,
            when_busy,
            continues: None,
        };
        self.start(send, None).await
    }

    /// Blob blocks carry what is known of the blob, so that an entry says it even where the blob is elsewhere.
    pub(super) async fn described(&self, mut content: Vec<Value>) -> Result<Vec<Value>, ApiError> {
        for block in content.iter_mut().filter(|block| block.get("type").and_then(Value::as_str) == Some("blob")) {
            let hash = block.get("hash").and_then(Value::as_str).unwrap_or_default().to_owned();
            let info = self.ctx.blob_info(&hash).await?;
            block["mime"] = json!(info.mime);
            block["bytes"] = json!(info.bytes);
        }
        Ok(content)
    }

    async fn start(&self, send: Send, agent: Option<String>) -> Result<dto::Sent, ApiError> {
        let (session, turn) = (send.session, send.turn);
        let context = self.ctx.clone();
        let sent = self
            .ctx
            .write(move |tx| {
                // What was accepted before gets its first answer.
                if context.handover.is_holding() && tx.turn(session, turn)?.is_none() {
                    return Err(WriteError::Frozen);
                }
                if let Some(agent) = &agent {
                    let configured = Body::with(By::User, &json!({ "agent": agent }))
                        .map_err(|error| WriteError::Invalid(error.to_string()))?;
                    if tx.turn(session, turn)?.is_none() {
                        tx.append(session, Kind::CONFIGURED, configured)?;
                    }
                }
                tx.send(&send)
            })
            .await?;
        if sent.phase == TurnPhase::Starting {
            self.ctx.live.tell(&self.ctx, session, Command::Wake);
        }
        let state = if sent.phase == TurnPhase::Queued { "queued" } else { "running" };
        Ok(dto::Sent { turn_id: turn, state: state.into(), head: convert::head(sent.head), repeated: sent.repeated })
    }

    /// Cancels a turn; a queued prompt is taken out of the queue.
    pub async fn cancel(&self, session: SessionId, turn: TurnId) -> Result<dto::SessionBody, ApiError> {
        let running = self
            .ctx
            .write(move |tx| {
                let record = tx.turn(session, turn)?;
                match record.map(|record| record.phase) {
                    Some(TurnPhase::Queued) => tx.queue_delete(session, turn).map(|()| false),
                    // Also where there is no such turn: the error says so.
                    _ => tx.turn_state(session, turn, TurnPhase::Cancelling).map(|()| true),
                }
            })
            .await?;
        if running {
            self.ctx.live.tell(&self.ctx, session, Command::Cancel(turn));
        }
        self.session(session).await
    }

    /// Goes on after an interrupted turn. Nothing is ever repeated without being asked for here.
    pub async fn continue_turn(
        &self,
        session: SessionId,
        turn: TurnId,
        body: dto::ContinueBody,
    ) -> Result<dto::Sent, ApiError> {
        self.check_serving()?;
        let how = body.how.as_str();
        if !matches!(how, "resend" | "continue" | "hand_over") {
            return Err(ApiError::bad("how is resend, continue or hand_over."));
        }
        if let Some(agent) = &body.agent
            && (how != "hand_over" || self.ctx.agent(agent).is_none())
        {
            return Err(ApiError::not_found("agent to hand over to", agent));
        }
        let cut = self.cut_off(session, turn).await?;
        let content = match how {
            "continue" => cut.go_on(),
            _ => cut.prompt,
        };
        let send = Send {
            session,
            turn: body.new_turn_id,
            window: None,
            draft_rev: None,
            expected_head: None,
            content: to_raw_value(&content).map_err(ApiError::internal)?,
            when_busy: WhenBusy::Refuse,
            continues: Some(Continues { turn, how: how.to_owned() }),
        };
        let started = self.start(send, body.agent).await;
        started.map_err(|error| match error.code {
            Code::TurnNotRunning => {
                ApiError::new(Code::WrongState, "Only a turn that was interrupted or not sent can be continued.")
            }
            _ => error,
        })
    }

    async fn cut_off(&self, session: SessionId, turn: TurnId) -> Result<live::CutOff, ApiError> {
        let found = self
            .ctx
            .read(move |reader| {
                let missing = || ReadError::NotFound { what: "turn", id: turn.to_string() };
                let prompt = reader.turn_record(session, turn)?.and_then(|record| record.prompt).ok_or_else(missing)?;
                live::cut_off(reader, session, turn, prompt, CUT_MAX_BYTES)
            })
            .await?;
        Ok(found)
    }

    /// Answers what an agent asks for: committed first, then told. While nothing can be saved this waits: an answer that
    /// was recorded and that the agent never heard would leave it waiting for good.
    pub async fn answer_permission(
        &self,
        session: SessionId,
        permission: PermissionId,
        answer: dto::PermissionAnswer,
    ) -> Result<dto::SessionBody, ApiError> {
        self.ctx.read(move |reader| reader.session(session)).await?;
        let ctx = self.ctx.clone();
        // A task of its own: who asked for it may go away in the middle of it.
        let answered = tokio::spawn(async move {
            let is_open = move |tx: &mut Tx<'_>| {
                let turn = tx.reader()?.session(session)?.turn;
                Ok(turn.is_some_and(|turn| turn.permissions.iter().any(|asked| asked.id == permission)))
            };
            let option = answer.option_id.clone();
            ctx.write_once(
                is_open,
                move |tx, was_open| Ok(*was_open && !is_open(tx)?),
                move |tx| tx.permission_answered(session, permission, &option).map(drop),
            )
            .await?;
            ctx.live.tell(&ctx, session, Command::Answered(permission, answer.option_id));
            Ok::<_, WriteError>(())
        });
        answered.await.map_err(ApiError::internal)??;
        self.session(session).await
    }
}

impl live::CutOff {
    /// A prompt for an agent that may have lost what it had said.
    fn go_on(&self) -> Vec<Value> {
        let text = if self.said.is_empty() {
            "Your last answer was interrupted before it began. Please answer my last message now.".to_owned()
        } else {
            format!(
                "Your last answer was interrupted. Go on from where it was cut off; do not repeat it. This is what I have of it:\n\n{}",
                self.said
            )
        };
        vec![json!({"type": "text", "text": text})]
    }
}
