//! Agents that no agent should be, for this crate's tests: `odd_agent MODE`. Plain lines, without the official crate.

use std::io::{BufRead, Write};
use std::time::Duration;

use serde_json::{Value, json};

struct Odd {
    out: std::io::Stdout,
    mode: String,
    /// The prompt that goes on when the user has answered.
    asking: Option<Value>,
    prompts: u32,
}

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let mut odd = Odd { out: std::io::stdout(), mode, asking: None, prompts: 0 };
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        match message["method"].as_str() {
            // Answers to what we asked for are passed over, but for one.
            None => odd.answered(),
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
            "all" if self.prompts == 0 => {
                self.prompts += 1;
                self.all_there_is(session);
                self.asking = Some(id.clone());
                let options = json!([{"optionId": "yes", "name": "Yes", "kind": "allow_once"}]);
                let asked = json!({"sessionId": session, "toolCall": {"toolCallId": "t1"}, "options": options});
                return self.print(
                    &json!({"jsonrpc": "2.0", "id": 900, "method": "session/request_permission", "params": asked}),
                );
            }
            _ => self.say(session, "hello"),
        }
        self.answer(id, json!({"stopReason": "end_turn"}));
        if self.mode == "all" {
            self.say(session, "four, late");
        }
    }

    /// One of everything that a turn can be told, and two of what could be taken for a repetition.
    fn all_there_is(&mut self, session: &str) {
        let image = json!({"type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo="});
        let tool = |tag: &str, more: Value| {
            let mut update = json!({"sessionUpdate": tag, "toolCallId": "t1"});
            for (name, value) in more.as_object().into_iter().flatten() {
                update[name] = value.clone();
            }
            update
        };
        let diff = json!({"content": [{"type": "diff", "path": "/a", "oldText": "a", "newText": "b"}]});
        self.say(session, "one ");
        for update in [
            json!({"sessionUpdate": "agent_message_chunk", "content": image}),
            json!({"sessionUpdate": "agent_message_chunk", "content": image}),
            json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "two"}}),
            tool("tool_call", json!({"title": "Edit", "status": "pending"})),
            tool("tool_call_update", diff.clone()),
            tool("tool_call_update", diff),
            tool("tool_call_update", json!({"locations": [{"path": "/a", "line": 1}]})),
            json!({"sessionUpdate": "plan", "entries": []}),
            json!({"sessionUpdate": "plan", "entries": [{"content": "x", "priority": "low", "status": "pending"}]}),
            json!({"sessionUpdate": "agent_thought_chunk", "content": image}),
            json!({"sessionUpdate": "usage_update", "used": 1, "size": 2}),
            tool("tool_call_update", json!({"status": "completed"})),
        ] {
            self.update(session, update);
        }
        // More than anybody would look back over.
        for n in 0..40 {
            self.update(session, json!({"sessionUpdate": "current_mode_update", "currentModeId": format!("mode {n}")}));
        }
    }

    fn answered(&mut self) {
        let Some(id) = self.asking.take() else { return };
        self.say("same", "three");
        self.update("same", json!({"sessionUpdate": "session_info_update", "title": "All there is"}));
        self.answer(&id, json!({"stopReason": "end_turn"}));
    }
}
