//! Over HTTP against a server in this process, with the built-in agent as a real process of its own.

#![allow(clippy::unwrap_used)]

mod world;

mod agents;
mod backups;
mod changes;
mod gate;
mod gate_start;
mod handover;
mod hostile;
mod memory;
mod odd_agents;
mod openapi;
mod slice;
mod store;
mod turns;
mod unknown;
