//! What gander-acp promises, against real processes.

mod confine;
mod endings;
mod hostile;
mod probe;
mod replay;
mod scratch;
mod stream;
