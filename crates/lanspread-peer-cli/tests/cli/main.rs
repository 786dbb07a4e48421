//! The built binary as its users meet it: exit status, stdout, stderr, and the disk afterwards.

// Clippy takes helpers of integration tests for ordinary code: here too a panic is a failed test with a line number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

mod asking;
mod bad_archives;
mod config;
mod daemon;
mod failover;
mod generated;
mod packaging;
mod refusals;
mod streamed;
