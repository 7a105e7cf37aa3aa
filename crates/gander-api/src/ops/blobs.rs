//! Attachments.

use std::sync::Arc;

use gander_journal::ContentInfo;
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

fn mime_of(announced: Option<&str>, bytes: &[u8]) -> String {
    let found = KNOWN_MIMES.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, mime)| (*mime).to_owned());
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    let announced = announced.and_then(|mime| mime.split(';').next()).map(str::trim).filter(|mime| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+/".contains(c);
        *mime != "application/octet-stream" && mime.len() <= 127 && mime.contains('/') && mime.chars().all(plain)
    });
    if let Some(found) = found.or(webp.then(|| "image/webp".to_owned())) {
        return found;
    }
    match announced {
        Some(mime) => mime.to_ascii_lowercase(),
        None if std::str::from_utf8(bytes).is_ok() => "text/plain".to_owned(),
        None => "application/octet-stream".to_owned(),
    }
}

/// An attachment on its way in.
pub struct Upload {
    ctx: Arc<Ctx>,
    mime: Option<String>,
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Upload {
    /// How much came so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Takes a piece; refuses what goes beyond the bound as soon as it does.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        if self.bytes() + piece.len() as u64 > BLOB_MAX_BYTES {
            return Err(too_large());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Keeps it; done when it is on disk.
    pub async fn finish(self) -> Result<dto::Blob, ApiError> {
        let mime = mime_of(self.mime.as_deref(), &self.bytes);
        let bytes = self.bytes;
        Ok(shown(&self.ctx.write(move |tx| tx.put_blob(&bytes, &mime)).await?))
    }
}

fn shown(info: &ContentInfo) -> dto::Blob {
    dto::Blob { hash: info.hash.to_string(), bytes: info.bytes, mime: info.mime.clone() }
}

impl Gander {
    /// Begins to take an attachment. A few at a time: each is held in memory until it is complete.
    pub async fn new_blob(&self, mime: Option<&str>, announced: Option<u64>) -> Result<Upload, ApiError> {
        self.check_serving()?;
        if announced.is_some_and(|bytes| bytes > BLOB_MAX_BYTES) {
            return Err(too_large());
        }
        let room = self.ctx.uploads.clone().acquire_owned().await.map_err(ApiError::internal)?;
        Ok(Upload { ctx: self.ctx.clone(), mime: mime.map(str::to_owned), bytes: Vec::new(), _room: room })
    }

    /// An attachment, verified.
    pub async fn blob(&self, hash: &str) -> Result<(dto::Blob, Vec<u8>), ApiError> {
        self.ctx.blob(hash).await
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
