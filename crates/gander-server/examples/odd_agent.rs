//! Agents that no agent should be, for this crate's tests: `odd_agent MODE`. Plain lines, without the official crate.

use std::io::{BufRead, Write};
use std::time::Duration;

use serde_json::{Value, json};

struct Odd {
    out: std::io::Stdout,
    mode: String,
}

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let mut odd = Odd { out: std::io::stdout(), mode };
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        match message["method"].as_str() {
            // Answers to what we asked for are passed over.
            None => {}
            Some(method) => odd.asked(method, &message["id"], &message["params"]),
        }
    }
}

impl Odd {
    fn print(&mut self, message: &Value) {
        let _ = writeln!(self.out, "{message}");
        let _ = self.out.flush();
    }

    fn answer(&mut self, id: &Value, result: Value) {
        self.print(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn update(&mut self, session: &str, update: Value) {
        let params = json!({"sessionId": session, "update": update});
        self.print(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}));
    }

    fn say(&mut self, session: &str, text: &str) {
        let content = json!({"type": "text", "text": text});
        self.update(session, json!({"sessionUpdate": "agent_message_chunk", "content": content}));
    }

    fn asked(&mut self, method: &str, id: &Value, params: &Value) {
        match method {
            // Deaf: answers nothing at all.
            _ if self.mode == "deaf" => std::thread::sleep(Duration::from_secs(3600)),
            "initialize" => self.answer(id, json!({"protocolVersion": 1, "agentCapabilities": {}})),
            "session/new" => {
                if self.mode == "greeter" {
                    self.say("same", "Welcome! ");
                }
                if self.mode == "stray" {
                    self.say("somebody else's", "too early");
                    self.update(
                        "somebody else's",
                        json!({"sessionUpdate": "session_info_update", "title": "Not yours"}),
                    );
                }
                self.answer(id, json!({"sessionId": "same"}));
            }
            "session/delete" if self.mode == "keeps" => {
                let error = json!({"code": -32601, "message": "Method not found"});
                self.print(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
            }
            "session/prompt" => self.prompt(id, params["sessionId"].as_str().unwrap_or_default()),
            _ => {}
        }
    }

    fn prompt(&mut self, id: &Value, session: &str) {
        match self.mode.as_str() {
            "stray" => {
                self.say("somebody else's", "not for you");
                let options = json!([{"optionId": "yes", "name": "Yes", "kind": "allow_once"}]);
                let asked =
                    json!({"sessionId": "somebody else's", "toolCall": {"toolCallId": "x"}, "options": options});
                self.print(
                    &json!({"jsonrpc": "2.0", "id": 900, "method": "session/request_permission", "params": asked}),
                );
                self.say(session, "for you");
            }
            "offers" => {
                let named = if session == "same" { "/tidy" } else { "other" };
                let commands = json!([{"name": named, "description": "Tidy up", "input": {"hint": "FOLDER"}}]);
                self.update(
                    session,
                    json!({"sessionUpdate": "available_commands_update", "availableCommands": commands}),
                );
                self.say(session, "hello");
            }
            "flood" => {
                for n in 0..20_000 {
                    self.say(session, &format!("{n:05} "));
                }
            }
            "quitter" => std::process::exit(0),
            _ => self.say(session, "hello"),
        }
        self.answer(id, json!({"stopReason": "end_turn"}));
    }
}
