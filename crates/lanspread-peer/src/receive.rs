//! Receiving: a stream into a staged tree, or chunks into the files of a game root.
//!
//! Invariants of a download: a chunk is recorded only after its last byte and with the checksum its source gave; a source
//! that has not stopped writing still owes its chunks; nothing in the game root changes before everything is here and
//! durable. What has come is kept when a download fails, so there is no roll-back: the record is where the next begins.

pub(crate) mod attempt;
pub(crate) mod chunk_source;
pub(crate) mod chunk_writer;
pub(crate) mod error;
pub(crate) mod fetch;
pub(crate) mod plan;
pub(crate) mod stream;
pub(crate) mod transfer;
