//! The commands that tests and demonstrations steer the agent with.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::phrases::numbers;
use super::samples;
use super::turn::{Done, Halt, Turn};

impl Turn {
    pub(super) async fn trick(&mut self, name: &str, argument: &str) -> Done {
        let number = numbers(argument).first().copied();
        match name {
            "markdown" => self.say(samples::MARKDOWN).await,
            "image" => {
                self.say("A picture of a gradient:\n\n").await?;
                let content = json!({"type": "image", "mimeType": "image/png", "data": samples::picture()});
                self.end_message();
                let update = json!({"sessionUpdate": "agent_message_chunk", "content": content});
                self.keep(update.clone());
                self.update(update).await
            }
            "think" => {
                let thought =
                    if argument.is_empty() { "Let me see. There is nothing to think with in here." } else { argument };
                self.think(thought).await?;
                self.say("I thought about it.\n").await
            }
            "plan" => self.plan().await,
            "permission" => self.ask_leave(argument).await,
            "title" => {
                self.set_title(argument).await?;
                self.say(&format!("I proposed the title “{argument}”.\n")).await
            }
            "stream" => self.stream(argument).await,
            "clock" => self.clock(argument).await,
            "delay" => self.pause(Duration::from_millis(number.unwrap_or(1000))).await,
            "big" => self.big(argument).await,
            "unknown" => {
                self.update(json!({
                    "sessionUpdate": "gander_test_unknown", "level": 9, "nested": {"kept": [1, 2.50, "three"]},
                    "_meta": {"from": "scratch"},
                }))
                .await?;
                self.say("I sent an update of a kind that nobody knows.\n").await
            }
            "late" => self.late().await,
            "error" => {
                let text = argument.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit()).trim();
                let code = argument.split_whitespace().next().and_then(|code| code.parse().ok()).unwrap_or(-32603);
                let text = if text.is_empty() { "An error, as you wished" } else { text };
                Err(Halt::Error(agent_client_protocol::Error::new(code, text)))
            }
            "garbage" => {
                let lines: String =
                    (1..=number.unwrap_or(1)).map(|n| format!("this is line {n} and no message {{\n")).collect();
                self.print_raw(lines.as_bytes()).await;
                self.say("I printed garbage.\n").await
            }
            "invalid-utf8" => {
                let session = json!(self.session).to_string();
                let mut line = format!(
                    r#"{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":{session},"update":{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"bad "#
                )
                .into_bytes();
                line.extend_from_slice(b"\xff\xfe bytes\"}}}}\n");
                self.end_message();
                self.print_raw(&line).await;
                // Remembered in a spelling of its own, as agents do.
                let content = json!({"type": "text", "text": r"bad \xff\xfe bytes"});
                self.keep(json!({"sessionUpdate": "agent_message_chunk", "content": content}));
                self.say("I printed bytes that are not UTF-8.\n").await
            }
            "orphan" => self.orphan().await,
            "hang" => {
                self.scratch.outlet.drain().await;
                // A stopped process reads nothing, answers nothing, and only SIGKILL ends it.
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
                std::future::pending().await
            }
            "crash" => {
                self.scratch.outlet.drain().await;
                std::process::abort()
            }
            "exit" => {
                self.scratch.outlet.drain().await;
                std::process::exit(number.and_then(|code| code.try_into().ok()).unwrap_or(1))
            }
            _ => self.say(&format!("I have no command `/{name}`.\n")).await,
        }
    }

    async fn stream(&mut self, argument: &str) -> Done {
        let numbers = numbers(argument);
        let chunks = numbers.first().copied().unwrap_or(10);
        let pause = Duration::from_millis(numbers.get(1).copied().unwrap_or(0));
        for chunk in 1..=chunks {
            self.say_chunk(&format!("chunk {chunk} of {chunks}\n")).await?;
            self.pause(pause).await?;
        }
        Ok(())
    }

    /// Chunks that say when they were sent, so that a reader can tell how long each was under way.
    async fn clock(&mut self, argument: &str) -> Done {
        let numbers = numbers(argument);
        let pause = Duration::from_millis(numbers.get(1).copied().unwrap_or(40));
        for _ in 0..numbers.first().copied().unwrap_or(10) {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            self.say_chunk(&format!("t{:09} ", since.as_micros() % 1_000_000_000)).await?;
            self.pause(pause).await?;
        }
        Ok(())
    }

    async fn big(&mut self, argument: &str) -> Done {
        let bytes = usize::try_from(numbers(argument).first().copied().unwrap_or(1 << 20)).unwrap_or(usize::MAX);
        let line = "The quick brown goose jumps over the lazy dog, again and again and again.\n";
        let mut text = line.repeat(bytes / line.len() + 1);
        text.truncate(bytes);
        if argument.contains("message") {
            return self.say_chunk(&text).await;
        }
        let mut call = self.call(&format!("Print {bytes} bytes"), "other", &[], json!({"bytes": bytes})).await?;
        self.complete(&mut call, &text).await?;
        self.say(&format!("The tool call's output has {bytes} bytes.\n")).await
    }

    async fn plan(&mut self) -> Done {
        let steps = ["Look around", "Do the work", "Check the work"];
        for done in 0..=steps.len() {
            let entries: Vec<_> = steps
                .iter()
                .enumerate()
                .map(|(at, step)| {
                    let status = match at.cmp(&done) {
                        std::cmp::Ordering::Less => "completed",
                        std::cmp::Ordering::Equal => "in_progress",
                        std::cmp::Ordering::Greater => "pending",
                    };
                    json!({"content": step, "priority": "medium", "status": status})
                })
                .collect();
            let update = json!({"sessionUpdate": "plan", "entries": entries});
            if done == steps.len() {
                self.keep(update.clone());
            }
            self.update(update).await?;
            self.pause(Duration::from_millis(30)).await?;
        }
        self.say("The plan is done.\n").await
    }

    async fn ask_leave(&mut self, argument: &str) -> Done {
        let title = if argument.is_empty() { "Do a thing that needs leave" } else { argument };
        let mut call = self.call(title, "other", &[], json!({})).await?;
        let shown =
            json!({"toolCallId": call.state["toolCallId"], "title": title, "kind": "other", "status": "pending"});
        // Nothing is remembered by this kind: it asks each time.
        let allowed = match self.may(shown, "").await {
            Ok(allowed) => allowed,
            Err(halt) => {
                call.state["status"] = "failed".into();
                self.keep(call.state.clone());
                return Err(halt);
            }
        };
        self.change(&mut call, json!({"status": if allowed { "completed" } else { "failed" }})).await?;
        self.say(if allowed { "You allowed it.\n" } else { "You rejected it.\n" }).await
    }

    async fn late(&mut self) -> Done {
        let (scratch, connection, session) = (self.scratch.clone(), self.connection.clone(), self.session.clone());
        self.after = Some(Box::pin(async move {
            let content = json!({"type": "text", "text": "This came after the turn's end."});
            scratch
                .outlet
                .update(&connection, &session, json!({"sessionUpdate": "agent_message_chunk", "content": content}))
                .await
        }));
        self.say("An update follows after the turn's end.\n").await
    }

    async fn orphan(&mut self) -> Done {
        // In a session of its own, as several agents start their shells: killing our group does not reach it.
        let started = std::process::Command::new("setsid")
            .args(["sh", "-c", "while :; do sleep 1; done"])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::inherit())
            .spawn();
        match started {
            Ok(child) => self.say(&format!("orphan {}\n", child.id())).await,
            Err(error) => self.say(&format!("I could not start it: {error}\n")).await,
        }
    }

    /// Prints bytes that are no message, behind all that was sent before.
    async fn print_raw(&mut self, bytes: &[u8]) {
        self.scratch.outlet.drain().await;
        let mut stdout = self.scratch.outlet.raw.lock().await;
        // A client that is gone is noticed by the connection.
        let _ = stdout.write_all(bytes).await;
        let _ = stdout.flush().await;
    }
}
