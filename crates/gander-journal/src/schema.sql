-- Format 1. Ids are 16-byte blobs, hashes and salts 32-byte blobs, times milliseconds since 1970 UTC.

CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

-- Entries: what the hash chain covers. Never updated, never deleted.
CREATE TABLE entries (
    position   INTEGER PRIMARY KEY,
    session_id BLOB NOT NULL CHECK (length(session_id) = 16),
    seq        INTEGER NOT NULL CHECK (seq >= 1),
    at_ms      INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    body_hash  BLOB NOT NULL CHECK (length(body_hash) = 32),
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    UNIQUE (session_id, seq)
) STRICT;

CREATE TABLE bodies (
    position INTEGER PRIMARY KEY REFERENCES entries (position),
    salt     BLOB NOT NULL CHECK (length(salt) = 32),
    body     BLOB NOT NULL
) STRICT;

-- Which bodies a `redacted` entry lists as erased, and which entry that is.
CREATE TABLE erasures (
    position    INTEGER PRIMARY KEY REFERENCES entries (position),
    by_position INTEGER NOT NULL REFERENCES entries (position)
) STRICT;

-- Witnessed heads, one row a session, outside the projection.
CREATE TABLE heads (
    session_id BLOB PRIMARY KEY CHECK (length(session_id) = 16),
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    position   INTEGER NOT NULL REFERENCES entries (position)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entries_keep_update BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_keep_delete BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;
-- INSERT OR REPLACE deletes without asking the trigger above.
CREATE TRIGGER entries_keep_insert BEFORE INSERT ON entries
WHEN EXISTS (SELECT 1 FROM entries WHERE position = NEW.position)
  OR EXISTS (SELECT 1 FROM entries WHERE session_id = NEW.session_id AND seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'entries are never replaced'); END;

CREATE TRIGGER bodies_keep_update BEFORE UPDATE ON bodies
BEGIN SELECT RAISE(ABORT, 'bodies are never changed'); END;
CREATE TRIGGER bodies_keep_delete BEFORE DELETE ON bodies
WHEN NOT EXISTS (SELECT 1 FROM erasures WHERE position = OLD.position)
BEGIN SELECT RAISE(ABORT, 'a body is only erased with a redacted entry that lists it'); END;
CREATE TRIGGER bodies_keep_insert BEFORE INSERT ON bodies
WHEN EXISTS (SELECT 1 FROM bodies WHERE position = NEW.position)
  OR EXISTS (SELECT 1 FROM erasures WHERE position = NEW.position)
BEGIN SELECT RAISE(ABORT, 'bodies are never replaced or brought back'); END;

CREATE TRIGGER erasures_keep_update BEFORE UPDATE ON erasures
BEGIN SELECT RAISE(ABORT, 'erasures are never changed'); END;
CREATE TRIGGER erasures_keep_delete BEFORE DELETE ON erasures
BEGIN SELECT RAISE(ABORT, 'erasures are never undone'); END;
CREATE TRIGGER erasures_need_entry BEFORE INSERT ON erasures
WHEN NOT EXISTS (SELECT 1 FROM entries WHERE position = NEW.by_position AND kind = 'redacted')
  OR NOT EXISTS (SELECT 1 FROM entries WHERE position = NEW.position
                 AND kind NOT IN ('created', 'status', 'forked', 'imported', 'redacted'))
BEGIN SELECT RAISE(ABORT, 'only a redacted entry erases, and not every kind is erased'); END;

CREATE TRIGGER heads_keep_update BEFORE UPDATE ON heads
WHEN NEW.session_id <> OLD.session_id OR NEW.seq <> OLD.seq + 1
  OR NOT EXISTS (SELECT 1 FROM entries WHERE position = NEW.position AND session_id = NEW.session_id
                 AND seq = NEW.seq AND hash = NEW.hash)
BEGIN SELECT RAISE(ABORT, 'a head only moves to its next entry'); END;
CREATE TRIGGER heads_keep_delete BEFORE DELETE ON heads
BEGIN SELECT RAISE(ABORT, 'heads are never deleted'); END;
CREATE TRIGGER heads_keep_insert BEFORE INSERT ON heads
WHEN EXISTS (SELECT 1 FROM heads WHERE session_id = NEW.session_id)
BEGIN SELECT RAISE(ABORT, 'heads are never replaced'); END;

-- The projection of entries into sessions; folding the entries again gives the same rows.
CREATE TABLE sessions (
    session_id      BLOB PRIMARY KEY,
    head_seq        INTEGER NOT NULL,
    head_hash       BLOB NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    last_turn_at_ms INTEGER,
    last_turn_seq   INTEGER NOT NULL,
    status          TEXT NOT NULL,
    name            TEXT,
    named_by        TEXT NOT NULL,
    named_seq       INTEGER NOT NULL,
    agent           TEXT,
    cwd             TEXT,
    prompts         INTEGER NOT NULL,
    last_prompt_seq INTEGER NOT NULL,
    barrier_seq     INTEGER NOT NULL,
    news_seq        INTEGER NOT NULL,
    interrupted     BLOB,
    preview         TEXT,
    origin_session  BLOB,
    origin_seq      INTEGER,
    origin_hash     BLOB,
    bytes           INTEGER NOT NULL,
    checksum        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What is known of a session here and in no entry: where it is listed, who owns it while it is empty, what was seen.
-- `place` is the position of its last prompt or turn's end (else of its first entry): no clock orders a list.
CREATE TABLE listing (
    session_id   BLOB PRIMARY KEY,
    bucket       TEXT NOT NULL,
    pinned       INTEGER NOT NULL DEFAULT 0,
    place        INTEGER NOT NULL,
    owner_window BLOB,
    seen_seq     INTEGER NOT NULL DEFAULT 0,
    queue_held   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX listing_bucket ON listing (bucket, pinned DESC, place DESC, session_id DESC);
CREATE INDEX listing_all ON listing (pinned DESC, place DESC, session_id DESC);
CREATE INDEX listing_owner ON listing (owner_window) WHERE bucket = 'empty';

CREATE TABLE quarantine (
    session_id BLOB PRIMARY KEY,
    detail     TEXT NOT NULL,
    at_ms      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE windows (
    window_id    BLOB PRIMARY KEY,
    ordinal      INTEGER NOT NULL,
    session_id   BLOB NOT NULL REFERENCES heads (session_id),
    open         INTEGER NOT NULL,
    geometry     TEXT,
    scroll       TEXT,
    focused      INTEGER NOT NULL,
    closed_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX windows_session ON windows (session_id);

CREATE TABLE drafts (
    window_id   BLOB NOT NULL,
    session_id  BLOB NOT NULL,
    rev         INTEGER NOT NULL,
    text        TEXT NOT NULL,
    attachments TEXT NOT NULL,
    full        INTEGER NOT NULL,
    PRIMARY KEY (window_id, session_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX drafts_session ON drafts (session_id) WHERE full = 1;

-- Turn ids are remembered for ever, also of prompts deleted from the queue.
CREATE TABLE turns (
    session_id   BLOB NOT NULL,
    turn_id      BLOB NOT NULL,
    phase        TEXT NOT NULL,
    window_id    BLOB,
    content_hash BLOB,
    prompt_seq   INTEGER,
    next_ord     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id, turn_id)
) STRICT, WITHOUT ROWID;
-- One turn at a time.
CREATE UNIQUE INDEX turns_active ON turns (session_id) WHERE phase IN ('starting', 'running', 'cancelling');
CREATE INDEX turns_prompt ON turns (session_id, prompt_seq) WHERE prompt_seq IS NOT NULL;

CREATE TABLE queue (
    session_id BLOB NOT NULL,
    turn_id    BLOB NOT NULL,
    place      INTEGER NOT NULL,
    content    TEXT NOT NULL,
    PRIMARY KEY (session_id, turn_id)
) STRICT, WITHOUT ROWID;

-- Items being streamed. Their parts are rows of `changes`, each naming the one before. The newest is found from
-- `known_revision` on: the row itself is written again only once in 256 revisions, so that a part costs one page.
-- `data_hash` is its data as far as `data_revision`, written beside the entries ahead of its own.
CREATE TABLE open_items (
    session_id     BLOB NOT NULL,
    item           BLOB NOT NULL,
    turn_id        BLOB,
    ord            INTEGER NOT NULL,
    kind           TEXT NOT NULL,
    at_ms          INTEGER NOT NULL,
    first_revision INTEGER NOT NULL,
    known_revision INTEGER NOT NULL,
    data_revision  INTEGER,
    data_hash      BLOB,
    PRIMARY KEY (session_id, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE permissions (
    session_id    BLOB NOT NULL,
    permission_id BLOB NOT NULL,
    item          BLOB NOT NULL,
    turn_id       BLOB NOT NULL,
    PRIMARY KEY (session_id, permission_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE links (
    link_id        INTEGER PRIMARY KEY,
    agent          TEXT NOT NULL,
    store          TEXT NOT NULL,
    agent_session  TEXT NOT NULL,
    session_id     BLOB NOT NULL,
    machine        TEXT NOT NULL,
    bound_at_ms    INTEGER NOT NULL,
    released_at_ms INTEGER,
    pending        TEXT
) STRICT;
CREATE UNIQUE INDEX links_bound ON links (agent, store, agent_session) WHERE released_at_ms IS NULL;
CREATE INDEX links_session ON links (session_id) WHERE released_at_ms IS NULL;

CREATE TABLE agent_processes (
    mark       TEXT PRIMARY KEY,
    session_id BLOB NOT NULL,
    pid        INTEGER NOT NULL,
    started    TEXT,
    pgid       INTEGER NOT NULL,
    epoch      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE findings (
    finding_id   BLOB PRIMARY KEY,
    kind         TEXT NOT NULL,
    severity     TEXT NOT NULL,
    session_id   BLOB,
    subject      TEXT NOT NULL,
    detail       TEXT NOT NULL,
    remedy       TEXT NOT NULL,
    raw          BLOB,
    at_ms        INTEGER NOT NULL,
    closed_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX findings_open ON findings (at_ms) WHERE closed_at_ms IS NULL;

CREATE TABLE grants (
    hash       BLOB PRIMARY KEY,
    label      TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    used_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Large content, once per content, in chunks of at most 1 MiB. One without a hash is still being written; a start
-- drops it.
CREATE TABLE contents (
    content_id INTEGER PRIMARY KEY,
    hash       BLOB UNIQUE,
    bytes      INTEGER NOT NULL,
    mime       TEXT NOT NULL,
    at_ms      INTEGER NOT NULL
) STRICT;
CREATE TABLE content_chunks (
    chunk_id   INTEGER PRIMARY KEY,
    content_id INTEGER NOT NULL REFERENCES contents (content_id),
    n          INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    data       BLOB NOT NULL,
    UNIQUE (content_id, n)
) STRICT;
-- Which entries name a content.
CREATE TABLE content_uses (
    content_hash BLOB NOT NULL,
    position     INTEGER NOT NULL REFERENCES entries (position),
    PRIMARY KEY (content_hash, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX content_uses_position ON content_uses (position);

-- Everything that a window could see, in the order of its commits. A part of an open item lives here and nowhere
-- else until its entry is written: `start` and `stop` are the item's size before and after it (bytes of text, else
-- updates), `bytes` is all of its updates so far, `previous` the part before. Rows older than the last `keep_changes` are trimmed once no open item needs them.
CREATE TABLE changes (
    revision   INTEGER PRIMARY KEY,
    type       TEXT NOT NULL,
    session_id BLOB,
    window_id  BLOB,
    seq        INTEGER,
    item       BLOB,
    start      INTEGER,
    stop       INTEGER,
    bytes      INTEGER,
    previous   INTEGER,
    updates    TEXT
) STRICT;
