//! Over HTTP against a server in this process, with the built-in agent as a real process of its own.

mod world;

mod backups;
mod changes;
mod gate;
mod hostile;
mod memory;
mod openapi;
mod slice;
mod store;
mod turns;
