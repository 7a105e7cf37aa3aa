//! The upgrade without a journal: files, locks, packages, and what is done after a cut.
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod cut;
mod package;
mod state;
mod support;
