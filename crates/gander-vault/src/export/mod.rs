//! Readable exports.
