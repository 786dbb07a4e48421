//! What the built program spends on a game, as counts that are the same on every machine: system calls per MiB and per
//! file, bytes copied in memory per byte of content, peak memory.
//!
//! Every bound is in `bounds.rs`, with its reason. Each test prints what it counted, so that a bound can follow after
//! an improvement: `cargo test -p lanspread-peer-cli --test costs -- --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "helpers of the other tests")]
mod support;

mod bounds;
mod copied;
mod games;
mod operations;
mod traced;

mod copies;
mod memory;
mod system_calls;
