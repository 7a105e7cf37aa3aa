//! The model's tests, in one binary.

mod bodies;
mod chain;
mod joining;
mod projection;
mod vectors;
