//! The built-in agent: offline, without a model, over the real protocol on standard input and output.

/// Serves the agent until its standard input ends. The process should exit afterwards.
pub async fn run() -> Result<(), std::io::Error> {
    Ok(())
}
