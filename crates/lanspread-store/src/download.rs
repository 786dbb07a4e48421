//! From chunks to the files of a game root: what has come, and its way to its place.

pub mod commit;
pub mod partials;
pub mod root_files;
