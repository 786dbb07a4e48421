//! Sockets between peers: no other module names them.

pub(crate) mod dial;
pub(crate) mod listener;
pub(crate) mod socket;
