//! Points at which a test can cut this process off, as a power cut would. They are empty unless the feature `faults` is on;
//! then `GANDER_FAULT=NAME[,NAME]` names those at which the process kills itself.

/// A place between two effects.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn point(_name: &str) {}

/// A place between two effects.
#[cfg(feature = "faults")]
pub fn point(name: &str) {
    if std::env::var("GANDER_FAULT").is_ok_and(|wanted| wanted.split(',').any(|one| one == name)) {
        // Nothing is flushed, nobody is told, no destructor runs.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::thread::park();
    }
}
