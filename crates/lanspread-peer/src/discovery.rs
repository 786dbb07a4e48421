//! Finds peers that are named, saved, announced or connect to this one, and asks them. It does not
//! know what is done with the peers: it changes no game.

#[cfg(feature = "discovery")]
pub(crate) mod announcement;
pub(crate) mod ask;
pub(crate) mod catalog_news;
pub(crate) mod directory;
#[cfg_attr(not(feature = "discovery"), allow(dead_code, reason = "nothing is ever heard"))]
pub(crate) mod heard;
pub(crate) mod library_memory;
pub(crate) mod member_numbers;
#[cfg(feature = "discovery")]
pub(crate) mod multicast;
pub(crate) mod neighbour_table;
pub(crate) mod neighbours;
#[cfg(feature = "discovery")]
pub(crate) mod networks;
#[cfg(not(feature = "discovery"))]
pub(crate) mod no_multicast;
pub(crate) mod pace;
pub(crate) mod search;
pub(crate) mod search_outcome;
pub(crate) mod suggestion;

#[cfg(not(feature = "discovery"))]
pub(crate) use self::no_multicast as multicast;
