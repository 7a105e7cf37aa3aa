use std::path::{Path, PathBuf};

use clap::Args;
use gander_server::LogFile;
use serde_json::{Value, json};

use super::Context;
use super::verify::{findings, followed, job};
use crate::data_dir;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{Outcome, Output};
use crate::style::{Tone, one_line};
use crate::view::{self, Agent, Finding};

/// Say how Gander is, and repair what is derived
///
/// Says which data folder is used and which others hold a journal, which agents are found, and what is wrong. It works also where
/// the journal cannot be opened, and then says why. Exit status 1 when anything is wrong.
#[derive(Args)]
#[command(after_help = "Examples:
  gander doctor
  gander doctor --rebuild      make the lists and the search index anew from the entries
  gander doctor --repair       heal damaged sessions from the newest backup that fits")]
pub struct Doctor {
    /// Make everything that is derived from the entries anew: session lists and search index
    #[arg(long)]
    rebuild: bool,
    /// Verify everything, then heal damaged sessions from the newest snapshot that holds what they lack
    #[arg(long)]
    repair: bool,
}

impl Doctor {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let report = match Instance::find_or_serve(&context.data_dir).await {
            Ok(instance) => {
                let result = self.ask(&instance, context).await;
                instance.release().await;
                result?
            }
            Err(failure) if self.rebuild || self.repair => return Err(failure),
            Err(failure) => unopened(context, &failure),
        };
        context.output.result(&report, || told(&report, context.output));
        Ok(if report["ok"] == true { Outcome::Done } else { Outcome::Findings })
    }

    async fn ask(&self, instance: &Instance, context: &Context<'_>) -> Result<Value, Failure> {
        let client = &instance.client;
        let rebuilt = if self.rebuild { Some(job(client, "rebuild", "done", context.output).await?) } else { None };
        let repaired = if self.repair {
            job(client, "verify", "verified", context.output).await?;
            let mut job = followed(client, "jobs/repair", &json!({}), "sessions", context.output).await?;
            Some(job["repair"].take())
        } else {
            None
        };
        let health = client.get("health").await?;
        let agents = client.get("agents").await?;
        let findings = client.get("findings").await?;
        let serious =
            findings["findings"].as_array().into_iter().flatten().any(|finding| finding["severity"] != "info");
        let mut report = json!({
            "ok": health["ok"] == true && !serious,
            "version": health["version"],
            "format": health["format"],
            "sqlite": health["sqlite"],
            "data_dir": instance.data_dir,
            "log": log(&instance.data_dir),
            "other_data_dirs": data_dir::others(&instance.data_dir),
            "running": !instance.is_own(),
            "url": if instance.is_own() { Value::Null } else { json!(client.url()) },
            "saving": health["saving"],
            "sessions": health["sessions"],
            "audit": health["audit"],
            "root": health["root"],
            "agents": agents["agents"],
            "findings": findings["findings"],
        });
        if let Some(rebuilt) = rebuilt {
            report["rebuilt"] = rebuilt;
        }
        if let Some(repaired) = repaired {
            report["repaired"] = repaired;
        }
        Ok(report)
    }
}

/// Where it is written what went on; nothing where nothing was written yet.
fn log(data_dir: &Path) -> Option<PathBuf> {
    Some(LogFile::path(data_dir)).filter(|path| path.exists())
}

/// The report when the journal cannot even be opened.
fn unopened(context: &Context<'_>, failure: &Failure) -> Value {
    json!({
        "ok": false,
        "version": gander_upgrade::VERSION,
        "format": null,
        "sqlite": null,
        "data_dir": context.data_dir,
        "log": log(&context.data_dir),
        "other_data_dirs": data_dir::others(&context.data_dir),
        "running": false,
        "agents": [],
        "findings": [{
            "kind": "not_opened",
            "severity": "error",
            "subject": {"path": context.data_dir},
            "detail": format!("{} {}", failure.what, failure.why.join(" ")),
            "remedy": "",
        }],
    })
}

fn told(report: &Value, output: &Output) -> String {
    let style = output.style();
    let text = |name: &str| match &report[name] {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    };
    let agents: Vec<Agent> = view::read(&report["agents"]).unwrap_or_default();
    let found: Vec<Finding> = view::read(&report["findings"]).unwrap_or_default();
    let running = report["url"].as_str().map_or("not running".to_owned(), |url| format!("running at {url}"));
    let verdict = if report["ok"] == true {
        style.paint(Tone::Strong, "All is well.")
    } else {
        style.paint(Tone::Bad, "Something is wrong.")
    };
    let mut lines = vec![
        verdict,
        format!("  version   {}, {running}", text("version")),
        format!("  journal   format {}, SQLite {}", text("format"), text("sqlite")),
        format!("  data      {}", one_line(&text("data_dir"))),
    ];
    if let Some(log) = report["log"].as_str() {
        lines.push(format!("  log       {}", one_line(log)));
    }
    for other in report["other_data_dirs"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push(style.paint(
            Tone::Waiting,
            &format!("  also      {} (another journal, not used now: --data-dir opens it)", one_line(other)),
        ));
    }
    if let Some(sessions) = report["sessions"].as_u64() {
        lines.push(format!("  sessions  {sessions}"));
    }
    let names: Vec<&str> = agents.iter().filter(|agent| agent.available).map(|agent| agent.id.as_str()).collect();
    if !names.is_empty() {
        lines.push(format!("  agents    {}", names.join(", ")));
    }
    if report.get("rebuilt").is_some() {
        lines.push("  rebuilt   session lists and search index, from the entries".to_owned());
    }
    if let Some(repaired) = report.get("repaired") {
        let of = |name: &str| repaired[name].as_array().map_or(0, Vec::len);
        lines.push(format!("  repaired  {} healed, {} not healed", of("healed"), of("not_healed")));
        for left in repaired["not_healed"].as_array().into_iter().flatten() {
            let text = |name: &str| one_line(left[name].as_str().unwrap_or_default());
            lines.push(style.paint(Tone::Bad, &format!("    {}: {}", text("session_id"), text("why"))));
        }
    }
    format!("{}\n{}", lines.join("\n"), findings(&found, output))
}
