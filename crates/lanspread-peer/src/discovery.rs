//! Finds peers that are named, saved, announced or connect to this one, and asks them.

pub(crate) mod announcement;
pub(crate) mod ask;
pub(crate) mod directory;
pub(crate) mod multicast;
pub(crate) mod neighbours;
pub(crate) mod saved_peers;
pub(crate) mod search;
pub(crate) mod search_outcome;
