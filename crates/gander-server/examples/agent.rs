//! The built-in agent as a program of its own, for this crate's tests: `agent agent scratch`.

#[tokio::main]
async fn main() -> std::io::Result<()> {
    gander_acp::builtin::scratch::run().await
}
