//! Test doubles that several crates share. Not for users: only tests depend on it, and nothing here is stable.
//!
//! [`fake_archive`] is an archive whose content a test pushes; [`machine`] is a games directory whose every file can be compared; [`programs`] are real and false archive programs.
//! None of them sleeps to synchronise.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test double that panics is a failed test"
)]

pub mod fake_archive;
pub mod machine;
pub mod programs;
