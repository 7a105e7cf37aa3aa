//! The model server, asked over HTTP as an agent asks it.
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::io::{Read, Write};
use std::net::TcpStream;

use gander_testing::model_server::ModelServer;
use serde_json::{Value, json};

/// Sends a request without waiting for its answer.
fn send(server: &ModelServer, path: &str, body: &Value) -> TcpStream {
    let body = body.to_string();
    let address = server.url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream
}

/// A streamed request's events, without the `data: ` before them.
async fn ask(server: &ModelServer, messages: Value) -> Vec<String> {
    let mut stream = send(server, "/v1/chat/completions", &json!({"stream": true, "messages": messages}));
    let mut text = String::new();
    tokio::task::spawn_blocking(move || {
        stream.read_to_string(&mut text).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
    })
    .await
    .unwrap()
}

fn text(events: &[String]) -> String {
    let deltas = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
    deltas.filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_decides_the_answer() {
    let server = ModelServer::start().await.unwrap();
    let plain = ask(&server, json!([{"role": "user", "content": "good morning"}])).await;
    assert_eq!(text(&plain), "You said: good morning");
    assert_eq!(plain.last().unwrap(), "[DONE]");

    let wrapped = json!([{"role": "user", "content": [{"type": "text", "text": "<info/>\n[[stream chunks=3 word=oak]] please"}]}]);
    assert_eq!(text(&ask(&server, wrapped).await), "oak-1 oak-2 oak-3 ");

    let tool = json!([{"role": "user", "content": "[[tool shell {\"command\":\"ls\"}]]"}]);
    let call: Value = serde_json::from_str(&ask(&server, tool.clone()).await[0]).unwrap();
    let function = &call["choices"][0]["delta"]["tool_calls"][0]["function"];
    assert_eq!(
        (function["name"].as_str(), function["arguments"].as_str()),
        (Some("shell"), Some("{\"command\":\"ls\"}"))
    );

    let answered =
        json!([tool[0], {"role": "assistant", "content": null}, {"role": "tool", "content": "a.txt\nb.txt"}]);
    assert_eq!(text(&ask(&server, answered).await), "tool done: a.txt");
    assert_eq!(server.count(), 4);

    let asked = "---BEGIN USER MESSAGES---\nCount the geese today [[stream]]\n---END USER MESSAGES---";
    let title = json!([{"role": "system", "content": "Generate a short title (four words"}, {"role": "user", "content": asked}]);
    assert_eq!(text(&ask(&server, title).await), "About Count the geese");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_answer_stays_open_until_it_is_released() {
    let server = ModelServer::start().await.unwrap();
    let body = json!({"stream": true, "messages": [{"role": "user", "content": "[[hold after=2 word=elm]]"}]});
    let mut stream = send(&server, "/v1/chat/completions", &body);
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("elm-2") {
        let length = stream.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "ended before it was released: {text}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    assert!(!text.contains("[DONE]"));
    server.release();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("[DONE]"));
}
