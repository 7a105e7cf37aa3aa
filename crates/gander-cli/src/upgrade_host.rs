//! How the upgrade's driver asks who serves: over the same HTTP as everybody.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gander_server::RuntimeFile;
use gander_upgrade::driver::with_sources;
use gander_upgrade::host::{About, HandOver, Handover, Host, Saved, Trouble};
use gander_upgrade::state::Backup;
use gander_upgrade::{Place, Version, lock};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::instance::Instance;

/// Longer than turns, agents and answers may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// The instance of a data folder, running or served by this process for as long as it takes.
pub struct HttpHost {
    data_dir: PathBuf,
    instance: Option<Instance>,
}

impl HttpHost {
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), instance: None }
    }

    fn asked(&self) -> Result<&Instance, Trouble> {
        self.instance.as_ref().ok_or_else(|| Trouble("nobody serves".to_owned()))
    }

    async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.asked()?.client.get(path).await.map_err(trouble)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.asked()?.client.post(path, body).await.map_err(trouble)
    }
}

fn trouble(failure: Failure) -> Trouble {
    let mut text = failure.what;
    for why in failure.why {
        text.push(' ');
        text.push_str(&why);
    }
    Trouble(text.trim_end_matches('.').to_owned())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Host for HttpHost {
    async fn about(&mut self) -> Result<About, Trouble> {
        let instance = Instance::find_or_serve(&self.data_dir).await.map_err(trouble)?;
        let was_running = !instance.is_own();
        self.instance = Some(instance);
        let health = self.get("health").await?;
        let version: Version = text(&health["version"])
            .parse()
            .map_err(|_| Trouble("the running version does not say which it is".to_owned()))?;
        let holder = lock::holder(&Place::new(&self.data_dir).journal_lock());
        let own = std::env::current_exe().ok();
        let program = if was_running { holder.as_ref().map(|holder| holder.program.clone().into()) } else { own };
        let program = program.ok_or_else(|| Trouble("the running program cannot be found".to_owned()))?;
        let pid = holder.map_or_else(std::process::id, |holder| holder.pid);
        // A package manager may have replaced the file; on Linux the process still has the one that it was started from.
        let process = PathBuf::from(format!("/proc/{pid}/exe"));
        Ok(About {
            version,
            format: health["format"].as_u64().and_then(|format| u32::try_from(format).ok()).unwrap_or(1),
            running: if process.exists() { process } else { program.clone() },
            program,
            pid,
            port: self.instance.as_ref().and_then(|instance| instance.client.url().rsplit(':').next()?.parse().ok()),
            was_running,
        })
    }

    async fn save(&mut self, to: &Version, tell: &mut dyn FnMut(&str)) -> Result<Saved, Trouble> {
        let ask = json!({"reason": "upgrade", "drill": true, "exports": true, "version": to.to_string()});
        let made = self.post("backups", &ask).await?;
        if made["drilled"] == json!(false) {
            return Err(Trouble("the backup was restored into a scratch store, and is not the same".to_owned()));
        }
        let said = |finding: &Value| text(&finding["detail"]);
        let warnings = made["findings"].as_array().into_iter().flatten().map(said).collect();
        let exports = made["exports"].as_str().map(PathBuf::from);
        tell(&format!("snapshot {} was read back", text(&made["snapshot"])));
        if let Some(folder) = &exports {
            tell(&format!("open sessions are readable in {}", folder.display()));
        }
        let backup = Backup {
            snapshot: text(&made["snapshot"]),
            place: text(&made["place"]),
            root: text(&made["root"]),
            sessions: made["sessions"].as_u64().unwrap_or_default(),
            entries: made["entries"].as_u64().unwrap_or_default(),
            drilled: made["drilled"] == json!(true),
        };
        Ok(Saved { backup, exports, warnings })
    }

    async fn hand_over(&mut self, ask: &HandOver) -> Result<(), Trouble> {
        let body = json!({
            "upgrade": ask.upgrade, "to": ask.to, "to_format": ask.to_format,
            "deadline_ms": ask.deadline_ms, "interrupt": ask.interrupt,
        });
        self.post("handover", &body).await.map(drop)
    }

    async fn handover(&mut self) -> Result<Handover, Trouble> {
        let now = self.get("handover").await?;
        let name = |turn: &Value| turn["name"].as_str().or(turn["session_id"].as_str()).unwrap_or("?").to_owned();
        Ok(Handover {
            state: text(&now["state"]),
            turns: now["turns"].as_array().into_iter().flatten().map(name).collect(),
            drafts: now["drafts"].as_u64().unwrap_or_default(),
            failed: now["failed"].as_str().map(str::to_owned),
        })
    }

    async fn cancel(&mut self) -> Result<(), Trouble> {
        self.asked()?.client.delete("handover").await.map(drop).map_err(trouble)
    }

    async fn let_go(&mut self) {
        if let Some(instance) = self.instance.take() {
            if instance.is_own() {
                instance.release().await;
            } else {
                self.instance = Some(instance);
            }
        }
    }

    fn put_back(&mut self) -> Result<(), Trouble> {
        gander_api::put_back_sealed(&self.data_dir).map_err(|error| Trouble(with_sources(&error)))
    }

    fn set_aside(&mut self) -> Result<(), Trouble> {
        gander_api::set_journal_aside(&self.data_dir).map_err(|error| Trouble(with_sources(&error)))
    }

    fn put_back_copy(&mut self, copy: &Path, root: &str, documents: &str) -> Result<(), Trouble> {
        gander_api::put_back(&self.data_dir, copy, root, documents).map_err(|error| Trouble(with_sources(&error)))
    }

    async fn answering(&mut self) -> Option<(u32, Version)> {
        let instance = Instance::find(&self.data_dir).await.ok()??;
        let health = instance.client.get("health").await.ok()?;
        let pid = RuntimeFile::read(&self.data_dir).ok()?.pid;
        Some((pid, health["version"].as_str()?.parse().ok()?))
    }

    async fn stop(&mut self) -> Result<(), Trouble> {
        let Some(instance) = Instance::find(&self.data_dir).await.map_err(trouble)? else { return Ok(()) };
        instance.client.post("stop", &json!({})).await.map_err(trouble)?;
        let until = Instant::now() + STOP_PATIENCE;
        while Instance::find(&self.data_dir).await.map_err(trouble)?.is_some() {
            if Instant::now() > until {
                return Err(Trouble("the new version was asked to stop and has not".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
