//! The driver against a pretended store, cut off at every point between two effects. The driver and the new version are
//! processes of their own (this test binary again), killed by the point that `GANDER_FAULT` names; then the next start ends
//! what was begun. Whatever it was, the pointer and the journal belong together.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gander_upgrade::driver::{self, Order, UpgradeError};
use gander_upgrade::host::{About, HandOver, Handover, Host, Saved, Trouble};
use gander_upgrade::keys::Keys;
use gander_upgrade::lock::{Holder, Lock, Taken};
use gander_upgrade::package::{self, Files, Manifest, signature_of};
use gander_upgrade::state::{Backup, Check};
use gander_upgrade::{Phase, Place, Pointer, State, TARGET, Version};
use serde_json::json;

use crate::support::{id, version};

const BEFORE: &str = "format 1, root 5e55";
const MIGRATED: &str = "format 2, root 5e55";

fn take(place: &Place) -> Lock {
    match Lock::try_take(&place.journal_lock(), &Holder::this(0)).unwrap() {
        Taken::Ours(lock) => lock,
        Taken::Theirs(who) => panic!("the journal is held by {who:?}"),
    }
}

/// A version that serves in the driver's own process.
struct Pretended {
    place: Place,
    lock: Option<Lock>,
    asked: Option<HandOver>,
    /// The program that runs; where there is one, it ran before the driver came.
    running: Option<PathBuf>,
    /// A file, and what a package manager writes there while the old version hands over.
    replaced: Option<(PathBuf, String)>,
}

impl Pretended {
    fn new(place: &Place) -> Self {
        Self { place: place.clone(), lock: None, asked: None, running: None, replaced: None }
    }
}

impl Host for Pretended {
    async fn about(&mut self) -> Result<About, Trouble> {
        self.lock = Some(take(&self.place));
        let program = self.running.clone().unwrap_or_else(|| PathBuf::from("/bin/sh"));
        Ok(About {
            version: version("1.0.0"),
            format: 1,
            running: program.clone(),
            program,
            pid: std::process::id(),
            port: None,
            was_running: self.running.is_some(),
        })
    }

    async fn save(&mut self, _to: &Version, _tell: &mut dyn FnMut(&str)) -> Result<Saved, Trouble> {
        let backup = Backup { snapshot: "s".to_owned(), drilled: true, ..Backup::default() };
        Ok(Saved { backup, ..Saved::default() })
    }

    async fn hand_over(&mut self, ask: &HandOver) -> Result<(), Trouble> {
        self.asked = Some(ask.clone());
        if let Some((path, text)) = &self.replaced {
            script(path, text);
        }
        Ok(())
    }

    async fn handover(&mut self) -> Result<Handover, Trouble> {
        let ask = self.asked.take().ok_or_else(|| Trouble("not asked".to_owned()))?;
        State::advance(&self.place, ask.upgrade, &[Phase::Prepare], Phase::Seal, 5, |_| {}).unwrap();
        fs::create_dir_all(self.place.sealed()).unwrap();
        fs::copy(self.place.data_dir().join("journal.db"), self.place.sealed_journal()).unwrap();
        State::record(&self.place, ask.upgrade, &[Phase::Seal], |state| {
            state.seal = Some(json!({"root": "5e55"}));
            state.sealed_copy = true;
        })
        .unwrap();
        Ok(Handover { state: "sealed".to_owned(), ..Handover::default() })
    }

    async fn cancel(&mut self) -> Result<(), Trouble> {
        self.asked = None;
        Ok(())
    }

    async fn let_go(&mut self) {
        self.lock = None;
    }

    fn put_back(&mut self) -> Result<(), Trouble> {
        fs::copy(self.place.sealed_journal(), self.place.data_dir().join("journal.db")).unwrap();
        Ok(())
    }

    fn set_aside(&mut self) -> Result<(), Trouble> {
        unreachable!("only on the way back")
    }

    fn put_back_copy(&mut self, _copy: &Path, _root: &str, _documents: &str) -> Result<(), Trouble> {
        unreachable!("only on the way back")
    }

    async fn answering(&mut self) -> Option<(u32, Version)> {
        let said = fs::read_to_string(self.place.data_dir().join("answers")).ok()?;
        Some((1, said.parse().ok()?))
    }

    async fn stop(&mut self) -> Result<(), Trouble> {
        fs::write(self.place.data_dir().join("stop"), "").unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while self.answering().await.is_some() {
            assert!(Instant::now() < until, "the new version does not stop");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

fn order(place: &Place, number: u8) -> Order {
    Order {
        place: place.clone(),
        id: id(number),
        installed: version("1.0.0"),
        installed_program: None,
        now_ms: || 7,
        deadline: Duration::from_secs(1),
        interrupt: false,
        downgrade: false,
        check_patience: Duration::from_secs(30),
    }
}

/// Runs something of the driver's with its own process as the old version.
fn drive<T>(run: impl AsyncFnOnce(&mut Pretended) -> T, place: &Place) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut host = Pretended::new(place);
        let done = run(&mut host).await;
        host.let_go().await;
        done
    })
}

fn apply(place: &Place, package: &Path, number: u8) -> Result<State, UpgradeError> {
    let mut keys = Keys::default();
    keys.add_file(&package.with_extension("pub")).unwrap();
    let order = order(place, number);
    drive(async |host| driver::apply(&order, package.to_str().unwrap(), &keys, host, &mut |_| {}).await, place)
}

/// What the next start does.
fn next_start(place: &Place) -> Option<State> {
    let state = State::read(place).unwrap()?;
    if state.phase.is_final() {
        return Some(state);
    }
    let _lock = driver::drive(place, 7).unwrap();
    let order = order(place, 99);
    Some(drive(async |host| driver::settle(&order, host, &mut |_| {}).await, place).unwrap())
}

/// What a child process of these tests does; nothing when it is run as a test.
#[test]
fn as_child_process() {
    let Ok(role) = std::env::var("GANDER_TEST_ROLE") else { return };
    let place = Place::new(std::env::var("GANDER_TEST_DATA").unwrap());
    if role == "drive" {
        let done = apply(&place, Path::new(&std::env::var("GANDER_TEST_PACKAGE").unwrap()), 1);
        std::process::exit(if done.is_ok() { 0 } else { 2 });
    }
    let upgrade = std::env::var("GANDER_TEST_UPGRADE").unwrap().parse().unwrap();
    let lock = take(&place);
    let state = State::advance(&place, upgrade, &[Phase::Start, Phase::Check], Phase::Check, 8, |_| {}).unwrap();
    let journal = place.data_dir().join("journal.db");
    fs::write(&journal, MIGRATED).unwrap();
    assert_eq!(state.seal.unwrap()["root"], "5e55");
    match std::env::var("GANDER_TEST_NEW").as_deref() {
        Ok("fails") => {
            State::record(&place, upgrade, &[Phase::Check], |state| state.failed = Some("it differs".to_owned()))
                .unwrap();
            std::process::exit(3);
        }
        Ok("hangs") => loop {
            std::thread::park();
        },
        _ => {}
    }
    let check = Check { ok: true, ..Check::default() };
    if State::advance(&place, upgrade, &[Phase::Check], Phase::Commit, 9, |state| state.check = Some(check)).is_err() {
        std::process::exit(3);
    }
    let answers = place.data_dir().join("answers");
    fs::write(&answers, "1.1.0").unwrap();
    while !place.data_dir().join("stop").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(lock);
    fs::remove_file(&answers).unwrap();
    std::process::exit(0);
}

/// A data folder with a journal, and a package whose program is this test binary in the new version's role.
fn scene() -> (tempfile::TempDir, Place, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let place = Place::new(home.path().join("data"));
    fs::create_dir_all(place.data_dir()).unwrap();
    fs::write(place.data_dir().join("journal.db"), BEFORE).unwrap();
    let program = home.path().join("program");
    let says = json!({"version": "1.1.0", "target": TARGET, "reads_format": 1, "writes_format": 2});
    let manifest = Manifest::new(serde_json::from_value(says.clone()).unwrap(), 1, 8);
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = upgrade ]; then echo '{says}'; exit 0; fi\n\
         export GANDER_TEST_ROLE=new GANDER_TEST_DATA=\"$3\" GANDER_TEST_UPGRADE=\"$5\"\n\
         exec '{}' --exact cut::as_child_process --nocapture\n",
        std::env::current_exe().unwrap().display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let package = home.path().join("x.gander");
    package::write(&package, &Files { program: &program, licences: None, desktop: None }, manifest, 3).unwrap();
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let signed = minisign::sign(None, &pair.sk, fs::File::open(&package).unwrap(), None, None).unwrap();
    fs::write(signature_of(&package), signed.into_string()).unwrap();
    fs::write(package.with_extension("pub"), pair.pk.to_box().unwrap().into_string()).unwrap();
    (home, place, package)
}

/// The driver as a process of its own, to be cut off at a point; whether it was.
fn cut_at(point: &str, new: &str, place: &Place, package: &Path) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cut::as_child_process", "--nocapture"])
        .env("GANDER_TEST_ROLE", "drive")
        .env("GANDER_TEST_DATA", place.data_dir())
        .env("GANDER_TEST_PACKAGE", package)
        .env("GANDER_TEST_NEW", new)
        .env("GANDER_FAULT", point)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    status.signal() == Some(9)
}

/// Pointer, journal and state belong together, and nobody holds anything.
fn whole(place: &Place, state: Option<&State>, what: &str) {
    let journal = fs::read_to_string(place.data_dir().join("journal.db")).unwrap();
    let pointer = Pointer::read(place).unwrap().map(|pointer| pointer.version.to_string());
    let committed = state.is_some_and(|state| state.phase == Phase::Commit);
    let expected = if committed { (MIGRATED, Some("1.1.0".to_owned())) } else { (BEFORE, None) };
    assert_eq!((journal.as_str(), pointer), expected, "{what}: {state:?}");
    assert!(state.is_none_or(|state| state.phase.is_final()), "{what}");
    // A new version whose driver died was told to stop, and is given the time.
    let until = Instant::now() + Duration::from_secs(30);
    while let Taken::Theirs(who) = Lock::try_take(&place.journal_lock(), &Holder::this(0)).unwrap() {
        assert!(Instant::now() < until, "{what}: the journal is held by {who:?}");
    }
}

#[test]
fn g10_an_upgrade_goes_through_and_ends_where_nobody_ran_before() {
    let (_home, place, package) = scene();
    let state = apply(&place, &package, 1).unwrap();
    assert_eq!(state.phase, Phase::Commit);
    whole(&place, Some(&state), "apply");
    assert!(
        state
            .steps
            .iter()
            .map(|step| step.phase.word())
            .eq(["stage", "drill", "prepare", "seal", "switch", "start", "check", "commit"])
    );
    assert!(!place.incoming().exists());
}

#[test]
fn g10_what_differs_or_hangs_is_rolled_back_with_the_journal() {
    for new in ["fails", "hangs"] {
        let (_home, place, package) = scene();
        // The new version asks its environment, which is the driver's.
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cut::apply_with_little_patience", "--nocapture"])
            .env("GANDER_TEST_NEW", new)
            .env("GANDER_TEST_DATA", place.data_dir())
            .env("GANDER_TEST_PACKAGE", &package)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{new}");
        let state = State::read(&place).unwrap().unwrap();
        assert_eq!(state.phase, Phase::RolledBack, "{new}");
        assert!(state.failed.is_some());
        whole(&place, Some(&state), new);
    }
}

/// A child of the test above.
#[test]
fn apply_with_little_patience() {
    let Ok(data) = std::env::var("GANDER_TEST_DATA") else { return };
    let (place, package) = (Place::new(data), PathBuf::from(std::env::var("GANDER_TEST_PACKAGE").unwrap()));
    let mut keys = Keys::default();
    keys.add_file(&package.with_extension("pub")).unwrap();
    let mut order = order(&place, 1);
    order.check_patience = Duration::from_secs(2);
    let run =
        async |host: &mut Pretended| driver::apply(&order, package.to_str().unwrap(), &keys, host, &mut |_| {}).await;
    assert!(matches!(drive(run, &place), Err(UpgradeError::RolledBack(_))));
}

#[test]
fn g10_cut_off_at_every_boundary_the_old_or_the_new_version_runs() {
    let mut reached = 0;
    for (point, new) in [
        ("stage:after", ""),
        ("unpack", ""),
        ("publish", ""),
        ("drill:before", ""),
        ("drill:after", ""),
        ("drill:saved", ""),
        ("prepare:before", ""),
        ("prepare:after", ""),
        ("prepare:asked", ""),
        ("seal:before", ""),
        ("seal:after", ""),
        ("seal:ended", ""),
        ("switch:before", ""),
        ("switch:after", ""),
        ("switch:set", ""),
        ("start:before", ""),
        ("start:after", ""),
        ("start:counted", ""),
        ("start:spawned", ""),
        ("rollback:before", "fails"),
        ("rollback:after", "fails"),
        ("rollback:journal", "fails"),
        ("rollback:pointer", "fails"),
        ("rolled_back:before", "fails"),
        ("rolled_back:after", "fails"),
    ] {
        let (_home, place, package) = scene();
        assert!(cut_at(point, new, &place, &package), "{point} was never reached");
        reached += 1;
        if point == "start:spawned" {
            // The new version goes on without its driver, and commits or not by itself.
            fs::write(place.data_dir().join("stop"), "").unwrap();
        }
        let state = next_start(&place);
        whole(&place, state.as_ref(), point);
        // And again, as if nothing had been.
        let _ = fs::remove_file(place.data_dir().join("stop"));
        if state.is_none_or(|state| state.phase != Phase::Commit) {
            let state = apply(&place, &package, 2).unwrap();
            assert_eq!(state.phase, Phase::Commit, "{point}");
            whole(&place, Some(&state), point);
        }
    }
    assert_eq!(reached, 25);
}

#[test]
fn g10_a_new_version_that_dies_while_it_checks_is_rolled_back_by_its_driver() {
    for point in ["check:before", "check:after", "commit:before"] {
        let (_home, place, package) = scene();
        assert!(!cut_at(point, "", &place, &package), "the driver lives");
        let state = State::read(&place).unwrap().unwrap();
        assert_eq!(state.phase, Phase::RolledBack, "{point}");
        whole(&place, Some(&state), point);
    }
    // After the commit it is the one that serves, however it fares.
    let (_home, place, package) = scene();
    assert!(!cut_at("commit:after", "", &place, &package));
    let state = State::read(&place).unwrap().unwrap();
    assert_eq!(state.phase, Phase::Commit);
    whole(&place, Some(&state), "commit:after");
}

#[test]
fn a_second_driver_is_refused_and_told_who_drives() {
    let (_home, place, package) = scene();
    let lock = driver::drive(&place, 7).unwrap();
    let Err(UpgradeError::Driven(Some(who))) = apply(&place, &package, 2) else { panic!("it must be refused") };
    assert_eq!(who.pid, std::process::id());
    drop(lock);
    assert!(State::read(&place).unwrap().is_none(), "nothing was begun");
}

/// A program that says that it is this version, and answers when it is to serve.
fn says(version: &str, format: u32) -> String {
    let is = json!({"version": version, "target": TARGET, "reads_format": 1, "writes_format": format});
    format!("#!/bin/sh\ncase $1 in upgrade) echo '{is}';; serve) printf %s {version} > \"$3/answers\";; esac\n")
}

/// Written beside, then renamed, as a package manager does it.
fn script(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&beside, path).unwrap();
}

fn adopt(place: &Place, running: Option<&Path>, installed: &Path, then: Option<&str>) -> Result<State, UpgradeError> {
    let order = order(place, 1);
    drive(
        async |host| {
            host.running = running.map(Path::to_owned);
            host.replaced = then.map(|text| (installed.to_owned(), text.to_owned()));
            driver::adopt(&order, installed, host, &mut |_| {}).await
        },
        place,
    )
}

#[test]
fn g10_a_program_that_is_replaced_again_in_the_middle_takes_nothing_over() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path().join("data"));
    fs::create_dir_all(place.data_dir()).unwrap();
    fs::write(place.data_dir().join("journal.db"), BEFORE).unwrap();
    let (running, installed) = (folder.path().join("running"), folder.path().join("installed"));
    script(&running, &says("1.0.0", 1));
    script(&installed, &says("2.0.0", 2));
    let Err(UpgradeError::RolledBack(state)) = adopt(&place, Some(&running), &installed, Some(&says("3.0.0", 2)))
    else {
        panic!("it was not rolled back")
    };
    assert!(state.failed.as_ref().unwrap().contains("is gander 3.0.0 by now"), "{:?}", state.failed);
    // The old version runs, from where it was kept, and only a program of the version that failed is held back by it.
    assert_eq!(fs::read_to_string(place.data_dir().join("answers")).unwrap(), "1.0.0");
    assert_eq!(state.from.program, place.program(&version("1.0.0")));
    assert_eq!(fs::read_to_string(&state.from.program).unwrap(), says("1.0.0", 1));
    let pointer = Pointer::read(&place).unwrap().unwrap();
    assert_eq!(pointer.version, version("1.0.0"));
    assert!(pointer.leads(&version("2.0.0")) && !pointer.leads(&version("3.0.0")));
    assert_eq!(fs::read_to_string(place.data_dir().join("journal.db")).unwrap(), BEFORE);
}

#[test]
fn g10_an_installed_program_that_does_not_fit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path().join("data"));
    fs::create_dir_all(place.data_dir()).unwrap();
    let (running, installed) = (folder.path().join("running"), folder.path().join("installed"));
    script(&running, &says("1.0.0", 1));
    for (says, why) in [(says("0.9.0", 1), "older"), (says("1.0.0", 1), "serves now"), (says("2.0.0", 0), "format")] {
        script(&installed, &says);
        match adopt(&place, Some(&running), &installed, None) {
            Err(UpgradeError::Installed(error)) => assert!(error.to_string().contains(why), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    // What runs is not what it says: it could not be gone back to.
    script(&installed, &says("2.0.0", 1));
    script(&running, &says("1.5.0", 1));
    match adopt(&place, Some(&running), &installed, None) {
        Err(UpgradeError::Abandoned(state)) => assert!(state.failed.as_ref().unwrap().contains("1.5.0"), "{state:?}"),
        other => panic!("{other:?}"),
    }
    assert!(!place.program(&version("1.0.0")).exists() && Pointer::read(&place).unwrap().is_none());
    assert!(matches!(adopt(&place, None, &installed, None), Err(UpgradeError::NobodyServes)));
}
