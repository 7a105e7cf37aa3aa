use clap::Subcommand;
use serde_json::json;

use super::{Context, sessions};
use crate::failure::Failure;
use crate::output::{Outcome, Output};
use crate::style::Tone;
use crate::table::{Cell, Table};
use crate::view::{self, Session, Window};

/// List, open, close and reopen windows, and move what they show
#[derive(Subcommand)]
#[command(after_help = "Examples:
  gander windows list
  gander windows open \"Fix the parser\"
  gander windows close 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d")]
pub enum Windows {
    /// List windows in their order, closed ones last
    #[command(
        after_help = "Examples:\n  gander windows list\n  gander windows list --json | jq '.windows[] | select(.open)'"
    )]
    List {
        /// Open ones only
        #[arg(long)]
        open: bool,
    },
    /// Make a window, on a session or with a new chat
    #[command(after_help = "Examples:\n  gander windows open\n  gander windows open \"Fix the parser\"")]
    Open {
        /// A session: its id or its whole name
        session: Option<String>,
    },
    /// Close a window; its session stays, and so does its draft
    #[command(after_help = "Examples:\n  gander windows close 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d")]
    Close {
        /// Its id
        window: String,
    },
    /// Open a closed window again; the last closed one when none is named
    #[command(after_help = "Examples:\n  gander windows reopen")]
    Reopen {
        /// Its id
        window: Option<String>,
    },
    /// Move what a window shows to another open window, or to a new one
    ///
    /// What is typed for it goes along; the window that it leaves shows a new chat.
    #[command(after_help = "Examples:
  gander windows move 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d
  gander windows move 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d --to 0199c3a4-9b20-7d11-8f2a-5c7e9d3f1a2b")]
    Move {
        /// The window that shows it now
        window: String,
        /// The window that is to show it; a new one when none is named
        #[arg(long, value_name = "WINDOW")]
        to: Option<String>,
    },
}

impl Windows {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        match self {
            Self::List { open } => list(context, open).await,
            Self::Open { session } => {
                let answer = context
                    .with_instance(async |instance| {
                        let body = match &session {
                            Some(session) => json!({"session_id": sessions::resolve(&instance.client, session).await?}),
                            None => json!({}),
                        };
                        instance.client.post("windows", &body).await
                    })
                    .await?;
                let window: Window = view::read(&answer)?;
                context.output.result(&answer, || format!("Opened window {}.\n", window.id));
                Ok(Outcome::Done)
            }
            Self::Close { window } => {
                context.with_instance(async |instance| instance.client.delete(&place(&window)?).await).await?;
                context.output.result(&json!({"closed": window}), || {
                    format!("Closed. Take it back: gander windows reopen {window}\n")
                });
                Ok(Outcome::Done)
            }
            Self::Reopen { window } => {
                let answer = context
                    .with_instance(async |instance| {
                        let window = match window {
                            Some(window) => window,
                            None => last_closed(&view::read::<Vec<Window>>(
                                &instance.client.get("windows").await?["windows"],
                            )?)?,
                        };
                        instance.client.post(&format!("{}/reopen", place(&window)?), &json!({})).await
                    })
                    .await?;
                let window: Window = view::read(&answer)?;
                context.output.result(&answer, || format!("Window {} is open again.\n", window.id));
                Ok(Outcome::Done)
            }
            Self::Move { window, to } => {
                let from = place(&window)?;
                to.as_deref().map(place).transpose()?;
                let answer = context
                    .with_instance(async |instance| {
                        let shown: Window = view::read(&instance.client.get(&from).await?)?;
                        let body = json!({"session_id": shown.session_id, "to": to});
                        instance.client.post(&format!("{from}/move-session"), &body).await
                    })
                    .await?;
                let moved: Window = view::read(&answer["window"])?;
                context.output.result(&answer, || format!("Moved to window {}.\n", moved.id));
                Ok(Outcome::Done)
            }
        }
    }
}

fn place(window: &str) -> Result<String, Failure> {
    if sessions::is_id(window) {
        return Ok(format!("windows/{window}"));
    }
    Err(Failure::new(format!("\"{window}\" is no window id."), "gander windows list has them."))
}

/// The server lists closed ones after the open ones, last closed first.
fn last_closed(windows: &[Window]) -> Result<String, Failure> {
    let closed = windows.iter().find(|window| !window.open);
    closed
        .map(|window| window.id.clone())
        .ok_or_else(|| Failure::new("No window is closed.", "gander windows open makes one."))
}

async fn list(context: &Context<'_>, open: bool) -> Result<Outcome, Failure> {
    let (answer, named) = context
        .with_instance(async |instance| {
            let mut answer = instance.client.get("windows").await?;
            if let Some(windows) = answer["windows"].as_array_mut().filter(|_| open) {
                windows.retain(|window| window["open"] == true);
            }
            let windows: Vec<Window> = view::read(&answer["windows"])?;
            let mut named = Vec::new();
            for window in windows {
                let session = match &window.session_id {
                    // A session that cannot be read must not take the list away.
                    Some(id) if !context.output.is_json() => {
                        let answer = instance.client.get(&format!("sessions/{id}")).await;
                        answer.ok().and_then(|answer| view::read::<Session>(&answer["session"]).ok())
                    }
                    _ => None,
                };
                named.push((window, session));
            }
            Ok((answer, named))
        })
        .await?;
    context.output.result(&answer, || table(&named, context.output));
    Ok(Outcome::Done)
}

fn table(windows: &[(Window, Option<Session>)], output: &Output) -> String {
    if windows.is_empty() {
        return "No windows. `gander` opens one.\n".to_owned();
    }
    let mut table = Table::new(&["ID", "ORDER", "STATE", "SHOWS", "DRAFT"]).flexible(&[4, 3]);
    for (window, session) in windows {
        let (state, tone) = match (window.open, window.attached) {
            (true, true) => ("on screen", Tone::Active),
            (true, false) => ("open", Tone::Plain),
            (false, _) => ("closed", Tone::Quiet),
        };
        let shows = match (session, &window.session_id) {
            (Some(session), _) => sessions::title(session),
            (None, Some(id)) => id.clone(),
            (None, None) => String::new(),
        };
        table.row(vec![
            Cell::new(&window.id).tone(Tone::Quiet),
            Cell::number(window.ordinal),
            Cell::new(state).tone(tone),
            Cell::new(shows),
            Cell::new(window.draft.as_ref().map(|draft| draft.text.as_str()).unwrap_or_default()).tone(Tone::Quiet),
        ]);
    }
    output.table(&table)
}
