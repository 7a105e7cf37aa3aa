use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use gander_api::OpenError;
use gander_server::{LogFile, Running, RuntimeFile, ServeError, ServeOptions, Server};
use gander_upgrade::{Phase, Place, State, UpgradeId};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, takeover};
use crate::failure::Failure;
use crate::instance::{Instance, not_serving};
use crate::output::Outcome;

/// How long a process that has handed over waits to say to whom.
const HANDED_OVER_PATIENCE: Duration = Duration::from_secs(60);

/// The exit status of a version that was to take over and found the journal not as it was sealed.
const NOT_TAKEN_OVER: u8 = 3;

/// Serve without opening a window
///
/// The first line of standard output is JSON: the address, the process, the data folder and the runtime file, which holds the
/// token that programs use. The port is chosen once for a data folder and kept. Ends on Ctrl-C, SIGTERM or `gander stop`.
///
/// Where an older version serves the same data folder, it is asked to hand over: it takes no new turns, waits for running ones
/// (--yes interrupts them; they can be continued), backs up, seals and ends. Nothing is killed.
#[derive(Args)]
#[command(after_help = "Examples:
  gander serve
  gander serve --port 4000
  gander --data-dir /tmp/try serve

Warnings are logged on standard error (GANDER_LOG=debug says more), and what went on in logs/ in the data folder.")]
pub struct Serve {
    /// Listen on this port of 127.0.0.1, and keep it for this data folder; 0 is any free one, this time only
    #[arg(long, value_name = "N")]
    port: Option<u16>,

    /// Take over in this upgrade: compare the journal with the seal first, and write nothing if it differs
    #[arg(long, value_name = "ID", hide = true)]
    pub upgrade: Option<UpgradeId>,
}

impl Serve {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        if let Some(running) = Instance::find(&context.data_dir).await? {
            // Within an upgrade, whoever drives it has seen to that.
            let Some(older) = takeover::is_older(context).filter(|_| self.upgrade.is_none()) else {
                return Err(already_running(&running));
            };
            takeover::take_over(context, &running, &older).await?;
        }
        let running = start(&context.data_dir, self.port, self.upgrade).await?;
        let first = json!({
            "url": running.url(),
            "pid": std::process::id(),
            "data_dir": running.data_dir(),
            "runtime_file": running.runtime_file(),
        });
        if let Some(why) = running.read_only() {
            context.output.note(&format!(
                "Nothing can be saved: {why}. Everything can be read; start again when the data folder can be written."
            ));
        }
        if !running.runtime_file().starts_with(running.data_dir()) {
            let path = running.runtime_file().display();
            context
                .output
                .note(&format!("The runtime file with the token is {path}, since the data folder takes none."));
        }
        // Last: whoever waits for it finds everything else said.
        context.output.print(&format!("{first}\n"));
        until_stopped(running).await
    }
}

fn already_running(running: &Instance) -> Failure {
    let (data_dir, url) = (running.data_dir.display(), running.client.url());
    let pid = running.runtime().map(|runtime| format!(" (process {})", runtime.pid)).unwrap_or_default();
    Failure::new(
        format!("Gander runs on {data_dir} already: {url}{pid}."),
        "Use it (gander open), end it (gander stop), or name another folder with --data-dir.",
    )
}

/// Opens the journal and listens.
pub async fn start(data_dir: &Path, port: Option<u16>, upgrade: Option<UpgradeId>) -> Result<Running, Failure> {
    log(data_dir);
    let mut options = ServeOptions::new(data_dir);
    options.port = port;
    options.gander.upgrade = upgrade;
    options.gander.installed = std::env::current_exe()
        .ok()
        .and_then(|program| gander_upgrade::launch::installed_program(&Place::new(data_dir), &program));
    Server::start(options).await.map_err(|error| {
        let failure = not_serving(data_dir, &error);
        match error {
            ServeError::Open { source: OpenError::CheckFailed(_), .. } => failure.exit(NOT_TAKEN_OVER),
            _ => failure,
        }
    })
}

/// Serves until a signal or `gander stop`, then ends in order. A second signal does not wait.
pub async fn until_stopped(running: Running) -> Result<Outcome, Failure> {
    let refused = |error: std::io::Error| Failure::new("Signals cannot be received here.", "").because(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(refused)?;
    tokio::select! {
        () = running.stop_requested() => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    let data_dir = running.data_dir().to_owned();
    tokio::select! {
        () = running.stop() => {
            if let Some(words) = handed_over(&data_dir).await {
                eprintln!("gander: {words}");
            }
            Ok(Outcome::Done)
        }
        _ = tokio::signal::ctrl_c() => Err(Failure::new("Stopped at once, before everything had ended.", "Nothing acknowledged is lost; the next start recovers.")),
    }
}

/// What became of the version that this process handed over to, for whoever looks at its terminal. Nothing when it ended for
/// another reason.
async fn handed_over(data_dir: &Path) -> Option<String> {
    let place = Place::new(data_dir);
    let this = gander_upgrade::driver::this_version();
    let until = Instant::now() + HANDED_OVER_PATIENCE;
    loop {
        let state = State::read(&place).ok().flatten()?;
        let (to, id) = (&state.to.version, state.id);
        let ours = state.driver.pid != std::process::id() && state.from.version == this;
        if !ours || matches!(state.phase, Phase::Stage | Phase::Drill | Phase::Prepare | Phase::Abandoned) {
            return None;
        }
        let serving = RuntimeFile::read(data_dir).ok();
        match (state.phase, serving) {
            (Phase::Commit | Phase::RolledBack, Some(serving)) => {
                let how = if state.phase == Phase::Commit { "handed over to" } else { "could not be replaced by" };
                return Some(format!(
                    "gander {this} has {how} gander {to}. Gander {} serves now: process {}, {}. This process ends.",
                    serving.version, serving.pid, serving.url
                ));
            }
            (Phase::Commit | Phase::RolledBack, None) if !state.was_running => return None,
            _ if Instant::now() > until
                || gander_upgrade::state::driver(&place).is_ok_and(|driver| driver.is_none()) =>
            {
                return Some(format!(
                    "gander {this} has handed over to gander {to} (upgrade {id}) and ends. See `gander upgrade status`."
                ));
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// What is kept in the log.
const KEPT: &str =
    "warn,gander_api=info,gander_journal=info,gander_vault=info,gander_server=info,gander_upgrade=info,gander=info";

/// Errors and warnings on standard error (`GANDER_LOG` says what else); what a maintainer needs in the data folder's log.
fn log(data_dir: &Path) {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

    let wanted = EnvFilter::try_from_env("GANDER_LOG").unwrap_or_else(|_| "warn".into());
    // A log that cannot be written (it may lie on the disk that is full) must not take the server along.
    let shown = fmt::layer().with_writer(std::io::stderr).with_target(false).log_internal_errors(false);
    let kept = LogFile::open(data_dir).ok().map(|file| {
        // Not more than this, whatever is wanted on standard error: further down agents' own words are told.
        let layer = fmt::layer().with_writer(move || file.clone()).with_ansi(false).log_internal_errors(false);
        layer.with_filter(EnvFilter::new(KEPT))
    });
    // A second subscriber in one process is refused, and the first one goes on.
    let _ = registry().with(shown.with_filter(wanted)).with(kept).try_init();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Its place and not its words, which may hold what somebody said.
        tracing::error!(place = panic.location().map(ToString::to_string), "a panic");
        usual(panic);
    }));
}
