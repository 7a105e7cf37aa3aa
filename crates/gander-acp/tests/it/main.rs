//! What gander-acp promises, against real processes.
#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod check;
mod confine;
mod endings;
mod hostile;
mod probe;
mod replay;
mod scratch;
mod stream;
