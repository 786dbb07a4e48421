//! The games on a machine's disk, and every change to them.
//!
//! All of it is synchronous and runs on the thread that calls it. This crate knows no sockets, no peers and no
//! operations: it does one thing to one locked game, returns what it found or did, and leaves a state that the next
//! run can recover.
//!
//! - [`state`]: the games directory, locks, records, bookings, and the state of each game
//! - [`install`]: from entries or archives to an installed tree, and the disk steps of every operation
//! - [`download`]: from chunks to the files of a game root
//! - [`packing`]: what a manifest says about root files
//! - [`verify`]: compares games with their records
//! - [`remove`]: removes the downloaded files of a game
//! - [`repair`]: what of a game differs from its records, and what is needed to make it right again
//! - [`recover`]: repairs what interrupted operations left
//! - [`share`]: reads the files of an installed tree for other peers, as long as they are those that were verified
//! - [`error`]: what can go wrong

pub mod download;
pub mod error;
pub mod install;
pub mod packing;
pub mod recover;
pub mod remove;
pub mod repair;
pub mod share;
pub mod state;
pub mod verify;

pub use error::StoreError;
