//! The built-in agent through the host.

use gander_acp::{AgentEvent, ToolStatus, UpdateKind};

use crate::probe::Probe;

#[tokio::test]
async fn it_says_that_it_is_offline_and_has_no_model() {
    let mut probe = Probe::start("scratch").await;
    let info = probe.agent.info().unwrap();
    assert_eq!(info.title.as_deref(), Some("Scratch (offline, no model)"));
    assert!(info.load && info.resume && info.close);
    let turn = probe.turn("What is the meaning of life?", None).await;
    assert_eq!(turn.outcome(), "end_turn");
    assert!(turn.message().contains("offline and have no model"), "{}", turn.message());
    let title = turn.updates.iter().find_map(|update| update.title.clone());
    assert_eq!(title.as_deref(), Some("What is the meaning of life?"));
    let again = probe.turn("And now?", None).await;
    assert!(again.updates.iter().all(|update| update.title.is_none()), "a title is proposed once");
    assert!(turn.updates.iter().any(|update| update.kind == UpdateKind::Usage));
}

#[tokio::test]
async fn it_lists_reads_greps_edits_and_runs_through_tool_calls() {
    let mut probe = Probe::start("scratch").await;
    let notes = probe.folder.path().join("notes.txt");
    std::fs::write(&notes, "one\ntwo\n").unwrap();

    let turn = probe.turn("list files", None).await;
    assert!(turn.message().contains("| `notes.txt` | 8 |"), "{}", turn.message());
    let turn = probe.turn("read notes.txt", None).await;
    assert!(turn.message().contains("one\ntwo"), "{}", turn.message());
    let turn = probe.turn("grep TWO", None).await;
    assert!(turn.message().contains("notes.txt:2: two"), "{}", turn.message());

    let turn = probe.turn("edit notes.txt: two => three", Some("allow-once")).await;
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "one\nthree\n");
    let diff = turn.updates.iter().find(|update| update.update.get().contains(r#""type":"diff""#)).unwrap();
    assert!(diff.update.get().contains(r#""oldText":"one\ntwo\n","newText":"one\nthree\n""#), "{}", diff.update);
    let statuses: Vec<_> = turn.updates.iter().filter_map(|update| update.status).collect();
    assert_eq!(statuses, [ToolStatus::Pending, ToolStatus::InProgress, ToolStatus::Completed]);
    let call = turn.updates.iter().find(|update| update.kind == UpdateKind::ToolCall).unwrap();
    assert!(call.update.get().contains(r#""kind":"edit""#) && call.update.get().contains(r#""locations":[{"path":"#));

    let turn = probe.turn("edit notes.txt: three => four", Some("reject-once")).await;
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "one\nthree\n", "a refusal changes nothing");
    assert!(turn.message().contains("You said no"));

    let turn = probe.turn("run echo hello; echo oops >&2; exit 3", Some("allow-always")).await;
    assert!(
        turn.message().contains("failed with status 3") && turn.message().contains("hello\noops"),
        "{}",
        turn.message()
    );
    let terminal: String = turn
        .others
        .iter()
        .filter_map(|event| match event {
            AgentEvent::Terminal(output) => Some(output.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(terminal, "hello\noops\n", "the output reaches the journal's side before the turn's end");
    // Allowed for good: a cancelled answer would end the turn, so nobody was asked.
    let turn = probe.turn("run pwd", None).await;
    assert_eq!(turn.outcome(), "end_turn");
    assert!(
        turn.message().contains(&*probe.folder.path().canonicalize().unwrap().to_string_lossy()),
        "{}",
        turn.message()
    );
}

#[tokio::test]
async fn a_cancelled_turn_ends_as_cancelled_after_its_updates() {
    let mut probe = Probe::start("scratch").await;
    probe.send("/stream 100000 chunks 1 ms");
    while !matches!(probe.next().await, AgentEvent::Update(update) if update.text().is_some_and(|text| text.starts_with("chunk")))
    {
    }
    probe.agent.cancel(&probe.session).unwrap();
    assert_eq!(probe.until_end(None).await.outcome(), "cancelled");
    assert_eq!(probe.turn("/echo again", None).await.outcome(), "end_turn", "the session goes on");
    // While it waits for leave: the dropped answer says cancelled, and so does the turn.
    assert_eq!(probe.turn("/permission", None).await.outcome(), "cancelled");
    // While a command runs: the command is ended too.
    probe.send("run sleep 1000 & echo $!; wait");
    let mut pid = None;
    while pid.is_none() {
        match probe.next().await {
            AgentEvent::Permission(permission) => permission.reply.select("allow-once"),
            AgentEvent::Terminal(output) => pid = output.text.trim().parse().ok(),
            _ => {}
        }
    }
    probe.agent.cancel(&probe.session).unwrap();
    assert_eq!(probe.until_end(None).await.outcome(), "cancelled");
    crate::probe::until("the command's child is gone", || !crate::probe::lives(pid.unwrap())).await;
}

#[tokio::test]
async fn its_memory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let memory = home.path().join("made/by/the/agent");
    let options = gander_acp::StartOptions::new(folder.path(), crate::probe::mark());
    let (agent, _events) = gander_acp::Agent::start(&crate::probe::spec("scratch", &memory), options).await.unwrap();
    agent.new_session(folder.path()).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&memory), 0o700);
    let files: Vec<_> = std::fs::read_dir(&memory).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.iter().map(|file| mode(file)).collect::<Vec<_>>(), [0o600]);
    agent.kill().await;
}

#[tokio::test]
async fn its_memory_outlives_it_and_load_replays_it() {
    let mut probe = Probe::start("scratch").await;
    probe.turn("/echo the first answer", None).await;
    probe.turn("/echo the second answer", None).await;
    // Killed in the middle of an answer: the prompt is remembered, the partial answer is not.
    probe.send("/stream 100000 chunks 1 ms");
    while !matches!(probe.next().await, AgentEvent::Update(update) if update.text().is_some_and(|text| text.starts_with("chunk")))
    {
    }
    probe.agent.kill().await;
    probe.rest().await;

    let options = gander_acp::StartOptions::new(probe.folder.path(), crate::probe::mark());
    let spec = crate::probe::spec("scratch", probe.home.path());
    let (agent, events) = gander_acp::Agent::start(&spec, options).await.unwrap();
    let replay = agent.load_session(&probe.session, probe.folder.path()).await.unwrap();
    let said = |kind: UpdateKind| -> Vec<String> {
        replay.updates.iter().filter(|update| update.kind == kind).filter_map(gander_acp::Update::text).collect()
    };
    assert_eq!(
        said(UpdateKind::UserMessage),
        ["/echo the first answer", "/echo the second answer", "/stream 100000 chunks 1 ms"]
    );
    let answers = said(UpdateKind::Message);
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(answers[0].ends_with("the first answer\n") && answers[1] == "the second answer\n", "{answers:?}");

    let unknown = agent.load_session(&"scratch-none".into(), probe.folder.path()).await.unwrap_err();
    assert!(unknown.is_unknown_session(), "{unknown}");
    let outside = agent.load_session(&"../secrets".into(), probe.folder.path()).await.unwrap_err();
    assert!(outside.is_unknown_session(), "{outside}");

    let mut probe = Probe { agent, events, ..probe };
    let turn = probe.turn("/echo the third answer", None).await;
    assert_eq!(turn.message(), "the third answer\n", "it does not introduce itself twice");
    probe.agent.resume_session(&probe.session, probe.folder.path()).await.unwrap();
    probe.agent.close_session(&probe.session).await.unwrap();
}

#[tokio::test]
async fn every_trick_of_it_is_told_as_help_says() {
    let mut probe = Probe::start("scratch").await;
    let help = probe.turn("/help", None).await.message();
    for name in ["list", "read", "grep", "edit", "run", "stream", "big", "crash", "hang", "invalid-utf8", "late"] {
        assert!(help.contains(&format!("`/{name}")), "{name} is not in {help}");
    }
    assert_eq!(probe.turn("/think about it well", None).await.text(&UpdateKind::Thought), "about it well");
    let plans = probe.turn("/plan", None).await;
    assert_eq!(plans.updates.iter().filter(|update| update.kind == UpdateKind::Plan).count(), 4);
    let title = probe.turn("/title A better name", None).await;
    assert_eq!(title.updates.iter().find_map(|update| update.title.as_deref()), Some("A better name"));
    let unknown = probe.turn("/unknown", None).await;
    let kept = unknown.updates.iter().find(|update| matches!(update.kind, UpdateKind::Other(_))).unwrap();
    assert!(kept.update.get().contains(r#""nested":{"kept":[1,2.5,"three"]}"#), "{}", kept.update);
    assert_eq!(
        probe.turn("/error -32000 please log in", None).await.outcome(),
        "error: the agent refused session/prompt: please log in (-32000)"
    );
    let image = probe.turn("/image", None).await;
    assert!(image.updates.iter().any(|update| update.update.get().contains("image/png") && update.text().is_none()));
    assert!(probe.turn("/markdown", None).await.message().contains("<script>"));
    let late = probe.turn("/late", None).await;
    assert_eq!(late.outcome(), "end_turn");
    loop {
        if let AgentEvent::Update(update) = probe.next().await {
            assert_eq!(update.text().as_deref(), Some("This came after the turn's end."));
            break;
        }
    }
}

#[tokio::test]
async fn it_works_without_a_memory_and_says_so() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // A file is where its folder should be.
    let spec = crate::probe::spec("scratch", file.path());
    let options = gander_acp::StartOptions::new(folder.path(), crate::probe::mark());
    let (agent, events) = gander_acp::Agent::start(&spec, options).await.unwrap();
    let session = agent.new_session(folder.path()).await.unwrap().agent_session;
    let mut probe = Probe { agent, events, home: tempfile::tempdir().unwrap(), folder, session };
    let turn = probe.turn("/echo hello", None).await;
    assert_eq!(turn.outcome(), "end_turn");
    assert!(turn.message().contains("hello\n\n(I cannot write my memory"), "{}", turn.message());
}

#[tokio::test]
async fn the_guide_has_every_command_that_is_advertised() {
    let mut probe = Probe::start("scratch").await;
    let update = loop {
        if let AgentEvent::Update(update) = probe.next().await
            && update.kind == UpdateKind::Commands
        {
            break serde_json::from_str::<serde_json::Value>(update.update.get()).unwrap();
        }
    };
    let guide = include_str!("../../../../docs/guide/scratch.md");
    let rows: Vec<&str> = guide.lines().filter(|line| line.starts_with("| `/")).collect();
    let commands = update["availableCommands"].as_array().unwrap();
    assert_eq!(rows.len(), commands.len());
    for (row, command) in rows.iter().zip(commands) {
        let usage = format!(
            "/{} {}",
            command["name"].as_str().unwrap(),
            command.pointer("/input/hint").and_then(serde_json::Value::as_str).unwrap_or_default()
        );
        assert_eq!(*row, format!("| `{}` | {} |", usage.trim(), command["description"].as_str().unwrap()));
    }
}
