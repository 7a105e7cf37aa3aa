//! The built-in agent: offline, without a model, over the real protocol on standard input and output.
//!
//! It is there so that the first chat works on a machine with nothing set up, and so that tests can make an agent slow,
//! large or dead at will. It reads, searches, edits and runs in the session's folder the way any agent does: it announces
//! tool calls, asks for leave, and uses the client's files and terminals where the client offers them.
//!
//! | module | what |
//! |---|---|
//! | `serve` | the connection: the official crate's `Agent` role and its requests |
//! | `turn` | one prompt: saying, thinking, asking, calling tools, being cancelled |
//! | `phrases` | what a prompt asks for: slash commands and plain phrases |
//! | `work` | listing, reading, searching, editing, running |
//! | `tricks` | the commands that tests and demonstrations steer it with |
//! | `memory` | its own sessions, a JSON Lines file each, so that it can load and resume them |
//! | `samples` | a rich Markdown answer and a picture |

mod memory;
mod phrases;
mod samples;
mod serve;
mod tricks;
mod turn;
mod work;

/// Serves the agent until its standard input ends. The process should exit afterwards.
///
/// Its memory is kept in the folder that `GANDER_SCRATCH_HOME` names, else below the user's state folder.
/// `GANDER_SCRATCH_PACE_MS` sets the pause between the chunks of an answer.
pub async fn run() -> Result<(), std::io::Error> {
    serve::serve(memory::Memory::open()).await
}

/// The update by which it offers its slash commands: always the same one, so that they can be offered before it runs.
pub fn commands() -> serde_json::Value {
    serve::commands()
}
