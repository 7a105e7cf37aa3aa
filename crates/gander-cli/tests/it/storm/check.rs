//! What is there after a start, compared with what the clients know.

use std::collections::{BTreeMap, BTreeSet};

use gander_testing::client::Client;
use serde_json::Value;

use super::ledger::{Ledger, Prompt};

struct Found {
    session: Value,
    entries: Vec<Value>,
    queue: Vec<Value>,
    drafts: Vec<Value>,
}

pub fn everything_is_there(server: &Client, ledger: &Ledger, when: &str) {
    let list = get(server, "sessions?status=all&limit=500");
    assert!(list["next"].is_null(), "{when}: more sessions than one page");
    assert_eq!(list["hidden"], 0, "{when}");
    let found: BTreeMap<String, Found> = list["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| {
            let id = session["id"].as_str().unwrap().to_owned();
            let entries = entries(server, &id);
            let queue = get(server, &format!("sessions/{id}/queue"))["items"].as_array().unwrap().clone();
            let drafts = get(server, &format!("sessions/{id}/drafts"))["drafts"].as_array().unwrap().clone();
            (id, Found { session: session.clone(), entries, queue, drafts })
        })
        .collect();
    let health = get(server, "health");
    let audit = &health["audit"];
    let sum: u64 =
        ["active", "archived", "trashed", "quarantined"].iter().filter_map(|name| audit[name].as_u64()).sum();
    assert_eq!(audit["on_disk"].as_u64(), Some(sum), "{when}: {health}");
    assert_eq!(sum, found.len() as u64, "{when}: {health}");
    assert_eq!(audit["quarantined"], 0, "{when}");

    sessions(ledger, &found, when);
    windows(server, ledger, &found, when);
    prompts(ledger, &found, when);
    answers(ledger, &found, when);
    shown(ledger, &found, when);
}

fn get(server: &Client, path: &str) -> Value {
    let answer = server.ask("GET", path, None).unwrap();
    assert!(answer.is_ok(), "{path}: {}", answer.text());
    answer.json()
}

fn entries(server: &Client, session: &str) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().map_or(0, |entry| entry["seq"].as_u64().unwrap());
        let page = get(server, &format!("sessions/{session}/entries?after={after}&limit=500"));
        assert_eq!(page["verified"], true, "{page}");
        assert_eq!(page["open_items"].as_array().unwrap().len(), 0, "an open item outlived a restart");
        all.extend(page["entries"].as_array().unwrap().iter().cloned());
        if page["next"].is_null() {
            return all;
        }
    }
}

fn body(entry: &Value) -> Value {
    serde_json::from_str(entry["body"].as_str().unwrap()).unwrap()
}

fn sessions(ledger: &Ledger, found: &BTreeMap<String, Found>, when: &str) {
    for (id, chat) in &ledger.sessions {
        let session = &found.get(id).unwrap_or_else(|| panic!("{when}: session {id} is gone")).session;
        let name = session["name"].as_str().unwrap();
        if session["named_by"] == "user" {
            assert!(chat.name.may_be(&name.to_owned()), "{when}: {id} is named {name:?}, not {:?}", chat.name);
        } else {
            assert!(!ledger.named.contains(id), "{when}: {id} lost its name {:?} to {name:?}", chat.name);
            let of_another =
                ledger.prompts.iter().any(|(turn, prompt)| prompt.session != *id && name.contains(turn.as_str()));
            assert!(!of_another, "{when}: {id} has another session's name {name:?}");
        }
        if !chat.status.0.is_empty() {
            let status = session["status"].as_str().unwrap().to_owned();
            assert!(chat.status.may_be(&status), "{when}: {id} is {status}, not {:?}", chat.status);
        }
    }
}

fn windows(server: &Client, ledger: &Ledger, found: &BTreeMap<String, Found>, when: &str) {
    let listed = get(server, "windows")["windows"].as_array().unwrap().clone();
    for (id, known) in &ledger.windows {
        let window = listed.iter().find(|window| window["id"] == id.as_str());
        let window = window.unwrap_or_else(|| panic!("{when}: window {id} is gone"));
        let session = window["session_id"].as_str().unwrap().to_owned();
        // An empty text stands for a new chat whose answer never came: a session that nobody knew.
        let new = known.session.may_be(&String::new()) && !ledger.sessions.contains_key(&session);
        let own_again = known.session.may_be(&String::new()) && found[&session].session["owner_window"] == id.as_str();
        assert!(
            new || own_again || known.session.may_be(&session),
            "{when}: window {id} shows {session}, not {:?}",
            known.session
        );
        assert!(known.open.may_be(&window["open"].as_bool().unwrap()), "{when}: {window}, not {:?}", known.open);
        assert!(known.scroll.may_be(&window["scroll"]), "{when}: {window}, not {:?}", known.scroll);
        for (session, draft) in &known.drafts {
            let kept = found[session].drafts.iter().find(|kept| kept["window_id"] == id.as_str());
            let text = kept.map_or("", |kept| kept["text"].as_str().unwrap());
            let is = draft.0.iter().any(|(rev, known)| known == text && kept.is_none_or(|kept| kept["rev"] == *rev));
            assert!(is, "{when}: the draft of {session} in {id} is {kept:?}, not {draft:?}");
        }
    }
    for (id, session) in found {
        for draft in &session.drafts {
            let text = draft["text"].as_str().unwrap();
            assert!(text.contains(id.as_str()), "{when}: {id} has the draft of another session: {text}");
        }
    }
}

/// Each acknowledged prompt is there once, in its own session: as an entry, or waiting in the queue in its order.
fn prompts(ledger: &Ledger, found: &BTreeMap<String, Found>, when: &str) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (id, session) in found {
        let content_of = |data: &Value| data["content"][0]["text"].as_str().unwrap().to_owned();
        let entries = session.entries.iter().filter(|entry| entry["kind"] == "prompt").map(body);
        let entries = entries.map(|body| (body["turn"].as_str().unwrap().to_owned(), content_of(&body["data"])));
        let waiting = session.queue.iter().map(|item| (item["turn_id"].as_str().unwrap().to_owned(), content_of(item)));
        for (turn, text) in entries.chain(waiting) {
            let known = ledger.prompts.get(&turn).unwrap_or_else(|| panic!("{when}: nobody sent {turn}: {text}"));
            assert_eq!((&known.session, &known.text), (id, &text), "{when}: turn {turn}");
            assert!(seen.insert(turn.clone()), "{when}: turn {turn} is there twice");
        }
        let order: Vec<&Prompt> =
            session.queue.iter().map(|item| &ledger.prompts[item["turn_id"].as_str().unwrap()]).collect();
        for (at, later) in order.iter().enumerate() {
            let overtaken =
                order[..at].iter().find(|earlier| earlier.window == later.window && earlier.number > later.number);
            assert!(overtaken.is_none(), "{when}: the queue of {id} changed its order");
        }
    }
    for (turn, prompt) in &ledger.prompts {
        let may_be_gone = !prompt.acknowledged || prompt.withdrawn;
        assert!(may_be_gone || seen.contains(turn), "{when}: turn {turn} was acknowledged and is gone: {prompt:?}");
    }
}

/// What an agent said stands in the turn and session that it was said in.
fn answers(ledger: &Ledger, found: &BTreeMap<String, Found>, when: &str) {
    for (id, session) in found {
        for entry in session.entries.iter().filter(|entry| entry["kind"] == "message" || entry["kind"] == "thought") {
            let body = body(entry);
            let said = text_of(&body);
            match body["turn"].as_str() {
                Some(turn) => {
                    let sent = ledger.prompts.get(turn).map(|prompt| &prompt.session);
                    assert_eq!(sent, Some(id), "{when}: an answer of a turn stands in another session: {entry}");
                }
                // What came after its turn, or what only the agent had kept of it when the server was killed.
                None => {
                    assert!(body["late"] == true || body["elsewhere"] == true, "{when}: an answer of no turn: {entry}")
                }
            }
            // An agent that lost its memory is handed the transcript and may quote earlier turns, of this session alone.
            for part in said.split("mark-").skip(1) {
                let mark: String = part.chars().take(36).collect();
                let Some(prompt) = ledger.prompts.get(&mark) else { continue };
                assert_eq!(&prompt.session, id, "{when}: an answer stands in another session: {said}");
            }
        }
    }
}

fn text_of(body: &Value) -> String {
    let updates = body["data"].as_array().unwrap();
    updates.iter().filter_map(|update| update["content"]["text"].as_str()).collect()
}

fn shown(ledger: &Ledger, found: &BTreeMap<String, Found>, when: &str) {
    for ((session, seq), (hash, body)) in &ledger.shown.entries {
        let entry = found[session].entries.iter().find(|entry| entry["seq"] == *seq);
        let entry = entry.unwrap_or_else(|| panic!("{when}: entry {seq} of {session} was shown and is gone"));
        assert_eq!(
            (entry["hash"].as_str(), entry["body"].as_str()),
            (Some(hash.as_str()), Some(body.as_str())),
            "{when}"
        );
    }
    for (item, (session, text)) in &ledger.shown.items {
        let entry = found[session].entries.iter().map(self::body).find(|body| body["item"] == item.as_str());
        let body = entry.unwrap_or_else(|| panic!("{when}: item {item} of {session} was shown and is gone: {text}"));
        let kept = text_of(&body);
        assert!(kept.starts_with(text.as_str()), "{when}: {text:?} was shown, {kept:?} is kept");
    }
}
