//! Following one turn to its end: its text as it comes, its permission requests, how it ended.

use std::collections::HashMap;
use std::io::IsTerminal;

use serde_json::{Value, json};

use super::Context;
use super::transcript::{request, tool_call, updates_text};
use crate::ask;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::style::{Style, lines, one_line};
use crate::view::{self, Permission, Session};

/// Follows the turn that `sent` speaks of, from a cursor before it. `alone`: nobody else could answer its requests.
pub async fn for_turn(
    client: &Client,
    context: &Context<'_>,
    sent: &Value,
    cursor: &str,
    alone: bool,
) -> Result<Outcome, Failure> {
    let text = |name: &str| sent[name].as_str().unwrap_or_default().to_owned();
    let mut turn = Turn {
        session: text("session_id"),
        id: text("turn_id"),
        alone,
        answer: String::new(),
        printed: HashMap::new(),
        asked: HashMap::new(),
        answered: Vec::new(),
    };
    let mut changes = client.changes(cursor).await?;
    let ended = loop {
        let Some(change) = changes.next().await? else {
            return Err(Failure::new(
                "Gander stopped before the turn had ended.",
                "What came is saved: start Gander and open the session.",
            ));
        };
        if change["type"] == "reset" {
            return Err(Failure::new(
                "The turn could not be followed to its end.",
                format!("Read on: gander sessions show {}", turn.session),
            ));
        }
        if change["session_id"] != turn.session.as_str() {
            continue;
        }
        if let Some(ended) =
            turn.take(&change["data"], change["type"].as_str().unwrap_or_default(), client, context).await?
        {
            break ended;
        }
    };
    let state = ended["state"].as_str().unwrap_or("ended").to_owned();
    let result = json!({"session_id": turn.session, "turn_id": turn.id, "state": state, "stop_reason": ended["stop_reason"], "text": turn.answer});
    if state != "ended" {
        let why = ended["error"]["message"].as_str().or(ended["reason"].as_str()).unwrap_or_default();
        let failure = Failure::new(
            format!("The turn ended {}.", state.replace('_', " ")),
            format!("What came is saved: gander sessions show {}", turn.session),
        );
        return Err(Failure { problem: context.output.is_json().then_some(result), ..failure.why(why) });
    }
    context.output.result(&result, || if turn.answer.ends_with('\n') { String::new() } else { "\n".to_owned() });
    context.output.note(&format!("Session {}", turn.session));
    Ok(Outcome::Done)
}

struct Turn {
    session: String,
    id: String,
    alone: bool,
    /// The agent's messages so far, in the order of arrival.
    answer: String,
    /// How many bytes of each message are in the answer.
    printed: HashMap<String, usize>,
    /// What each permission request is about, by its open item.
    asked: HashMap<String, String>,
    /// Permission requests that were dealt with.
    answered: Vec<String>,
}

impl Turn {
    /// Takes a change of this session; gives the end of the turn.
    async fn take(
        &mut self,
        data: &Value,
        kind: &str,
        client: &Client,
        context: &Context<'_>,
    ) -> Result<Option<Value>, Failure> {
        match kind {
            "open_item" if data["turn"] == self.id.as_str() && data["kind"] == "message" => {
                let from = data["from"].as_u64().and_then(|from| usize::try_from(from).ok()).unwrap_or(0);
                self.message(&data["item"], from, data["text"].as_str().unwrap_or_default(), context);
            }
            "open_item" if data["kind"] == "permission" => {
                let item = data["item"].as_str().unwrap_or_default().to_owned();
                self.asked.insert(item, request(&data["updates"][0]["tool_call"], Style::of(&std::io::stderr())));
            }
            "entry" => {
                let body: Value =
                    data["body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
                if body["turn"] != self.id.as_str() {
                    return Ok(None);
                }
                match data["kind"].as_str() {
                    Some("turn_ended") => return Ok(Some(body["data"].clone())),
                    // A short one may come whole, without ever having been open.
                    Some("message") => self.message(&body["item"], 0, &updates_text(&body["data"]), context),
                    Some("tool_call") => context.output.note(&tool_call(&body["data"])),
                    _ => {}
                }
            }
            "session" => {
                let session: Session = view::read(data)?;
                for permission in
                    session.turn.filter(|turn| turn.id == self.id).map(|turn| turn.permissions).unwrap_or_default()
                {
                    self.permission(&permission, client, context).await?;
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// Takes a message's text from a byte on, and prints what was not printed of it.
    fn message(&mut self, item: &Value, from: usize, text: &str, context: &Context<'_>) {
        let item = item.as_str().unwrap_or_default().to_owned();
        // Messages are set apart by one empty line.
        if !self.printed.contains_key(&item) && !self.answer.is_empty() {
            let ended = self.answer.len() - self.answer.trim_end_matches('\n').len();
            self.print(&"\n".repeat(2_usize.saturating_sub(ended)), context);
        }
        let printed = self.printed.get(&item).copied().unwrap_or(0);
        let Some(rest) = printed.checked_sub(from).and_then(|known| text.get(known..)) else { return };
        self.printed.insert(item, printed + rest.len());
        self.print(rest, context);
    }

    fn print(&mut self, text: &str, context: &Context<'_>) {
        self.answer.push_str(text);
        if !context.output.is_json() {
            context.output.print(&lines(text));
        }
    }

    /// Answers a request: `--yes` allows it once, a person is asked, and where nobody could ever answer it is rejected.
    async fn permission(
        &mut self,
        permission: &Permission,
        client: &Client,
        context: &Context<'_>,
    ) -> Result<(), Failure> {
        if self.answered.contains(&permission.id) {
            return Ok(());
        }
        self.answered.push(permission.id.clone());
        let of_kind = |kind: &str| permission.options.iter().find(|option| option.kind == kind);
        let chosen = if context.yes {
            of_kind("allow_once").or_else(|| of_kind("allow_always"))
        } else if std::io::stdin().is_terminal() && !context.output.is_json() {
            choose(self.asked.get(&permission.item).map_or("a permission\n", String::as_str), permission)
        } else if self.alone {
            context
                .output
                .note("The agent asks for a permission and nobody is here to give it: rejected. --yes allows it once.");
            of_kind("reject_once").or_else(|| of_kind("reject_always"))
        } else {
            context.output.note("The agent asks for a permission: answer it in a window.");
            return Ok(());
        };
        let Some(option) = chosen else {
            client.post(&format!("sessions/{}/turns/{}/cancel", self.session, self.id), &json!({})).await?;
            return Ok(());
        };
        let path = format!("sessions/{}/permissions/{}", self.session, permission.id);
        match client.post(&path, &json!({"option_id": option.option_id})).await {
            // Somebody was faster in a window.
            Err(failure) if failure.is("permission_closed") => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

/// What a person chooses; nothing means: stop the turn.
fn choose<'a>(what: &str, permission: &'a Permission) -> Option<&'a view::PermissionOption> {
    eprint!("\nThe agent asks before it goes on: {what}");
    for (index, option) in permission.options.iter().enumerate() {
        eprintln!("  {}  {}", index + 1, one_line(&option.name));
    }
    loop {
        let answer = ask::answer("Which one? (empty stops the turn) ")?;
        if answer.is_empty() {
            return None;
        }
        let of_kind = |kind: &str| permission.options.iter().find(|option| option.kind == kind);
        let chosen = match answer.to_lowercase().as_str() {
            "y" | "yes" => of_kind("allow_once"),
            "n" | "no" => of_kind("reject_once"),
            number => number.parse::<usize>().ok().and_then(|n| permission.options.get(n.checked_sub(1)?)),
        };
        if chosen.is_some() {
            return chosen;
        }
        eprintln!("“{}” is none of them: type a number from 1 to {}.", one_line(&answer), permission.options.len());
    }
}
