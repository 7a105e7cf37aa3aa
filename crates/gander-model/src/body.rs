//! The body of an entry: JSON that is hashed as stored and given out byte for byte. [`Body`] is a view of it for
//! reading, and the one writer of new bodies. Reading is tolerant: what is not understood is kept in `extra`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{Hash, ItemId, TurnId};

/// The version that new bodies say they are.
pub const BODY_VERSION: u32 = 1;

/// Data longer than this lies beside the entries and is named by a [`DataRef`].
pub const INLINE_DATA_MAX_BYTES: usize = 64 * 1024;

/// Bytes that are no body.
#[derive(Debug, thiserror::Error)]
#[error("the body is no JSON object")]
pub struct BodyError(#[from] serde_json::Error);

/// Who an entry comes from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The person at the window.
    User,
    /// The agent.
    Agent,
    /// Gander itself.
    Gander,
    /// An editor through the recorder proxy.
    Editor,
    /// Another tool's store.
    Import,
    /// A word of a later version.
    #[serde(untagged)]
    Other(String),
}

/// Names large data that lies beside the entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DataRef {
    /// [`crate::content_hash`] of the data.
    pub hash: Hash,
    /// Its length.
    pub bytes: u64,
}

/// What the entry records, in the shape that its kind says.
#[derive(Clone, Debug)]
pub enum Data {
    /// Nothing.
    None,
    /// JSON, exactly as it came.
    Inline(Box<RawValue>),
    /// JSON that lies beside the entries.
    Ref(DataRef),
}

/// A body, taken apart.
#[derive(Clone, Debug)]
pub struct Body {
    /// Version of the body's own shape.
    pub v: u32,
    /// The turn that it belongs to.
    pub turn: Option<TurnId>,
    /// The item that it closes.
    pub item: Option<ItemId>,
    /// First arrival within the turn: items show in this order.
    pub ord: Option<u32>,
    /// Who it comes from.
    pub by: By,
    /// When it happened, where that is not when it was recorded.
    pub origin_at_ms: Option<i64>,
    /// The item was cut off before it was complete.
    pub interrupted: bool,
    /// It arrived after its turn had ended.
    pub late: bool,
    /// It was found in the agent's own session, not seen as it happened.
    pub elsewhere: bool,
    /// What it records.
    pub data: Data,
    /// Fields that this version does not know, as they came.
    pub extra: BTreeMap<String, Box<RawValue>>,
}

impl Body {
    /// A new body from `by` with this data.
    pub fn new(by: By, data: Data) -> Self {
        Self {
            v: BODY_VERSION,
            turn: None,
            item: None,
            ord: None,
            by,
            origin_at_ms: None,
            interrupted: false,
            late: false,
            elsewhere: false,
            data,
            extra: BTreeMap::new(),
        }
    }

    /// A new body whose data is `value` as JSON.
    pub fn with<T: Serialize + ?Sized>(by: By, value: &T) -> Result<Self, BodyError> {
        Ok(Self::new(by, Data::Inline(serde_json::value::to_raw_value(value)?)))
    }

    /// Takes stored bytes apart. Only bytes that are no JSON object fail; a known field of an unknown shape is kept
    /// in `extra` like an unknown one.
    pub fn parse(bytes: &[u8]) -> Result<Self, BodyError> {
        let mut extra: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(bytes)?;
        let v = take(&mut extra, "v").unwrap_or(0);
        let turn = take(&mut extra, "turn");
        let item = take(&mut extra, "item");
        let ord = take(&mut extra, "ord");
        let by = take(&mut extra, "by").unwrap_or(By::Other(String::new()));
        let origin_at_ms = take(&mut extra, "origin_at_ms");
        let interrupted = take(&mut extra, "interrupted").unwrap_or(false);
        let late = take(&mut extra, "late").unwrap_or(false);
        let elsewhere = take(&mut extra, "elsewhere").unwrap_or(false);
        let data = match take::<DataRef>(&mut extra, "data_ref") {
            Some(reference) => Data::Ref(reference),
            None => extra.remove("data").map_or(Data::None, Data::Inline),
        };
        Ok(Self { v, turn, item, ord, by, origin_at_ms, interrupted, late, elsewhere, data, extra })
    }

    /// The bytes to hash and store: fields in a fixed order, without white space of our own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.push(b'{');
        put(&mut out, "v", &self.v);
        put_some(&mut out, "turn", &self.turn);
        put_some(&mut out, "item", &self.item);
        put_some(&mut out, "ord", &self.ord);
        put(&mut out, "by", &self.by);
        put_some(&mut out, "origin_at_ms", &self.origin_at_ms);
        for (name, set) in [("interrupted", self.interrupted), ("late", self.late), ("elsewhere", self.elsewhere)] {
            if set {
                put(&mut out, name, &true);
            }
        }
        for (name, value) in &self.extra {
            put(&mut out, name, value);
        }
        match &self.data {
            Data::None => {}
            Data::Inline(data) => put(&mut out, "data", data),
            Data::Ref(reference) => put(&mut out, "data_ref", reference),
        }
        out.push(b'}');
        out
    }

    /// The inline data read as `T`; `None` when it is elsewhere, absent or of another shape.
    pub fn data_as<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        match &self.data {
            Data::Inline(data) => serde_json::from_str(data.get()).ok(),
            Data::None | Data::Ref(_) => None,
        }
    }
}

/// Takes a field out, unless it has a shape of its own: then it stays where it is.
fn take<T: DeserializeOwned>(fields: &mut BTreeMap<String, Box<RawValue>>, name: &str) -> Option<T> {
    let value: Option<T> = serde_json::from_str(fields.get(name)?.get()).ok()?;
    fields.remove(name);
    value
}

fn put_some<T: Serialize>(out: &mut Vec<u8>, name: &str, value: &Option<T>) {
    if let Some(value) = value {
        put(out, name, value);
    }
}

fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, name: &str, value: &T) {
    if out.len() > 1 {
        out.push(b',');
    }
    // Writing our own scalars and checked raw JSON into memory has no way to fail.
    let _ = serde_json::to_writer(&mut *out, name);
    out.push(b':');
    let _ = serde_json::to_writer(out, value);
}
