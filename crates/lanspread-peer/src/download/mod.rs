//! Downloads: the root files of a game as they are, in chunks, from several validated peers at once.

pub(crate) mod fetch;
pub(crate) mod plan;
pub(crate) mod transfer;
pub(crate) mod write;
