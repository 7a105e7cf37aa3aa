//! The journal's tests, in one binary.

mod smoke;
mod support;
