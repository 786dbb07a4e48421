//! What to believe: this peer's own identity, the catalog, and which of the peers' answers.

pub(crate) mod catalog;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod select;
