use gander_model::{SessionId, WindowId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Something changed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// From where to go on after it. Not there on what is not kept (`hello`, `status`, `ping`, `reset`, `commands`,
    /// `raise`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// `entry`, `open_item`, `session`, `window`, `draft`, `queue`, `finding`, `agents`, `config`;
    /// `hello`, `status`, `ping`, `reset`, `commands`, `raise`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of which session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub session_id: Option<SessionId>,
    /// Of which window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub window_id: Option<WindowId>,
    /// What it is now.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// From where changes are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChangesQuery {
    /// A `cursor`; from now on when left out.
    pub after: Option<String>,
}

/// A one-time code for a browser.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuthCode {
    /// Good once, for a minute.
    pub code: String,
    /// Where a browser takes it to.
    pub url: String,
}

/// The page or place that a one-time code opens.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAuthCode {
    /// A path of this server.
    #[serde(default)]
    pub to: Option<String>,
}

/// Browsers that were let in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Grants {
    /// Newest first.
    pub grants: Vec<Grant>,
}

/// A browser that was let in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// What the browser calls itself.
    pub label: String,
    /// When.
    pub created_at: String,
}
