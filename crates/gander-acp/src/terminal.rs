//! Commands that an agent has us run (`terminal/*`): in the session's folder, each in a process group of its own.
//!
//! A terminal's output is in none of the agent's updates, which only name it. So it is reported as events, and an agent
//! learns of a command's end only after all of its output has been reported: it is in the journal's hands before
//! the agent goes on. While events are not taken, the command's pipe is not read either.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::event::EventSender;
use crate::process::{self, MARK};
use crate::{AgentEvent, AgentSessionId, Bounds, Exit, TerminalOutput};

/// How long output of what a finished command left running is still taken.
const AFTER_EXIT: Duration = Duration::from_millis(200);
/// How long a command may take to react to being asked to end.
const GRACE: Duration = Duration::from_secs(1);
/// Output is gathered for this long before it is reported, so that a chatty command makes few events.
const GATHER: Duration = Duration::from_millis(40);

/// The terminals of one agent.
#[derive(Debug)]
pub(crate) struct Terminals {
    open: Mutex<HashMap<String, Arc<Terminal>>>,
    events: EventSender,
    bounds: Bounds,
    mark: String,
    next: AtomicU64,
}

/// What a command line is started with.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) agent_session: AgentSessionId,
    pub(crate) command: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
    pub(crate) output_limit: Option<u64>,
}

/// One command.
#[derive(Debug)]
pub(crate) struct Terminal {
    number: u64,
    agent_session: AgentSessionId,
    output: Mutex<Output>,
    exit: watch::Sender<Option<Exit>>,
    kill: tokio::sync::Notify,
    group: u32,
    mark: String,
}

#[derive(Debug, Default)]
struct Output {
    kept: String,
    truncated: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind these locks is whole after each statement, also when another thread panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Terminals {
    pub(crate) fn new(events: EventSender, bounds: Bounds, mark: String) -> Self {
        Self { open: Mutex::default(), events, bounds, mark, next: 1.into() }
    }

    /// Starts a command; gives the terminal's id.
    pub(crate) fn create(&self, launch: Launch) -> std::io::Result<String> {
        let mut open = lock(&self.open);
        if open.len() >= self.bounds.terminals {
            return Err(std::io::Error::other(format!("{} terminals are open already", open.len())));
        }
        let (reader, writer) = std::io::pipe()?;
        let reader = pipe::Receiver::from_owned_fd(reader.into())?;
        // As editors do it: a command without arguments may be a whole command line.
        let mut command = if launch.args.is_empty() && launch.command.contains(char::is_whitespace) {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(&launch.command);
            shell
        } else {
            let mut command = Command::new(&launch.command);
            command.args(&launch.args);
            command
        };
        let child = command
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .env(MARK, &self.mark)
            .current_dir(&launch.cwd)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        // The command holds the writing ends; keeping our copies would keep the pipe open.
        drop(command);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("term-{number}");
        let terminal = Arc::new(Terminal {
            number,
            agent_session: launch.agent_session.clone(),
            output: Mutex::default(),
            exit: watch::Sender::new(None),
            kill: tokio::sync::Notify::new(),
            group: child.id().unwrap_or_default(),
            mark: self.mark.clone(),
        });
        let shown =
            std::iter::once(&launch.command).chain(&launch.args).map(String::as_str).collect::<Vec<_>>().join(" ");
        let report = Report {
            events: self.events.clone(),
            agent_session: launch.agent_session,
            terminal_id: id.clone(),
            command: shown,
            reported: 0,
            omitted: 0,
            limit: self.bounds.terminal_report_bytes as u64,
        };
        let keep = launch.output_limit.map_or(self.bounds.terminal_bytes, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX).min(self.bounds.terminal_bytes)
        });
        tokio::spawn(pump(terminal.clone(), child, reader, report, keep));
        open.insert(id.clone(), terminal);
        Ok(id)
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Terminal>> {
        lock(&self.open).get(id).cloned()
    }

    /// Ends the command if it runs and forgets the terminal.
    pub(crate) async fn release(&self, id: &str) -> bool {
        let Some(terminal) = lock(&self.open).remove(id) else { return false };
        terminal.end().await;
        true
    }

    /// The number of the next terminal.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Ends a session's commands that were started from a terminal's number on. The terminals stay for the agent to look at.
    pub(crate) async fn end_since(&self, number: u64, session: &AgentSessionId) {
        let since = |terminal: &&Arc<Terminal>| terminal.number >= number && terminal.agent_session == *session;
        let open: Vec<_> = lock(&self.open).values().filter(since).cloned().collect();
        for terminal in open {
            terminal.end().await;
        }
    }

    /// Kills all commands now, without waiting for anything.
    pub(crate) fn kill_all(&self) {
        for terminal in lock(&self.open).values() {
            if terminal.exit.borrow().is_none() {
                process::signal_group(terminal.group, Signal::KILL);
            }
        }
    }

    /// Ends all commands; returns when their output has been reported.
    pub(crate) async fn release_all(&self) {
        let open: Vec<_> = lock(&self.open).drain().map(|(_, terminal)| terminal).collect();
        for terminal in open {
            terminal.end().await;
        }
    }
}

impl Terminal {
    /// The output kept so far, whether its beginning was dropped, and how the command ended if it did.
    pub(crate) fn output(&self) -> (String, bool, Option<Exit>) {
        let output = lock(&self.output);
        (output.kept.clone(), output.truncated, *self.exit.borrow())
    }

    /// Waits for the command's end and for its output to be reported.
    pub(crate) async fn exited(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        match exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or(Exit { code: None, signal: None, asked: false }),
            Err(_) => Exit { code: None, signal: None, asked: false },
        }
    }

    /// Asks the command to end, kills it after a moment, and waits for its end.
    pub(crate) async fn end(&self) {
        self.kill.notify_one();
        self.exited().await;
        // What the command left running in its group; the mark tells it from a later group of the same number.
        process::signal_group_marked(self.group, &self.mark, Signal::KILL);
    }
}

/// Where a terminal's output goes.
struct Report {
    events: EventSender,
    agent_session: AgentSessionId,
    terminal_id: String,
    command: String,
    reported: u64,
    omitted: u64,
    limit: u64,
}

impl Report {
    async fn send(&mut self, text: String, exit: Option<Exit>) {
        let room = self.limit.saturating_sub(self.reported);
        let mut text = text;
        if text.len() as u64 > room {
            let cut = text.floor_char_boundary(room as usize);
            self.omitted += (text.len() - cut) as u64;
            text.truncate(cut);
        }
        if text.is_empty() && exit.is_none() {
            return;
        }
        let (from, length) = (self.reported, text.len());
        self.reported += length as u64;
        let output = TerminalOutput {
            agent_session: self.agent_session.clone(),
            terminal_id: self.terminal_id.clone(),
            command: self.command.clone(),
            from,
            text,
            exit,
            omitted: if exit.is_some() { self.omitted } else { 0 },
        };
        self.events.send(AgentEvent::Terminal(Box::new(output)), length).await;
    }
}

/// Carries a command's output to the buffer and the events until it has ended.
async fn pump(terminal: Arc<Terminal>, mut child: Child, mut reader: pipe::Receiver, mut report: Report, keep: usize) {
    let mut undecoded = Vec::new();
    let mut unreported = String::new();
    let mut buffer = vec![0_u8; 16 << 10];
    let mut asked = false;
    let mut killed_at = None;
    let mut status = None;
    let mut last_read = None;
    let mut report_due: Option<tokio::time::Instant> = None;
    loop {
        // Three deadlines, each absent until it applies.
        let kill_due = killed_at.filter(|_| status.is_none());
        tokio::select! {
            read = reader.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    undecoded.extend_from_slice(&buffer[..count]);
                    let text = decode(&mut undecoded, false);
                    terminal.keep(&text, keep);
                    unreported.push_str(&text);
                    if unreported.len() >= 64 << 10 {
                        report.send(std::mem::take(&mut unreported), None).await;
                        report_due = None;
                    } else if !unreported.is_empty() {
                        report_due.get_or_insert_with(|| tokio::time::Instant::now() + GATHER);
                    }
                }
            },
            ended = child.wait(), if status.is_none() => {
                status = Some(ended);
                last_read = Some(tokio::time::Instant::now() + AFTER_EXIT);
            }
            () = terminal.kill.notified(), if killed_at.is_none() => {
                asked = status.is_none();
                killed_at = Some(tokio::time::Instant::now() + GRACE);
                if status.is_none() {
                    process::signal_group(terminal.group, Signal::TERM);
                }
            }
            () = sleep_until(kill_due) => {
                process::signal_group(terminal.group, Signal::KILL);
                killed_at = Some(tokio::time::Instant::now() + GRACE);
            }
            () = sleep_until(last_read) => break,
            () = sleep_until(report_due) => {
                report.send(std::mem::take(&mut unreported), None).await;
                report_due = None;
            }
        }
    }
    let status = match status {
        Some(status) => status,
        // The command closed its output and goes on.
        None => loop {
            tokio::select! {
                status = child.wait() => break status,
                () = terminal.kill.notified() => {
                    asked = true;
                    process::signal_group(terminal.group, Signal::TERM);
                    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                        process::signal_group(terminal.group, Signal::KILL);
                    }
                }
                () = sleep_until(killed_at) => {
                    process::signal_group(terminal.group, Signal::KILL);
                    killed_at = None;
                }
            }
        },
    };
    let text = decode(&mut undecoded, true);
    terminal.keep(&text, keep);
    unreported.push_str(&text);
    let exit = Exit::of(status.ok(), asked);
    report.send(unreported, Some(exit)).await;
    terminal.exit.send_replace(Some(exit));
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Terminal {
    fn keep(&self, text: &str, limit: usize) {
        let mut output = lock(&self.output);
        output.kept.push_str(text);
        if output.kept.len() > limit {
            // The end of a log says more than its beginning; the protocol asks for a cut at a character.
            let cut = output.kept.ceil_char_boundary(output.kept.len() - limit);
            output.kept.drain(..cut);
            output.truncated = true;
        }
    }
}

/// Takes the whole characters from the front; bad bytes become U+FFFD. At the end, a torn character does too.
fn decode(bytes: &mut Vec<u8>, end: bool) -> String {
    let mut text = String::new();
    let mut used = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        used += chunk.valid().len();
        let torn = used + chunk.invalid().len() == bytes.len() && chunk.invalid().len() < 4 && !end;
        if !chunk.invalid().is_empty() {
            // A character may be cut off by the end of what was read so far.
            let incomplete = torn && std::str::from_utf8(chunk.invalid()).is_err_and(|e| e.error_len().is_none());
            if incomplete {
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            used += chunk.invalid().len();
        }
    }
    bytes.drain(..used);
    text
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn a_character_torn_between_two_reads_is_put_together() {
        let bytes = "a€😀".as_bytes();
        for cut in 0..=bytes.len() {
            let mut rest = bytes[..cut].to_vec();
            let mut text = decode(&mut rest, false);
            rest.extend_from_slice(&bytes[cut..]);
            text.push_str(&decode(&mut rest, true));
            assert_eq!(text, "a€😀", "cut at {cut}");
        }
        let mut bad = b"a\xffb\xe2\x82".to_vec();
        assert_eq!(decode(&mut bad, false), "a\u{fffd}b");
        assert_eq!(decode(&mut bad, true), "\u{fffd}");
    }
}
