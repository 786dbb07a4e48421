//! What the peers of a room tell each other about what they are doing, and the room that one peer makes of it for people.
//!
//! [`board`] has what this peer tells, [`here`] what of it is on its disk, [`memory`] what others have told. [`view`] makes a
//! room of these, [`changes`] tells what has changed in it. Nothing here decides what an operation does.

pub(crate) mod board;
pub(crate) mod cells;
pub(crate) mod changes;
pub(crate) mod here;
pub(crate) mod known;
mod links;
pub(crate) mod memory;
mod summary;
pub(crate) mod told;
pub(crate) mod view;
pub(crate) mod words;
