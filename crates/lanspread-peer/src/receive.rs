//! Receives a stream into a staged tree, or chunks into the files of a game root. It does not know how the
//! sources were found or chosen.
//!
//! Invariants of a download: A chunk is recorded only after its last byte, and with the checksum that its source gave. If
//! a manifest lists the files, no byte is written before it is proved, and it does not matter who sent it.
//! A source owes its chunks until its writer has stopped. The files in the game root do not change before the download
//! is complete and durable. A failed download keeps the chunks that have arrived, so it has no rollback: the next
//! download resumes from the record.

mod arrivals;
pub(crate) mod attempt;
pub(crate) mod attempt_order;
mod attempt_progress;
mod blame;
mod chunk_check;
pub(crate) mod chunk_source;
pub(crate) mod chunk_writer;
pub(crate) mod error;
pub(crate) mod fetch;
mod floor_check;
pub(crate) mod offences;
mod other_bytes;
pub(crate) mod packed_attempt;
pub(crate) mod packed_upstreams;
pub(crate) mod packed_writer;
pub(crate) mod patience;
pub(crate) mod plan;
mod server_chunks;
pub(crate) mod server_upstream;
pub(crate) mod session;
pub(crate) mod staged_attempt;
pub(crate) mod staging_queue;
pub(crate) mod stream;
pub(crate) mod transfer;
pub(crate) mod transfer_source;
mod unread;
