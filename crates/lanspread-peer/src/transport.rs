//! TCP between peers: no other room names it. It does not know what the requests are for.

pub(crate) mod dial;
pub(crate) mod handed_on;
pub(crate) mod listener;
pub(crate) mod listing;
pub(crate) mod seats;
pub(crate) mod socket;
