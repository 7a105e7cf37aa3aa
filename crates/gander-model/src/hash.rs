//! BLAKE3 values and the framing that everything hashed goes through. No other crate names blake3.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a body's hash is keyed with.
pub(crate) static BODY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context("gander body v1"));
/// What an entry's hash is keyed with.
pub(crate) static ENTRY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context("gander entry v1"));

/// What a session's row in the projection is keyed with.
pub(crate) static ROW: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context("gander session row v1"));

/// A 32-byte BLAKE3 value, written as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// 32 random bytes hashed before a body, so that an erased body cannot be guessed from its hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

/// A text that is not 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not 64 lowercase hexadecimal digits")]
pub struct HexError;

impl Hash {
    /// What stands in the place of the previous hash at seq 1.
    pub const ZERO: Hash = Hash([0; 32]);

    /// The first four bytes as eight digits: enough for a person to compare, never an identity.
    pub fn short(&self) -> String {
        hex(&self.0[..4])
    }

    /// The first sixteen digits.
    pub(crate) fn half(&self) -> String {
        hex(&self.0[..8])
    }
}

/// The name of a large content: plain BLAKE3 of its bytes (what `b3sum` prints).
pub fn content_hash(bytes: &[u8]) -> Hash {
    Hash(*blake3::hash(bytes).as_bytes())
}

/// [`content_hash`] over pieces, for content that is not held in memory at once.
#[derive(Clone, Debug, Default)]
pub struct ContentHasher(blake3::Hasher);

impl ContentHasher {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all pieces so far.
    pub fn finish(&self) -> Hash {
        Hash(*self.0.finalize().as_bytes())
    }
}

/// A keyed BLAKE3 state that frames its fields: a length prefix first, so that no two field lists share their bytes.
pub(crate) struct Framed {
    hasher: blake3::Hasher,
    /// Short fields, of which there are many, are put together before they are hashed.
    short: Vec<u8>,
}

/// What is hashed in one go.
const SHORT_MAX: usize = 1024;

impl Framed {
    pub(crate) fn new(context: &str) -> Self {
        Self::from(blake3::Hasher::new_derive_key(context))
    }

    /// The same for a context that is used over and over: its own hash is made once.
    pub(crate) fn of(context: &LazyLock<ContextKey>) -> Self {
        Self::from(blake3::Hasher::new_from_context_key(context))
    }

    fn from(hasher: blake3::Hasher) -> Self {
        Self { hasher, short: Vec::with_capacity(SHORT_MAX) }
    }

    /// A field with a u32 big-endian length prefix.
    pub(crate) fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.raw(&(bytes.len() as u32).to_be_bytes()).raw(bytes)
    }

    /// A field with a u64 big-endian length prefix.
    pub(crate) fn long_field(&mut self, bytes: &[u8]) -> &mut Self {
        self.raw(&(bytes.len() as u64).to_be_bytes()).raw(bytes)
    }

    /// Bytes without a prefix (the store root's fields have fixed lengths).
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        if self.short.len() + bytes.len() > SHORT_MAX {
            self.flush();
        }
        if bytes.len() > SHORT_MAX {
            self.hasher.update(bytes);
        } else {
            self.short.extend_from_slice(bytes);
        }
        self
    }

    /// A text that may be missing, as a field: `+` and the text, or `-`.
    pub(crate) fn optional(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.raw(&(text.len() as u32 + 1).to_be_bytes()).raw(b"+").raw(text.as_bytes()),
            None => self.field(b"-"),
        }
    }

    fn flush(&mut self) {
        self.hasher.update(&self.short);
        self.short.clear();
    }

    pub(crate) fn finish(&self) -> Hash {
        Hash(*self.hasher.clone().update(&self.short).finalize().as_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

fn unhex(text: &str) -> Result<[u8; 32], HexError> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(HexError);
    }
    let mut out = [0; 32];
    // Reading a million entries back unpacks as many salts: one table, and one look at the end for what is no digit.
    let mut odd = 0;
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        odd |= high | low;
        *byte = high << 4 | low & 15;
    }
    if odd & NO_DIGIT == 0 { Ok(out) } else { Err(HexError) }
}

const NO_DIGIT: u8 = 0x80;

static NIBBLES: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut n = 0;
    while n < 16 {
        table[b"0123456789abcdef"[n] as usize] = n as u8;
        n += 1;
    }
    table
};

/// Digits out of any format, without a copy of them.
struct HexText;

impl serde::de::Visitor<'_> for HexText {
    type Value = [u8; 32];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 lowercase hexadecimal digits")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<[u8; 32], E> {
        unhex(text).map_err(E::custom)
    }
}

macro_rules! hex_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                unhex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&hex(&self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(HexText).map($name)
            }
        }
    };
}

hex_text!(Hash);
hex_text!(Salt);
