//! Agents for the tests: `scratch` is the built-in one, the others misbehave before or beside the protocol.

use std::io::{BufRead as _, Write as _};

use serde_json::{Value, json};

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let done = match mode.as_str() {
        "scratch" => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(gander_acp::builtin::scratch::run())),
        // Never reads, never answers, does not mind SIGTERM.
        "deaf" => {
            let _ = std::process::Command::new("sh").args(["-c", "trap '' TERM; while :; do sleep 1; done"]).status();
            Ok(())
        }
        // Prints lines that are no messages, for ever.
        "babble" => babble(),
        mode => scripted(mode),
    };
    if let Err(error) = done {
        eprintln!("the test agent stopped: {error}");
        std::process::exit(3);
    }
}

fn babble() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    loop {
        out.write_all(b"Loading plugins... [WARN] nothing of this is JSON\n")?;
    }
}

/// Answers requests without the crate, each mode with its own oddity at `session/prompt`.
fn scripted(mode: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut say = |line: &str| -> std::io::Result<()> {
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    };
    let mut prompted = Value::Null;
    for line in std::io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?).unwrap_or_default();
        let (id, method) = (&message["id"], message["method"].as_str().unwrap_or_default());
        let answer = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
        match method {
            "initialize" if mode == "future" => say(&answer(json!({"protocolVersion": 2})))?,
            "initialize" if mode == "silent" => {}
            // Neither `jsonrpc` nor capabilities: sloppy, and understood all the same.
            "initialize" => say(&json!({"id": id, "result": {"protocolVersion": 1}}).to_string())?,
            "session/new" => say(&answer(json!({"sessionId": "s"})))?,
            "session/load" => match mode {
                "replayer" => {
                    for n in 0..1000 {
                        say(&update(&format!(
                            r#"{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"{n}"}}}}"#
                        )))?;
                    }
                    say(&answer(Value::Null))?;
                }
                _ => {
                    say(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "Method not found"}})
                        .to_string())?
                }
            },
            "session/prompt" => match mode {
                // Exact bytes: odd spacing, escapes, numbers that a parser would normalise, unknown fields, a repeated key.
                "exact" => {
                    say(&update(EXACT))?;
                    say(&answer(json!({"stopReason": "end_turn"})))?;
                }
                // As fast as the pipe takes it; the test counts what went in.
                "flood" => {
                    let note = std::env::var("FLOOD_NOTE").unwrap_or_default();
                    let text = "x".repeat(1000);
                    for n in 1..=50_000 {
                        say(&update(&format!(
                            r#"{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"{n} {text}"}}}}"#
                        )))?;
                        if n % 100 == 0 {
                            std::fs::write(&note, n.to_string())?;
                        }
                    }
                    say(&answer(json!({"stopReason": "end_turn"})))?;
                }
                // One line of 100 MB.
                "long" => {
                    say(&update(&format!(
                        r#"{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"{}"}}}}"#,
                        "y".repeat(100 << 20)
                    )))?;
                    say(&answer(json!({"stopReason": "end_turn"})))?;
                }
                // Everything a reader could trip over, between two good updates.
                "mixed" => {
                    say(&update(r#"{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"one"}}"#))?;
                    for line in [
                        "",
                        "   ",
                        "not json",
                        "[]",
                        "[1,2]",
                        "null",
                        "42",
                        "\"text\"",
                        "{}",
                        r#"{"jsonrpc":"2.0"}"#,
                        r#"{"jsonrpc":"2.0","method":"session/update"}"#,
                        r#"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":7,"update":{}}}"#,
                        r#"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s"}}"#,
                        r#"{"jsonrpc":"2.0","id":"nobody-asked","result":{}}"#,
                        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
                        r#"{"jsonrpc":"2.0","id":1.5,"method":"fs/read_text_file"}"#,
                        r#"{"jsonrpc":"2.0","id":5,"method":"no/such/method","params":{}}"#,
                        r#"{"jsonrpc":"2.0","id":6,"method":"session/request_permission","params":{"sessionId":"s"}}"#,
                        r#"{"jsonrpc":"2.0","method":"$/cancel_request","params":{"requestId":"nobody"}}"#,
                        r#"{"jsonrpc":"2.0","method":"_vendor/news","params":{"kept": 1.50}}"#,
                        r#"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s","update":{"noKind":true}}}"#,
                        "{\"jsonrpc\":\"2.0\",\"method\":",
                    ] {
                        say(line)?;
                    }
                    say(&update(r#"{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"two"}}"#))?;
                    say(&answer(json!({"stopReason": "end_turn"})))?;
                }
                // Repeats the prompt during the turn.
                "echo" => {
                    let text = message.pointer("/params/prompt/0/text").cloned().unwrap_or_default();
                    say(&update(
                        &json!({"sessionUpdate": "user_message_chunk", "content": {"type": "text", "text": text}})
                            .to_string(),
                    ))?;
                    say(&update(
                        r#"{"sessionUpdate":"user_message_chunk","content":{"type":"text","text":"from elsewhere"}}"#,
                    ))?;
                    say(&answer(json!({"stopReason": "end_turn"})))?;
                }
                // Asks for more at once than anybody works on.
                "asker" => {
                    for n in 0..500 {
                        let params =
                            json!({"sessionId": "s", "toolCall": {"toolCallId": format!("t{n}")}, "options": []});
                        say(&json!({"jsonrpc": "2.0", "id": n, "method": "session/request_permission", "params": params}).to_string())?;
                    }
                    say(&answer(json!({"stopReason": "end_turn"})))?;
                }
                // Characters cut in half, and values that are nested too deep for parsers.
                "halves" => {
                    for text in [r"a\ud83d", r"\ude00b\ud83d", r"c", r"\ude00"] {
                        say(&update(&format!(
                            r#"{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"{text}"}}}}"#
                        )))?;
                    }
                    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
                    say(&update(&format!(r#"{{"sessionUpdate":"tool_call","toolCallId":"t","rawInput":{deep}}}"#)))?;
                    for n in 0..100 {
                        say(&format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"no/such","params":{deep}}}"#))?;
                        say(&format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"no/such","params":7}}"#))?;
                    }
                    say(&answer(json!({"stopReason": "end_turn"})))?;
                }
                // Has a command run, and when cancelled answers without ending it, as goose does.
                "leaver" => {
                    prompted = id.clone();
                    let params = json!({"sessionId": "s", "command": "echo $$; exec sleep 1000"});
                    say(&json!({"jsonrpc": "2.0", "id": 1, "method": "terminal/create", "params": params}).to_string())?;
                }
                // Ids that nobody may use: none of them may cost a place for good.
                "ids" => {
                    let ask = |id: Value| {
                        let params = json!({"sessionId": "s", "toolCall": {"toolCallId": "t"}, "options": []});
                        json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params})
                            .to_string()
                    };
                    for _ in 0..100 {
                        say(&ask(json!(1.5)))?;
                        say(&ask(json!({"an": "object"})))?;
                        say(&ask(json!("the same")))?;
                    }
                    say(&ask(json!("another")))?;
                    say(&answer(json!({"stopReason": "end_turn"})))?;
                }
                // Closes its output and stays.
                "half" => {
                    rustix::stdio::dup2_stdout(std::fs::File::open("/dev/null")?)?;
                    loop {
                        std::thread::park();
                    }
                }
                _ => say(&answer(json!({"nonsense": true})))?,
            },
            "session/cancel" if !prompted.is_null() => {
                say(&json!({"jsonrpc": "2.0", "id": prompted, "result": {"stopReason": "cancelled"}}).to_string())?;
            }
            _ => {}
        }
    }
    Ok(())
}

const EXACT: &str = r#"{ "sessionUpdate":"agent_message_chunk",  "content": {"type":"text","text":"caf\u00e9 \/ 1"},"big":12345678901234567890123,"x":1.10,"x":2, "_meta":{"a":[ ]} }"#;

fn update(update: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"s","update":{update}}}}}"#)
}
