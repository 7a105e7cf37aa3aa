//! One session through one turn.

use gander_journal::{Bucket, Filter};
use insta::assert_snapshot;

use crate::support::{bench, send, turn_id};

#[test]
fn a_session_through_one_turn_and_a_reopen() {
    let bench = bench();
    let (window, session) = bench.window();
    bench.turn(session, 1, "Hello", "Hi there");
    assert_snapshot!(bench.transcript(session).replace(&window.to_string(), "WINDOW"), @r#"
    1 created {"window_id":"WINDOW"}
    2 configured {"agent":"scratch","cwd":"/tmp"}
    3 prompt {"content":[{"text":"Hello","type":"text"}]}
    4 named {"after":0,"name":"Hello","named_by":"auto"}
    5 message [{"content":{"text":"Hi there","type":"text"},"sessionUpdate":"agent_message_chunk"}]
    6 turn_ended {"state":"ended","stop_reason":"end_turn"}
    "#);
    let before = bench.transcript(session);
    let root = bench.journal.read(|r| r.root()).unwrap();
    let bench = bench.reopen();
    assert_eq!(bench.transcript(session), before);
    assert_eq!(bench.journal.read(|r| r.root()).unwrap(), root);
    assert!(!bench.journal.was_unclean());
    let page = bench.journal.read(|r| r.sessions(&Filter::default(), None, 10)).unwrap();
    assert_eq!((page.sessions.len(), page.hidden, page.sessions[0].bucket), (1, 0, Bucket::Active));
    assert_eq!(page.sessions[0].state.preview.as_deref(), Some("Hi there"));
    let windows = bench.journal.read(|r| r.windows()).unwrap();
    assert_eq!((windows.len(), windows[0].session, windows[0].open), (1, session, true));
    bench.send(send(session, turn_id(2), "again"));
}
