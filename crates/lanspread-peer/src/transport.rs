//! TCP between peers: no other room names it. What is encrypted on it, `lanspread-tls` says. It does not know what the
//! requests are for.

pub(crate) mod dial;
pub(crate) mod handshakes;
pub(crate) mod listener;
pub(crate) mod listing;
pub(crate) mod seats;
pub(crate) mod socket;
