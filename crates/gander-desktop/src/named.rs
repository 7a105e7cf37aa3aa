//! What a person named: a folder, a session, a link to one, or nothing.

use serde_json::json;

use crate::http::{Error, Server, encode};

/// Shows what was named: a folder (a new chat in it), a session by id or whole name, a link to one; nothing: the window that
/// had the focus last.
pub async fn show(server: &Server, what: &str) -> Result<(), String> {
    let words = |error: Error| error.to_string();
    if what.is_empty() {
        let all = server.get("windows").await.map_err(words)?;
        let open = all["windows"].as_array().and_then(|windows| windows.iter().find(|window| window["open"] == true));
        let id = all["focused"].as_str().or_else(|| open?["id"].as_str());
        let shown = match id {
            Some(id) => server.post(&format!("windows/{id}/focus"), &json!({})).await,
            None => server.post("windows", &json!({})).await,
        };
        return shown.map(drop).map_err(words);
    }
    let named = what.strip_prefix("gander://session/").map(|rest| rest.trim_end_matches('/'));
    if named.is_none() && std::path::Path::new(what).is_dir() {
        let folder = std::path::absolute(what).map_err(|error| format!("{what} cannot be opened: {error}."))?;
        return server.post("windows", &json!({"cwd": folder})).await.map(drop).map_err(words);
    }
    let session = resolve(server, named.unwrap_or(what)).await?;
    open_session(server, &session).await.map_err(words)
}

/// The window that shows a session comes to the front, or a new one shows it.
pub async fn open_session(server: &Server, session: &str) -> Result<(), Error> {
    let all = server.get("windows").await?;
    let windows = all["windows"].as_array().cloned().unwrap_or_default();
    let shown = windows.iter().find(|window| window["open"] == true && window["session_id"] == session);
    match shown.and_then(|window| window["id"].as_str()) {
        Some(id) => server.post(&format!("windows/{id}/focus"), &json!({})).await,
        None => server.post("windows", &json!({"session_id": session})).await,
    }
    .map(drop)
}

/// The id of the session that a person named.
async fn resolve(server: &Server, named: &str) -> Result<String, String> {
    let is_id = named.len() == 36 && named.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_id {
        return Ok(named.to_lowercase());
    }
    let found = server.get(&format!("sessions?status=all&limit=500&q={}", encode(named))).await;
    let found = found.map_err(|error| error.to_string())?;
    let all = found["sessions"].as_array().cloned().unwrap_or_default();
    let ids: Vec<&str> =
        all.iter().filter(|session| session["name"] == named).filter_map(|s| s["id"].as_str()).collect();
    match ids.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(format!("No folder is named \"{named}\", and no session has this id or name.")),
        _ => Err(format!("Several sessions are named \"{named}\". Open the one you mean from the list.")),
    }
}
