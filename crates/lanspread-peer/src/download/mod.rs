//! Downloads: the root files of a game as they are, in chunks, from several validated peers at once.
//!
//! One download reads top to bottom: [`root_files`] judges the list, [`partials`] finds what an earlier download left,
//! [`transfer`] opens the sources that the [`plan`] asks for and gives them the chunks it assigns, [`fetch`] talks to one
//! source, [`write`] puts its bytes at their places and records whole chunks in the [`record`], and [`commit`] puts whole
//! files into the game root, the sentinel last. [`verify`] compares them with the record later.
//!
//! Invariants: a chunk is recorded only behind its last byte and with the CRC-32 its source gave; a source that has not
//! stopped writing owes its chunks still; nothing in the game root changes before everything is here and durable.
//! What has come is kept when a download fails, so there is no roll-back: the record is what the next one begins with.

pub(crate) mod chunks;
pub(crate) mod commit;
pub(crate) mod fetch;
pub(crate) mod partials;
pub(crate) mod plan;
pub(crate) mod record;
pub(crate) mod root_files;
pub(crate) mod transfer;
pub(crate) mod verify;
pub(crate) mod write;
