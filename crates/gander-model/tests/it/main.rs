//! The model's tests, in one binary.
#![allow(clippy::unwrap_used, reason = "in a test, a failure to get there is a failure")]

mod bodies;
mod chain;
mod joining;
mod projection;
mod texts;
mod vectors;
