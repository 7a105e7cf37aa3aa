//! Prompts that wait for their turn.

use gander_journal::WriteError;
use gander_model::{SessionId, TurnId};
use serde_json::value::to_raw_value;

use crate::convert;
use crate::dto;
use crate::error::ApiError;
use crate::gander::Gander;
use crate::live::Command;

impl Gander {
    /// The prompts that wait.
    pub async fn queue(&self, session: SessionId) -> Result<dto::Queue, ApiError> {
        let (queue, cursor) = self
            .ctx
            .read(move |reader| {
                reader.session(session)?;
                Ok((reader.queue(session)?, reader.cursor()?))
            })
            .await?;
        let mut queue = convert::queue(&queue);
        queue.cursor = Some(cursor.to_string());
        Ok(queue)
    }

    /// Changes a waiting prompt or its place.
    pub async fn queue_patch(
        &self,
        session: SessionId,
        turn: TurnId,
        patch: dto::QueuePatch,
    ) -> Result<dto::Queue, ApiError> {
        let content = match &patch.content {
            Some(content) => {
                super::turns::check_content(content)?;
                let content = self.described(content.clone()).await?;
                Some(to_raw_value(&content).map_err(ApiError::internal)?)
            }
            None => None,
        };
        let position = patch.position;
        self.ctx.write(move |tx| tx.queue_edit(session, turn, content.as_deref(), position)).await?;
        self.queue(session).await
    }

    /// Takes a waiting prompt out.
    pub async fn queue_delete(&self, session: SessionId, turn: TurnId) -> Result<dto::Queue, ApiError> {
        self.ctx.write(move |tx| tx.queue_delete(session, turn)).await?;
        self.queue(session).await
    }

    /// Lets a held queue go on.
    pub async fn queue_resume(&self, session: SessionId) -> Result<dto::Queue, ApiError> {
        self.check_serving()?;
        let context = self.ctx.clone();
        let started = self
            .ctx
            .write(move |tx| {
                if context.handover.is_holding() {
                    return Err(WriteError::Frozen);
                }
                tx.queue_resume(session)?;
                Ok(tx.start_queued(session)?.is_some())
            })
            .await?;
        if started {
            self.ctx.live.tell(&self.ctx, session, Command::Wake);
        }
        self.queue(session).await
    }
}
