//! A group: the writes that are committed together, in one transaction of the writer's.

use rusqlite::Connection;

use crate::kept::Kept;
use crate::options::Options;
use crate::tx::{Moves, States, Tx};
use crate::verified::Verified;
use crate::writer::{Failure, Job, Verdict};
use crate::{changes, migrate};

/// Rows of the projection that are kept at hand, at most.
const STATES_MAX: usize = 256;

/// A transaction that takes one write after the other.
pub struct Group<'w> {
    conn: &'w Connection,
    options: &'w Options,
    epoch: u64,
    verified: &'w Verified,
    states: &'w mut States,
    moves: Moves,
    kept: Kept<'w>,
    /// Nothing was written yet.
    empty: bool,
    erased: bool,
}

/// What a group that was committed has done.
pub struct Committed {
    /// The last revision.
    pub revision: u64,
    /// Bodies were erased: the log still holds them.
    pub erased: bool,
}

impl<'w> Group<'w> {
    pub fn new(
        conn: &'w Connection,
        options: &'w Options,
        epoch: u64,
        verified: &'w Verified,
        states: &'w mut States,
    ) -> Self {
        let kept = Kept::new(conn);
        Self { conn, options, epoch, verified, states, moves: Moves::new(), kept, empty: true, erased: false }
    }

    pub fn begin(&mut self) -> Result<(), Failure> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let epoch: u64 = migrate::meta::<i64>(self.conn, "epoch")?.unwrap_or(0).cast_unsigned();
        if epoch == self.epoch { Ok(()) } else { Err(Failure::Fenced(epoch)) }
    }

    /// Runs a job inside a savepoint of its own. The first of a group needs none: before it the transaction is empty.
    pub fn run(&mut self, job: &mut dyn Job) -> Result<(), Failure> {
        let first = std::mem::take(&mut self.empty);
        if !first {
            self.kept.statement("SAVEPOINT job")?.execute([])?;
        }
        if self.states.len() > STATES_MAX {
            self.states.clear();
        }
        let mut tx = self.write();
        let verdict = job.run(&mut tx);
        self.erased |= tx.erased;
        self.take_back(tx);
        if !matches!(verdict, Verdict::Keep) {
            // What it noted is not what is stored.
            self.states.clear();
            self.moves.values_mut().for_each(|place| *place = None);
        }
        if self.conn.is_autocommit() {
            // Some faults make the engine roll back all of it by itself; what came before is gone with it.
            return Err(Failure::Fault("the engine gave the transaction up".to_owned()));
        }
        match verdict {
            Verdict::Stop(text) => return Err(Failure::Fault(text)),
            Verdict::Undo if first => {
                self.conn.prepare_cached("ROLLBACK")?.execute([])?;
                self.empty = true;
                return self.begin();
            }
            Verdict::Undo => {
                self.kept.statement("ROLLBACK TO job")?.execute([])?;
            }
            Verdict::Keep => {}
        }
        if !first {
            self.kept.statement("RELEASE job")?.execute([])?;
        }
        Ok(())
    }

    /// A write that knows what those before have left.
    fn write(&mut self) -> Tx<'w> {
        let kept = std::mem::replace(&mut self.kept, Kept::new(self.conn));
        let (states, moves) = (std::mem::take(self.states), std::mem::take(&mut self.moves));
        Tx::new(self.conn, self.options.clock.now_ms(), self.epoch, &*self.options.random, self.verified)
            .knowing(states, moves, kept)
    }

    fn take_back(&mut self, tx: Tx<'w>) {
        (*self.states, self.moves, self.kept) = tx.into_known();
    }

    /// Writes what is written once a group and after its jobs, whatever they did being kept, and commits. On return all
    /// of it is on the disk.
    pub fn commit(mut self) -> Result<Committed, Failure> {
        let mut tx = self.write();
        let settled = tx.settle_moves();
        self.take_back(tx);
        settled.map_err(|error| Failure::Fault(error.to_string()))?;
        let revision = changes::last_revision(self.conn)?;
        changes::trim(self.conn, revision, self.options.keep_changes)?;
        self.options.faults.before_commit()?;
        drop(self.kept);
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        self.options.faults.after_commit()?;
        Ok(Committed { revision, erased: self.erased })
    }
}
