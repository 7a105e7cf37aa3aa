//! Agents that are part of the program. They are spawned and spoken to like any other.

pub mod scratch;
