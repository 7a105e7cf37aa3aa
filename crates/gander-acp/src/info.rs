//! What an agent says of itself in its answer to `initialize`.

use serde_json::Value;

/// An agent's own description. Capabilities are advice: some are advertised and fail, some work unadvertised.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AgentInfo {
    /// Its program name, if it said one.
    pub name: Option<String>,
    /// Its name for people.
    pub title: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The protocol version that was agreed on.
    pub protocol: u16,
    /// `session/load` is offered.
    pub load: bool,
    /// `session/resume` is offered.
    pub resume: bool,
    /// `session/close` is offered.
    pub close: bool,
    /// `session/list` is offered.
    pub list: bool,
    /// `session/delete` is offered.
    pub delete: bool,
    /// Images may be part of a prompt.
    pub image: bool,
    /// Embedded resources may be part of a prompt.
    pub embedded_context: bool,
    /// How a user can log in to it.
    pub auth_methods: Vec<AuthMethod>,
    /// The whole answer.
    pub raw: Value,
}

/// A way to log in to an agent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AuthMethod {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What the user has to know.
    pub description: Option<String>,
}

impl AgentInfo {
    /// Reads the answer to `initialize`, leniently: what is missing or of an unexpected type is absent.
    pub(crate) fn read(raw: Value) -> Self {
        let text = |at: &str| raw.pointer(at).and_then(Value::as_str).map(str::to_owned);
        // A capability is offered when it is present and neither null nor false: `{}` means yes.
        let has = |at: &str| !matches!(raw.pointer(at), None | Some(Value::Null | Value::Bool(false)));
        Self {
            name: text("/agentInfo/name"),
            title: text("/agentInfo/title"),
            version: text("/agentInfo/version"),
            protocol: raw
                .pointer("/protocolVersion")
                .and_then(Value::as_u64)
                .and_then(|v| v.try_into().ok())
                .unwrap_or(0),
            load: has("/agentCapabilities/loadSession"),
            resume: has("/agentCapabilities/sessionCapabilities/resume"),
            close: has("/agentCapabilities/sessionCapabilities/close"),
            list: has("/agentCapabilities/sessionCapabilities/list"),
            delete: has("/agentCapabilities/sessionCapabilities/delete"),
            image: has("/agentCapabilities/promptCapabilities/image"),
            embedded_context: has("/agentCapabilities/promptCapabilities/embeddedContext"),
            auth_methods: raw
                .pointer("/authMethods")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|method| {
                    let field = |name: &str| method.get(name).and_then(Value::as_str).map(str::to_owned);
                    let id = field("id")?;
                    Some(AuthMethod {
                        name: field("name").unwrap_or_else(|| id.clone()),
                        description: field("description"),
                        id,
                    })
                })
                .collect(),
            raw,
        }
    }
}
