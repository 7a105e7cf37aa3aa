//! What an append writes depends on the index's depth and on where in it the session stands, not on the session.

use gander_model::{Body, By, Kind, SessionId};

use crate::disk::{plug_in, written_bytes};
use crate::support::{Bench, new_session, open};

fn append(bench: &Bench, session: SessionId, count: usize) {
    bench.write(move |tx| {
        for n in 0..count {
            let body = Body::with(By::Gander, &serde_json::json!({ "text": format!("note {n} {}", "x".repeat(250)) }));
            tx.append(session, Kind::NOTE, body.unwrap())?;
        }
        Ok(())
    });
}

#[test]
fn an_append_to_a_long_session_writes_what_one_to_a_short_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let _plugged = plug_in(dir.path());
    let bench = Bench { journal: open(dir.path()), dir };
    // Of one age, in the middle of the index: there a page that is full is shared out among its neighbours.
    let mut sessions = vec![];
    for _ in 0..300 {
        let session = bench.write(|tx| tx.create_session(new_session()));
        append(&bench, session, 20);
        sessions.push(session);
    }
    let (short, long) = (sessions[100], sessions[200]);
    append(&bench, long, 6_000);
    let bytes = |session| {
        let before = written_bytes("journal.db-wal");
        (0..200).for_each(|_| append(&bench, session, 1));
        (written_bytes("journal.db-wal") - before) / 200
    };
    let (short, long) = (bytes(short), bytes(long));
    assert!(long * 10 <= short * 11, "an append wrote {long} bytes to a long session and {short} to a short one");
}
