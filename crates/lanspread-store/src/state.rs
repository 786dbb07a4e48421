//! What is in a games directory: our own records, and the state of each game.

pub mod booking;
pub mod chunks;
pub(crate) mod disk_calls;
pub mod file_stamps;
pub mod game_state;
pub mod games_dir;
pub mod intent;
pub mod listed_chunks;
pub mod lock;
pub mod lock_file;
pub mod packing_lists;
pub mod passed_over;
pub mod receipt;
pub mod receipt_reader;
pub mod record;
pub(crate) mod repair_kind;
pub mod scan;
pub mod sentinel;
pub mod standing;
pub mod tree;
pub mod wanted;
