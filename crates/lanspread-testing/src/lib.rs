//! Test doubles that several crates share. Not for users: only tests depend on this crate, and nothing in it is stable.
//!
//! It knows archives, the protocol and the disk, but no peer: test doubles that need one are in the peer's own tests.
//! None of them sleeps to synchronise.
//!
//! - [`machine`]: a games directory whose every file can be compared
//! - [`programs`]: real and fake archive programs
//! - [`fake_archive`]: an archive whose content a test pushes
//! - [`manifests`]: manifests of test games
//! - [`fault_pipe`]: disturbs the bytes of any stream
//! - [`lying_source`]: speaks the protocol and sends what a script says
//! - [`lying_relay`]: takes a place in a wave and lies to its follower
//! - [`hostile`]: a neighbour that takes all it can get
//! - [`tls`]: the handshake of a double, honest or not
//! - [`step`]: the steps of such a script
//! - [`story`]: what an honest source sends of a game
//! - [`lies`]: what a lying source can send instead
//! - [`liars`]: sources that send these lies about any downloaded game
//! - [`time_of_day`]: the time in what the programs for scenarios print
//! - [`small_game`]: one game as a tree, as its honest stream and as an archive

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test double that panics is a failed test, and its fields are read where they are used"
)]

pub mod fake_archive;
pub mod fault_pipe;
pub mod hostile;
pub mod json_schema;
pub mod liars;
pub mod lies;
pub mod lying_relay;
pub mod lying_source;
pub mod machine;
pub mod manifests;
pub mod programs;
pub mod small_game;
pub mod step;
pub mod story;
pub mod time_of_day;
pub mod tls;
