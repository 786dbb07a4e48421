//! Test doubles that several tests share.
//!
//! [`lying_source`] speaks our wire and says what it is told to, [`lies`] is a list of what that can be,
//! [`fault_pipe`] disturbs the bytes of any stream, [`small_game`] is one game as a tree, as its honest stream and as
//! an archive, [`machine`] is a games directory whose every file can be compared, and [`programs`] are real and false
//! archive programs. None of them sleeps to synchronise.

pub(crate) mod fault_pipe;
pub(crate) mod lies;
pub(crate) mod lying_source;
pub(crate) mod machine;
pub(crate) mod programs;
pub(crate) mod small_game;
