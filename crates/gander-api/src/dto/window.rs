use gander_model::{SessionId, WindowId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A place on the user's screen.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Window {
    /// Its id.
    #[schema(value_type = String)]
    pub id: WindowId,
    /// Its place in the order.
    pub ordinal: u64,
    /// What it shows.
    #[schema(value_type = Option<String>)]
    pub session_id: Option<SessionId>,
    /// Not closed by the user.
    pub open: bool,
    /// A page shows it at this moment.
    pub attached: bool,
    /// Whatever the page saved.
    #[schema(value_type = Option<Object>)]
    pub geometry: Option<Value>,
    /// Whatever the page saved.
    #[schema(value_type = Option<Object>)]
    pub scroll: Option<Value>,
    /// Its draft for the session that it shows.
    pub draft: Option<super::Draft>,
    /// From where changes go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// All windows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Windows {
    /// In order; closed ones after the open ones, last closed first.
    pub windows: Vec<Window>,
    /// The one that had the focus last.
    #[schema(value_type = Option<String>)]
    pub focused: Option<WindowId>,
    /// From where changes go on.
    pub cursor: String,
}

/// A new window: on a session, or with a new chat.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWindow {
    /// Show this session.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub session_id: Option<SessionId>,
    /// Else a new chat in this folder.
    #[serde(default)]
    pub cwd: Option<String>,
    /// Else a new chat with this agent.
    #[serde(default)]
    pub agent: Option<String>,
}

/// What of a window is changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowPatch {
    /// Its place on the screen.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub geometry: Option<Value>,
    /// Its place in the order.
    #[serde(default)]
    pub ordinal: Option<u64>,
    /// Its place in the conversation.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub scroll: Option<Value>,
}

/// What a new chat starts with.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChat {
    /// The default agent when left out.
    #[serde(default)]
    pub agent: Option<String>,
    /// The default folder when left out.
    #[serde(default)]
    pub cwd: Option<String>,
}

/// Which session a window shows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowBody {
    /// The session.
    #[schema(value_type = String)]
    pub session_id: SessionId,
}

/// What is moved from a window, and where to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveSession {
    /// The session that the window shows. One that it does not show any more is not moved.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// The open window to move it to; a new one when left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub to: Option<WindowId>,
}

/// A session was moved from one window to another.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Moved {
    /// The window that shows it now.
    pub window: Window,
    /// The window that showed it, with its own new chat.
    pub from: Window,
}

/// A window and the session that it shows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WindowSession {
    /// The window.
    pub window: Window,
    /// The session.
    pub session: super::Session,
}
