use gander_upgrade::driver::way_back;
use gander_upgrade::lock::{Holder, Lock, Taken};
use gander_upgrade::state::{Check, Kind, driver};
use gander_upgrade::{Phase, Place, Pointer, State, StateError};

use crate::support::{begun, id, version};

#[test]
fn g10_of_two_who_decide_exactly_one_wins() {
    let home = tempfile::tempdir().unwrap();
    let place = Place::new(home.path());
    State::begin(&place, &begun(&place, 1)).unwrap();
    State::advance(&place, id(1), &[Phase::Stage], Phase::Check, 2, |_| {}).unwrap();
    // The new version has checked and commits; the driver has waited too long and rolls back.
    let race = |to: Phase| {
        let place = place.clone();
        std::thread::spawn(move || State::advance(&place, id(1), &[Phase::Check], to, 3, |_| {}).is_ok())
    };
    let threads: Vec<_> = (0..16).map(|n| race(if n % 2 == 0 { Phase::Commit } else { Phase::Rollback })).collect();
    let won = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count();
    assert_eq!(won, 1);
    let state = State::read(&place).unwrap().unwrap();
    assert_eq!(state.steps.len(), 3, "{:?}", state.steps);
    assert_eq!(state.steps[2].phase, state.phase);
}

#[test]
fn an_upgrade_that_has_not_ended_is_in_the_way_of_another_and_one_that_has_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let place = Place::new(home.path());
    assert!(State::read(&place).unwrap().is_none());
    State::begin(&place, &begun(&place, 1)).unwrap();
    assert!(matches!(State::begin(&place, &begun(&place, 2)), Err(StateError::UnderWay(other)) if other.id == id(1)));
    let wrong = State::advance(&place, id(2), &[Phase::Stage], Phase::Drill, 2, |_| {});
    assert!(matches!(wrong, Err(StateError::Other { found, .. }) if found == id(1)));
    State::advance(&place, id(1), &[Phase::Stage], Phase::Abandoned, 2, |_| {}).unwrap();
    State::begin(&place, &begun(&place, 2)).unwrap();
    assert_eq!(State::read(&place).unwrap().unwrap().id, id(2));
    let kept = std::fs::read(place.history().join(format!("{}.json", id(1)))).unwrap();
    assert_eq!(serde_json::from_slice::<State>(&kept).unwrap().phase, Phase::Abandoned);
}

#[test]
fn what_came_to_nothing_is_not_in_the_way_back() {
    let home = tempfile::tempdir().unwrap();
    let place = Place::new(home.path());
    let went = |number: u8, kind: Kind, ends: Phase, formats: (u32, u32)| {
        let mut state = begun(&place, number);
        (state.kind, state.from.format, state.to.format) = (kind, formats.0, formats.1);
        State::begin(&place, &state).unwrap();
        State::advance(&place, id(number), &[Phase::Stage], ends, 2, |state| {
            (state.check, state.sealed_copy) = (Some(Check::default()), ends != Phase::Abandoned);
        })
        .unwrap();
    };
    let back = || way_back(&place).map(|state| state.id).map_err(|error| error.to_string());
    std::fs::create_dir_all(place.sealed()).unwrap();
    std::fs::write(place.sealed_journal(), b"").unwrap();
    went(1, Kind::Upgrade, Phase::Abandoned, (1, 2));
    assert!(back().unwrap_err().contains("no upgrade went through"));
    went(2, Kind::Upgrade, Phase::Commit, (1, 2));
    assert_eq!(back(), Ok(id(2)));
    // A rollback by hand, cut off or not carried through, can be tried again.
    went(3, Kind::Rollback, Phase::Abandoned, (2, 1));
    went(4, Kind::Rollback, Phase::RolledBack, (2, 1));
    went(5, Kind::Upgrade, Phase::Abandoned, (2, 3));
    assert_eq!(back(), Ok(id(2)));
    // But not to a format whose copy gave way to another's.
    went(6, Kind::Upgrade, Phase::RolledBack, (2, 3));
    assert!(back().unwrap_err().contains("the copy from before is not kept"));
    went(7, Kind::Rollback, Phase::Commit, (2, 1));
    assert!(back().unwrap_err().contains("taken back already"));
}

#[test]
fn a_damaged_state_or_pointer_is_never_taken_for_none() {
    let home = tempfile::tempdir().unwrap();
    let place = Place::new(home.path());
    State::begin(&place, &begun(&place, 1)).unwrap();
    std::fs::write(place.state(), b"{\"v\":1,").unwrap();
    assert!(matches!(State::read(&place), Err(StateError::Damaged { .. })));
    assert!(matches!(State::begin(&place, &begun(&place, 2)), Err(StateError::Damaged { .. })));
    let pointer = Pointer { version: version("1.1.0"), set_over: version("1.0.0"), at_ms: 5 };
    Pointer::set(&place, Some(&pointer)).unwrap();
    assert_eq!(Pointer::read(&place).unwrap(), Some(pointer));
    std::fs::write(place.pointer(), b"").unwrap();
    assert!(Pointer::read(&place).is_err());
    Pointer::set(&place, None).unwrap();
    assert_eq!(Pointer::read(&place).unwrap(), None);
}

#[test]
fn a_pointer_leads_unless_a_newer_program_was_installed_since() {
    let pointer = |to: &str, over: &str| Pointer { version: version(to), set_over: version(over), at_ms: 0 };
    assert!(pointer("1.1.0", "1.0.0").leads(&version("1.0.0")));
    assert!(pointer("1.1.0", "1.0.0").leads(&version("1.0.5")), "it is newer than what was installed since");
    assert!(!pointer("1.1.0", "1.0.0").leads(&version("1.1.0")));
    assert!(!pointer("1.1.0", "1.0.0").leads(&version("2.0.0")));
    assert!(pointer("0.9.0", "1.0.0").leads(&version("1.0.0")), "going back was asked for over this one");
    assert!(!pointer("0.9.0", "1.0.0").leads(&version("1.0.1")));
}

#[test]
fn the_driver_is_named_for_as_long_as_it_lives() {
    let home = tempfile::tempdir().unwrap();
    let place = Place::new(home.path());
    assert_eq!(driver(&place).unwrap(), None);
    let this = Holder::this(7);
    let Taken::Ours(lock) = Lock::try_take(&place.driver_lock(), &this).unwrap() else { panic!("it is free") };
    assert_eq!(driver(&place).unwrap(), Some(this.clone()));
    let Taken::Theirs(Some(named)) = Lock::try_take(&place.driver_lock(), &this).unwrap() else {
        panic!("it is taken")
    };
    assert_eq!(named, this);
    drop(lock);
    assert_eq!(driver(&place).unwrap(), None);
}
