use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;

use super::super::Context;
use super::title;
use crate::client::query;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::style::{Style, Tone, one_line};
use crate::times::ago;
use crate::view::{self, Session};

/// Search the text of all sessions, newest first
#[derive(Args)]
#[command(after_help = "Examples:
  gander sessions search \"flaky test\"
  gander sessions search parser --json | jq -r '.results[].session_id' | sort -u")]
pub struct Search {
    /// Words; the last one may be a beginning
    #[arg(required = true, num_args = 1.., value_name = "WORDS")]
    words: Vec<String>,
    /// At most this many, up to 500
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Go on after the page that ended with this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hit {
    session: Session,
    seq: u64,
    kind: String,
    snippet: String,
    at: String,
}

impl Search {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let pairs = [("q", Some(self.words.join(" "))), ("limit", Some(self.limit.to_string())), ("after", self.after)];
        let path = format!("search{}", query(&pairs));
        let answer = context.with_instance(async |instance| instance.client.get(&path).await).await?;
        let hits: Vec<Hit> = view::read(&answer["results"])?;
        context.output.result(&answer, || {
            let style = context.output.style();
            let now = Timestamp::now();
            let mut text: String = hits.iter().map(|hit| told(hit, style, now)).collect();
            if hits.is_empty() {
                text.push_str("Nothing found.\n");
            }
            if answer["complete"] == false {
                text.push_str(&style.paint(Tone::Waiting, "The index is still being made: there may be more.\n"));
            }
            if let Some(next) = answer["next"].as_str() {
                text.push_str(&style.paint(Tone::Quiet, &format!("more: --after {next}\n")));
            }
            text
        });
        Ok(Outcome::Done)
    }
}

fn told(hit: &Hit, style: Style, now: Timestamp) -> String {
    let place = format!("{} · {} {} · {}", hit.session.id, hit.kind, hit.seq, ago(Some(&hit.at), now));
    let name = style.paint(Tone::Strong, &one_line(&title(&hit.session)));
    format!("{name}  {}\n  {}\n", style.paint(Tone::Quiet, &place), marked(&hit.snippet, style))
}

/// The text around, with what matched set apart (the server puts U+0002 and U+0003 around it).
fn marked(snippet: &str, style: Style) -> String {
    let mut text = String::new();
    for (index, piece) in snippet.split('\u{2}').enumerate() {
        let (hit, rest) = if index == 0 { ("", piece) } else { piece.split_once('\u{3}').unwrap_or((piece, "")) };
        text.push_str(&style.paint(Tone::Active, &spaced(hit)));
        text.push_str(&spaced(rest));
    }
    text
}

/// As [`one_line`], keeping a space at either end: the pieces are put together again.
fn spaced(text: &str) -> String {
    let inner = one_line(text);
    let before = if text.starts_with(char::is_whitespace) { " " } else { "" };
    let after = if text.ends_with(char::is_whitespace) && !inner.is_empty() { " " } else { "" };
    format!("{before}{inner}{after}")
}

#[cfg(test)]
mod tests {
    use super::marked;
    use crate::style::Style;

    #[test]
    fn what_matched_stays_in_its_sentence() {
        assert_eq!(marked("the \u{2}flaky\u{3} test\nof \u{2}it\u{3}", Style::plain()), "the flaky test of it");
    }
}
