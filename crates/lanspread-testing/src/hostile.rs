//! A hostile neighbour: a guest that takes all it can get, and sources that waste the time of who asks them. Nothing
//! here ends by itself; a task that runs it is aborted.
//!
//! [`guest`] is what it does to a peer that serves; [`host`] is what it does to peers that find it.

pub mod guest;
pub mod host;
