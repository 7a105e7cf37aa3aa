//! The journal's tests, in one binary.
#![allow(clippy::unwrap_used, reason = "in a test, a failure to get there is a failure")]

mod ahead;
mod changes;
mod crashes;
mod damage;
mod disk;
mod erasing;
mod fixtures;
mod forks;
mod groups;
mod growth;
mod inspect;
mod lists;
mod mend;
mod names_links;
mod power;
mod random;
mod saving;
mod search;
mod sending;
mod smoke;
mod start;
mod streaming;
mod support;
mod triggers;
mod verify;
mod windows;
