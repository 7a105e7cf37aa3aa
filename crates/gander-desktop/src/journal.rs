//! What the journal says of windows and sessions, as far as native windows need it.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

/// A window of the journal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Window {
    pub id: String,
    pub ordinal: u64,
    pub session_id: Option<String>,
    pub open: bool,
    #[serde(default)]
    pub geometry: Value,
}

/// A session of the journal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Session {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub preview: String,
    #[serde(default)]
    pub running: bool,
    #[serde(default)]
    pub interrupted: Option<String>,
    #[serde(default)]
    pub turn: Option<Turn>,
}

/// A turn that runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Turn {
    #[serde(default)]
    pub permissions: Vec<Value>,
}

impl Session {
    /// What a person calls it.
    pub fn title(&self) -> &str {
        match (self.name.as_str(), self.preview.as_str()) {
            ("", "") => "Untitled",
            ("", preview) => preview,
            (name, _) => name,
        }
    }

    fn asks(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| !turn.permissions.is_empty())
    }
}

/// What is worth telling somebody who looks elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    Done,
    Interrupted,
    AsksPermission,
}

/// Windows and sessions, kept by the changes.
#[derive(Debug, Default)]
pub struct Known {
    windows: HashMap<String, Window>,
    sessions: HashMap<String, Session>,
    pub focused: Option<String>,
}

impl Known {
    /// Everything, as it was read.
    pub fn read(&mut self, windows: &Value, sessions: &Value) {
        self.windows = list(&windows["windows"]).map(|window: Window| (window.id.clone(), window)).collect();
        self.sessions = list(&sessions["sessions"]).map(|session: Session| (session.id.clone(), session)).collect();
        self.focused = windows["focused"].as_str().map(str::to_owned);
    }

    /// A window as it is now.
    pub fn window(&mut self, data: &Value) -> Option<Window> {
        let window: Window = serde_json::from_value(data.clone()).ok()?;
        self.windows.insert(window.id.clone(), window.clone());
        Some(window)
    }

    /// A session as it is now, and whether that is news.
    pub fn session(&mut self, data: &Value) -> Option<(Session, Option<News>)> {
        let session: Session = serde_json::from_value(data.clone()).ok()?;
        let before = self.sessions.insert(session.id.clone(), session.clone());
        let was_running = before.as_ref().is_some_and(|before| before.running);
        let asked = before.as_ref().is_some_and(Session::asks);
        let news = match (was_running, session.running) {
            _ if session.asks() && !asked => Some(News::AsksPermission),
            (true, false) if session.interrupted.is_some() => Some(News::Interrupted),
            (true, false) => Some(News::Done),
            _ => None,
        };
        Some((session, news))
    }

    /// The open windows, in order.
    pub fn open(&self) -> Vec<&Window> {
        let ordered: BTreeMap<_, _> = self
            .windows
            .values()
            .filter(|window| window.open)
            .map(|window| ((window.ordinal, &window.id), window))
            .collect();
        ordered.into_values().collect()
    }

    pub fn get(&self, window: &str) -> Option<&Window> {
        self.windows.get(window)
    }

    /// The open window that shows a session.
    pub fn showing(&self, session: &str) -> Option<&Window> {
        self.open().into_iter().find(|window| window.session_id.as_deref() == Some(session))
    }

    /// What a window's title is until its page says.
    pub fn title(&self, window: &Window) -> String {
        let session = window.session_id.as_ref().and_then(|id| self.sessions.get(id));
        session.map_or_else(|| "Gander".to_owned(), |session| format!("{} · Gander", session.title()))
    }

    /// The sessions in which a turn runs.
    pub fn running(&self) -> Vec<&Session> {
        self.sessions.values().filter(|session| session.running).collect()
    }
}

fn list<T: serde::de::DeserializeOwned>(value: &Value) -> impl Iterator<Item = T> {
    let items = value.as_array().cloned().unwrap_or_default();
    items.into_iter().filter_map(|item| serde_json::from_value(item).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Known, News};

    fn known() -> Known {
        let mut known = Known::default();
        let windows = json!({"focused": "b", "windows": [
            {"id": "b", "ordinal": 2, "session_id": "s2", "open": true},
            {"id": "a", "ordinal": 1, "session_id": "s1", "open": true, "geometry": {"x": 1}},
            {"id": "c", "ordinal": 3, "session_id": null, "open": false}]});
        let sessions =
            json!({"sessions": [{"id": "s1", "name": "One", "running": true}, {"id": "s2", "preview": "two?"}]});
        known.read(&windows, &sessions);
        known
    }

    #[test]
    fn open_windows_are_in_order_and_named() {
        let known = known();
        let named: Vec<_> = known.open().iter().map(|window| known.title(window)).collect();
        assert_eq!(named, ["One · Gander", "two? · Gander"]);
        assert_eq!(known.showing("s2").map(|window| window.id.as_str()), Some("b"));
        assert_eq!(known.running().len(), 1);
    }

    #[test]
    fn the_end_of_a_turn_and_a_question_are_news_once() {
        let mut known = known();
        let mut news = |data: Value| known.session(&data).unwrap().1;
        let asking = json!({"id": "s1", "running": true, "turn": {"permissions": [{"id": "p"}]}});
        assert_eq!(news(asking.clone()), Some(News::AsksPermission));
        assert_eq!(news(asking), None);
        assert_eq!(news(json!({"id": "s1", "running": false})), Some(News::Done));
        assert_eq!(news(json!({"id": "s1", "running": false})), None);
        assert_eq!(news(json!({"id": "s1", "running": true})), None);
        assert_eq!(news(json!({"id": "s1", "running": false, "interrupted": "t"})), Some(News::Interrupted));
        assert_eq!(news(json!({"id": "s9", "running": false})), None);
    }
}
