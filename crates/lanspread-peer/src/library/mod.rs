//! What this peer offers.

pub(crate) mod index;
pub(crate) mod watch;
