//! One prompt: what the agent says, thinks, asks and does until it stops.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use agent_client_protocol::v1::ConnectionTo;
use agent_client_protocol::v1::schema::ContentBlock;
use agent_client_protocol::{Client, Error, UntypedMessage};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::phrases::{COMMANDS, Wish};
use super::serve::{ClientOffers, GREETING, Scratch};

/// Characters in a chunk of an answer: about what a model gives at a time.
const CHUNK: usize = 24;

/// Why a turn stops before its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// The client cancelled it.
    Cancelled,
    /// It ends with a protocol error.
    Error(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

pub(super) type Done<T = ()> = Result<T, Halt>;

/// What to do after the prompt was answered.
pub(super) type After = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

pub(super) struct Turn {
    pub(super) scratch: Scratch,
    pub(super) connection: ConnectionTo<Client>,
    pub(super) session: String,
    pub(super) cwd: PathBuf,
    pub(super) client: ClientOffers,
    pub(super) after: Option<After>,
    cancelled: watch::Receiver<bool>,
    pace: Duration,
    /// The message that is being said: its id and its text so far.
    message: Option<(String, String)>,
    /// What memory keeps of this turn, once it ends.
    kept: Vec<Value>,
    /// Why memory could not keep something.
    forgets: Option<String>,
}

impl Turn {
    pub(super) fn new(scratch: Scratch, connection: ConnectionTo<Client>, session: String) -> Self {
        let opened = scratch.session(&session);
        let (cwd, cancel) =
            opened.map_or_else(|| (PathBuf::from("/"), watch::Sender::new(true)), |s| (s.cwd, s.cancel));
        cancel.send_replace(false);
        let pace = std::env::var("GANDER_SCRATCH_PACE_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or(4);
        Self {
            client: scratch.client(),
            cancelled: cancel.subscribe(),
            scratch,
            connection,
            session,
            cwd,
            after: None,
            pace: Duration::from_millis(pace),
            message: None,
            kept: Vec::new(),
            forgets: None,
        }
    }

    /// Works through the prompt. Gives the answer to it, and what is left to do once it is answered.
    pub(super) async fn run(mut self, prompt: Vec<ContentBlock>) -> (Result<Value, Error>, Option<After>) {
        let text = prompt.iter().filter_map(|block| match block {
            ContentBlock::Text(text) => Some(text.text.as_str()),
            _ => None,
        });
        let text = text.collect::<Vec<_>>().join("\n");
        let others = prompt.iter().filter(|block| !matches!(block, ContentBlock::Text(_))).count();
        let first = self.begin(&prompt, &text);
        let done = async {
            if first {
                self.propose_title(&text).await?;
                self.say(&format!("{GREETING} Say `/help` to see what I can do.\n\n")).await?;
            }
            if others > 0 {
                self.say(&format!("(I cannot look at the {others} attachment(s), but I got them.)\n\n")).await?;
            }
            for wish in Wish::read(&text) {
                self.fulfil(wish).await?;
            }
            Ok(())
        };
        let done: Done = done.await;
        self.end_message();
        let kept = std::mem::take(&mut self.kept);
        self.remember(&kept);
        let done = match (done, self.forgets.take()) {
            (Ok(()), Some(why)) => {
                self.say(&format!("\n(I cannot write my memory, so I will not know this after a restart: {why})\n"))
                    .await
            }
            (done, _) => done,
        };
        let done = match done {
            Ok(()) => self.report_usage().await,
            halted => halted,
        };
        let result = match done {
            Ok(()) => Ok(json!({"stopReason": "end_turn"})),
            Err(Halt::Cancelled) => Ok(json!({"stopReason": "cancelled"})),
            Err(Halt::Error(error)) => Err(error),
        };
        (result, self.after)
    }

    /// Remembers the prompt. Gives whether it is the session's first.
    fn begin(&mut self, prompt: &[ContentBlock], text: &str) -> bool {
        self.remember(&[json!({"prompt": prompt})]);
        let count = text.chars().count() as u64;
        let first = self.scratch.change(&self.session, |session| {
            session.prompts += 1;
            session.characters += count;
            session.prompts == 1
        });
        first.unwrap_or(false)
    }

    /// A full disk must not cost the answer, only the memory of it.
    fn remember(&mut self, lines: &[Value]) {
        if let Err(error) = self.scratch.memory.append(&self.session, lines) {
            self.forgets = Some(error.to_string());
        }
    }

    async fn fulfil(&mut self, wish: Wish) -> Done {
        self.check_cancelled()?;
        match wish {
            Wish::Command { name, argument } => match name.as_str() {
                "help" => self.help().await,
                "echo" => self.say(&format!("{argument}\n")).await,
                "list" | "read" | "grep" | "edit" | "write" | "run" => self.work(&name, &argument).await,
                _ => self.trick(&name, &argument).await,
            },
            Wish::UnknownCommand(name) => {
                self.say(&format!("I have no command `/{name}`. `/help` lists those that I have.\n")).await
            }
            Wish::Hello => self.help().await,
            Wish::Talk(text) if text.is_empty() => self.say("You sent no text.\n").await,
            Wish::Talk(text) => {
                let quoted: String = text.lines().map(|line| format!("> {line}\n")).collect();
                self.say(&format!(
                    "You wrote:\n\n{quoted}\nI have no model, so I cannot answer that. I can **list**, **read**, **grep**, \
                     **edit** and **run** in `{}`. Try `list files`, `read README.md`, `grep TODO` or `run ls -l`.\n",
                    self.cwd.display()
                ))
                .await
            }
        }
    }

    async fn help(&mut self) -> Done {
        let mut text = format!(
            "{GREETING}\nI work in `{}`. Edits and commands ask for your leave first.\n\n\
             Plain words work for the first few: `list files`, `read README.md`, `grep TODO in src`, \
             `edit notes.txt: old => new`, `run ls -l`.\n\n| command | what it does |\n|---|---|\n",
            self.cwd.display()
        );
        for command in COMMANDS {
            let usage = format!("/{} {}", command.name, command.hint);
            text.push_str(&format!("| `{}` | {} |\n", usage.trim(), command.what));
        }
        self.say(&text).await
    }

    // ---- saying

    /// Streams a text as part of the turn's current message.
    pub(super) async fn say(&mut self, text: &str) -> Done {
        let mut rest = text;
        while !rest.is_empty() {
            let cut = rest.char_indices().nth(CHUNK).map_or(rest.len(), |(at, _)| at);
            let (chunk, later) = rest.split_at(cut);
            self.say_chunk(chunk).await?;
            rest = later;
            self.pause(self.pace).await?;
        }
        Ok(())
    }

    /// Sends one chunk of the current message.
    pub(super) async fn say_chunk(&mut self, chunk: &str) -> Done {
        let (id, said) = self.message.get_or_insert_with(|| (uuid::Uuid::now_v7().to_string(), String::new()));
        said.push_str(chunk);
        let content = json!({"type": "text", "text": chunk});
        let update = json!({"sessionUpdate": "agent_message_chunk", "messageId": id, "content": content});
        self.update(update).await
    }

    /// Sends a thought, in chunks.
    pub(super) async fn think(&mut self, text: &str) -> Done {
        let id = uuid::Uuid::now_v7().to_string();
        for word in text.split_inclusive(' ') {
            let content = json!({"type": "text", "text": word});
            self.update(json!({"sessionUpdate": "agent_thought_chunk", "messageId": id, "content": content})).await?;
            self.pause(self.pace).await?;
        }
        Ok(())
    }

    /// Ends the current message: what is said next is another one.
    pub(super) fn end_message(&mut self) {
        if let Some((id, text)) = self.message.take() {
            let count = text.chars().count() as u64;
            self.scratch.change(&self.session, |session| session.characters += count);
            let content = json!({"type": "text", "text": text});
            self.keep(json!({"sessionUpdate": "agent_message_chunk", "messageId": id, "content": content}));
        }
    }

    /// Has memory keep an update for the replay.
    pub(super) fn keep(&mut self, update: Value) {
        self.kept.push(json!({"update": update}));
    }

    /// Sends any update.
    pub(super) async fn update(&mut self, update: Value) -> Done {
        self.check_cancelled()?;
        let mut cancelled = self.cancelled.clone();
        tokio::select! {
            sent = self.scratch.outlet.update(&self.connection, &self.session, update) => Ok(sent?),
            _ = cancelled.wait_for(|cancelled| *cancelled) => Err(Halt::Cancelled),
        }
    }

    pub(super) fn check_cancelled(&self) -> Done {
        if *self.cancelled.borrow() { Err(Halt::Cancelled) } else { Ok(()) }
    }

    pub(super) async fn pause(&mut self, time: Duration) -> Done {
        if time.is_zero() {
            return self.check_cancelled();
        }
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            _ = self.cancelled.wait_for(|cancelled| *cancelled) => Err(Halt::Cancelled),
        }
    }

    // ---- asking the client

    /// Asks the client something; being cancelled stops the waiting.
    pub(super) async fn ask(&mut self, method: &str, mut params: Value) -> Done<Result<Value, Error>> {
        params["sessionId"] = self.session.clone().into();
        let sent = self.connection.send_request(UntypedMessage::new(method, params)?);
        tokio::select! {
            answer = sent.block_task() => Ok(answer),
            _ = self.cancelled.wait_for(|cancelled| *cancelled) => Err(Halt::Cancelled),
        }
    }

    /// Asks for leave for a tool call. `kind` is what "always" is remembered by.
    pub(super) async fn may(&mut self, tool_call: Value, kind: &str) -> Done<bool> {
        let session = self.scratch.session(&self.session);
        if session
            .is_some_and(|session| session.mode == "allow" || session.allowed.iter().any(|allowed| allowed == kind))
        {
            return Ok(true);
        }
        let options = json!([
            {"optionId": "allow-once", "name": "Allow", "kind": "allow_once"},
            {"optionId": "allow-always", "name": "Always allow in this session", "kind": "allow_always"},
            {"optionId": "reject-once", "name": "Reject", "kind": "reject_once"},
        ]);
        let answer =
            self.ask("session/request_permission", json!({"toolCall": tool_call, "options": options})).await??;
        match answer.pointer("/outcome/optionId").and_then(Value::as_str) {
            Some("allow-once") => Ok(true),
            Some("allow-always") => {
                self.scratch.change(&self.session, |session| session.allowed.push(kind.to_owned()));
                Ok(true)
            }
            Some(_) => Ok(false),
            // The outcome is "cancelled": the turn is being cancelled.
            None => Err(Halt::Cancelled),
        }
    }

    // ---- the session

    async fn propose_title(&mut self, text: &str) -> Done {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("Attachments");
        let line = line.trim_start_matches('/');
        let title: String = line.chars().take(60).collect();
        self.set_title(&title).await
    }

    pub(super) async fn set_title(&mut self, title: &str) -> Done {
        self.scratch.change(&self.session, |session| session.title = Some(title.to_owned()));
        self.kept.push(json!({"title": title}));
        self.update(json!({"sessionUpdate": "session_info_update", "title": title})).await
    }

    /// About four characters make a token; a window that nobody has looks like the usual one.
    async fn report_usage(&mut self) -> Done {
        let characters = self.scratch.session(&self.session).map_or(0, |session| session.characters);
        self.update(json!({"sessionUpdate": "usage_update", "used": characters / 4, "size": 200_000})).await
    }

    /// A path in the session's folder, as the client wants it: absolute.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        let name = super::phrases::unquote(name);
        if name.is_empty() { self.cwd.clone() } else { self.cwd.join(Path::new(name)) }
    }
}
