//! What the clients know: what was acknowledged, what may have happened, and what was shown.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A value that is known, or one of several where the last answer never came.
#[derive(Debug, Clone, Default)]
pub struct Possible<T>(pub Vec<T>);

impl<T: PartialEq + Clone> Possible<T> {
    /// It is asked for.
    pub fn asked(&mut self, value: T) {
        self.0.push(value);
    }

    /// The answer to the last request: done, or refused.
    pub fn answered(&mut self, done: bool) {
        if let Some(last) = self.0.pop()
            && done
        {
            self.0 = vec![last];
        }
    }

    pub fn set(&mut self, value: T) {
        self.0 = vec![value];
    }

    pub fn may_be(&self, value: &T) -> bool {
        self.0.contains(value)
    }
}

#[derive(Debug, Clone)]
pub struct Prompt {
    pub session: String,
    pub window: String,
    pub text: String,
    /// The answer came.
    pub acknowledged: bool,
    /// Somebody asked to cancel it: it may have left the queue.
    pub withdrawn: bool,
    /// In which order they were sent.
    pub number: usize,
}

#[derive(Debug, Default)]
pub struct Window {
    /// Whose it is.
    pub user: usize,
    pub session: Possible<String>,
    pub open: Possible<bool>,
    pub scroll: Possible<Value>,
    /// By session: revision and text.
    pub drafts: BTreeMap<String, Possible<(u64, String)>>,
}

#[derive(Debug, Default)]
pub struct Chat {
    /// The user in whose window it began: only they name it and change its status.
    pub owner: Option<usize>,
    /// The user's names for it.
    pub name: Possible<String>,
    pub status: Possible<String>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub sessions: BTreeMap<String, Chat>,
    pub windows: BTreeMap<String, Window>,
    pub prompts: BTreeMap<String, Prompt>,
    /// Sessions that a user's name was acknowledged for.
    pub named: BTreeSet<String>,
    pub shown: Shown,
}

/// What came over the stream of changes.
#[derive(Debug, Default)]
pub struct Shown {
    pub cursor: Option<String>,
    /// By session and seq: hash and body.
    pub entries: BTreeMap<(String, u64), (String, String)>,
    /// By item: session, and the text that was shown.
    pub items: BTreeMap<String, (String, String)>,
}

impl Shown {
    pub fn take(&mut self, change: &Value) {
        let data = &change["data"];
        let session = change["session_id"].as_str().unwrap_or_default().to_owned();
        match change["type"].as_str().unwrap() {
            "reset" => panic!("the cursor {:?} was not served", self.cursor),
            "entry" => {
                let seq = data["seq"].as_u64().unwrap();
                let said = (data["hash"].as_str().unwrap().to_owned(), data["body"].as_str().unwrap().to_owned());
                self.entries.insert((session, seq), said);
            }
            "open_item" if data["text"].is_string() => {
                let (of, text) = self.items.entry(data["item"].as_str().unwrap().to_owned()).or_default();
                assert!(of.is_empty() || *of == session, "an item of two sessions");
                *of = session;
                assert_eq!(data["from"].as_u64().unwrap(), text.len() as u64, "a gap in what is shown: {change}");
                text.push_str(data["text"].as_str().unwrap());
            }
            _ => {}
        }
        // From now on until a first change: what `hello` says.
        let cursor = change["cursor"].as_str().or(data["cursor"].as_str().filter(|_| change["type"] == "hello"));
        if let Some(cursor) = cursor
            && (change["type"] != "hello" || self.cursor.is_none())
        {
            self.cursor = Some(cursor.to_owned());
        }
    }
}
