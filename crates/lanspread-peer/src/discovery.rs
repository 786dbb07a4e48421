//! Finds peers that are named, saved, announced or connect to this one, and asks them. It does not
//! know what is done with the peers: it changes no game.

pub(crate) mod announcement;
pub(crate) mod ask;
pub(crate) mod catalog_news;
pub(crate) mod directory;
pub(crate) mod library_memory;
pub(crate) mod member_numbers;
pub(crate) mod multicast;
pub(crate) mod neighbour_table;
pub(crate) mod neighbours;
pub(crate) mod networks;
pub(crate) mod pace;
pub(crate) mod search;
pub(crate) mod search_outcome;
pub(crate) mod suggestion;
