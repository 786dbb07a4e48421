//! From chunks to the files of a game root: what has arrived, and how it gets into its place. It knows no other
//! room but `state`.

pub mod commit;
pub mod partials;
mod patch;
pub mod root_files;
