use clap::Args;
use serde_json::{Value, json};
use std::time::Duration;

use super::Context;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Outcome, Output};
use crate::style::{Tone, lines};
use crate::view::{self, Finding, Report};

/// Recompute every hash and compare every head
///
/// Reads every entry of every session, recomputes its hashes, and compares the result with the witnessed heads and the store root.
/// It also counts: sessions on disk = active + archived + trashed + quarantined. Exit status 1 when anything is found.
#[derive(Args)]
#[command(after_help = "Examples:
  gander verify
  gander verify --json | jq .findings")]
pub struct Verify {}

impl Verify {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let report = context
            .with_instance(async |instance| job(&instance.client, "verify", "verified", context.output).await)
            .await?;
        let read: Report = view::read(&report)?;
        context.output.result(&report, || told(&read, context.output));
        Ok(if read.ok { Outcome::Done } else { Outcome::Findings })
    }
}

/// Starts a job and follows it to its end; gives its report.
pub async fn job(client: &Client, kind: &str, done: &str, output: &Output) -> Result<Value, Failure> {
    let mut job = followed(client, &format!("jobs/{kind}"), &json!({}), done, output).await?;
    Ok(job["report"].take())
}

/// Starts a job and follows it to its end; gives all of it.
pub async fn followed(
    client: &Client,
    path: &str,
    body: &Value,
    done: &str,
    output: &Output,
) -> Result<Value, Failure> {
    let mut job = client.post(path, body).await?;
    while job["state"] == "running" {
        output.progress(&format!("{} of {} {done}", job["done"], job["total"]));
        tokio::time::sleep(Duration::from_millis(50)).await;
        job = client.get(&format!("jobs/{}", job["id"].as_str().unwrap_or_default())).await?;
    }
    output.progress_done();
    if job["state"] == "done" {
        return Ok(job);
    }
    Err(Failure::of_problem(500, job["error"].take()))
}

fn told(report: &Report, output: &Output) -> String {
    let style = output.style();
    let audit = &report.audit;
    let verdict = match report.findings.len() {
        0 if report.ok => style.paint(Tone::Strong, "Everything verifies."),
        1 => style.paint(Tone::Bad, "1 finding."),
        count => style.paint(Tone::Bad, &format!("{count} findings.")),
    };
    format!(
        "{verdict}\n  {} sessions, {} entries\n  {} on disk = {} active + {} archived + {} trashed + {} quarantined\n  {}\n{}",
        report.sessions,
        report.entries,
        audit.on_disk,
        audit.active,
        audit.archived,
        audit.trashed,
        audit.quarantined,
        style.paint(Tone::Quiet, &format!("root {}", report.root)),
        findings(&report.findings, output),
    )
}

/// Findings, each with its place and what can be done.
pub fn findings(findings: &[Finding], output: &Output) -> String {
    let style = output.style();
    let mut text = String::new();
    for finding in findings {
        let tone = match finding.severity.as_str() {
            "error" => Tone::Bad,
            "warning" => Tone::Waiting,
            _ => Tone::Quiet,
        };
        let subject =
            finding.subject["session"].as_str().map(|session| format!(" (session {session})")).unwrap_or_default();
        text.push_str(&format!(
            "\n{} {}{subject}\n  {}\n",
            style.paint(tone, &finding.severity),
            finding.kind,
            lines(&finding.detail)
        ));
        if !finding.remedy.is_empty() {
            text.push_str(&format!("  → {}\n", lines(&finding.remedy)));
        }
    }
    text
}
