//! One file per command: from arguments to calls of the library, and from its answers to output.

pub(crate) mod ask;
pub(crate) mod install;
pub(crate) mod serve;
