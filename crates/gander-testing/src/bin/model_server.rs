//! The model server as a program. Its first line of output is `{"url":"http://127.0.0.1:PORT"}`; it ends when its standard
//! input ends, so that it cannot outlive the test that started it.
#![allow(clippy::print_stdout, reason = "its address goes to whoever started it")]

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = gander_testing::model_server::ModelServer::start().await?;
    println!("{}", serde_json::json!({"url": server.url()}));
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    Ok(())
}
