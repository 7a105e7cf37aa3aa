//! One user with a window of their own, who does one thing after the other until the server is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use gander_testing::client::{Answer, Client};
use serde_json::{Value, json};

use super::Random;
use super::ledger::{Ledger, Prompt};

pub struct User {
    pub number: usize,
    pub pid: u32,
    pub server: Client,
    pub ledger: Arc<Mutex<Ledger>>,
    pub random: Random,
    pub killed: Arc<AtomicBool>,
    pub done: mpsc::SyncSender<()>,
}

/// The server is gone, and what was asked may have been done or not.
pub struct Gone;

impl User {
    pub fn work(&mut self) {
        let Ok((window, mut session)) = self.arrive() else { return };
        loop {
            let step = match self.random.below(100) {
                0..40 => self.send(&window, &session),
                40..55 => self.draft(&window, &session),
                55..65 => self.rename(&session),
                65..75 => self.new_chat(&window).map(|new| session = new),
                75..80 => self.show_another(&window).map(|shown| session = shown),
                80..85 => self.change_status(&session),
                85..90 => self.cancel(),
                90..93 => {
                    self.kill_an_agent();
                    Ok(())
                }
                93..96 => self.scroll(&window),
                _ => self.close_and_reopen(&window),
            };
            if step.is_err() {
                return;
            }
        }
    }

    /// Asks; an answer counts. A refusal is an answer, an error of the server is none that may be.
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Answer, Gone> {
        match self.server.ask(method, path, body.as_ref()) {
            Ok(answer) => {
                assert!(answer.status < 500, "{method} {path} {body:?}: {}", answer.text());
                let _ = self.done.try_send(());
                Ok(answer)
            }
            Err(error) => {
                assert!(self.killed.load(Ordering::SeqCst), "{method} {path}: {error}");
                Err(Gone)
            }
        }
    }

    /// The window that this user has, or a new one.
    fn arrive(&mut self) -> Result<(String, String), Gone> {
        let mine = {
            let ledger = self.ledger.lock().unwrap();
            ledger.windows.iter().find(|(_, window)| window.user == self.number).map(|(id, _)| id.clone())
        };
        let window = match mine {
            Some(window) => self.ask("GET", &format!("windows/{window}"), None)?.json(),
            None => {
                let answer = self.ask("POST", "windows", Some(json!({})))?;
                assert!(answer.is_ok(), "{}", answer.text());
                answer.json()
            }
        };
        let (id, session) = (text(&window["id"]), text(&window["session_id"]));
        let mut ledger = self.ledger.lock().unwrap();
        let place = ledger.windows.entry(id.clone()).or_default();
        place.user = self.number;
        place.session.set(session.clone());
        place.open.set(window["open"].as_bool().unwrap());
        place.scroll.set(window["scroll"].clone());
        ledger.sessions.entry(session.clone()).or_default().owner.get_or_insert(self.number);
        Ok((id, session))
    }

    fn send(&mut self, window: &str, session: &str) -> Result<(), Gone> {
        let turn = uuid::Uuid::now_v7().to_string();
        let mark = format!("mark-{turn}");
        let words = "goose ".repeat(self.random.below(60));
        let prompt = match self.random.below(6) {
            0 => format!("/title {mark}\n/echo {mark}"),
            1 => format!("/think {mark} {words}\n/echo {mark}"),
            2 => format!("/echo {mark} {words}\n/big 3000"),
            _ => format!("/echo {mark} {words}"),
        };
        let head = self.ask("GET", &format!("sessions/{session}"), None)?.json()["session"]["head"].clone();
        let (mut body, draft) = {
            let mut ledger = self.ledger.lock().unwrap();
            let number = ledger.prompts.len();
            ledger.prompts.insert(
                turn.clone(),
                Prompt {
                    session: session.to_owned(),
                    window: window.to_owned(),
                    text: prompt.clone(),
                    acknowledged: false,
                    withdrawn: false,
                    number,
                },
            );
            let draft = ledger.windows.get_mut(window).unwrap().drafts.get_mut(session);
            let rev = draft.map(|draft| {
                let rev = draft.0.iter().map(|(rev, _)| *rev).max().unwrap_or(0);
                draft.asked((rev, String::new()));
                rev
            });
            let content = json!([{"type": "text", "text": prompt}]);
            (json!({"turn_id": turn, "window_id": window, "expected_head": head, "content": content}), rev)
        };
        if let Some(rev) = draft {
            body["draft_rev"] = json!(rev);
        }
        let answer = self.ask("POST", &format!("sessions/{session}/turns"), Some(body.clone()))?;
        {
            let mut ledger = self.ledger.lock().unwrap();
            if draft.is_some() {
                ledger.windows.get_mut(window).unwrap().drafts.get_mut(session).unwrap().answered(answer.is_ok());
            }
            if answer.is_ok() {
                ledger.prompts.get_mut(&turn).unwrap().acknowledged = true;
            } else {
                ledger.prompts.remove(&turn);
            }
        }
        if answer.is_ok() && self.random.below(4) == 0 {
            let again = self.ask("POST", &format!("sessions/{session}/turns"), Some(body))?;
            assert_eq!((again.status, again.json()["repeated"].as_bool()), (202, Some(true)), "{}", again.text());
        }
        Ok(())
    }

    fn draft(&mut self, window: &str, session: &str) -> Result<(), Gone> {
        let words = format!("draft of {session} in {window} {}", self.random.next());
        let rev = {
            let mut ledger = self.ledger.lock().unwrap();
            let draft = ledger.windows.get_mut(window).unwrap().drafts.entry(session.to_owned()).or_default();
            let rev = draft.0.iter().map(|(rev, _)| *rev).max().unwrap_or(0) + 1;
            if draft.0.is_empty() {
                draft.set((0, String::new()));
            }
            draft.asked((rev, words.clone()));
            rev
        };
        let body = json!({"session_id": session, "rev": rev, "text": words, "attachments": []});
        let answer = self.ask("PUT", &format!("windows/{window}/draft"), Some(body))?;
        assert!(answer.is_ok(), "{}", answer.text());
        let mut ledger = self.ledger.lock().unwrap();
        ledger.windows.get_mut(window).unwrap().drafts.get_mut(session).unwrap().answered(true);
        Ok(())
    }

    /// A name is given by one user at a time, so that the last one is known.
    fn rename(&mut self, session: &str) -> Result<(), Gone> {
        let name = format!("name of {session} {}", self.random.next());
        if !self.is_owner_of(session) {
            return Ok(());
        }
        self.ledger.lock().unwrap().sessions.get_mut(session).unwrap().name.asked(name.clone());
        let answer = self.ask("PATCH", &format!("sessions/{session}"), Some(json!({"name": name})))?;
        let mut ledger = self.ledger.lock().unwrap();
        ledger.sessions.get_mut(session).unwrap().name.answered(answer.is_ok());
        if answer.is_ok() {
            ledger.named.insert(session.to_owned());
        }
        Ok(())
    }

    /// It began in this user's window: nobody else changes its name and status.
    fn is_owner_of(&self, session: &str) -> bool {
        let ledger = self.ledger.lock().unwrap();
        let chat = &ledger.sessions[session];
        chat.owner == Some(self.number)
    }

    fn new_chat(&mut self, window: &str) -> Result<String, Gone> {
        // Until the answer comes it may be any session that nobody knows of yet.
        {
            let mut ledger = self.ledger.lock().unwrap();
            let place = ledger.windows.get_mut(window).unwrap();
            place.session.asked(String::new());
            // Showing something else begins at its own place.
            place.scroll.0.push(Value::Null);
        }
        let answer = self.ask("POST", &format!("windows/{window}/new-chat"), Some(json!({})))?;
        assert!(answer.is_ok(), "{}", answer.text());
        let session = text(&answer.json()["session"]["id"]);
        let mut ledger = self.ledger.lock().unwrap();
        ledger.windows.get_mut(window).unwrap().session.set(session.clone());
        let owner = ledger.sessions.entry(session.clone()).or_default().owner.get_or_insert(self.number);
        assert_eq!(*owner, self.number, "a new chat is somebody else's session");
        Ok(session)
    }

    fn show_another(&mut self, window: &str) -> Result<String, Gone> {
        let session = {
            let mut ledger = self.ledger.lock().unwrap();
            let which = self.random.below(ledger.sessions.len());
            let session = ledger.sessions.keys().nth(which).unwrap().clone();
            let place = ledger.windows.get_mut(window).unwrap();
            place.session.asked(session.clone());
            place.scroll.0.push(Value::Null);
            session
        };
        let answer = self.ask("PUT", &format!("windows/{window}/session"), Some(json!({"session_id": session})))?;
        assert!(answer.is_ok(), "{}", answer.text());
        self.ledger.lock().unwrap().windows.get_mut(window).unwrap().session.answered(true);
        Ok(session)
    }

    fn change_status(&mut self, session: &str) -> Result<(), Gone> {
        if !self.is_owner_of(session) {
            return Ok(());
        }
        {
            let mut ledger = self.ledger.lock().unwrap();
            let known = &mut ledger.sessions.get_mut(session).unwrap().status;
            if known.0.is_empty() {
                known.set("active".to_owned());
            }
        }
        for status in [["archived", "trashed"][self.random.below(2)], "active"] {
            self.ledger.lock().unwrap().sessions.get_mut(session).unwrap().status.asked(status.to_owned());
            let answer = self.ask("PATCH", &format!("sessions/{session}"), Some(json!({"status": status})))?;
            self.ledger.lock().unwrap().sessions.get_mut(session).unwrap().status.answered(answer.is_ok());
        }
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), Gone> {
        let (session, turn) = {
            let mut ledger = self.ledger.lock().unwrap();
            let mine: Vec<String> = ledger.prompts.keys().rev().take(8).cloned().collect();
            if mine.is_empty() {
                return Ok(());
            }
            let turn = mine[self.random.below(mine.len())].clone();
            let prompt = ledger.prompts.get_mut(&turn).unwrap();
            prompt.withdrawn = true;
            (prompt.session.clone(), turn)
        };
        self.ask("POST", &format!("sessions/{session}/turns/{turn}/cancel"), Some(json!({})))?;
        Ok(())
    }

    fn kill_an_agent(&mut self) {
        let children = std::fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let children = children.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<String> =
            children.flat_map(|pids| pids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
        if !children.is_empty() {
            let pid = &children[self.random.below(children.len())];
            // It may be gone by itself in the meantime.
            let _ = std::process::Command::new("kill").args(["-KILL", pid]).output();
        }
    }

    fn scroll(&mut self, window: &str) -> Result<(), Gone> {
        let place = json!({"at": self.random.below(10_000)});
        self.ledger.lock().unwrap().windows.get_mut(window).unwrap().scroll.asked(place.clone());
        let answer = self.ask("PATCH", &format!("windows/{window}"), Some(json!({"scroll": place})))?;
        self.ledger.lock().unwrap().windows.get_mut(window).unwrap().scroll.answered(answer.is_ok());
        Ok(())
    }

    fn close_and_reopen(&mut self, window: &str) -> Result<(), Gone> {
        self.ledger.lock().unwrap().windows.get_mut(window).unwrap().open.asked(false);
        self.ask("DELETE", &format!("windows/{window}"), None)?;
        self.ledger.lock().unwrap().windows.get_mut(window).unwrap().open.answered(true);
        self.ledger.lock().unwrap().windows.get_mut(window).unwrap().open.asked(true);
        self.ask("POST", &format!("windows/{window}/reopen"), None)?;
        self.ledger.lock().unwrap().windows.get_mut(window).unwrap().open.answered(true);
        Ok(())
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
