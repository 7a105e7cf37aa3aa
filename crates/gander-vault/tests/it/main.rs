//! gander-vault against its promises: nothing half-written is ever a snapshot, damage is named and stays where it is,
//! and restoring only adds.
#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

#[cfg(feature = "s3")]
mod bucket;
mod compare;
mod create;
mod cut;
mod damage;
mod discard;
mod erase;
mod export;
mod journal;
mod prune;
mod restore;
mod storage;
