//! HTTP, WebSocket and server-sent events over `gander-api`, the browser's credentials, and the embedded web UI. It
//! refuses to know the journal and agents: a route checks who asks, takes a request apart, calls one operation and
//! says what came of it.
//!
//! Reading order: [`gate`](crate) (what every request must pass), `server` (start and stop), then one route.

mod assets;
mod gate;
mod grant;
mod headers;
mod listen;
mod log_file;
mod pages;
mod problem;
mod routes;
mod runtime;
mod server;
mod stream;

pub use log_file::LogFile;
pub use routes::openapi;
pub use runtime::RuntimeFile;
pub use server::{Running, ServeError, ServeOptions, Server};
