//! Agents that print what they should not, or nothing. None of them takes more than its own session with it.

use std::time::Duration;

use gander_acp::{Agent, AgentError, AgentEvent, Garbage, StartOptions, UpdateKind};

use crate::probe::{Probe, lives, mark, spec, until};

fn garbage(events: &[AgentEvent]) -> Vec<(Garbage, u64)> {
    let of = |event: &AgentEvent| match event {
        AgentEvent::Garbage { why, count, .. } => Some((*why, *count)),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

#[tokio::test]
async fn what_is_no_message_is_reported_and_passed_over() {
    let mut probe = Probe::start("mixed").await;
    let turn = probe.turn("go", None).await;
    assert_eq!(turn.message(), "onetwo");
    assert_eq!(turn.outcome(), "end_turn");
    let found = garbage(&turn.others);
    assert_eq!(found.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 2, 4, 8], "rarer and rarer");
    let nameless = turn.updates.iter().find(|update| update.kind == UpdateKind::Other(String::new())).unwrap();
    assert_eq!(nameless.update.get(), r#"{"noKind":true}"#);
    let news = turn.others.iter().find_map(|event| match event {
        AgentEvent::Notification { method, params } => Some((method.as_str(), params.as_ref()?.get())),
        _ => None,
    });
    assert_eq!(news, Some(("_vendor/news", r#"{"kept": 1.50}"#)));
    assert_eq!(probe.turn("again", None).await.message(), "onetwo", "the agent is as usable as before");
}

#[tokio::test]
async fn garbage_beside_messages_changes_nothing() {
    let mut probe = Probe::start("scratch").await;
    let turn = probe.turn("/garbage 100\n/invalid-utf8\n/echo fine", None).await;
    assert_eq!(turn.outcome(), "end_turn");
    assert!(turn.message().ends_with("fine\n"), "{}", turn.message());
    let repaired =
        turn.updates.iter().find(|update| update.text().is_some_and(|text| text.starts_with("bad "))).unwrap();
    assert_eq!(repaired.text().as_deref(), Some("bad \u{fffd}\u{fffd} bytes"), "what is readable of it is kept");
    assert_eq!(garbage(&turn.others).iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64]);
    assert!(probe.turn("/invalid-utf8", None).await.message().starts_with("bad \u{fffd}"));
}

#[tokio::test]
async fn a_line_of_100_mb_is_taken_whole() {
    let mut probe = Probe::start("long").await;
    let turn = probe.turn("go", None).await;
    assert_eq!(turn.outcome(), "end_turn");
    let text = turn.updates[0].text().unwrap();
    assert!(text.len() == 100 << 20 && text.bytes().all(|byte| byte == b'y'));
}

#[tokio::test]
async fn a_line_above_the_bound_is_skipped_and_reported() {
    let mut probe = Probe::start_with("long", |options| options.bounds.line_bytes = 1 << 20).await;
    let turn = probe.turn("go", None).await;
    assert_eq!(turn.outcome(), "end_turn");
    assert!(turn.updates.is_empty());
    let report = turn.others.iter().find_map(|event| match event {
        AgentEvent::Garbage { why: Garbage::TooLong, bytes, line, .. } => {
            Some((*bytes, line.starts_with("{\"jsonrpc\"")))
        }
        _ => None,
    });
    assert!(report.is_some_and(|(bytes, begins)| bytes > 100 << 20 && begins), "{report:?}");
}

#[tokio::test]
async fn a_tool_output_of_32_mb_from_the_built_in_agent_arrives() {
    let mut probe = Probe::start("scratch").await;
    let turn = probe.turn("/big 33554432", None).await;
    assert_eq!(turn.outcome(), "end_turn");
    assert!(turn.updates.iter().any(|update| update.update.get().len() > 33_554_432));
}

#[tokio::test]
async fn an_agent_that_only_babbles_is_ended() {
    let home = tempfile::tempdir().unwrap();
    let options = StartOptions::new(home.path(), mark());
    let (agent, mut events) = Agent::spawn(&spec("babble", home.path()), options).unwrap();
    let error = agent.initialize().await.unwrap_err();
    assert!(matches!(error, AgentError::Babble { lines } if lines > 10_000), "{error}");
    assert!(!lives(agent.process().pid));
    let mut last = None;
    while let Some(event) = events.recv().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(AgentEvent::Exited(_))));
}

#[tokio::test]
async fn an_agent_that_is_deaf_to_everything_is_killed_with_its_children() {
    let home = tempfile::tempdir().unwrap();
    let mut options = StartOptions::new(home.path(), mark());
    options.timeouts.initialize = Duration::from_millis(300);
    let (agent, events) = Agent::spawn(&spec("deaf", home.path()), options).unwrap();
    assert!(matches!(agent.initialize().await.unwrap_err(), AgentError::Timeout { .. }));
    drop(events);
    let exit = agent.stop(Duration::ZERO).await;
    assert!(exit.asked);
    assert!(!lives(agent.process().pid));
    until("nobody carries its mark", || carriers(&agent.process().mark).is_empty()).await;
}

fn carriers(mark: &str) -> Vec<String> {
    let wanted = format!("{}={mark}", gander_acp::process::MARK).into_bytes();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            std::fs::read(entry.path().join("environ"))
                .is_ok_and(|environ| environ.split(|b| *b == 0).any(|v| v == wanted))
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[tokio::test]
async fn a_crash_in_mid_turn_ends_that_turn_and_nothing_else() {
    let (mut other, mut probe) = (Probe::start("scratch").await, Probe::start("scratch").await);
    other.send("/stream 500 chunks 1 ms");
    let turn = probe.turn("/stream 7 chunks 0 ms\n/crash", None).await;
    assert!(turn.message().ends_with("chunk 7 of 7\n"), "what it said before is kept: {}", turn.message());
    assert_eq!(turn.outcome(), "error: the agent was ended by signal 6");
    let rest = probe.rest().await;
    assert!(matches!(&rest[..], [AgentEvent::Exited(exit)] if exit.signal == Some(6) && !exit.asked), "{rest:?}");
    let content = [serde_json::json!({"type": "text", "text": "hello?"})];
    let after = probe.agent.prompt(&probe.session, &content).unwrap_err();
    assert!(matches!(after, AgentError::Exited { .. }), "{after}");
    let after = probe.agent.new_session(probe.folder.path()).await.unwrap_err();
    assert!(matches!(after, AgentError::Exited { .. }), "{after}");
    assert!(other.until_end(None).await.message().ends_with("chunk 500 of 500\n"));
}

#[tokio::test]
async fn an_exit_in_mid_turn_says_its_status() {
    let mut probe = Probe::start("scratch").await;
    let turn = probe.turn("/exit 42", None).await;
    assert_eq!(turn.outcome(), "error: the agent exited with status 42");
}

#[tokio::test]
async fn a_hung_agent_neither_reacts_to_cancel_nor_survives_a_kill() {
    let mut probe = Probe::start("scratch").await;
    probe.turn("/echo once", None).await;
    probe.send("/hang");
    let pid = probe.agent.process().pid;
    until("it is stopped", || {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "))
    })
    .await;
    probe.agent.cancel(&probe.session).unwrap();
    // More than its input's pipe holds: nothing of ours may wait for it.
    for _ in 0..2000 {
        probe.agent.cancel(&probe.session).unwrap();
    }
    let exit = probe.agent.stop(Duration::ZERO).await;
    assert!(exit.asked && exit.signal == Some(9), "{exit:?}");
    assert_eq!(probe.until_end(None).await.outcome(), "error: the agent was ended");
}

#[tokio::test]
async fn requests_beyond_the_bound_wait_in_the_pipe() {
    let mut probe = Probe::start("asker").await;
    probe.send("go");
    let mut waiting = Vec::new();
    let mut answered = 0;
    loop {
        match probe.next().await {
            AgentEvent::Permission(permission) => waiting.push(permission),
            AgentEvent::PromptEnded { result, .. } => {
                assert_eq!(result.unwrap().reason, "end_turn");
                break;
            }
            _ => {}
        }
        assert!(waiting.len() <= 32, "more are open than the bound allows");
        if waiting.len() == 32 {
            answered += waiting.len();
            waiting.drain(..).for_each(|permission| permission.reply.select("yes"));
        }
    }
    assert_eq!(answered + waiting.len(), 500);
}

#[tokio::test]
async fn requests_with_bad_or_repeated_ids_take_no_place() {
    let mut probe = Probe::start("ids").await;
    probe.send("go");
    let mut open = Vec::new();
    loop {
        match probe.next().await {
            AgentEvent::Permission(permission) => open.push(permission),
            AgentEvent::PromptEnded { .. } => break,
            _ => {}
        }
    }
    assert_eq!(open.len(), 2, "one each for the two ids that are ids");
}

#[tokio::test]
async fn what_later_readers_could_not_parse_is_mended() {
    let mut probe = Probe::start("halves").await;
    let turn = probe.turn("go", None).await;
    assert_eq!(turn.outcome(), "end_turn");
    assert_eq!(
        turn.message(),
        "a😀bc\u{fffd}",
        "halves meet; one that meets none is replaced, or left out at a chunk's end"
    );
    for update in &turn.updates {
        serde_json::from_str::<serde_json::Value>(update.update.get()).unwrap();
    }
    let deep = turn.updates.iter().find(|update| update.kind == UpdateKind::Other("_gander_too_deep".into())).unwrap();
    assert!(deep.update.get().contains(&"[".repeat(5000)), "what is nested too deep is kept as text");
}

#[tokio::test]
async fn an_agent_that_closes_its_output_is_ended() {
    let mut probe = Probe::start("half").await;
    let turn = probe.turn("go", None).await;
    assert!(matches!(turn.stop, Some(Err(AgentError::Exited { .. }))), "{}", turn.outcome());
    assert!(!lives(probe.agent.process().pid));
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_an_error() {
    let mut probe = Probe::start("other").await;
    let turn = probe.turn("go", None).await;
    assert!(matches!(turn.stop, Some(Err(AgentError::BadAnswer { .. }))), "{}", turn.outcome());
}
