//! The page of the room: what a daemon shows in a browser.
//!
//! Three files are part of the program. They ask no other machine for anything, and nothing makes them at build time:
//! what is in `assets/` is what a browser gets.

mod assets;

pub use assets::{ASSETS, Asset, HEADERS};
