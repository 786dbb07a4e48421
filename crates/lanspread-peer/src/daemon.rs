//! The daemon: a peer that owns a games directory and takes commands over a socket. It knows what
//! each request means, and not how an operation works.

#[cfg(feature = "control")]
pub(crate) mod accept_commands;
pub(crate) mod answer;
#[cfg(feature = "control")]
mod server;
