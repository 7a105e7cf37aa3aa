//! A real S3-compatible server on loopback, and a line to it that is cut after any number of bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use gander_vault::s3::Bucket;
use gander_vault::{Policy, SWEEP_GRACE_MS, Vault, VaultError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::journal::{Journal, assert_same};
use crate::storage::{assert_whole, create, id, verify};

struct Service {
    runtime: Runtime,
    _folder: tempfile::TempDir,
    at: SocketAddr,
}

fn service() -> Service {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("backups")).unwrap();
    let mut service = s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
    service.set_auth(s3s::auth::SimpleAuth::from_single("key", "secret"));
    let service = service.build();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let at = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let http = Builder::new(TokioExecutor::new());
                let _ = http.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    Service { runtime, _folder: folder, at }
}

fn open(service: &Service, at: SocketAddr, secret: &str) -> Result<Vault, VaultError> {
    let bucket = Bucket {
        endpoint: Some(format!("http://{at}")),
        region: None,
        bucket: "backups".into(),
        prefix: "gander/home".into(),
        access_key_id: "key".into(),
        secret_access_key: secret.into(),
        allow_http: true,
        secret_file: None,
    };
    Vault::bucket(&bucket, service.runtime.handle().clone())
}

/// A line that carries `left` bytes upwards and then drops every connection, until it is given more.
struct Line {
    at: SocketAddr,
    left: Arc<AtomicI64>,
}

fn line(service: &Service) -> Line {
    let listener = service.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let at = listener.local_addr().unwrap();
    let left = Arc::new(AtomicI64::new(i64::MAX));
    let (to, budget) = (service.at, left.clone());
    service.runtime.spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(carry(near, to, budget.clone()));
        }
    });
    Line { at, left }
}

async fn carry(near: TcpStream, to: SocketAddr, left: Arc<AtomicI64>) {
    let Ok(far) = TcpStream::connect(to).await else { return };
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    let up = async {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(len @ 1..) = near_in.read(&mut bytes).await {
            let before = left.fetch_sub(len as i64, Ordering::SeqCst);
            let carried = usize::try_from(before.clamp(0, len as i64)).unwrap();
            if far_out.write_all(&bytes[..carried]).await.is_err() || carried < len {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ = tokio::io::copy(&mut far_in, &mut near_out) => {}
    }
}

fn restored(vault: &Vault, n: u8) -> Journal {
    let reader = vault.snapshot(id(n)).unwrap();
    let mut target = Journal::new(99);
    let plan = gander_vault::plan(&reader, &target, &gander_vault::Wanted::All).unwrap();
    let done = plan.carry_out(&reader, &mut target, |_, _| {}).unwrap();
    assert!(done.failed.is_empty());
    target
}

fn story() -> (Journal, Journal) {
    let mut journal = Journal::new(81);
    let sessions: Vec<_> = (0..70).map(|n| journal.session(2 + n % 5)).collect();
    journal.say_large(sessions[9], vec![3; 200_000]);
    journal.document("draft", "w1", Some(sessions[3]), json!({"text": "half typed"}));
    let before = journal.clone();
    journal.say(sessions[3], "the answer goes on");
    let salted: String = (0..4000).map(|_| format!("{:x} ", journal.number())).collect();
    journal.say(sessions[4], &salted);
    journal.redact(sessions[5], &[2], "redact");
    (before, journal)
}

#[test]
fn a_bucket_keeps_snapshots_like_a_folder() {
    let service = service();
    let vault = open(&service, service.at, "secret").unwrap();
    let (before, after) = story();
    create(&vault, &before, 1).unwrap();
    create(&vault, &after, 2).unwrap().erased.unwrap();
    assert_whole(&vault);
    assert!(vault.snapshot(id(2)).unwrap().drill(&mut |_| true).unwrap().ok());
    assert_same(&after, &restored(&vault, 2));
    // The name is taken: the condition is the server's.
    assert!(matches!(create(&vault, &before, 2), Err(VaultError::ReadBack { .. })));
    let policy = Policy { last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0 };
    let pruned = vault.prune(&policy, SWEEP_GRACE_MS, id(200), false).unwrap();
    assert_eq!(pruned.forgotten, [id(1)]);
    assert_same(&after, &restored(&vault, 2));
}

#[test]
fn a_wrong_key_is_refused_and_not_taken_for_an_empty_vault() {
    let service = service();
    assert!(matches!(open(&service, service.at, "wrong"), Err(VaultError::Storage { .. })));
}

#[test]
fn two_machines_share_a_bucket() {
    let service = service();
    let machine = |seed: u8| {
        let vault = open(&service, service.at, "secret").unwrap();
        move || {
            let mut journal = Journal::new(u64::from(seed));
            let sessions: Vec<_> = (0..10).map(|_| journal.session(3)).collect();
            for n in 0..4u8 {
                journal.say(sessions[usize::from(n)], "more");
                create(&vault, &journal, seed + n).unwrap();
            }
            assert_same(&journal, &restored(&vault, seed + 3));
        }
    };
    let (a, b) = (machine(60), machine(100));
    std::thread::scope(|threads| {
        let (a, b) = (threads.spawn(a), threads.spawn(b));
        a.join().unwrap();
        b.join().unwrap();
    });
    let vault = open(&service, service.at, "secret").unwrap();
    assert_eq!(vault.list().unwrap().snapshots.len(), 8);
    assert_whole(&vault);
}

#[test]
fn g10_a_connection_cut_after_any_number_of_bytes_leaves_the_old_snapshot() {
    let (before, after) = story();
    let service = service();
    let line = line(&service);
    let straight = open(&service, service.at, "secret").unwrap();
    let over = open(&service, line.at, "secret").unwrap();
    create(&straight, &before, 1).unwrap();
    let cuts = 9;
    let (mut total, mut failed) = (0, 0);
    for cut in 0..=cuts {
        let n = 10 + cut as u8;
        // The first time the line is not cut, to learn how much it carries.
        let budget = if cut == 0 { i64::MAX } else { total * (2 * cut - 1) / (2 * cuts) };
        line.left.store(budget, Ordering::SeqCst);
        let made = create(&over, &after, n);
        if cut == 0 {
            total = budget - line.left.load(Ordering::SeqCst);
            made.as_ref().unwrap();
        }
        failed += u32::from(made.is_err());
        let report = verify(&straight);
        assert!(report.ok(), "cut {cut}: {:?}", report.findings);
        assert_eq!(restored(&straight, 1).root(), before.root());
        for manifest in straight.list().unwrap().snapshots.iter().filter(|manifest| manifest.id == id(n)) {
            assert!(
                straight.snapshot(manifest.id).unwrap().drill(&mut |_| true).unwrap().ok(),
                "what is listed is whole"
            );
        }
        // So that every run begins with the same work.
        straight_remove(&service, n);
    }
    assert!(failed >= 4, "the cuts were felt: {failed}");
    create(&straight, &after, 100).unwrap().erased.unwrap();
    assert_same(&after, &restored(&straight, 100));
}

fn straight_remove(service: &Service, n: u8) {
    let name = format!("backups/gander/home/snapshots/{}.json", id(n));
    let _ = std::fs::remove_file(service._folder.path().join(name));
}
