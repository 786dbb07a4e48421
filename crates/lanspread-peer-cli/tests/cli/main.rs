//! The built binary from the outside: exit status, stdout, stderr, and the disk afterwards.

// Clippy treats helpers of integration tests as ordinary code, but here too a panic is a failed test with a line number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;
mod terminal;

mod asking;
mod bad_archives;
mod catalog_builds;
mod catalogs;
mod completions;
mod config;
mod daemon;
mod dry_run;
mod ensure;
mod failover;
mod games_dir;
mod generated;
mod groups;
mod limits;
mod logs;
mod looks;
mod minisign;
mod packaging;
mod packed;
#[cfg(feature = "web")]
mod page;
mod parties;
mod peers;
mod process;
mod progress;
mod refusals;
mod repair;
mod restarts;
mod room;
mod scripts;
mod servers;
mod setup;
mod several;
mod stopping;
mod streamed;
