//! What to believe: this peer's own identity, the catalog, and which of the peers' answers. It knows no socket.

pub(crate) mod catalog;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod peer_rules;
pub(crate) mod penalties;
pub(crate) mod saved_peers;
pub(crate) mod select;
