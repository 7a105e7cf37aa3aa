use std::path::Path;

use clap::Args;
use serde_json::json;

use super::{Context, sessions, start};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::Outcome;
use crate::view::{self, Window};

/// Show Gander, a session, or a new chat in a folder
///
/// A session that a window shows already is shown by that window; else a new window opens. Starts Gander where none runs.
#[derive(Args)]
#[command(after_help = "Examples:
  gander open                 the last window
  gander open .               a new chat in this folder
  gander open 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d
  gander open \"Fix the parser\"
  gander open gander://session/0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d")]
pub struct Open {
    /// A session (its id, its whole name or a link to it) or a folder
    #[arg(value_name = "SESSION|FOLDER")]
    pub what: Option<String>,

    /// In the browser, where native windows are installed as well
    #[arg(long)]
    pub browser: bool,
}

impl Open {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let Some(what) = self.what else { return start::run(context).await };
        if let Some(instance) = Instance::find(&context.data_dir).await? {
            let window = window_for(&instance, &what).await?;
            let url = start::one_time_url(&instance, Some(&format!("/w/{window}"))).await?;
            start::show(context, &url, false);
            return Ok(Outcome::Done);
        }
        // The window is made first, by an instance of our own, and then shown by the one that stays.
        let window = context.with_instance(async |instance| window_for(instance, &what).await).await?;
        start::run_at(context, Some(&format!("/w/{window}"))).await
    }
}

/// The id of the window that shows it, made where there is none.
async fn window_for(instance: &Instance, what: &str) -> Result<String, Failure> {
    let client = &instance.client;
    // What a desktop hands on when a link is followed. Anybody may write one: it names a session, and nothing else.
    let link = what.strip_prefix("gander://session/").map(|id| id.trim_end_matches('/'));
    let what = link.unwrap_or(what);
    let body = if link.is_none() && Path::new(what).is_dir() {
        let folder = std::path::absolute(what)
            .map_err(|error| Failure::new(format!("{what} cannot be opened."), "").because(&error))?;
        json!({"cwd": folder})
    } else {
        let session = sessions::resolve(client, what).await?;
        let windows: Vec<Window> = view::read(&client.get("windows").await?["windows"])?;
        let shown = windows.iter().find(|window| window.open && window.session_id.as_ref() == Some(&session));
        if let Some(window) = shown {
            client.post(&format!("windows/{}/focus", window.id), &json!({})).await?;
            return Ok(window.id.clone());
        }
        json!({"session_id": session})
    };
    let window: Window = view::read(&client.post("windows", &body).await?)?;
    Ok(window.id)
}
