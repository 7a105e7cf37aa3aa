//! Readable exports: each open session as JSON and Markdown in a dated folder, with an index that a person can read
//! without Gander. Written before an upgrade; one session at a time is in memory, and everything is synced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gander_journal::{Bucket, Journal, ReadError, Reader};
use gander_model::{Kind, SessionId, text};
use gander_vault::export::{self, Heading, Unsent};
use serde_json::json;

use crate::dto::{self, rfc3339};
use crate::error::ApiError;
use crate::feed::with_sources;
use crate::ops::{collect, slug};
use crate::place::SafePlace;

const FOLDER: &str = "exports";
/// Large contents of one session that go into its export; what is beyond is named there, and is in the snapshot.
const LARGE_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Folders of one day and version.
const SAME_DAY_MAX: usize = 1_000;

/// A session that is written, as the index shows it.
struct Row {
    name: String,
    session: SessionId,
    windows: Vec<i64>,
    entries: u64,
    last_ms: i64,
    unsent: Vec<String>,
    file: Result<String, String>,
}

impl SafePlace {
    /// Writes every open session (shown in an open window, or active with a draft or queued prompts) as JSON and
    /// Markdown into `exports/<date>-before-<version>/`. A session that cannot be read is named in the index and in
    /// the findings, and does not hold up the others. `progress` is told how many sessions are done, of how many.
    pub fn export_open(
        &self,
        journal: &Journal,
        version: &str,
        now_ms: i64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<dto::ReadableExports, ApiError> {
        let open = journal.read(open_sessions)?;
        let (folder, day) = self.new_folder(version, now_ms).map_err(|error| not_written(&self.data_dir, &error))?;
        let failed = |error: io::Error| not_written(&folder, &error);
        let (mut rows, mut findings, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (at, (session, windows)) in open.iter().enumerate() {
            progress(at as u64, open.len() as u64);
            let mut row = match journal.read(|reader| one(reader, *session)) {
                Ok((row, export)) => {
                    let (markdown, json) = (export::markdown(&export), export::json(&export));
                    let name = slug(&row.name, *session);
                    write(&folder, &format!("{name}.md"), markdown.as_bytes()).map_err(failed)?;
                    write(&folder, &format!("{name}.json"), json.as_bytes()).map_err(failed)?;
                    bytes += (markdown.len() + json.len()) as u64;
                    Row { file: Ok(name), ..row }
                }
                Err(error) => {
                    let why = with_sources(&error);
                    findings.push(not_exported(*session, &why));
                    Row::unreadable(*session, why)
                }
            };
            row.windows = windows.clone();
            rows.push(row);
        }
        let heading = format!("Open sessions before {version}, {day}");
        write(&folder, "README.md", readme(&heading, &rows).as_bytes()).map_err(failed)?;
        write(&folder, "index.html", index(&heading, &rows).as_bytes()).map_err(failed)?;
        sync_folder(&folder).and_then(|()| sync_folder(&self.data_dir.join(FOLDER))).map_err(failed)?;
        progress(open.len() as u64, open.len() as u64);
        Ok(dto::ReadableExports {
            index: folder.join("index.html").display().to_string(),
            folder: folder.display().to_string(),
            sessions: rows.iter().filter(|row| row.file.is_ok()).count() as u64,
            bytes,
            findings,
        })
    }

    fn new_folder(&self, version: &str, now_ms: i64) -> io::Result<(PathBuf, String)> {
        let exports = self.data_dir.join(FOLDER);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&exports)?;
        let day = rfc3339(now_ms).chars().take(10).collect::<String>();
        let plain = |c: char| if c.is_ascii_alphanumeric() || ".-+_".contains(c) { c } else { '-' };
        let version: String = version.chars().take(60).map(plain).collect();
        for again in 1..=SAME_DAY_MAX {
            let more = if again == 1 { String::new() } else { format!("-{again}") };
            let folder = exports.join(format!("{day}-before-{version}{more}"));
            match fs::DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| (folder, day)),
            }
        }
        Err(io::Error::other("too many exports of one day"))
    }

    /// Takes what a session said out of the exports that are there: erasing reaches them too. Files that show any
    /// entry of it are emptied but for a note; the others stay as they are.
    pub(crate) fn erase_exports(&self, session: SessionId) -> io::Result<u64> {
        let mut erased = 0;
        let id = session.to_string();
        for folder in folders(&self.data_dir.join(FOLDER))? {
            for file in fs::read_dir(&folder)? {
                let path = file?.path();
                let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
                if kind != "json" {
                    continue;
                }
                let shows = fs::read(&path)?;
                if memchr::memmem::find(&shows, id.as_bytes()).is_none() || shows.starts_with(b"{\"erased\"") {
                    continue;
                }
                let name = |end: &str| path.with_extension(end).file_name().map(|name| name.to_os_string());
                let note = "What was exported here was erased on request. The session itself is in Gander.";
                for (end, note) in [("json", format!("{{\"erased\":{}}}\n", json!(note))), ("md", format!("{note}\n"))]
                {
                    if let Some(name) = name(end).and_then(|name| name.into_string().ok()) {
                        write(&folder, &name, note.as_bytes())?;
                    }
                }
                // The index holds names, which may be what was erased.
                for index in ["README.md", "index.html"] {
                    write(
                        &folder,
                        index,
                        b"Something in this folder was erased on request; the index went with it.\n",
                    )?;
                }
                sync_folder(&folder)?;
                erased += 1;
            }
        }
        Ok(erased)
    }
}

fn folders(exports: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(exports) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    Ok(paths.collect::<io::Result<Vec<_>>>()?.into_iter().filter(|path| path.is_dir()).collect())
}

/// Open sessions and the ordinals of the windows that show them, in the windows' order; then those without one.
fn open_sessions(reader: &Reader<'_>) -> Result<Vec<(SessionId, Vec<i64>)>, ReadError> {
    let mut windows: Vec<_> = reader.windows()?.into_iter().filter(|window| window.open).collect();
    windows.sort_by_key(|window| window.ordinal);
    let mut order: Vec<SessionId> = Vec::new();
    let mut shown: BTreeMap<SessionId, Vec<i64>> = BTreeMap::new();
    for window in windows {
        let ordinals = shown.entry(window.session).or_default();
        if ordinals.is_empty() {
            order.push(window.session);
        }
        ordinals.push(window.ordinal);
    }
    let documents = reader.documents()?;
    let unsent = documents.iter().filter(|document| document.kind != "window").filter_map(|document| document.session);
    for session in unsent.collect::<BTreeSet<_>>() {
        // A session that cannot be judged is exported rather than left out.
        let active = reader.session(session).map_or(true, |view| matches!(view.bucket, Bucket::Active | Bucket::Empty));
        if active && !shown.contains_key(&session) {
            order.push(session);
        }
    }
    Ok(order.into_iter().map(|session| (session, shown.remove(&session).unwrap_or_default())).collect())
}

fn one(reader: &Reader<'_>, session: SessionId) -> Result<(Row, export::Export), ReadError> {
    let view = reader.session(session)?;
    let state = &view.state;
    let name = state.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "New chat".to_owned());
    let heading = Heading { name: name.clone(), agent: state.agent.clone(), cwd: state.cwd.clone() };
    let mut export = collect(reader, session, heading, LARGE_MAX_BYTES)?;
    export.unsent = unsent(reader, session)?;
    let last_ms = export.sessions.last().and_then(|own| own.entries.last()).map_or(0, |entry| entry.header.at_ms);
    let row = Row {
        name,
        session,
        windows: Vec::new(),
        entries: export.sessions.iter().map(|session| session.entries.len() as u64).sum(),
        last_ms,
        unsent: export.unsent.iter().map(|unsent| unsent.what.clone()).collect(),
        file: Ok(String::new()),
    };
    Ok((row, export))
}

fn unsent(reader: &Reader<'_>, session: SessionId) -> Result<Vec<Unsent>, ReadError> {
    let mut unsent = Vec::new();
    for item in reader.open_items(session)? {
        let text = text::updates_text(&item.data);
        let of = if item.kind == Kind::MESSAGE { "Answer".to_owned() } else { format!("`{}`", item.kind) };
        unsent.push(Unsent { what: format!("{of}, not complete"), text, json: item.data.get().to_owned() });
    }
    for item in reader.queue(session)?.items {
        let (text, json) = (text::prompt_text(&item.content), item.content.get().to_owned());
        unsent.push(Unsent { what: "Queued prompt, not sent".to_owned(), text, json });
    }
    for draft in reader.drafts(session)?.into_iter().filter(|draft| !draft.is_empty()) {
        let json = json!({"window_id": draft.window, "rev": draft.rev, "attachments": draft.attachments});
        unsent.push(Unsent { what: "Draft, not sent".to_owned(), text: draft.text, json: json.to_string() });
    }
    Ok(unsent)
}

impl Row {
    fn unreadable(session: SessionId, why: String) -> Self {
        let (name, windows, unsent) = (format!("Session {session}"), Vec::new(), Vec::new());
        Self { name, session, windows, entries: 0, last_ms: 0, unsent, file: Err(why) }
    }

    fn about(&self) -> String {
        let windows: Vec<String> = self.windows.iter().map(ToString::to_string).collect();
        let shown = if windows.is_empty() { String::new() } else { format!("window {}, ", windows.join(", ")) };
        let unsent: String = self.unsent.iter().map(|what| format!(", {}", what.to_lowercase())).collect();
        match &self.file {
            Ok(_) => format!("{shown}{} entries, last {}{unsent}", self.entries, rfc3339(self.last_ms)),
            Err(why) => format!("{shown}could not be read: {why}"),
        }
    }
}

const ABOUT: &str = "Every session that was open is here twice: as Markdown to read, and as JSON with everything. Nothing \
                     in this folder is needed by Gander; delete it when you like.";

fn readme(heading: &str, rows: &[Row]) -> String {
    let mut out = format!("# {heading}\n\n{ABOUT}\n\n");
    for row in rows {
        let name = text::tidy(&row.name).replace(['[', ']', '`', '*', '_', '<'], " ");
        match &row.file {
            Ok(file) => out.push_str(&format!("- [{name}]({file}.md) ([JSON]({file}.json)): {}\n", row.about())),
            Err(_) => out.push_str(&format!("- {name}: {}\n", row.about())),
        }
        out.push_str(&format!("  `{}`\n", row.session));
    }
    if rows.is_empty() {
        out.push_str("No session was open.\n");
    }
    out
}

fn index(heading: &str, rows: &[Row]) -> String {
    let escape =
        |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{0}</title>\n\
         <style>:root{{color-scheme:light dark}}body{{font:16px/1.55 system-ui,sans-serif;max-width:46rem;margin:2rem \
         auto;padding:0 1rem}}h1{{font-size:1.4rem}}small,p{{color:#767676}}li{{margin:.8rem 0}}</style></head>\n\
         <body>\n<h1>{0}</h1>\n<p>{ABOUT}</p>\n<ul>\n",
        escape(heading)
    );
    for row in rows {
        let (name, about) = (escape(&row.name), escape(&row.about()));
        let shown = match &row.file {
            Ok(file) => format!("<a href=\"{file}.md\">{name}</a> (<a href=\"{file}.json\">JSON</a>)"),
            Err(_) => name,
        };
        out.push_str(&format!("<li>{shown}<br><small>{about}<br>{}</small></li>\n", row.session));
    }
    out.push_str("</ul>\n</body></html>\n");
    out
}

/// Written beside, synced, and put in its place.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!(".{name}.new"));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(name))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn not_written(path: &Path, error: &io::Error) -> ApiError {
    ApiError::new(
        crate::error::Code::NotSaving,
        format!("The exports in {} could not be written: {error}.", path.display()),
    )
    .safe("Every session is as it was.")
    .todo("Free space or make the folder writable, then try again.")
}

fn not_exported(session: SessionId, why: &str) -> dto::Finding {
    dto::Finding {
        id: None,
        kind: "not_exported".into(),
        severity: "warning".into(),
        subject: json!({ "session": session }),
        detail: format!("Session {session} could not be exported: {why}."),
        remedy: "Run `gander doctor --repair`; what could be read of it is in the snapshot.".into(),
        at: None,
    }
}
