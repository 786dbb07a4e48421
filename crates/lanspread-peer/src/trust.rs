//! What to believe: this peer's own identity and party, the catalog, and which of the peers' answers. It knows no socket.

pub(crate) mod catalog;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod party;
pub(crate) mod select;
