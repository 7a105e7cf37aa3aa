//! Agent processes over the Agent Client Protocol (ACP), and the built-in agents. It refuses to know the journal,
//! HTTP, and who is looking: it turns one agent process into one ordered, bounded stream of [`AgentEvent`]s.
//!
//! How it is put together:
//!
//! - [`Agent::start`] spawns one process in its own process group ([`process`]) and says `initialize`.
//! - `wire` reads the agent's standard output line by line, with a bound on a line's length, and decides what each
//!   line is. Session updates and the ends of prompts go, in the order they were printed and with their JSON untouched,
//!   into one bounded channel; when it is full, reading stops, the pipe fills and the agent waits.
//! - Everything else (answers to our requests, the agent's file and terminal requests) goes to the official crate's
//!   `Client` role in `link`, which correlates and routes it.
//! - `folder` confines file and terminal requests to the session's folder.

#![warn(missing_docs)]

mod agent;
mod alike;
pub mod builtin;
mod check;
mod error;
mod event;
mod folder;
mod info;
mod link;
mod mend;
pub mod process;
pub mod replay;
mod shared;
mod spec;
mod supervise;
mod terminal;
mod update;
mod wire;

pub use agent::{Agent, Opened};
pub use check::{AgentCheck, check};
pub use error::{AgentError, Exit};
pub use event::{AgentEvent, AgentSessionId, Events, Garbage, Permission, PermissionReply, Stop, TerminalOutput};
pub use info::{AgentInfo, AuthMethod};
pub use process::AgentProcess;
pub use replay::Replay;
pub use spec::{AgentSpec, Bounds, ClientName, StartOptions, Timeouts};
pub use update::{ToolStatus, Update, UpdateKind};
