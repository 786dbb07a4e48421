//! The encrypted connection between two peers: TLS 1.3, in which each side proves its key, and the protocol inside it.
//!
//! Both sides present a raw public key (RFC 7250). There are no certificates, no names, no dates, no tickets, no early
//! data, no other version of TLS, and nothing to configure. This crate runs over any byte stream and opens no sockets.
//!
//! - [`endpoint`]: dials and answers; from a byte stream to a connection whose other side is known
//! - [`identity`]: the key of a peer, ready for TLS
//! - [`socket`]: the byte stream inside TLS
//! - `first_bytes`: what programs of another version send, which is not TLS
//! - `verifier`: which keys are accepted
//! - `web`: the other kind of TLS, for HTTPS servers: certificates, checked against the authorities of this machine

pub mod endpoint;
mod first_bytes;
pub mod identity;
pub mod socket;
mod verifier;
#[cfg(feature = "web")]
pub mod web;
