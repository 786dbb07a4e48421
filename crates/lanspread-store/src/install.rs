//! From entries to an installed tree (staged, checked, promoted in one rename), and the disk steps of every operation.

pub(crate) mod mend;
pub mod recovery;
pub mod replace;
pub mod staging;
pub mod steps;
pub mod transaction;
pub mod tree_repair;
pub mod uninstall;
pub mod unpack;
