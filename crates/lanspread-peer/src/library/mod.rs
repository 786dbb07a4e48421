//! What is on disk below the games directory.

pub mod layout;
pub mod scan;
pub mod state;
