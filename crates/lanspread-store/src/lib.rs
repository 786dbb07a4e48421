//! What is on disk of a machine's games, and every change to it.
//!
//! All of it is synchronous and runs on whatever thread calls it. This crate knows no sockets, no peers and no
//! operations: it is told what to do with one locked game, says what it found or did, and leaves a state that the
//! next run can put in order.
//!
//! - [`state`]: the games directory, locks, records, bookings, and what stands where
//! - [`install`]: from entries or archives to an installed tree, and the steps of every operation
//! - [`download`]: from chunks to the files of a game root
//! - [`verify`]: what is here against what was recorded
//! - [`remove`]: the downloaded files go
//! - [`recover`]: what operations left that never ended
//! - [`error`]: what can go wrong

pub mod download;
pub mod error;
pub mod install;
pub mod recover;
pub mod remove;
pub mod state;
pub mod verify;

pub use error::StoreError;
