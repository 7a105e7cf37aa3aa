//! How agents end, and that nothing of them stays.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use gander_acp::process::{MARK, end_earlier, start_time};
use gander_acp::{AgentEvent, AgentProcess};

use crate::probe::{PATIENCE, Probe, lives, mark, until};

/// Has the agent start a process in a session of its own; gives its id.
async fn orphan(probe: &mut Probe) -> u32 {
    let turn = probe.turn("/orphan", None).await;
    let message = turn.message();
    let pid = message.lines().find_map(|line| line.strip_prefix("orphan ")?.parse().ok()).unwrap();
    assert!(lives(pid));
    pid
}

#[tokio::test]
async fn a_clean_stop_lets_the_agent_exit_by_itself() {
    let mut probe = Probe::start("scratch").await;
    probe.turn("/echo hello", None).await;
    let exit = probe.agent.stop(PATIENCE).await;
    assert_eq!((exit.code, exit.signal, exit.asked), (Some(0), None, true));
    assert!(matches!(&probe.rest().await[..], [AgentEvent::Exited(_)]));
}

#[tokio::test]
async fn a_child_that_left_the_group_is_ended_with_its_agent() {
    for end in ["stop", "kill", "crash"] {
        let mut probe = Probe::start("scratch").await;
        let pid = orphan(&mut probe).await;
        match end {
            "stop" => drop(probe.agent.stop(PATIENCE).await),
            "kill" => drop(probe.agent.kill().await),
            _ => probe.send("/crash"),
        }
        // It holds the agent's output open, which must not hold up the end either.
        probe.rest().await;
        assert!(!lives(pid), "after {end}");
    }
}

#[tokio::test]
async fn a_command_of_a_cancelled_turn_is_ended_before_the_turn() {
    let mut probe = Probe::start("leaver").await;
    probe.send("go");
    let pid = loop {
        if let AgentEvent::Terminal(output) = probe.next().await {
            break output.text.trim().parse().unwrap();
        }
    };
    assert!(lives(pid));
    probe.agent.cancel(&probe.session).unwrap();
    let turn = probe.until_end(None).await;
    assert_eq!(turn.outcome(), "cancelled");
    let ended = turn.others.iter().any(|event| matches!(event, AgentEvent::Terminal(output) if output.exit.is_some()));
    assert!(ended && !lives(pid), "{:?}", turn.others);
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_agent() {
    let Probe { agent, events, folder: _folder, home: _home, .. } = Probe::start("scratch").await;
    let pid = agent.process().pid;
    drop(agent.clone());
    assert!(lives(pid));
    drop((agent, events));
    until("the process is gone", || !lives(pid)).await;
}

#[tokio::test]
async fn an_unread_agent_can_be_stopped() {
    let probe = Probe::start("flood").await;
    probe.send("go");
    let exit = probe.agent.stop(Duration::from_millis(50)).await;
    assert!(exit.asked && !lives(probe.agent.process().pid));
}

#[tokio::test]
async fn what_an_earlier_run_left_is_ended_and_nobody_else() {
    let mark = mark();
    let start = |mark: Option<&str>| {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do sleep 1; done"]).stdout(Stdio::null()).process_group(0);
        if let Some(mark) = mark {
            command.env(MARK, mark);
        }
        command.spawn().unwrap()
    };
    let (mut left, mut innocent) = (start(Some(&mark)), start(None));
    let process = |pid: u32, started: Option<String>| AgentProcess { pid, started, group: pid, mark: mark.clone() };

    // The id was given to somebody else meanwhile: that one stays, the marked one goes.
    let reused = process(innocent.id(), Some("another boot:1".into()));
    let ended = tokio::task::spawn_blocking(move || end_earlier(&reused)).await.unwrap();
    assert!(ended >= 1);
    left.wait().unwrap();
    assert!(innocent.try_wait().unwrap().is_none());

    // The same process, without a readable mark: its group is ended.
    let same = process(innocent.id(), start_time(innocent.id()));
    assert!(same.started.is_some());
    let reaper = std::thread::spawn(move || innocent.wait().unwrap());
    tokio::task::spawn_blocking(move || end_earlier(&same)).await.unwrap();
    assert!(!reaper.join().unwrap().success());
}
