//! Installing from a stream.

pub(crate) mod attempt;
pub(crate) mod gather;
pub(crate) mod select;
pub(crate) mod stream;
