//! Windows and drafts (G5, G6).

use gander_journal::Draft;
use gander_journal::{NewSession, ORDINAL_MAX, REV_MAX, WindowPatch, WriteError};
use gander_model::{Hash, SessionId, WindowId};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::convert;
use crate::dto;
use crate::error::ApiError;
use crate::gander::Gander;

/// Longest geometry or scroll that a page may keep.
const PLACE_MAX_BYTES: usize = 16 * 1024;
/// Longest text of a draft or prompt.
pub(crate) const TEXT_MAX_BYTES: usize = 4 << 20;

fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>, ApiError> {
    to_raw_value(value).map_err(ApiError::internal)
}

fn place(value: Option<serde_json::Value>) -> Result<Option<Box<RawValue>>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let raw = raw(&value)?;
    if raw.get().len() > PLACE_MAX_BYTES {
        return Err(ApiError::bad(format!("Geometry and scroll may be {PLACE_MAX_BYTES} bytes long.")));
    }
    Ok(Some(raw))
}

/// A revision that can still be followed by another.
pub(super) fn check_rev(rev: u64) -> Result<(), ApiError> {
    if rev > REV_MAX {
        return Err(ApiError::bad(format!("A draft's revision may be {REV_MAX} at most.")));
    }
    Ok(())
}

/// The contents that a draft's attachments name.
fn attached(attachments: &[Value]) -> Result<Vec<Hash>, ApiError> {
    if attachments.len() > super::turns::MAX_BLOCKS {
        let detail = format!("A draft may have {} attachments.", super::turns::MAX_BLOCKS);
        return Err(ApiError::new(crate::Code::TooLarge, detail));
    }
    let mut named = Vec::new();
    for attachment in attachments {
        let Some(fields) = attachment.as_object() else {
            return Err(ApiError::bad("An attachment is an object."));
        };
        match fields.get("hash") {
            Some(hash) => named.push(super::blobs::hash_in(hash.as_str().unwrap_or_default())?),
            None if fields.get("type").and_then(Value::as_str).is_none_or(|kind| kind == "blob") => {
                return Err(ApiError::bad("An attachment has no `hash`."));
            }
            None => {}
        }
    }
    Ok(named)
}

impl Gander {
    /// All windows.
    pub async fn windows(&self) -> Result<dto::Windows, ApiError> {
        let (windows, cursor) = self.ctx.read(|reader| Ok((reader.windows()?, reader.cursor()?))).await?;
        let open = windows.iter().filter(|window| window.open);
        let focused = open.max_by_key(|window| window.focused).map(|window| window.id);
        let attached =
            |window: &gander_journal::WindowView| convert::window(window, self.ctx.attachments.is_attached(window.id));
        Ok(dto::Windows { windows: windows.iter().map(attached).collect(), focused, cursor: cursor.to_string() })
    }

    /// One window.
    pub async fn window(&self, window: WindowId) -> Result<dto::Window, ApiError> {
        let (view, cursor) = self.ctx.read(move |reader| Ok((reader.window(window)?, reader.cursor()?))).await?;
        let mut window = convert::window(&view, self.ctx.attachments.is_attached(window));
        window.cursor = Some(cursor.to_string());
        Ok(window)
    }

    /// Opens a window: on a session, or with a new chat of its own.
    pub async fn new_window(&self, new: dto::NewWindow) -> Result<dto::Window, ApiError> {
        self.check_serving()?;
        let window = match new.session_id {
            Some(session) => {
                self.ctx
                    .write(move |tx| {
                        tx.reader()?.session(session)?;
                        tx.open_window(session)
                    })
                    .await?
            }
            None => {
                let (agent, cwd) = self.chat_start(new.agent, new.cwd)?;
                self.ctx.write(move |tx| Ok(tx.open_window_new(&agent, &cwd)?.0)).await?
            }
        };
        self.window(window).await
    }

    /// The agent and folder of a new chat.
    fn chat_start(&self, agent: Option<String>, cwd: Option<String>) -> Result<(String, String), ApiError> {
        let agent = match agent {
            Some(agent) if self.ctx.agent(&agent).is_none() => return Err(ApiError::not_found("agent", agent)),
            Some(agent) => agent,
            None => crate::agents::default_id(&self.ctx.settings()),
        };
        let cwd = match cwd {
            Some(cwd) => super::sessions::folder(&cwd)?,
            None => self.ctx.default_cwd().display().to_string(),
        };
        Ok((agent, cwd))
    }

    /// Keeps a window's place, order and scroll.
    pub async fn patch_window(&self, window: WindowId, patch: dto::WindowPatch) -> Result<dto::Window, ApiError> {
        let ordinal = patch.ordinal.map(|ordinal| i64::try_from(ordinal).unwrap_or(i64::MAX));
        if ordinal.is_some_and(|ordinal| ordinal > ORDINAL_MAX) {
            return Err(ApiError::bad(format!("`ordinal` may be {ORDINAL_MAX} at most.")));
        }
        let patch = WindowPatch { ordinal, geometry: place(patch.geometry)?, scroll: place(patch.scroll)? };
        self.ctx.write(move |tx| tx.update_window(window, &patch)).await?;
        self.window(window).await
    }

    /// Closes a window; its session and drafts stay.
    pub async fn close_window(&self, window: WindowId) -> Result<(), ApiError> {
        Ok(self.ctx.write(move |tx| tx.close_window(window)).await?)
    }

    /// Opens a closed window again.
    pub async fn reopen_window(&self, window: WindowId) -> Result<dto::Window, ApiError> {
        self.ctx.write(move |tx| tx.reopen_window(window)).await?;
        self.window(window).await
    }

    /// Remembers that this window has the focus.
    pub async fn focus_window(&self, window: WindowId) -> Result<dto::Window, ApiError> {
        self.ctx.write(move |tx| tx.focus_window(window)).await?;
        self.window(window).await
    }

    /// Brings a window to the front: it has the focus from now on, and whoever shows it is told to raise it.
    pub async fn raise_window(&self, window: WindowId) -> Result<dto::Window, ApiError> {
        let view = self.focus_window(window).await?;
        // Not kept: a window raised later, when somebody reads the changes, would be taken out of the user's hands.
        let ids = convert::Ids { session: None, window: Some(window) };
        self.ctx.tell(crate::feed::passing("raise", ids, &serde_json::json!({})));
        Ok(view)
    }

    /// The open window that had the focus last; where none is open, a new one with a new chat.
    pub async fn home_window(&self) -> Result<WindowId, ApiError> {
        if let Some(window) = self.windows().await?.focused {
            return Ok(window);
        }
        Ok(self.new_window(dto::NewWindow::default()).await?.id)
    }

    /// A new chat in a window. Only the window's own empty session is used again (G6).
    pub async fn new_chat(&self, window: WindowId, new: dto::NewChat) -> Result<dto::SessionBody, ApiError> {
        self.check_serving()?;
        let (agent, cwd) = self.chat_start(new.agent, new.cwd)?;
        let session = self.ctx.write(move |tx| tx.new_chat(window, &agent, &cwd)).await?;
        self.session(session).await
    }

    /// A session without a window: for programs, which send to it at once.
    pub async fn new_session(&self, new: dto::NewChat) -> Result<dto::SessionBody, ApiError> {
        self.check_serving()?;
        let (agent, cwd) = self.chat_start(new.agent, new.cwd)?;
        let session = self.ctx.write(move |tx| tx.create_session(NewSession { window: None, agent, cwd })).await?;
        self.session(session).await
    }

    /// Shows a session in a window. When that fails, the window goes on showing what it did.
    pub async fn show(&self, window: WindowId, body: dto::ShowBody) -> Result<dto::WindowSession, ApiError> {
        let session = body.session_id;
        self.ctx.write(move |tx| tx.show(window, session)).await?;
        Ok(dto::WindowSession { window: self.window(window).await?, session: self.session(session).await?.session })
    }

    /// Moves the session that a window shows to another open window or to a new one, and brings that to the front. What was
    /// typed for it goes along; the first window shows a new chat of its own.
    pub async fn move_session(&self, from: WindowId, body: dto::MoveSession) -> Result<dto::Moved, ApiError> {
        self.check_serving()?;
        let (agent, cwd) = self.chat_start(None, None)?;
        let (session, to) = (body.session_id, body.to);
        let new = NewSession { window: Some(from), agent, cwd };
        let to = self.ctx.write(move |tx| tx.move_session(session, from, to, &new)).await?;
        Ok(dto::Moved { window: self.raise_window(to).await?, from: self.window(from).await? })
    }

    /// Saves a draft; done when it is on disk.
    pub async fn save_draft(&self, window: WindowId, body: dto::DraftBody) -> Result<dto::Draft, ApiError> {
        check_rev(body.rev)?;
        if body.text.len() > TEXT_MAX_BYTES {
            return Err(ApiError::new(
                crate::Code::TooLarge,
                "A draft may be 4 MiB long; attach longer text as a file.",
            ));
        }
        let named = attached(&body.attachments)?;
        let draft = Draft {
            window,
            session: body.session_id,
            rev: body.rev,
            text: body.text,
            attachments: raw(&body.attachments)?,
        };
        let saved = convert::draft(&draft, true);
        self.ctx.handover.typed(window);
        self.ctx
            .write(move |tx| {
                // In the same transaction: what a draft names is kept for as long as it does.
                for hash in &named {
                    if tx.reader()?.blob_info(*hash)?.is_none() {
                        return Err(WriteError::NotFound { what: "attachment", id: hash.to_string() });
                    }
                }
                tx.save_draft(draft)
            })
            .await?;
        Ok(saved)
    }

    /// The drafts of all windows for a session.
    pub async fn session_drafts(&self, session: SessionId) -> Result<dto::Drafts, ApiError> {
        let drafts = self
            .ctx
            .read(move |reader| {
                reader.session(session)?;
                reader.drafts(session)
            })
            .await?;
        Ok(dto::Drafts { drafts: drafts.iter().map(|draft| convert::draft(draft, true)).collect() })
    }
}
