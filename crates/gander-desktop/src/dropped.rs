//! Files that were dropped onto a window, on their way into the store.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::http::Server;
use crate::native;

/// What the store takes of one file.
const MOST_BYTES: u64 = 64 << 20;

/// Puts a file into the store; gives what a draft says of it. The error is for people.
pub async fn put(server: &Server, path: PathBuf) -> Result<Value, String> {
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let read = tokio::task::spawn_blocking(move || {
        let meta = std::fs::metadata(&path)?;
        // A folder has no bytes, and a pipe may have no end.
        if !meta.is_file() || meta.len() > MOST_BYTES {
            return Ok(Err(meta.is_file()));
        }
        std::fs::read(&path).map(Ok)
    });
    let bytes = match read.await.map_err(std::io::Error::other).flatten() {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(true)) => return Err(format!("{name} is larger than 64 MiB.")),
        Ok(Err(false)) => {
            return Err(format!("{name} is no file: name it in the prompt, and the agent can look into it."));
        }
        Err(error) => return Err(format!("{name} cannot be read: {error}.")),
    };
    let stored = server.put_blob(bytes, &native::mime_of(&name)).await.map_err(|error| format!("{name}: {error}"))?;
    Ok(json!({"hash": stored["hash"], "bytes": stored["bytes"], "mime": stored["mime"], "name": name}))
}
