//! Bare `gander`: whatever runs is found, else started; then a person sees it.

use serde_json::json;

use super::{Context, serve};
use crate::browser;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::Outcome;
use crate::style::Tone;

pub async fn run(context: &Context<'_>) -> Result<Outcome, Failure> {
    run_at(context, None).await
}

/// Shows a path of the UI (the last window without one), starting Gander where none runs.
pub async fn run_at(context: &Context<'_>, to: Option<&str>) -> Result<Outcome, Failure> {
    if let Some(instance) = Instance::find(&context.data_dir).await? {
        let url = one_time_url(&instance, to).await?;
        show(context, &url, false);
        return Ok(Outcome::Done);
    }
    let running = serve::start(&context.data_dir, None, None).await?;
    match running.browser_url(to) {
        Ok(url) => show(context, &url, true),
        Err(error) => {
            running.stop().await;
            return Err(Failure::new("No address for a browser could be made.", "Try again.").because(&error));
        }
    }
    serve::until_stopped(running).await
}

/// An address that lets one browser in, once.
pub async fn one_time_url(instance: &Instance, to: Option<&str>) -> Result<String, Failure> {
    let answer = instance.client.post("auth/codes", &json!({})).await?;
    let url = answer["url"].as_str().unwrap_or_default();
    Ok(match to {
        Some(to) => format!("{url}&to={}", crate::client::encode(to)),
        None => url.to_owned(),
    })
}

/// Opens a one-time address, or prints it.
pub fn show(context: &Context<'_>, url: &str, serving: bool) {
    let opened = browser::has_display() && browser::open(url);
    let style = context.output.style();
    context.output.result(&json!({"url": url, "opened": opened, "data_dir": context.data_dir}), || {
        let mut text = String::new();
        if opened {
            text.push_str("Gander is open in your browser.\n");
        } else {
            text.push_str(&format!(
                "{}\n\n    {}\n\n{}\n",
                style.paint(Tone::Strong, "Open this in a browser on this machine:"),
                style.paint(Tone::Active, url),
                style.paint(Tone::Quiet, "It works once, for a minute; `gander open` gives another.")
            ));
        }
        if serving {
            let data =
                format!("Data: {}. Ctrl-C stops; everything is saved as it comes.\n", context.data_dir.display());
            text.push_str(&style.paint(Tone::Quiet, &data));
        }
        text
    });
}
