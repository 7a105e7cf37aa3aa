//! Which recovered copy holds what a session had beside its own history: one copy for one content, however often it
//! is restored.
//!
//! Format 1 keeps that among the settings, as text. Format 2 has a table for it, which the engine checks, and which
//! can be asked from either side: what a session's copies are, and what a copy is a copy of.

use gander_model::{Hash, SessionId};
use rusqlite::Connection;

#[cfg(not(feature = "format-2"))]
pub use in_settings::{get, put};
#[cfg(feature = "format-2")]
pub use in_table::{TABLES, get, move_from_settings, put};

fn setting(session: SessionId, hash: Hash) -> String {
    format!("copy_of {session} {hash}")
}

#[cfg(not(feature = "format-2"))]
mod in_settings {
    use super::{Connection, Hash, SessionId, setting};

    /// The copy that holds a session's entry with this hash.
    pub fn get(conn: &Connection, session: SessionId, hash: Hash) -> rusqlite::Result<Option<SessionId>> {
        Ok(crate::settings::get(conn, &setting(session, hash))?.and_then(|copy| copy.parse().ok()))
    }

    /// Remembers it.
    pub fn put(conn: &Connection, session: SessionId, hash: Hash, copy: SessionId) -> rusqlite::Result<()> {
        conn.prepare_cached("INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)")?
            .execute([setting(session, hash), copy.to_string()])?;
        Ok(())
    }
}

#[cfg(feature = "format-2")]
mod in_table {
    use rusqlite::{OptionalExtension, params};

    use super::{Connection, Hash, SessionId, setting};
    use crate::connect::session_at;

    pub const TABLES: &str = "
CREATE TABLE copies (
    session_id BLOB NOT NULL CHECK (length(session_id) = 16),
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    copy_id    BLOB NOT NULL REFERENCES heads (session_id),
    PRIMARY KEY (session_id, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX copies_copy ON copies (copy_id);
";

    /// The copy that holds a session's entry with this hash.
    pub fn get(conn: &Connection, session: SessionId, hash: Hash) -> rusqlite::Result<Option<SessionId>> {
        conn.prepare_cached("SELECT copy_id FROM copies WHERE session_id = ?1 AND hash = ?2")?
            .query_row(params![session.as_bytes(), hash.0], |row| session_at(row, 0))
            .optional()
    }

    /// Remembers it.
    pub fn put(conn: &Connection, session: SessionId, hash: Hash, copy: SessionId) -> rusqlite::Result<()> {
        conn.prepare_cached("INSERT OR REPLACE INTO copies (session_id, hash, copy_id) VALUES (?1, ?2, ?3)")?
            .execute(params![session.as_bytes(), hash.0, copy.as_bytes()])?;
        Ok(())
    }

    /// Moves what format 1 kept. What cannot be understood, or names a session that is not here, stays where it is.
    pub fn move_from_settings(conn: &Connection) -> rusqlite::Result<()> {
        let kept: Vec<(String, String)> = conn
            .prepare("SELECT key, value FROM settings WHERE key LIKE 'copy\\_of %' ESCAPE '\\'")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (key, value) in kept {
            let mut words = key.split(' ').skip(1);
            let (session, hash) = (words.next().map(str::parse::<SessionId>), words.next().map(str::parse::<Hash>));
            let (Some(Ok(session)), Some(Ok(hash)), Ok(copy)) = (session, hash, value.parse::<SessionId>()) else {
                continue;
            };
            if crate::entries::head(conn, copy)?.is_some() && setting(session, hash) == key {
                put(conn, session, hash, copy)?;
                conn.execute("DELETE FROM settings WHERE key = ?1", [&key])?;
            }
        }
        Ok(())
    }
}
