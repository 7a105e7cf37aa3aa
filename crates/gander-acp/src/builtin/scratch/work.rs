//! Listing, reading, searching, editing and running, each as a tool call that the client sees.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::phrases::{replacement, unquote};
use super::turn::{Done, Turn};

/// Folders that nobody means when searching.
const SKIPPED: &[&str] = &[".git", "node_modules", "target", ".svelte-kit"];
/// How much is shown of anything.
const SHOWN_LINES: usize = 60;
const SHOWN_ENTRIES: usize = 200;
const SEARCHED_FILES: usize = 20_000;
const SEARCHED_BYTES: u64 = 2 << 20;

/// A tool call under way. What it ends as is what memory keeps.
pub(super) struct Call {
    pub(super) state: Value,
}

impl Turn {
    pub(super) async fn work(&mut self, name: &str, argument: &str) -> Done {
        match name {
            "list" => self.list(argument).await,
            "read" => self.read(argument).await,
            "grep" => self.grep(argument).await,
            "edit" => self.edit(argument).await,
            "write" => self.write(argument).await,
            _ => self.run_command(argument).await,
        }
    }

    // ---- tool calls

    pub(super) async fn call(&mut self, title: &str, kind: &str, locations: &[&Path], input: Value) -> Done<Call> {
        self.end_message();
        let locations: Vec<Value> = locations.iter().map(|path| json!({"path": path})).collect();
        let state = json!({
            "sessionUpdate": "tool_call",
            "toolCallId": uuid::Uuid::now_v7().to_string(),
            "title": title,
            "kind": kind,
            "status": "pending",
            "locations": locations,
            "rawInput": input,
        });
        self.update(state.clone()).await?;
        Ok(Call { state })
    }

    /// Sends a change of a tool call; a final status puts it into memory.
    pub(super) async fn change(&mut self, call: &mut Call, fields: Value) -> Done {
        let mut update = json!({"sessionUpdate": "tool_call_update", "toolCallId": call.state["toolCallId"]});
        for (name, value) in fields.as_object().into_iter().flatten() {
            call.state[name] = value.clone();
            update[name] = value.clone();
        }
        if matches!(fields["status"].as_str(), Some("completed" | "failed")) {
            self.keep(call.state.clone());
        }
        self.update(update).await
    }

    pub(super) async fn complete(&mut self, call: &mut Call, text: &str) -> Done {
        self.change(call, json!({"status": "completed", "content": [text_content(text)]})).await
    }

    async fn fail(&mut self, call: &mut Call, why: &str) -> Done {
        self.change(call, json!({"status": "failed", "content": [text_content(why)]})).await?;
        self.say(&format!("That did not work: {why}\n")).await
    }

    /// Asks for leave; without it the call fails and the user is told.
    async fn allowed(&mut self, call: &mut Call, kind: &str) -> Done<bool> {
        let mut shown = call.state.clone();
        if let Some(fields) = shown.as_object_mut() {
            fields.remove("sessionUpdate");
        }
        let allowed = match self.may(shown, kind).await {
            Err(halt) => {
                // The call is over as well. The turn ends with what stopped it.
                call.state["status"] = "failed".into();
                self.keep(call.state.clone());
                return Err(halt);
            }
            Ok(allowed) => allowed,
        };
        if !allowed {
            self.change(call, json!({"status": "failed"})).await?;
            self.say("You said no, so I left it.\n").await?;
        }
        Ok(allowed)
    }

    // ---- looking

    async fn list(&mut self, argument: &str) -> Done {
        let folder = self.path(argument);
        let mut call =
            self.call(&format!("List {}", folder.display()), "read", &[&folder], json!({"path": folder})).await?;
        let entries = match entries(&folder) {
            Ok(entries) => entries,
            Err(error) => return self.fail(&mut call, &format!("{}: {error}", folder.display())).await,
        };
        self.complete(&mut call, &entries.iter().map(|(name, _)| format!("{name}\n")).collect::<String>()).await?;
        if entries.is_empty() {
            return self.say(&format!("`{}` is empty.\n", folder.display())).await;
        }
        let mut text = format!("`{}` holds:\n\n| name | size |\n|---|---:|\n", folder.display());
        for (name, size) in entries.iter().take(SHOWN_ENTRIES) {
            let size = size.map_or_else(|| "folder".to_owned(), |size| format!("{size}"));
            text.push_str(&format!("| `{}` | {size} |\n", name.replace('|', "\\|")));
        }
        if entries.len() > SHOWN_ENTRIES {
            text.push_str(&format!("\n… and {} more.\n", entries.len() - SHOWN_ENTRIES));
        }
        self.say(&text).await
    }

    async fn read(&mut self, argument: &str) -> Done {
        let path = self.path(argument);
        let mut call = self.call(&format!("Read {}", path.display()), "read", &[&path], json!({"path": path})).await?;
        let text = match self.file_text(&path).await? {
            Ok(text) => text,
            Err(why) => return self.fail(&mut call, &why).await,
        };
        self.complete(&mut call, &text).await?;
        let lines = text.lines().count();
        let shown: String = text.split_inclusive('\n').take(SHOWN_LINES).collect();
        let fence = fence(&shown);
        let language = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        let cut =
            if lines > SHOWN_LINES { format!("\nThe first {SHOWN_LINES} of {lines} lines.\n") } else { String::new() };
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let noun = if lines == 1 { "line" } else { "lines" };
        self.say(&format!(
            "`{name}` has {lines} {noun}.\n\n{fence}{language}\n{}\n{fence}\n{cut}",
            shown.trim_end_matches('\n')
        ))
        .await
    }

    async fn grep(&mut self, argument: &str) -> Done {
        let (what, folder) = match argument.rsplit_once(" in ") {
            Some((what, folder)) if self.path(folder).is_dir() => (unquote(what).to_owned(), self.path(folder)),
            _ => (unquote(argument).to_owned(), self.cwd.clone()),
        };
        if what.is_empty() {
            return self.say("What shall I look for? For example `grep TODO in src`.\n").await;
        }
        let title = format!("Search for “{what}”");
        let mut call = self.call(&title, "search", &[&folder], json!({"text": what, "path": folder})).await?;
        self.change(&mut call, json!({"status": "in_progress"})).await?;
        let (looked, text) = (folder.clone(), what.clone());
        let hits = tokio::task::spawn_blocking(move || search(&looked, &text)).await.unwrap_or_default();
        let lines: String =
            hits.iter().map(|(file, line, text)| format!("{}:{line}: {text}\n", file.display())).collect();
        let locations: Vec<Value> = hits
            .iter()
            .take(50)
            .map(|(file, line, _)| json!({"path": folder.join(file).to_string_lossy(), "line": line}))
            .collect();
        let content = json!([text_content(if lines.is_empty() { "nothing found" } else { &lines })]);
        self.change(&mut call, json!({"status": "completed", "locations": locations, "content": content})).await?;
        if hits.is_empty() {
            return self.say(&format!("I did not find `{what}`.\n")).await;
        }
        let fence = fence(&lines);
        let shown: String = lines.split_inclusive('\n').take(SHOWN_LINES).collect();
        let more = if hits.len() > SHOWN_LINES { " The first of them:" } else { "" };
        let noun = if hits.len() == 1 { "line" } else { "lines" };
        self.say(&format!("Found `{what}` in {} {noun}.{more}\n\n{fence}\n{shown}{fence}\n", hits.len())).await
    }

    // ---- changing

    async fn edit(&mut self, argument: &str) -> Done {
        let Some((file, old, new)) = replacement(argument) else {
            return self.say("Say it like this: `edit notes.txt: old text => new text`.\n").await;
        };
        let path = self.path(&file);
        let before = match self.file_text(&path).await? {
            Ok(text) => text,
            Err(why) => return self.say(&format!("I cannot edit it: {why}\n")).await,
        };
        let count = before.matches(&old).count();
        if count == 0 {
            return self.say(&format!("`{file}` does not have `{old}` in it, so I changed nothing.\n")).await;
        }
        let after = before.replace(&old, &new);
        self.put(&path, Some(before), after, &format!("Replaced {count} occurrence(s) in `{file}`.\n")).await
    }

    async fn write(&mut self, argument: &str) -> Done {
        let Some((file, text)) = argument.split_once(':').or_else(|| argument.split_once(" with ")) else {
            return self.say("Say it like this: `write notes.txt: the text`.\n").await;
        };
        let path = self.path(file);
        let text = format!("{}\n", unquote(text).trim_end());
        let before = self.file_text(&path).await?.ok();
        self.put(&path, before, text, &format!("Wrote `{}`.\n", unquote(file))).await
    }

    async fn put(&mut self, path: &Path, before: Option<String>, after: String, done: &str) -> Done {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut call = self.call(&format!("Edit {name}"), "edit", &[path], json!({"path": path})).await?;
        let diff = json!([{"type": "diff", "path": path, "oldText": before, "newText": after}]);
        self.change(&mut call, json!({"content": diff})).await?;
        if !self.allowed(&mut call, "edit").await? {
            return Ok(());
        }
        self.change(&mut call, json!({"status": "in_progress"})).await?;
        let written = if self.client.write {
            let answer = self.ask("fs/write_text_file", json!({"path": path, "content": after})).await?;
            answer.map(drop).map_err(|error| explain(&error))
        } else {
            std::fs::write(path, after).map_err(|error| error.to_string())
        };
        match written {
            Ok(()) => {
                self.change(&mut call, json!({"status": "completed"})).await?;
                self.say(done).await
            }
            Err(why) => self.fail(&mut call, &why).await,
        }
    }

    // ---- running

    async fn run_command(&mut self, command: &str) -> Done {
        if command.is_empty() {
            return self.say("What shall I run? For example `run ls -l`.\n").await;
        }
        let title = format!("Run {command}");
        let mut call = self.call(&title, "execute", &[], json!({"command": command, "cwd": self.cwd})).await?;
        if !self.allowed(&mut call, "execute").await? {
            return Ok(());
        }
        if self.client.terminal {
            self.run_in_client(&mut call, command).await
        } else {
            self.run_here(&mut call, command).await
        }
    }

    async fn run_in_client(&mut self, call: &mut Call, command: &str) -> Done {
        let params = json!({"command": "/bin/sh", "args": ["-c", command], "cwd": self.cwd, "outputByteLimit": 65_536});
        let terminal = match self.ask("terminal/create", params).await? {
            Ok(answer) => answer["terminalId"].clone(),
            Err(error) => return self.fail(call, &explain(&error)).await,
        };
        let content = json!([{"type": "terminal", "terminalId": terminal}]);
        self.change(call, json!({"status": "in_progress", "content": content})).await?;
        let waited = self.ask("terminal/wait_for_exit", json!({"terminalId": terminal})).await;
        if waited.is_err() {
            // Cancelled: the command must not go on. Nobody waits for the answer any more.
            let params = json!({"sessionId": self.session, "terminalId": terminal});
            let message = agent_client_protocol::UntypedMessage::new("terminal/release", params)?;
            self.connection.send_request(message).detach();
            call.state["status"] = "failed".into();
            self.keep(call.state.clone());
        }
        let exit = waited?;
        let output = self.ask("terminal/output", json!({"terminalId": terminal})).await?;
        let _ = self.ask("terminal/release", json!({"terminalId": terminal})).await?;
        match (exit, output) {
            (Ok(exit), Ok(output)) => {
                let text = output["output"].as_str().unwrap_or_default();
                self.tell_outcome(call, exit["exitCode"].as_i64(), exit["signal"].as_str(), text).await
            }
            (Err(error), _) | (_, Err(error)) => self.fail(call, &explain(&error)).await,
        }
    }

    /// Without a client that runs commands.
    async fn run_here(&mut self, call: &mut Call, command: &str) -> Done {
        self.change(call, json!({"status": "in_progress"})).await?;
        let mut child = tokio::process::Command::new("/bin/sh");
        child.arg("-c").arg(command).current_dir(&self.cwd).stdin(std::process::Stdio::null()).kill_on_drop(true);
        let running = child.output();
        let output = tokio::select! {
            output = running => output,
            halt = wait_for_cancel(self) => return Err(halt),
        };
        match output {
            Ok(output) => {
                let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                self.tell_outcome(call, output.status.code().map(i64::from), None, &text).await
            }
            Err(error) => self.fail(call, &error.to_string()).await,
        }
    }

    async fn tell_outcome(&mut self, call: &mut Call, code: Option<i64>, signal: Option<&str>, output: &str) -> Done {
        let status = if code == Some(0) { "completed" } else { "failed" };
        let how = match (code, signal) {
            (Some(0), _) => "It worked".to_owned(),
            (Some(code), _) => format!("It failed with status {code}"),
            (None, Some(signal)) => format!("It was ended by signal {signal}"),
            (None, None) => "It was ended".to_owned(),
        };
        let fields = if self.client.terminal {
            json!({"status": status, "rawOutput": {"exitCode": code, "output": output}})
        } else {
            json!({"status": status, "content": [text_content(output)]})
        };
        self.change(call, fields).await?;
        if output.trim().is_empty() {
            return self.say(&format!("{how} and printed nothing.\n")).await;
        }
        let lines: Vec<&str> = output.lines().collect();
        let from = lines.len().saturating_sub(SHOWN_LINES);
        let cut = if from > 0 { format!(" (its last {SHOWN_LINES} lines)") } else { String::new() };
        let shown = lines[from..].join("\n");
        let fence = fence(&shown);
        self.say(&format!("{how}. It printed{cut}:\n\n{fence}\n{shown}\n{fence}\n")).await
    }

    // ---- files

    /// A file's text, through the client where it offers that. The error is for people.
    async fn file_text(&mut self, path: &Path) -> Done<Result<String, String>> {
        if self.client.read {
            let answer = self.ask("fs/read_text_file", json!({"path": path})).await?;
            return Ok(match answer {
                Ok(answer) => Ok(answer["content"].as_str().unwrap_or_default().to_owned()),
                Err(error) => Err(explain(&error)),
            });
        }
        Ok(std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display())))
    }
}

async fn wait_for_cancel(turn: &mut Turn) -> super::turn::Halt {
    loop {
        if let Err(halt) = turn.pause(Duration::from_secs(3600)).await {
            return halt;
        }
    }
}

pub(super) fn text_content(text: &str) -> Value {
    json!({"type": "content", "content": {"type": "text", "text": text}})
}

fn explain(error: &agent_client_protocol::Error) -> String {
    match error.data.as_ref().and_then(Value::as_str) {
        Some(data) => format!("{}: {data}", error.message),
        None => error.message.clone(),
    }
}

/// A fence that the text cannot close.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

fn entries(folder: &Path) -> std::io::Result<Vec<(String, Option<u64>)>> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?
        .flatten()
        .map(|entry| {
            let meta = entry.metadata();
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = meta.as_ref().is_ok_and(std::fs::Metadata::is_dir);
            if is_folder { (format!("{name}/"), None) } else { (name, Some(meta.map_or(0, |meta| meta.len()))) }
        })
        .collect();
    entries.sort();
    Ok(entries)
}

/// Lines that hold a text, whatever its case: (file relative to the folder, line from 1, line).
fn search(folder: &Path, what: &str) -> Vec<(PathBuf, usize, String)> {
    let what = what.to_lowercase();
    let mut hits = Vec::new();
    let mut folders = vec![folder.to_owned()];
    let mut files = 0;
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            // The entry's own type: links are not followed, so that a search ends and stays inside.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                folders.push(entry.path());
            }
            if !kind.is_file() || entry.metadata().map_or(true, |meta| meta.len() > SEARCHED_BYTES) {
                continue;
            }
            files += 1;
            if files > SEARCHED_FILES || hits.len() >= SHOWN_ENTRIES {
                return hits;
            }
            let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
            let relative = entry.path().strip_prefix(folder).map_or_else(|_| entry.path(), Path::to_owned);
            let found = text.lines().enumerate().filter(|(_, line)| line.to_lowercase().contains(&what));
            hits.extend(found.map(|(at, line)| (relative.clone(), at + 1, line.trim().chars().take(200).collect())));
        }
    }
    hits
}
