//! The daemon: a peer that owns a games directory and takes commands over a socket.

pub(crate) mod accept_commands;
pub(crate) mod answer;
mod server;
