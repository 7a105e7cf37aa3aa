//! Attachments.

use std::sync::Arc;

use gander_journal::{CONTENT_CHUNK_BYTES, ContentInfo, NewContent};
use gander_model::Hash;
use tokio::sync::OwnedSemaphorePermit;

use crate::dto;
use crate::error::{ApiError, Code};
use crate::gander::{Ctx, Gander};

/// Largest attachment.
pub const BLOB_MAX_BYTES: u64 = 64 << 20;

fn too_large() -> ApiError {
    ApiError::new(Code::TooLarge, "An attachment may be 64 MiB large.")
}

pub(super) fn hash_in(hash: &str) -> Result<Hash, ApiError> {
    hash.parse().map_err(|_| ApiError::not_found("attachment", format_args!("{hash:.80}")))
}

/// Types that a browser shows without running anything.
const KNOWN_MIMES: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
];

/// What an attachment is, from how it begins, what was announced and whether all of it is text.
fn mime_of(announced: Option<&str>, beginning: &[u8], is_text: bool) -> String {
    let found = KNOWN_MIMES.iter().find(|(magic, _)| beginning.starts_with(magic)).map(|(_, mime)| (*mime).to_owned());
    let webp = beginning.starts_with(b"RIFF") && beginning.get(8..12) == Some(b"WEBP");
    let announced = announced.and_then(|mime| mime.split(';').next()).map(str::trim).filter(|mime| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+/".contains(c);
        *mime != "application/octet-stream" && mime.len() <= 127 && mime.contains('/') && mime.chars().all(plain)
    });
    if let Some(found) = found.or(webp.then(|| "image/webp".to_owned())) {
        return found;
    }
    match announced {
        Some(mime) => mime.to_ascii_lowercase(),
        None if is_text => "text/plain".to_owned(),
        None => "application/octet-stream".to_owned(),
    }
}

/// Whether what comes in pieces is UTF-8; a character may lie across two pieces.
#[derive(Default)]
struct TextSoFar {
    rest: Vec<u8>,
    broken: bool,
}

impl TextSoFar {
    fn push(&mut self, piece: &[u8]) {
        if self.broken {
            return;
        }
        // A piece is looked at where it lies, but for the few bytes that end a character of the one before.
        let mut piece = piece;
        while !self.rest.is_empty() && !piece.is_empty() {
            self.rest.push(piece[0]);
            piece = &piece[1..];
            match std::str::from_utf8(&self.rest) {
                Ok(_) => self.rest.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => self.broken = true,
            }
            if self.broken {
                return;
            }
        }
        if let Err(error) = std::str::from_utf8(piece) {
            match error.error_len() {
                None => self.rest.extend_from_slice(&piece[error.valid_up_to()..]),
                Some(_) => self.broken = true,
            }
        }
    }

    fn is_text(&self) -> bool {
        !self.broken && self.rest.is_empty()
    }
}

/// Bytes of an attachment's beginning that say what it is.
const BEGINNING_BYTES: usize = 16;

/// An attachment on its way in. A chunk of it is in memory; what came before lies in the journal, where nothing knows of it
/// until it is complete.
pub struct Upload {
    ctx: Arc<Ctx>,
    mime: Option<String>,
    content: NewContent,
    chunk: Vec<u8>,
    beginning: Vec<u8>,
    text: TextSoFar,
    _room: OwnedSemaphorePermit,
}

impl Upload {
    /// How much came so far.
    pub fn bytes(&self) -> u64 {
        self.content.bytes() + self.chunk.len() as u64
    }

    /// Takes a piece; refuses what goes beyond the bound as soon as it does.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        if self.bytes() + piece.len() as u64 > BLOB_MAX_BYTES {
            return Err(too_large());
        }
        self.text.push(piece);
        let beginning = BEGINNING_BYTES.saturating_sub(self.beginning.len()).min(piece.len());
        self.beginning.extend_from_slice(&piece[..beginning]);
        let mut piece = piece;
        while !piece.is_empty() {
            let fits = piece.len().min(CONTENT_CHUNK_BYTES - self.chunk.len());
            self.chunk.extend_from_slice(&piece[..fits]);
            piece = &piece[fits..];
            // A whole chunk is written once more follows, so that a small attachment is one write.
            if self.chunk.len() == CONTENT_CHUNK_BYTES && !piece.is_empty() {
                self.keep_chunk().await?;
            }
        }
        Ok(())
    }

    async fn keep_chunk(&mut self) -> Result<(), ApiError> {
        let (mut content, chunk) = (self.content.clone(), std::mem::take(&mut self.chunk));
        let kept = self.ctx.write(move |tx| {
            tx.put_chunk(&mut content, &chunk)?;
            Ok((content, chunk))
        });
        (self.content, self.chunk) = kept.await?;
        self.chunk.clear();
        Ok(())
    }

    /// Keeps it; done when it is on disk.
    pub async fn finish(mut self) -> Result<dto::Blob, ApiError> {
        let mime = mime_of(self.mime.as_deref(), &self.beginning, self.text.is_text());
        let (mut content, chunk) = (self.content.clone(), std::mem::take(&mut self.chunk));
        let written = self.ctx.write(move |tx| {
            if content.bytes() == 0 {
                return tx.put_blob(&chunk, &mime);
            }
            tx.put_chunk(&mut content, &chunk)?;
            tx.finish_content(content, &mime)
        });
        let info = written.await?;
        self.content = NewContent::default();
        Ok(shown(&info))
    }
}

impl Drop for Upload {
    /// An upload that was given up leaves nothing behind.
    fn drop(&mut self) {
        let content = std::mem::take(&mut self.content);
        if content.bytes() > 0
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let ctx = self.ctx.clone();
            runtime.spawn(async move {
                if let Err(error) = ctx.write(move |tx| tx.abandon_content(content)).await {
                    tracing::debug!(%error, "an upload that was given up is dropped at the next start");
                }
            });
        }
    }
}

/// An attachment on its way out: verified as a whole before its first byte, and again chunk by chunk.
pub struct Download {
    ctx: Arc<Ctx>,
    blob: dto::Blob,
    hash: Hash,
    chunks: u64,
    bytes: u64,
}

impl Download {
    /// What it is.
    pub fn blob(&self) -> &dto::Blob {
        &self.blob
    }

    /// The next chunk; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        let (hash, n) = (self.hash, self.chunks);
        let chunk = self.ctx.read(move |reader| reader.blob_chunk(hash, n)).await?;
        match &chunk {
            Some(chunk) => {
                self.chunks += 1;
                self.bytes += chunk.len() as u64;
            }
            // It was erased meanwhile.
            None if self.bytes != self.blob.bytes => return Err(ApiError::not_found("attachment", hash)),
            None => {}
        }
        Ok(chunk)
    }
}

fn shown(info: &ContentInfo) -> dto::Blob {
    dto::Blob { hash: info.hash.to_string(), bytes: info.bytes, mime: info.mime.clone() }
}

impl Gander {
    /// Begins to take an attachment. A few at a time: a chunk of each is held in memory.
    pub async fn new_blob(&self, mime: Option<&str>, announced: Option<u64>) -> Result<Upload, ApiError> {
        self.check_serving()?;
        if announced.is_some_and(|bytes| bytes > BLOB_MAX_BYTES) {
            return Err(too_large());
        }
        let room = self.ctx.uploads.clone().acquire_owned().await.map_err(ApiError::internal)?;
        Ok(Upload {
            ctx: self.ctx.clone(),
            mime: mime.map(str::to_owned),
            content: NewContent::default(),
            chunk: Vec::new(),
            beginning: Vec::new(),
            text: TextSoFar::default(),
            _room: room,
        })
    }

    /// An attachment, verified, to be read chunk by chunk.
    pub async fn blob(&self, hash: &str) -> Result<Download, ApiError> {
        let hash = hash_in(hash)?;
        let info = self.ctx.read(move |reader| reader.check_blob(hash)).await?;
        Ok(Download { ctx: self.ctx.clone(), blob: shown(&info), hash, chunks: 0, bytes: 0 })
    }
}

impl Ctx {
    pub(crate) async fn blob(&self, hash: &str) -> Result<(dto::Blob, Vec<u8>), ApiError> {
        let hash = hash_in(hash)?;
        let (info, bytes) = self.read(move |reader| reader.blob(hash)).await?;
        Ok((shown(&info), bytes))
    }

    pub(crate) async fn blob_info(&self, hash: &str) -> Result<dto::Blob, ApiError> {
        let hash = hash_in(hash)?;
        let info = self.read(move |reader| reader.blob_info(hash)).await?;
        info.map(|info| shown(&info)).ok_or_else(|| ApiError::not_found("attachment", hash))
    }
}

#[cfg(test)]
mod tests {
    use super::TextSoFar;

    #[test]
    fn text_is_text_however_it_is_cut() {
        let check = |bytes: &[u8]| {
            let whole = std::str::from_utf8(bytes).is_ok();
            for size in 1..=bytes.len() {
                let mut text = TextSoFar::default();
                bytes.chunks(size).for_each(|piece| text.push(piece));
                assert_eq!(text.is_text(), whole, "{bytes:?} in pieces of {size}");
            }
        };
        check("a é € 🪿 and on".as_bytes());
        check("cut at the end 🪿".as_bytes().split_last().unwrap().1);
        check(b"\xffbroken at once");
        check(b"broken \xc3( inside");
        check(b"broken \xe2\x82");
        assert!(TextSoFar::default().is_text());
    }
}
