//! One page that stands alone: no script, no request, nothing that a transcript says is taken for markup.

use super::block::{Block, blocks};
use super::{Export, rfc3339};

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--quiet:#767676;--card:#8881}\
body{font:16px/1.55 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem;margin:0 0 .3rem}header,.note,.at{color:var(--quiet);font-size:.85rem}\
.text,pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}\
pre{font:13px/1.45 ui-monospace,monospace}\
section{margin:1.2rem 0}.prompt{background:var(--card);border-radius:.6rem;padding:.8rem 1rem}\
details,.tool{border:1px solid var(--line);border-radius:.6rem;padding:.5rem .8rem}\
summary{cursor:pointer;color:var(--quiet)}del{background:#d332;text-decoration:none;display:block}\
ins{background:#2a32;text-decoration:none;display:block}";

/// The export as one HTML page.
pub fn html(export: &Export) -> String {
    let name = escape(&export.heading.name);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}</title>\n<style>{STYLE}</style></head>\n<body>\n<header>\n<h1>{name}</h1>\n"
    );
    if let Some(session) = export.sessions.last() {
        let started = session.entries.first().map(|entry| rfc3339(entry.header.at_ms)).unwrap_or_default();
        let head = session.head();
        out.push_str(&format!("<p>Session {}, started {started}, head {} {}</p>\n", session.id, head.seq, head.hash));
    }
    let place = [&export.heading.agent, &export.heading.cwd].into_iter().flatten().map(|text| escape(text));
    out.push_str(&format!("<p>{}</p>\n</header>\n<main>\n", place.collect::<Vec<_>>().join(" · ")));
    for block in blocks(export) {
        out.push_str(&section(&block));
    }
    out.push_str("</main>\n</body></html>\n");
    out
}

fn section(block: &Block) -> String {
    match block {
        Block::Prompt { at, text, attachments } => {
            let attached: String =
                attachments.iter().map(|name| format!("<p class=\"at\">attached: {}</p>", escape(name))).collect();
            let text = escape(text);
            format!(
                "<section class=\"prompt\"><p class=\"at\">You, {at}</p><p class=\"text\">{text}</p>{attached}</section>\n"
            )
        }
        Block::Message { text, interrupted } => {
            let cut = if *interrupted { "<p class=\"note\">interrupted here</p>" } else { "" };
            format!("<section><p class=\"text\">{}</p>{cut}</section>\n", escape(text))
        }
        Block::Thought(text) => {
            format!(
                "<section><details><summary>Thought</summary><p class=\"text\">{}</p></details></section>\n",
                escape(text)
            )
        }
        Block::Tool(tool) => {
            let mut inner =
                format!("<p>{} <span class=\"at\">{}</span></p>", escape(&tool.title), escape(&tool.status));
            if !tool.text.trim().is_empty() {
                inner.push_str(&format!(
                    "<details><summary>Output</summary><pre>{}</pre></details>",
                    escape(&tool.text)
                ));
            }
            for diff in &tool.diffs {
                let lines = |text: &str, tag: &str| {
                    text.lines().map(|line| format!("<{tag}>{}</{tag}>", escape(line))).collect::<String>()
                };
                let (old, new) = (lines(&diff.old, "del"), lines(&diff.new, "ins"));
                inner.push_str(&format!("<p class=\"at\">{}</p><pre>{old}{new}</pre>", escape(&diff.path)));
            }
            format!("<section class=\"tool\">{inner}</section>\n")
        }
        Block::Plan(steps) => {
            let step = |(status, text): &(String, String)| {
                let mark = if status == "completed" { "☑" } else { "☐" };
                format!("<li>{mark} {}</li>", escape(text))
            };
            format!("<section><ul>{}</ul></section>\n", steps.iter().map(step).collect::<String>())
        }
        Block::Note(text) => format!("<section class=\"note\">{}</section>\n", escape(text)),
        Block::Other { kind, json } => {
            format!("<section class=\"tool\"><p>{}</p><pre>{}</pre></section>\n", escape(kind), escape(json))
        }
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters mean nothing in a page; some turn the text around.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
