//! The daemon: a peer that owns a games directory and does what it is asked over a socket.

pub(crate) mod accept_commands;
pub(crate) mod answer;
mod server;
