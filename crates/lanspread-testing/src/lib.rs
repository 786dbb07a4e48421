//! Test doubles that several crates share. Not for users: only tests depend on it, and nothing here is stable.
//!
//! - [`machine`]: a games directory whose every file can be compared
//! - [`programs`]: real and false archive programs
//! - [`fake_archive`]: an archive whose content a test pushes
//! - [`fault_pipe`]: disturbs the bytes of any stream
//! - [`lying_source`]: speaks the wire and says what it is told to
//! - [`step`]: what a source can be told to do
//! - [`story`]: what an honest source says of a game
//! - [`lies`]: what can be said instead
//! - [`liars`]: tells those lies about any downloaded game
//! - [`small_game`]: one game as a tree, as its honest stream and as an archive
//!
//! None of them sleeps to synchronise. It knows archives, the wire and the disk, and no peer: what needs one is beside
//! the peer's own tests.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test double that panics is a failed test, and its fields are read where they are used"
)]

pub mod fake_archive;
pub mod fault_pipe;
pub mod liars;
pub mod lies;
pub mod lying_source;
pub mod machine;
pub mod programs;
pub mod small_game;
pub mod step;
pub mod story;
