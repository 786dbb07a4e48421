//! Sockets: accepting connections ([`listener`]) and making them ([`dial`]).

pub(crate) mod dial;
pub(crate) mod listener;
