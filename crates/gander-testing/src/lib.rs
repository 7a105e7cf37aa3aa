//! What the tests stand on: a model server for real agents, temporary homes, and the built `gander` binary as a child.
//! It refuses to know Gander's own crates: it meets Gander only from outside, as files, processes and HTTP.

pub mod client;
pub mod gander;
pub mod home;
pub mod model_script;
pub mod model_server;
