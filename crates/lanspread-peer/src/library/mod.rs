//! What is on disk below the games directory.

pub(crate) mod index;
pub mod scan;
pub mod state;
pub(crate) mod watch;
