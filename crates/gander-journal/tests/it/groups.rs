//! Writes that are committed together: what one of them fails at costs the others nothing.

use std::pin::Pin;
use std::sync::mpsc::sync_channel;
use std::task::{Context, Waker};

use gander_journal::{Filter, Tx, WriteError};
use gander_model::{Body, By, Kind, SessionId};

use crate::support::{Bench, bench};

type Write = Box<dyn FnOnce(&mut Tx<'_>) -> Result<(), WriteError> + Send>;
type Answer = Pin<Box<dyn Future<Output = Result<(), WriteError>> + Send>>;

/// Has writes wait while another one runs, so that the writer finds all of them in one group; gives their answers.
fn together(bench: &Bench, writes: Vec<Write>) -> Vec<Result<(), WriteError>> {
    let inside = bench.journal.clone();
    let (waiting, wait) = sync_channel(1);
    bench.write(move |_| {
        let waits = writes.into_iter().map(|write| {
            let journal = inside.clone();
            let mut answer: Answer = Box::pin(async move { journal.write(write).await });
            assert!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            answer
        });
        waiting.send(waits.collect::<Vec<_>>()).unwrap();
        Ok(())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    wait.recv().unwrap().into_iter().map(|answer| runtime.block_on(answer)).collect()
}

fn say(tx: &mut Tx<'_>, session: SessionId, kind: Kind, text: &str) -> Result<(), WriteError> {
    let data = match kind == Kind::TURN_ENDED {
        true => serde_json::json!({ "state": "ended" }),
        false => serde_json::json!({ "content": [{ "type": "text", "text": text }] }),
    };
    tx.append(session, kind, Body::with(By::User, &data).unwrap()).map(drop)
}

fn said(session: SessionId, kind: Kind, text: &'static str) -> Write {
    Box::new(move |tx| say(tx, session, kind, text))
}

/// Writes, reads back where it stands in the lists if it is to, and then fails.
fn taken_back(session: SessionId, reads: bool) -> Write {
    Box::new(move |tx| {
        say(tx, session, Kind::PROMPT, "taken back")?;
        if reads {
            let first = tx.reader()?.sessions(&Filter::default(), None, 1)?.sessions;
            assert_eq!(first[0].id(), session, "a write sees what it has moved");
        }
        Err(WriteError::Invalid("taken back".to_owned()))
    })
}

fn bodies(bench: &Bench, session: SessionId) -> Vec<String> {
    let page = bench.journal.read(|r| r.entries(session, gander_journal::Bounds { limit: 100, ..Default::default() }));
    let page = page.unwrap();
    assert!(page.damage.is_none());
    page.entries.iter().map(|view| String::from_utf8(view.entry.body.clone().unwrap().bytes).unwrap()).collect()
}

#[test]
fn g01_a_write_that_fails_in_a_group_leaves_the_others_and_their_order() {
    let bench = bench();
    let [a, b, c] = [1, 2, 3].map(|n| {
        let session = bench.session();
        bench.turn(session, n, "Hello", "Yes");
        session
    });
    for reads in [false, true] {
        let before = bodies(&bench, b).len();
        let answers = together(
            &bench,
            vec![
                said(c, Kind::PROMPT, "first"),
                taken_back(b, reads),
                // It has the position that the one before had, and another place in the list.
                said(a, Kind::PROMPT, "second"),
                said(a, Kind::TURN_ENDED, ""),
                taken_back(a, reads),
                said(b, Kind::MESSAGE, "third"),
                said(c, Kind::MESSAGE, "fourth"),
            ],
        );
        let failed =
            |answer: &Result<(), WriteError>| matches!(answer, Err(WriteError::Invalid(why)) if why == "taken back");
        assert_eq!(answers.iter().map(failed).collect::<Vec<_>>(), [false, true, false, false, true, false, false]);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 5);

        let of_b = bodies(&bench, b);
        assert_eq!(of_b.len(), before + 1, "what was kept is there once");
        assert!(of_b.last().unwrap().contains("third"));
        let texts = [a, c].map(|session| bodies(&bench, session).concat());
        assert!(texts[0].contains("second") && texts[1].contains("first") && texts[1].contains("fourth"));
        assert!(!texts.concat().contains("taken back") && !of_b.concat().contains("taken back"));

        let listed = bench.journal.read(|r| r.sessions(&Filter::default(), None, 10)).unwrap().sessions;
        assert_eq!(listed.iter().map(|view| view.id()).collect::<Vec<_>>(), [a, c, b]);
        assert!(bench.journal.verify(|_, _| {}, || false).unwrap().ok, "each stands where its entries say");
    }
}
