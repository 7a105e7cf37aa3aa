//! A newer version that finds an older one serving the same data folder: it asks that one to hand over, and kills nothing.

use std::time::{Duration, Instant};

use gander_server::RuntimeFile;
use gander_upgrade::{VERSION, Version};
use serde_json::{Value, json};

use super::Context;
use crate::ask;
use crate::failure::Failure;
use crate::instance::Instance;

/// How often it is asked how far it is.
const LOOK: Duration = Duration::from_millis(100);
/// How long a process may take to end after it has handed over or was asked to stop.
const END: Duration = Duration::from_secs(60);

/// Whether a running instance is older than this program. One that does not say so is left alone.
pub fn is_older(context: &Context<'_>) -> Option<RuntimeFile> {
    let runtime = RuntimeFile::read(&context.data_dir).ok()?;
    let (theirs, ours) = (runtime.version.parse::<Version>().ok()?, VERSION.parse::<Version>().ok()?);
    (theirs < ours).then_some(runtime)
}

/// Waits until the older instance has handed over and ended. `--yes` interrupts what runs there; each such turn can be
/// continued afterwards.
pub async fn take_over(context: &Context<'_>, older: &Instance, runtime: &RuntimeFile) -> Result<(), Failure> {
    let version = &runtime.version;
    context
        .output
        .note(&format!("Gander {version} (process {}) serves; asking it to hand over to {VERSION}.", runtime.pid));
    let begun = older.client.post("handover", &json!({ "to": VERSION, "interrupt": context.yes })).await;
    match begun {
        Ok(_) => {}
        Err(failure) if failure.is("not_found") => return stop(context, older, runtime).await,
        Err(failure) => return Err(failure),
    }
    tokio::select! {
        ended = handed_over(context, older, runtime) => ended,
        _ = tokio::signal::ctrl_c() => {
            context.output.progress_done();
            let off = older.client.delete("handover").await;
            let what = format!("Gander {version} goes on; nothing was changed.");
            Err(match off {
                Ok(_) => Failure::new(what, "Run `gander serve` again when its turns have ended."),
                Err(failure) => failure,
            })
        }
    }
}

async fn handed_over(context: &Context<'_>, older: &Instance, runtime: &RuntimeFile) -> Result<(), Failure> {
    let mut told = String::new();
    // Who does not answer any more has ended, or is about to.
    while let Ok(now) = older.client.get("handover").await {
        let state = now["state"].as_str().unwrap_or_default();
        if state == "none" {
            context.output.progress_done();
            let why = now["failed"].as_str().unwrap_or("It was called off in one of its windows.");
            return Err(Failure::new(
                format!("Gander {} did not hand over, and goes on.", runtime.version),
                "See to the cause and run `gander serve` again.",
            )
            .why(why));
        }
        let words = waits_for(&now);
        if words != told {
            context.output.progress(&words);
            told = words;
        }
        tokio::time::sleep(LOOK).await;
    }
    context.output.progress_done();
    gone(context, runtime).await
}

fn waits_for(now: &Value) -> String {
    let turns = now["turns"].as_array().map_or(&[][..], Vec::as_slice);
    let name = |turn: &Value| turn["name"].as_str().unwrap_or("a chat").to_owned();
    match turns {
        [] => "Saving everything…".to_owned(),
        [one] => format!("Waiting for the answer in “{}”; Ctrl-C leaves it alone, --yes interrupts it…", name(one)),
        [first, rest @ ..] => format!(
            "Waiting for the answers in “{}” and {} more; Ctrl-C leaves them alone, --yes interrupts them…",
            name(first),
            rest.len()
        ),
    }
}

/// An instance from before handovers.
async fn stop(context: &Context<'_>, older: &Instance, runtime: &RuntimeFile) -> Result<(), Failure> {
    let version = &runtime.version;
    ask::confirm(
        &format!(
            "Gander {version} (process {}) does not know how to hand over. Stop it? Answers that are being written are interrupted and can be continued.",
            runtime.pid
        ),
        context.yes,
    )?;
    older.client.post("stop", &json!({})).await?;
    gone(context, runtime).await
}

/// The runtime file goes last, after the journal and the port.
async fn gone(context: &Context<'_>, runtime: &RuntimeFile) -> Result<(), Failure> {
    let until = Instant::now() + END;
    while RuntimeFile::read(&context.data_dir).is_ok_and(|now| now.pid == runtime.pid) {
        // One that was killed in the middle leaves the file, and nobody who answers.
        if !is_running(runtime.pid) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(Failure::new(
                format!("Gander {} (process {}) has not ended yet.", runtime.version, runtime.pid),
                "Everything is saved. Wait until it has ended, then run `gander serve` again.",
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn is_running(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    rustix::process::test_kill_process(pid).is_ok()
}
