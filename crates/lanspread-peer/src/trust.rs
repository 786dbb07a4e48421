//! What to believe: this peer's own identity and party, the catalog, and which of the peers' answers. It knows no socket.

pub(crate) mod catalog;
mod catalog_seen;
pub(crate) mod catalog_store;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod live_catalog;
pub(crate) mod manifest_store;
pub(crate) mod party;
pub(crate) mod peer_rules;
pub(crate) mod penalties;
pub(crate) mod saved_peers;
pub(crate) mod select;
pub(crate) mod signed_catalog;
