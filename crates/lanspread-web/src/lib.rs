//! The page of the room: what a daemon shows in a browser.
//!
//! Three files are part of the program. They ask no other machine for anything, and nothing makes them at build time:
//! what is in `assets/` is what a browser gets. `routes.rs` says which request is answered how, `guard.rs` which one is
//! answered at all, and `server.rs` how many there may be.

mod actions;
mod assets;
mod changes;
mod commands;
mod daemon;
mod guard;
mod live;
mod refusal;
mod routes;
mod server;
mod stall;
#[cfg(test)]
mod testing;
mod tickets;
mod token;

pub use commands::Commands;
pub use daemon::{Answering, Coming, Log, Planned, RoomDaemon, RoomFeed, RoomNews, Start, Started};
pub use refusal::{RefusedAt, WebRefusal};
pub use server::{WebConfig, WebServer};
pub use token::{TokenError, token_of_file, token_of_state};
