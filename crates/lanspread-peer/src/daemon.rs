//! The daemon: a peer that owns a games directory and takes commands over a socket. It knows what
//! each request means, and not how an operation works.

pub(crate) mod accept_commands;
pub(crate) mod answer;
mod server;
