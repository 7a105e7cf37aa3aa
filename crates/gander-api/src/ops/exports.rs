//! Sessions out as files that can be read without Gander, and back in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use gander_journal::{ReadError, Reader};
use gander_model::{Hash, Seq, SessionId};
use gander_vault::export::{self, Export, ExportedSession, Heading};
use gander_vault::{Origin, Wanted, large_refs};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::backups::preview;
use crate::carrier::JournalTarget;
use crate::dto::{self, ExportFormat};
use crate::error::{ApiError, Code};
use crate::feed::with_sources;
use crate::gander::{Ctx, Gander, blocking};
use crate::jobs::Kind;

/// An import, at most.
const IMPORT_MAX_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Forks of forks, at most.
const ANCESTORS_MAX: usize = 1_000;

/// An export as a file.
#[derive(Debug)]
pub struct Exported {
    /// Its media type.
    pub mime: &'static str,
    /// A name for it: letters, digits and dashes only.
    pub file_name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Ctx {
    pub(crate) async fn export_open(
        self: &Arc<Self>,
        version: String,
        progress: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<dto::ReadableExports, ApiError> {
        let ctx = self.clone();
        let write = move || ctx.place().export_open(&ctx.journal, &version, ctx.now_ms(), &mut |n, of| progress(n, of));
        blocking(write).await
    }

    /// Erasing reaches the readable exports too.
    pub(crate) async fn erase_exports(self: &Arc<Self>, session: SessionId) -> Result<(), ApiError> {
        let ctx = self.clone();
        let erased = blocking(move || ctx.place().erase_exports(session)).await;
        erased.map(drop).map_err(|error| {
            ApiError::internal(format!("It is erased, but maybe not in the folder `exports`: {error}."))
                .safe("It is erased in Gander, and leaves the snapshots.")
                .todo("Delete what you do not want to keep from the folder `exports` in the data folder.")
        })
    }
}

impl Gander {
    /// Writes a session, and what it is forked from, as a file.
    pub async fn export_session(&self, session: SessionId, format: ExportFormat) -> Result<Exported, ApiError> {
        let view = self.session(session).await?.session;
        let name = if view.name.is_empty() { "New chat".to_owned() } else { view.name };
        let heading = Heading { name, agent: Some(view.agent), cwd: Some(view.cwd) };
        let export = self.ctx.read(move |reader| collect(reader, session, heading, usize::MAX)).await?;
        let file_name = format!("{}.{}", slug(&export.heading.name, session), format.extension());
        let written = blocking(move || match format {
            ExportFormat::Json => export::json(&export).into_bytes(),
            ExportFormat::Jsonl => export::lines(&export),
            ExportFormat::Markdown => export::markdown(&export).into_bytes(),
            ExportFormat::Html => export::html(&export).into_bytes(),
        });
        Ok(Exported { mime: format.mime(), file_name, bytes: written.await })
    }

    /// Writes every open session as JSON and Markdown into a dated folder, before an upgrade to `version`.
    pub async fn export_open_sessions(&self, version: &str) -> Result<dto::ReadableExports, ApiError> {
        self.ctx.export_open(version.to_owned(), |_, _| {}).await
    }

    /// The same as a job that shows how far it is.
    pub async fn start_exports(&self, wanted: dto::ExportsBody) -> Result<dto::Job, ApiError> {
        self.check_serving()?;
        if wanted.version.is_empty() {
            return Err(ApiError::bad("`version` is empty: say what the exports are made before."));
        }
        Ok(self.ctx.jobs.start(&self.ctx, Kind::Export(wanted.version)))
    }

    /// Begins an import: what comes is kept in a file without a name, so that nothing of it stays when it is given up.
    pub async fn new_import(&self) -> Result<Incoming, ApiError> {
        self.check_serving()?;
        let path = self.ctx.data_dir.join(format!(".import-{}", self.ctx.new_mark()));
        let file = blocking(move || {
            let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            fs::remove_file(&path).map(|()| file)
        });
        let file = file.await.map_err(|error| not_kept(&error))?;
        Ok(Incoming { gander: self.clone(), file: tokio::fs::File::from_std(file), bytes: 0 })
    }

    /// Takes an export in JSON Lines in, verified whole first; only ever adds.
    async fn import_sessions(&self, file: fs::File) -> Result<dto::RestoreReport, ApiError> {
        self.check_serving()?;
        let _turn = self.ctx.backups.turn().await;
        let journal = self.ctx.journal.clone();
        blocking(move || {
            let import = export::import(file).map_err(|error| {
                ApiError::bad(format!("{}.", with_sources(&error)))
                    .safe("Nothing was imported; every session is as it was.")
                    .todo("Export the session again as JSON Lines, and import the whole file.")
            })?;
            let mut target = JournalTarget(journal);
            let plan = gander_vault::plan(&import, &target, &Wanted::All)?;
            let mut report = preview(&plan, &import);
            let done = plan.carry_out(&import, &mut target, |_, _| {})?;
            if let Some((session, error)) = done.failed.first() {
                let detail = format!("Session {session} could not be imported: {}.", with_sources(error));
                return Err(ApiError::new(Code::WrongState, detail).safe("Nothing that was here is changed."));
            }
            (report.added, report.forwarded) = (done.counts.added, done.counts.forwarded);
            (report.copied, report.unchanged) = (done.counts.copied, done.counts.unchanged);
            Ok(report)
        })
        .await
    }
}

/// A file that is being taken in.
pub struct Incoming {
    gander: Gander,
    file: tokio::fs::File,
    bytes: u64,
}

impl Incoming {
    /// The next piece of it.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        self.bytes += piece.len() as u64;
        if self.bytes > IMPORT_MAX_BYTES {
            return Err(ApiError::new(Code::TooLarge, format!("An import may have {IMPORT_MAX_BYTES} bytes.")));
        }
        self.file.write_all(piece).await.map_err(|error| not_kept(&error))
    }

    /// That was all: it is verified whole, and imported.
    pub async fn finish(mut self) -> Result<dto::RestoreReport, ApiError> {
        self.file.flush().await.map_err(|error| not_kept(&error))?;
        self.file.rewind().await.map_err(|error| not_kept(&error))?;
        let file = self.file.into_std().await;
        self.gander.import_sessions(file).await
    }
}

fn not_kept(error: &std::io::Error) -> ApiError {
    ApiError::new(Code::NotSaving, format!("The import could not be kept while it came: {error}."))
        .safe("Nothing was imported; every session is as it was.")
        .todo("Free space in the data folder, then try again.")
}

/// A session with what it is forked from, and large contents as long as they are `large_max` bytes in all.
pub(crate) fn collect(
    reader: &Reader<'_>,
    session: SessionId,
    heading: Heading,
    large_max: usize,
) -> Result<Export, ReadError> {
    let mut export = Export { heading, ..Export::default() };
    let mut room = large_max;
    let head = reader.head(session)?.ok_or_else(|| ReadError::NotFound { what: "session", id: session.to_string() })?;
    let mut next = Some((session, head.seq));
    while let Some((id, through)) = next.filter(|_| export.sessions.len() < ANCESTORS_MAX) {
        let pin = reader.forked_from(id)?;
        let mut entries = Vec::new();
        reader.own_entries(id, Seq(0), through, &mut |entry| {
            entries.push(entry);
            true
        })?;
        for entry in &entries {
            let refs = entry.body.as_ref().map(|body| large_refs(&entry.header.kind, &body.bytes));
            for large in refs.into_iter().flatten() {
                let bytes = usize::try_from(large.bytes).unwrap_or(usize::MAX);
                if bytes <= room && add_large(reader, large.hash, &mut export.large)? {
                    room -= bytes;
                }
            }
        }
        let pinned = pin.map(|pin| Origin { session: pin.session_id, head: pin.head() });
        export.sessions.push(ExportedSession { id, pin: pinned, entries });
        next = pin.map(|pin| (pin.session_id, pin.seq));
    }
    export.sessions.reverse();
    Ok(export)
}

/// Whether it was added.
fn add_large(reader: &Reader<'_>, hash: Hash, large: &mut BTreeMap<Hash, Vec<u8>>) -> Result<bool, ReadError> {
    if large.contains_key(&hash) {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    match reader.content(hash, &mut |part| bytes.extend_from_slice(part)) {
        Ok(true) => {
            large.insert(hash, bytes);
            Ok(true)
        }
        // What is not whole is left out; the entry that names it stays.
        Ok(false) | Err(ReadError::ContentDamaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file name that every system takes.
pub(crate) fn slug(name: &str, session: SessionId) -> String {
    let kept: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = kept.split('-').filter(|word| !word.is_empty()).collect();
    let words: String = words.join("-").chars().take(60).collect();
    let id = session.to_string();
    if words.is_empty() { id } else { format!("{}-{}", words.trim_end_matches('-'), &id[24..]) }
}
