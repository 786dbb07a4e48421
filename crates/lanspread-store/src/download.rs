//! From chunks to the files of a game root: what has arrived, and how it gets into its place.

pub mod commit;
pub mod partials;
pub mod root_files;
