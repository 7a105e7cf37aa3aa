//! `agents check`.

use std::time::Duration;

use gander_acp::{AgentError, AgentSpec, check};

use crate::probe::{PATIENCE, spec};

#[tokio::test]
async fn a_check_says_what_an_agent_is_or_why_it_is_not() {
    let home = tempfile::tempdir().unwrap();
    let found = check(&spec("scratch", home.path()), PATIENCE).await.unwrap();
    assert_eq!((found.name.as_str(), found.protocol), ("Scratch (offline, no model)", 1));
    assert!(found.detail.contains("can be loaded"), "{}", found.detail);

    let missing = check(&AgentSpec::new("x", "no-such-program-anywhere", [""; 0]), PATIENCE).await.unwrap_err();
    assert!(matches!(missing, AgentError::NotFound { .. }), "{missing}");
    let silent = check(&spec("silent", home.path()), Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(silent, AgentError::Timeout { .. }), "{silent}");
    let future = check(&spec("future", home.path()), PATIENCE).await.unwrap_err();
    assert_eq!(future.to_string(), "the agent speaks protocol version 2; this program speaks 1");
    let failing = AgentSpec::new("x", "/bin/sh", ["-c", "echo no licence >&2; exit 7"]);
    let failing = check(&failing, PATIENCE).await.unwrap_err();
    assert_eq!(failing.to_string(), "the agent exited with status 7; it last wrote: no licence");
}
