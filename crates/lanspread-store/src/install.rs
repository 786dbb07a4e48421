//! From entries to an installed tree (staged, checked, promoted in one rename), and the disk steps of every operation.

pub mod recovery;
pub mod replace;
pub mod staging;
pub mod steps;
pub mod transaction;
pub mod uninstall;
pub mod unpack;
