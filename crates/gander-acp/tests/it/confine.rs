//! What an agent may have us do with files: only below the session's folder.

use std::os::unix::fs::symlink;

use crate::probe::Probe;

#[tokio::test]
async fn reading_stays_in_the_folder() {
    let mut probe = Probe::start_with("scratch", |options| options.bounds.file_bytes = 1000).await;
    let folder = probe.folder.path().to_owned();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.txt"), "the secret").unwrap();
    symlink(outside.path(), folder.join("link")).unwrap();
    symlink(outside.path().join("secret.txt"), folder.join("file-link")).unwrap();
    symlink(folder.join("real.txt"), folder.join("inner-link")).unwrap();
    std::fs::write(folder.join("real.txt"), "inside\n").unwrap();
    std::fs::write(folder.join("large.txt"), "z".repeat(1001)).unwrap();
    std::fs::write(folder.join("binary.bin"), b"\xff\xfe").unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
    let secret = outside.path().join("secret.txt");
    for (what, answer) in [
        ("real.txt", "inside"),
        ("inner-link", "inside"),
        ("./sub/../real.txt", "was not found|Resource not found"),
        ("link/secret.txt", "outside of the session's folder"),
        ("file-link", "outside of the session's folder"),
        (
            &format!("../{}/secret.txt", outside.path().file_name().unwrap().to_string_lossy()),
            "outside of the session's folder",
        ),
        (&secret.to_string_lossy(), "outside of the session's folder"),
        ("/etc/passwd", "outside of the session's folder"),
        ("/dev/zero", "outside of the session's folder"),
        ("pipe", "is not a regular file"),
        (".", "is not a regular file"),
        ("large.txt", "more than the limit of 1000"),
        ("binary.bin", "is not UTF-8 text"),
        ("missing.txt", "Resource not found"),
    ] {
        let message = probe.turn(&format!("/read {what}"), None).await.message();
        assert!(answer.split('|').any(|answer| message.contains(answer)), "{what}: {message}");
        assert!(!message.contains("the secret"), "{what}: {message}");
    }
}

#[tokio::test]
async fn writing_stays_in_the_folder() {
    let mut probe = Probe::start("scratch").await;
    let folder = probe.folder.path().to_owned();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("kept.txt"), "kept").unwrap();
    symlink(outside.path(), folder.join("link")).unwrap();
    symlink(outside.path().join("kept.txt"), folder.join("file-link")).unwrap();
    symlink(outside.path().join("new.txt"), folder.join("dangling")).unwrap();
    symlink("/proc/self/root", folder.join("root")).unwrap();
    for what in [
        "link/kept.txt",
        "link/new.txt",
        "link/deep/new.txt",
        "file-link",
        "dangling",
        "../new.txt",
        "a/../../new.txt",
        "root/tmp/gander-escaped.txt",
        "/tmp/gander-escaped.txt",
    ] {
        let message = probe.turn(&format!("/write {what}: evil"), Some("allow-once")).await.message();
        assert!(message.contains("did not work"), "{what}: {message}");
    }
    assert_eq!(std::fs::read_to_string(outside.path().join("kept.txt")).unwrap(), "kept");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(!std::path::Path::new("/tmp/gander-escaped.txt").exists());

    // What is inside works, new folders included, and a file keeps its permissions.
    let message = probe.turn("/write deep/er/new.txt: fine", Some("allow-once")).await.message();
    assert!(message.contains("Wrote"), "{message}");
    assert_eq!(std::fs::read_to_string(folder.join("deep/er/new.txt")).unwrap(), "fine\n");
    let script = folder.join("script.sh");
    std::fs::write(&script, "old").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
    probe.turn("/write script.sh: new", Some("allow-once")).await;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&script).unwrap().permissions());
    assert_eq!((std::fs::read_to_string(&script).unwrap().as_str(), mode & 0o777), ("new\n", 0o750));
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".gander-write")), "{left:?}");
}

#[tokio::test]
async fn a_further_folder_is_allowed_when_the_user_said_so() {
    let allowed = tempfile::tempdir().unwrap();
    std::fs::write(allowed.path().join("shared.txt"), "shared\n").unwrap();
    let extra = vec![allowed.path().to_owned()];
    let mut probe = Probe::start_with("scratch", |options| options.extra_roots = extra).await;
    let message = probe.turn(&format!("/read {}", allowed.path().join("shared.txt").display()), None).await.message();
    assert!(message.contains("shared\n"), "{message}");
}

#[tokio::test]
async fn what_is_not_offered_is_not_done() {
    let mut probe = Probe::start_with("scratch", |options| {
        options.files = false;
        options.terminals = false;
    })
    .await;
    // The agent learned that and works by itself; no terminal is made here.
    let turn = probe.turn("run echo by myself", Some("allow-once")).await;
    assert!(turn.message().contains("by myself"), "{}", turn.message());
    assert!(turn.others.is_empty(), "{:?}", turn.others);
}
