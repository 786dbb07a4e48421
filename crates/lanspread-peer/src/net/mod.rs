//! Sockets: accepting connections ([`listener`]) and making them ([`dial`]).

pub(crate) mod dial;
pub(crate) mod directory;
pub(crate) mod discovery;
pub(crate) mod listener;
pub(crate) mod neighbours;
