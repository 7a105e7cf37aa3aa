//! Order, exactness, and a reader that stops when nobody takes.

use gander_acp::{AgentEvent, AgentSpec, UpdateKind};

use crate::probe::{Probe, until};

#[tokio::test]
async fn updates_are_kept_byte_for_byte() {
    let mut probe = Probe::start("exact").await;
    let turn = probe.turn("go", None).await;
    let [update] = &turn.updates[..] else { panic!("{:?}", turn.updates) };
    let exact = r#"{ "sessionUpdate":"agent_message_chunk",  "content": {"type":"text","text":"caf\u00e9 \/ 1"},"big":12345678901234567890123,"x":1.10,"x":2, "_meta":{"a":[ ]} }"#;
    assert_eq!(update.update.get(), exact);
    assert_eq!(update.text().as_deref(), Some("café / 1"));
    assert_eq!(&exact[update.text_at.clone().unwrap()], r"caf\u00e9 \/ 1");
}

#[tokio::test]
async fn a_turn_ends_after_all_of_its_updates() {
    let mut probe = Probe::start("scratch").await;
    probe.turn("/echo first", None).await;
    let turn = probe.turn("/stream 3000 chunks 0 ms", None).await;
    let expected: String = (1..=3000).map(|n| format!("chunk {n} of 3000\n")).collect();
    assert!(turn.message() == expected, "chunks are missing or out of order");
    assert_eq!(turn.outcome(), "end_turn");
}

#[tokio::test]
async fn an_agent_that_nobody_reads_waits_in_its_pipe() {
    let note = tempfile::NamedTempFile::new().unwrap();
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec: AgentSpec = crate::probe::spec("flood", home.path()).env("FLOOD_NOTE", note.path().display().to_string());
    let options = gander_acp::StartOptions::new(folder.path(), crate::probe::mark());
    let (agent, events) = gander_acp::Agent::start(&spec, options).await.unwrap();
    let session = agent.new_session(folder.path()).await.unwrap().agent_session;
    let mut probe = Probe { agent, events, folder, home, session };
    probe.send("go");
    // Stuck: it has printed something, sleeps, and has not printed more for a hundred looks.
    let (mut seen, mut looks) = (0, 0);
    let printed = || std::fs::read_to_string(note.path()).unwrap().parse::<u64>().unwrap_or(0);
    until("the agent is stuck", || {
        let now = printed();
        looks = if now == seen && now > 0 { looks + 1 } else { 0 };
        seen = now;
        looks > 100
    })
    .await;
    // 256 events, and what two pipes' buffers hold of lines of about 1,100 bytes.
    assert!(seen < 1000, "{seen} lines were taken from it although nobody reads");
    let turn = probe.until_end(None).await;
    assert_eq!(turn.updates.len(), 50_000);
    let in_order = turn
        .updates
        .iter()
        .enumerate()
        .all(|(at, update)| update.text().is_some_and(|text| text.starts_with(&format!("{} ", at + 1))));
    assert!(in_order);
}

#[tokio::test]
async fn a_prompt_that_the_agent_repeats_is_marked() {
    let mut probe = Probe::start("echo").await;
    let turn = probe.turn("my words", None).await;
    let marks: Vec<_> = turn.updates.iter().map(|update| (update.text().unwrap(), update.echo)).collect();
    assert_eq!(marks, [("my words".to_owned(), true), ("from elsewhere".to_owned(), false)]);
    assert!(turn.updates.iter().all(|update| update.kind == UpdateKind::UserMessage));
}

#[tokio::test]
async fn a_replay_comes_as_the_answer_and_not_as_events() {
    let mut probe = Probe::start("replayer").await;
    let replay = probe.agent.load_session(&probe.session, probe.folder.path()).await.unwrap();
    let text: String = replay.updates.iter().filter_map(gander_acp::Update::text).collect();
    assert_eq!(text, (0..1000).map(|n| n.to_string()).collect::<String>());
    let [(said, updates)] = &replay.said()[..] else { panic!("{:?}", replay.said()) };
    assert_eq!((said.text.len(), updates.clone()), (text.len(), 0..1000));
    probe.agent.stop(std::time::Duration::ZERO).await;
    let rest = probe.rest().await;
    assert!(matches!(&rest[..], [AgentEvent::Exited(_)]), "{rest:?}");

    let probe = Probe::start_with("replayer", |options| options.bounds.replay_bytes = 1000).await;
    let error = probe.agent.load_session(&probe.session, probe.folder.path()).await.unwrap_err();
    assert_eq!(error.to_string(), "the agent's replay of the session is larger than 1000 bytes");
    let probe = Probe::start("exact").await;
    let error = probe.agent.load_session(&probe.session, probe.folder.path()).await.unwrap_err();
    assert!(error.is_method_not_found(), "{error}");
}
