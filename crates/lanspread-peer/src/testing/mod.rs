//! Test doubles that several tests share, and two programs of `tests/programs/` with the scenarios. Not for users: the
//! feature `testing` lets the programs in, and nothing here is stable.
//!
//! `lying_source` speaks our wire and says what it is told to, `story` is what an honest source says of a game,
//! `lies` is a list of what can be said instead, `liars` tells those lies about any downloaded game, and
//! `fault_pipe` disturbs the bytes of any stream. For unit tests only: `small_game` is one game as a tree, as its
//! honest stream and as an archive, `machine` is a games directory whose every file can be compared. None of them sleeps to synchronise.

#![allow(clippy::unwrap_used, reason = "a test double that panics is a failed test")]

pub mod fault_pipe;
pub mod liars;
pub(crate) mod lies;
pub(crate) mod lying_source;
#[cfg(test)]
pub(crate) mod machine;
#[cfg(test)]
pub(crate) mod small_game;
pub(crate) mod story;
