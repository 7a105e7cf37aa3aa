//! `gander sessions`: one file per thing that can be done with them.

mod change;
mod export;
mod fork;
mod import;
mod list;
mod purge;
mod search;
mod show;

use clap::Subcommand;

use super::Context;
use crate::client::{Client, query};
use crate::failure::Failure;
use crate::output::Outcome;
use crate::view::{self, Session};

/// List, read, search and change sessions
///
/// A session is named by its id, or by its whole name where only one has it. Purging wants the id.
#[derive(Subcommand)]
#[command(after_help = "Examples:
  gander sessions list
  gander sessions show \"Fix the parser\"
  gander sessions search \"flaky test\"
  gander sessions rename 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d \"Parser, second try\"
  gander sessions trash \"Fix the parser\"")]
pub enum Sessions {
    List(list::List),
    Show(show::Show),
    Search(search::Search),
    Rename(change::Rename),
    /// Take sessions out of the list, for good keeping
    #[command(after_help = "Examples:\n  gander sessions archive \"Fix the parser\"")]
    Archive(change::Named),
    /// Bring archived sessions back into the list
    #[command(after_help = "Examples:\n  gander sessions unarchive \"Fix the parser\"")]
    Unarchive(change::Named),
    /// Put sessions in the trash; nothing is erased
    #[command(
        after_help = "Examples:\n  gander sessions trash \"Fix the parser\"\n  gander sessions untrash \"Fix the parser\"     takes it back"
    )]
    Trash(change::Named),
    /// Take sessions out of the trash
    #[command(after_help = "Examples:\n  gander sessions untrash \"Fix the parser\"")]
    Untrash(change::Named),
    Purge(purge::Purge),
    Fork(fork::Fork),
    Export(export::Export),
    Import(import::Import),
}

impl Sessions {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Search(command) => command.run(context).await,
            Self::Rename(command) => command.run(context).await,
            Self::Archive(named) => named.set_status(context, "archived", "Archived").await,
            Self::Unarchive(named) => named.set_status(context, "active", "Back in the list:").await,
            Self::Trash(named) => named.set_status(context, "trashed", "In the trash:").await,
            Self::Untrash(named) => named.set_status(context, "active", "Out of the trash:").await,
            Self::Purge(command) => command.run(context).await,
            Self::Fork(command) => command.run(context).await,
            Self::Export(command) => command.run(context).await,
            Self::Import(command) => command.run(context).await,
        }
    }
}

/// Whether a text is an id. Beginnings of ids are never taken for one: the wrong session could have the same.
pub fn is_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok() && text.len() == 36
}

/// The id of the session that a person named.
pub async fn resolve(client: &Client, named: &str) -> Result<String, Failure> {
    if is_id(named) {
        return Ok(named.to_lowercase());
    }
    let mut matching: Vec<Session> = Vec::new();
    let mut after = None;
    loop {
        let pairs = [
            ("q", Some(named.to_owned())),
            ("status", Some("all".to_owned())),
            ("limit", Some("500".to_owned())),
            ("after", after),
        ];
        let answer = client.get(&format!("sessions{}", query(&pairs))).await?;
        let page: Vec<Session> = view::read(&answer["sessions"])?;
        matching.extend(page.into_iter().filter(|session| session.name == named));
        after = answer["next"].as_str().map(str::to_owned);
        if after.is_none() || matching.len() > 10 {
            break;
        }
    }
    match matching.as_slice() {
        [only] => Ok(only.id.clone()),
        [] => Err(Failure::new(
            format!("No session has the id or the name \"{named}\"."),
            "Find it with `gander sessions list --status all` or `gander sessions search`.",
        )),
        several => {
            let mut failure =
                Failure::new(format!("Several sessions are named \"{named}\"."), "Name the one you mean by its id.");
            for session in several.iter().take(10) {
                failure.why.push(format!("{} ({}, {})", session.id, session.status, session.cwd));
            }
            Err(failure)
        }
    }
}

/// What a person calls a session.
pub fn title(session: &Session) -> String {
    match (session.name.as_str(), session.preview.as_str()) {
        ("", "") => "New chat".to_owned(),
        ("", preview) => preview.to_owned(),
        (name, _) => name.to_owned(),
    }
}
