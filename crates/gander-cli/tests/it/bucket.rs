//! Snapshots in a bucket by `config.toml`, from the built binary to a real S3-compatible server on loopback: two
//! machines on one bucket, a secret that stays where it is, and a line that is cut.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use gander_testing::home::TempHome;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::{done, gander, json, new_session, refused};

const SECRET: &str = "a-secret-that-nobody-else-says";

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
    service.set_auth(s3s::auth::SimpleAuth::from_single("key", SECRET));
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

/// A line to the service that carries so many bytes upwards, then drops every connection until it is given more.
fn line(service: &Service) -> (SocketAddr, Arc<AtomicI64>) {
    let listener = service.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let at = listener.local_addr().unwrap();
    let left = Arc::new(AtomicI64::new(i64::MAX));
    let (to, budget) = (service.at, left.clone());
    service.runtime.spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(carry(near, to, budget.clone()));
        }
    });
    (at, left)
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

fn configure(home: &TempHome, at: SocketAddr) {
    let data = home.gander_home();
    std::fs::create_dir_all(&data).unwrap();
    let bucket = format!(
        "[backup.bucket]\nendpoint = \"http://{at}\"\nbucket = \"backups\"\nprefix = \"gander\"\n\
         access_key_id = \"key\"\nallow_http = true\n"
    );
    std::fs::write(data.join("config.toml"), bucket).unwrap();
    write_secret(home, SECRET, 0o600);
}

fn write_secret(home: &TempHome, secret: &str, mode: u32) {
    let path = home.gander_home().join("backup-secret");
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Files below a folder that say the secret.
fn telling(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            telling(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
        {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
}

#[test]
fn g10_g11_two_machines_push_to_one_bucket_and_restore_from_it() {
    let service = service();
    let (home, other) = (TempHome::new().unwrap(), TempHome::new().unwrap());
    configure(&home, service.at);
    configure(&other, service.at);
    let (here, there) = (gander(&home), gander(&other));
    let mut serving = here.serve(&[]).unwrap();
    let session = new_session(&here, "/echo said here");
    let made = json(&here, &["backup", "create"]);
    assert!(made["place"].as_str().unwrap().contains("backups"), "{made}");
    let beside = new_session(&there, "/echo said there");
    // Both at the same time.
    std::thread::scope(|scope| {
        scope.spawn(|| json(&there, &["backup", "create"]));
        scope.spawn(|| json(&here, &["backup", "create"]));
    });
    assert_eq!(json(&here, &["backup", "verify", "--drill"])["ok"], true);
    let listed = json(&here, &["backup", "list"]);
    let own = |own: bool| listed["backups"].as_array().unwrap().iter().filter(|backup| backup["own"] == own).count();
    assert!(own(true) >= 2 && own(false) >= 1, "{listed}");

    let restored = json(&there, &["backup", "restore", made["snapshot"].as_str().unwrap()]);
    assert_eq!((&restored["added"], &restored["copied"]), (&1.into(), &0.into()), "{restored}");
    assert_eq!(done(&there, &["sessions", "show", &session]), done(&here, &["sessions", "show", &session]));
    assert_eq!(json(&there, &["verify"])["ok"], true);
    assert!(done(&there, &["sessions", "show", &beside]).contains("said there"));
    json(&there, &["backup", "prune", "--last", "1", "--yes"]);
    assert_eq!(json(&here, &["backup", "verify"])["ok"], true);
    serving.kill().unwrap();
    serving.wait().unwrap();

    for home in [&home, &other] {
        let mut found = Vec::new();
        telling(home.path(), &mut found);
        assert_eq!(found, ["backup-secret"]);
        assert!(!home.gander_home().join("vault").exists(), "nothing is kept in a folder beside");
    }
}

#[test]
fn g10_a_line_that_is_cut_at_any_byte_leaves_whole_snapshots_only() {
    let service = service();
    let (at, left) = line(&service);
    let home = TempHome::new().unwrap();
    configure(&home, at);
    let here = gander(&home);
    new_session(&here, "/echo before");
    json(&here, &["backup", "create"]);
    let mut serving = here.serve(&[]).unwrap();
    for (round, bytes) in [0, 700, 2_500, 6_000, 12_000].into_iter().enumerate() {
        new_session(&here, &format!("/echo round {round}"));
        left.store(bytes, Ordering::SeqCst);
        let cut = here.run(&["backup", "create"]).unwrap();
        left.store(i64::MAX, Ordering::SeqCst);
        let report = json(&here, &["backup", "verify"]);
        assert_eq!(report["ok"], true, "{bytes}: {report}");
        if cut.status.success() {
            continue;
        }
        let said = String::from_utf8_lossy(&cut.stderr).into_owned();
        assert!(said.contains("as it was") && !said.contains(SECRET), "{said}");
    }
    let made = json(&here, &["backup", "create"]);
    assert_eq!(json(&here, &["backup", "drill", made["snapshot"].as_str().unwrap()])["ok"], true);
    serving.kill().unwrap();
    serving.wait().unwrap();
}

#[test]
fn a_bucket_without_a_proper_secret_is_refused_with_the_way_out() {
    let service = service();
    let home = TempHome::new().unwrap();
    configure(&home, service.at);
    let here = gander(&home);
    new_session(&here, "/echo kept");
    write_secret(&home, SECRET, 0o644);
    assert!(refused(&here, &["backup", "create"]).contains("chmod 600"));
    write_secret(&home, "wrong", 0o600);
    let said = refused(&here, &["backup", "create"]);
    assert!(!said.contains("wrong"), "{said}");
    std::fs::remove_file(home.gander_home().join("backup-secret")).unwrap();
    assert!(refused(&here, &["backup", "create"]).contains("GANDER_BACKUP_SECRET"));
    // The chats go on.
    new_session(&here, "/echo goes on");
    let with = gander(&home).env("GANDER_BACKUP_SECRET", SECRET);
    json(&with, &["backup", "create"]);
}
