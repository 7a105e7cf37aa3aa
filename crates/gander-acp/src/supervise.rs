//! Watching one agent's process to its end: ask, wait, insist, kill, and leave nothing behind.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::shared::Shared;
use crate::{Exit, process};

/// How long an agent may take after its handles were dropped or its connection ended.
const UNASKED_GRACE: Duration = Duration::from_secs(2);
/// How long an agent may take after SIGTERM.
const TERMINATE: Duration = Duration::from_secs(1);
/// How long a killed process may take to be gone before it is given up (it hangs in the kernel).
const KILLED: Duration = Duration::from_secs(5);

/// Asks for an orderly end.
#[derive(Debug)]
pub(crate) struct Stopping {
    pub(crate) grace: Duration,
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Phase {
    Running,
    Closing,
    Terminating,
    Killed,
}

pub(crate) async fn supervise(mut child: Child, shared: Arc<Shared>, mut commands: mpsc::Receiver<Stopping>) {
    let mut closing = shared.closing.subscribe();
    let mut phase = Phase::Running;
    let mut deadline: Option<Instant> = None;
    let mut asked = false;
    let mut handles_left = true;
    let status = loop {
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => break status.ok(),
            command = commands.recv(), if handles_left => {
                handles_left = command.is_some();
                asked = true;
                let grace = command.map_or(UNASKED_GRACE, |command| command.grace);
                shared.closing.send_replace(true);
                if phase <= Phase::Closing {
                    phase = Phase::Closing;
                    let wanted = Instant::now() + grace;
                    deadline = Some(deadline.map_or(wanted, |deadline| deadline.min(wanted)));
                }
            }
            // The connection ended by itself: the agent closed its output or no longer takes input.
            Ok(_) = closing.wait_for(|closing| *closing), if phase == Phase::Running => {
                phase = Phase::Closing;
                deadline = Some(Instant::now() + UNASKED_GRACE);
            }
            () = shared.kill.notified(), if phase != Phase::Killed => {
                asked = true;
                shared.closing.send_replace(true);
                phase = Phase::Killed;
                deadline = Some(Instant::now() + KILLED);
                process::signal_group(shared.process.group, Signal::KILL);
            }
            () = due => match phase {
                Phase::Running | Phase::Closing => {
                    asked = true;
                    phase = Phase::Terminating;
                    deadline = Some(Instant::now() + TERMINATE);
                    process::signal_group(shared.process.group, Signal::TERM);
                }
                Phase::Terminating => {
                    phase = Phase::Killed;
                    deadline = Some(Instant::now() + KILLED);
                    process::signal_group(shared.process.group, Signal::KILL);
                }
                Phase::Killed => break None,
            },
        }
    };
    shared.closing.send_replace(true);
    shared.terminals.kill_all();
    let (group, mark) = (shared.process.group, shared.process.mark.clone());
    // Its descendants, those that left its group included. A panic in there would be a bug; the agent is gone either way.
    let _ = tokio::task::spawn_blocking(move || process::end_rest(Some(group), &mark)).await;
    shared.exit.send_replace(Some(Exit::of(status, asked)));
}
