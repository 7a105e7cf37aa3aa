//! The threads that follow the writer's commits, witness and index, and their end.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::bell::Bell;
use crate::error::OpenError;
use crate::keeper::Keeper;

/// Dropped when the writer is done: both threads end, and the last witness is written.
pub struct Beside {
    pub keeper: Option<JoinHandle<Keeper>>,
    pub indexer: Option<JoinHandle<()>>,
    pub witness_bell: Arc<Bell>,
    pub search_bell: Arc<Bell>,
}

impl Beside {
    /// Something was committed.
    pub fn committed(&self) {
        self.witness_bell.ring();
        self.search_bell.ring();
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.search_bell.end();
        self.witness_bell.end();
        if let Some(Ok(mut keeper)) = self.keeper.take().map(JoinHandle::join)
            && let Err(error) = keeper.write()
        {
            tracing::error!(%error, "the last witness could not be written");
        }
        if let Some(indexer) = self.indexer.take() {
            let _ = indexer.join();
        }
    }
}

/// Starts threads for a data folder.
pub struct Spawn<'d> {
    pub dir: &'d Path,
}

impl Spawn<'_> {
    pub fn thread<T: Send + 'static>(
        &self,
        name: &str,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, OpenError> {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|source| OpenError::Io { path: self.dir.to_owned(), source })
    }
}

/// This thread's work can wait for everybody else's.
pub fn background() {
    #[cfg(target_os = "linux")]
    {
        // On Linux a priority belongs to a thread. Without it the thread works all the same.
        let _ = rustix::process::setpriority_process(None, 10);
    }
}
