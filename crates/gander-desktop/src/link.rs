//! The line to the server: attaches, says what there is, hands on every change, and finds the way back when the server goes.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::events::Event;
use crate::host::{Ended, Host};
use crate::http::{Change, Server};

/// A server that served for so long is started again at once when it dies.
const STEADY: Duration = Duration::from_secs(5);
const AT_ONCE: Duration = Duration::ZERO;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What the line says.
#[derive(Debug)]
pub enum Heard {
    /// A server serves: all its windows, and which has the focus. Changes follow from there.
    Attached { server: Server, windows: Value, sessions: Value, is_ours: bool },
    /// Something changed.
    Change(Change),
    /// The connection is gone; another one is looked for.
    Lost,
    /// Somebody stopped the server that serves for these windows.
    Stopped,
    /// Nobody can serve; the words are for people.
    Failed(String),
}

/// Asks the line to stop the server, where it is ours; answered when it has ended or the patience has.
pub struct Stop {
    pub patience: Duration,
    pub done: oneshot::Sender<()>,
}

/// Runs until the driver is gone or the server was stopped.
pub async fn run(data_dir: PathBuf, own: PathBuf, events: mpsc::Sender<Event>, mut stops: mpsc::Receiver<Stop>) {
    let mut host = Host::new(&data_dir, &own);
    let mut wait = AT_ONCE;
    loop {
        let server = match host.attach().await {
            Ok(server) => server,
            Err(words) => {
                let _ = events.send(Event::Heard(Heard::Failed(words))).await;
                return;
            }
        };
        let since = Instant::now();
        tokio::select! {
            ended = follow(&mut host, &server, &events) => if !ended { return },
            stop = stops.recv() => {
                let Some(stop) = stop else { return };
                host.stop(stop.patience).await;
                let _ = stop.done.send(());
                return;
            }
        }
        if events.send(Event::Heard(Heard::Lost)).await.is_err() {
            return;
        }
        if host.ended().await == Ended::Stopped {
            let _ = events.send(Event::Heard(Heard::Stopped)).await;
            return;
        }
        // The first try is at once. One that dies again and again is not started a hundred times a minute.
        wait = if since.elapsed() > STEADY { AT_ONCE } else { (wait * 2).max(FIRST_WAIT).min(LONGEST_WAIT) };
        sleep(wait).await;
    }
}

/// Hands on what the server says until it says nothing any more; false when nobody listens.
async fn follow(host: &mut Host, server: &Server, events: &mpsc::Sender<Event>) -> bool {
    // What there is carries the cursor from which changes go on; so nothing falls between the two.
    loop {
        let read = async { Ok::<_, crate::http::Error>((server.get("windows").await?, running(server).await?)) };
        let (windows, sessions) = match read.await {
            Ok(read) => read,
            Err(error) => {
                tracing::info!(%error, "windows could not be read");
                return true;
            }
        };
        // Whoever comes late has not heard it said.
        if let Ok(handover) = server.get("handover").await {
            host.hands_over(handover["state"].as_str());
        }
        let cursor = windows["cursor"].as_str().unwrap_or_default().to_owned();
        let heard = Heard::Attached { server: server.clone(), windows, sessions, is_ours: host.is_ours() };
        if events.send(Event::Heard(heard)).await.is_err() {
            return false;
        }
        let Ok(mut changes) = server.changes(&cursor).await else { return true };
        let again = loop {
            let Some(change) = changes.next().await else { break false };
            match change.kind.as_str() {
                "reset" => break true,
                "ping" | "open_item" | "entry" | "draft" => continue,
                "handover" => host.hands_over(change.data["state"].as_str()),
                _ => {}
            }
            if events.send(Event::Heard(Heard::Change(change))).await.is_err() {
                return false;
            }
        };
        if !again {
            return true;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// The sessions that lists show first: those in which a turn runs are among them.
async fn running(server: &Server) -> Result<Value, crate::http::Error> {
    server.get("sessions?status=all&limit=200").await
}
