//! Packed streams: the archives of a game as they are, chunk by chunk, from peer to peer and into decoders.
//!
//! ```text
//! upstreams ──▶ [follow] ──▶ [feed]: verified ──▶ [window] ──▶ a decoder
//!                              │ asks                └───────▶ [serve] ──▶ one follower
//!                            [plan]
//! ```
//!
//! Invariants:
//!
//! - Only chunks that have the digest of the manifest enter a window, so nothing else is decoded or passed on.
//! - A window is bounded, and what is asked for fits into it. It is memory: no machine stores an archive.
//! - A receiver follows only peers of its wave that stand before it, and sources. Followers never form a circle.
//!
//! Which chunk is asked from which upstream ([`plan`]), what a window keeps ([`ring`]), who stands where ([`roster`]) and whose
//! chunk a source sends next ([`uplink_order`]) are pure. The loops run over any connection; `simulation` runs whole rooms of them in one process, by one clock.

pub(crate) mod backlog;
pub(crate) mod feed;
pub(crate) mod follow;
pub(crate) mod layout;
pub(crate) mod plan;
pub(crate) mod relays;
pub(crate) mod ring;
pub(crate) mod roster;
pub(crate) mod serve;
#[cfg(test)]
mod simulation;
pub(crate) mod stream_view;
pub(crate) mod tally;
pub(crate) mod uplink;
pub(crate) mod uplink_order;
pub(crate) mod upstream_error;
pub(crate) mod wave_view;
pub(crate) mod window;
