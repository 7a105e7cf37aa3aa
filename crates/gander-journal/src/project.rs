//! The `sessions` table: the model's fold of a session's entries, one row each, with a checksum. A row that does not
//! match its checksum is not believed; the entries are folded again.

use gander_model::{Body, Hash, Head, Origin, Seq, SessionId, SessionState, TurnId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::connect::{hash_at, int, session_at, u64_at};
use crate::entries;
use crate::kept::Kept;

/// Columns in the order in which [`from_row`] reads them.
pub const COLUMNS: &str = "s.session_id, s.head_seq, s.head_hash, s.created_at_ms, s.last_turn_at_ms, \
     s.last_turn_seq, s.status, s.name, s.named_by, s.named_seq, s.agent, s.cwd, s.prompts, s.last_prompt_seq, s.barrier_seq, s.news_seq, s.interrupted, \
     s.preview, s.origin_session, s.origin_seq, s.origin_hash, s.bytes, s.checksum";

/// How many columns those are.
pub const COLUMN_COUNT: usize = 23;

/// A stored row, and whether it matches its checksum.
pub struct StoredState {
    pub state: SessionState,
    pub sound: bool,
}

pub fn from_row(row: &Row<'_>) -> rusqlite::Result<StoredState> {
    let mut state = SessionState::new(session_at(row, 0)?);
    state.head = Head { seq: Seq(u64_at(row, 1)?), hash: hash_at(row, 2)? };
    state.created_at_ms = row.get(3)?;
    state.last_turn_at_ms = row.get(4)?;
    state.last_turn_seq = Seq(u64_at(row, 5)?);
    let status = row.get_ref(6)?.as_str().unwrap_or_default().parse();
    state.name = row.get(7)?;
    let named_by = row.get_ref(8)?.as_str().unwrap_or_default().parse();
    state.named_seq = Seq(u64_at(row, 9)?);
    state.agent = row.get(10)?;
    state.cwd = row.get(11)?;
    state.prompts = u64_at(row, 12)?;
    state.last_prompt_seq = Seq(u64_at(row, 13)?);
    state.barrier_seq = Seq(u64_at(row, 14)?);
    state.news_seq = Seq(u64_at(row, 15)?);
    state.interrupted = row.get::<_, Option<[u8; 16]>>(16)?.map(TurnId::from_bytes);
    state.preview = row.get(17)?;
    if let Some(session) = row.get::<_, Option<[u8; 16]>>(18)? {
        state.origin = Some(Origin {
            session_id: SessionId::from_bytes(session),
            seq: Seq(u64_at(row, 19)?),
            hash: row.get::<_, Option<[u8; 32]>>(20)?.map_or(Hash::ZERO, Hash),
        });
    }
    state.bytes = u64_at(row, 21)?;
    let mut sound = true;
    match (status, named_by) {
        (Ok(status), Ok(named_by)) => (state.status, state.named_by) = (status, named_by),
        _ => sound = false,
    }
    sound = sound && row.get_ref(22)?.as_str().unwrap_or_default() == state.checksum();
    Ok(StoredState { state, sound })
}

/// A session's row as it is stored.
pub fn stored(conn: &Connection, session: SessionId) -> rusqlite::Result<Option<StoredState>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM sessions s WHERE s.session_id = ?1"))?
        .query_row([session.as_bytes()], from_row)
        .optional()
}

/// What a session is; `None` when there is no such session.
pub fn load(conn: &Connection, session: SessionId) -> rusqlite::Result<Option<SessionState>> {
    match stored(conn, session)? {
        Some(StoredState { state, sound: true }) => Ok(Some(state)),
        Some(StoredState { sound: false, .. }) | None => fold(conn, session),
    }
}

/// Folds a session's entries, inherited ones first; `None` when it has none.
pub fn fold(conn: &Connection, session: SessionId) -> rusqlite::Result<Option<SessionState>> {
    let mut state = SessionState::new(session);
    let lineage = entries::Lineage::of(conn, session)?;
    for segment in lineage.segments() {
        let inherited = segment.owner != session;
        entries::for_each(conn, segment.owner, segment.first, segment.last, |entry| {
            let bytes = entry.body.as_ref().map_or(0, |body| body.bytes.len() as u64);
            let body = entry.body.as_ref().and_then(|body| Body::parse(&body.bytes).ok());
            if inherited {
                state.inherit(&entry.header, body.as_ref());
            } else {
                state.apply(&entry.header, body.as_ref(), bytes);
            }
            Ok(())
        })?;
    }
    Ok((state.head.seq.0 > 0 && state.created_at_ms != 0).then_some(state))
}

/// Writes a session's row.
pub fn store(kept: &mut Kept<'_>, state: &SessionState) -> rusqlite::Result<()> {
    kept.statement(
        "INSERT OR REPLACE INTO sessions (session_id, head_seq, head_hash, created_at_ms, last_turn_at_ms, last_turn_seq,
            status, name, named_by, named_seq, agent, cwd, prompts, last_prompt_seq, barrier_seq, news_seq, interrupted, preview,
            origin_session, origin_seq, origin_hash, bytes, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
            ?23)",
    )?
    .execute(params![
        state.session_id.as_bytes(),
        int(state.head.seq.0),
        state.head.hash.0,
        state.created_at_ms,
        state.last_turn_at_ms,
        int(state.last_turn_seq.0),
        state.status.as_str(),
        state.name,
        state.named_by.as_str(),
        int(state.named_seq.0),
        state.agent,
        state.cwd,
        int(state.prompts),
        int(state.last_prompt_seq.0),
        int(state.barrier_seq.0),
        int(state.news_seq.0),
        state.interrupted.as_ref().map(TurnId::as_bytes),
        state.preview,
        state.origin.as_ref().map(|o| *o.session_id.as_bytes()),
        state.origin.map(|o| int(o.seq.0)),
        state.origin.map(|o| o.hash.0),
        int(state.bytes),
        state.checksum(),
    ])?;
    Ok(())
}
