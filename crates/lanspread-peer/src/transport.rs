//! Sockets between peers: the only room that names them.

pub(crate) mod dial;
pub(crate) mod listener;
pub(crate) mod socket;
