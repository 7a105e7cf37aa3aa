//! Over HTTP against a server in this process, with the built-in agent as a real process of its own.

mod world;

mod openapi;
mod slice;
