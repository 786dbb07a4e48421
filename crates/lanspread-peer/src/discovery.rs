//! Which peers there are: named, saved, announced, met, and asked.

pub(crate) mod announcement;
pub(crate) mod ask;
pub(crate) mod directory;
pub(crate) mod multicast;
pub(crate) mod neighbours;
pub(crate) mod saved_peers;
pub(crate) mod search;
pub(crate) mod search_outcome;
