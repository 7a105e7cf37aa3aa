//! From what a prompt's entry holds to what an agent can take. The entry is not the request: a blob is put in, and what
//! an agent said it cannot take is described instead.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::host::Host;
use crate::gander::Ctx;

/// Longest text attachment that is put into a prompt.
const TEXT_MAX_BYTES: usize = 1 << 20;

pub(crate) async fn for_agent(ctx: &Arc<Ctx>, host: &Host, content: &[Value]) -> Result<Vec<Value>, String> {
    let images = host.can(|info| info.image);
    let resources = host.can(|info| info.embedded_context);
    let mut out = Vec::with_capacity(content.len());
    for block in content {
        let kind = block.get("type").and_then(Value::as_str).unwrap_or_default();
        out.push(match kind {
            "blob" => blob(ctx, block, images, resources).await?,
            "image" if !images => told(block, "image/*", "this agent takes no images"),
            "resource" if !resources => embedded(block),
            _ => block.clone(),
        });
    }
    Ok(out)
}

async fn blob(ctx: &Arc<Ctx>, block: &Value, images: bool, resources: bool) -> Result<Value, String> {
    let hash = block.get("hash").and_then(Value::as_str).unwrap_or_default();
    let name = block.get("name").and_then(Value::as_str).unwrap_or("attachment");
    let (known, bytes) =
        ctx.blob(hash).await.map_err(|error| format!("The attachment {name} cannot be read: {error}"))?;
    let mime = known.mime;
    if mime.starts_with("image/") && images {
        return Ok(json!({"type": "image", "mimeType": mime, "data": STANDARD.encode(&bytes)}));
    }
    let text = String::from_utf8(bytes).ok().filter(|text| text.len() <= TEXT_MAX_BYTES && !mime.starts_with("image/"));
    Ok(match text {
        Some(text) if resources => {
            let uri = format!("attachment:///{hash}/{}", plain(name));
            json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": text}})
        }
        Some(text) => json!({"type": "text", "text": format!("Attached file {name}:\n\n{text}")}),
        None => told(block, &mime, "this agent cannot take it"),
    })
}

/// An embedded resource's text, for agents that take none.
fn embedded(block: &Value) -> Value {
    let uri = block.pointer("/resource/uri").and_then(Value::as_str).unwrap_or("a resource");
    match block.pointer("/resource/text").and_then(Value::as_str) {
        Some(text) => json!({"type": "text", "text": format!("Attached {uri}:\n\n{text}")}),
        None => told(block, "binary", "this agent takes no resources"),
    }
}

fn told(block: &Value, mime: &str, why: &str) -> Value {
    let name = block.get("name").and_then(Value::as_str).unwrap_or("without a name");
    json!({"type": "text", "text": format!("[An attachment, {name} ({mime}), is not part of this message: {why}.]")})
}

/// A name as part of a URI.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}
