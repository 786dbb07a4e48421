//! Bounds of waiting for a place at a source.

use std::time::Duration;

use super::KEEP_ALIVE_INTERVAL;

/// Receivers that wait for a place of one kind. Each of them costs a connection; the other half of
/// [`super::CONNECTIONS_MAX`] is for transfers and questions.
pub const QUEUE_MAX: usize = 128;
/// The same of one guest: many seats may be behind one address, and the other half of
/// [`super::CONNECTIONS_PER_ADDRESS_MAX`] is for their transfers and questions.
pub const QUEUE_PER_GUEST_MAX: usize = 32;
/// A source says to one that waits at most this often where it stands, on average. It should do so every
/// [`KEEP_ALIVE_INTERVAL`]; the rest is for clocks.
pub const QUEUED_INTERVAL_MIN: Duration = Duration::from_millis(500);
/// A download that has owed nothing for this long gives way to one that waits. A receiver asks ahead; this is for the
/// first request after a place, which the disk of the receiver may delay.
pub const TRANSFER_IDLE_MIN: Duration = Duration::from_secs(5);
/// A transfer must have run for this long before its rate says when it ends.
pub const ESTIMATE_AFTER: Duration = Duration::from_secs(2);
/// A command says at least this often that it still waits, although its place has not changed.
pub const QUEUED_REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// If there is another source, a queue in which nothing moves for so long is left for it: a decoded stream of 50 GB takes 7
/// minutes at 1 Gbit/s, and a source may say for ever that it has no place. Each time doubled, because a place in a queue is
/// lost.
pub const QUEUE_STILL_MAX: Duration = Duration::from_mins(10);
/// The longest wait that can be asked for; to wait without bound is something else.
pub const WAIT_MAX: Duration = Duration::from_hours(7 * 24);
/// Further tries of an operation that can be asked for: with the usual delay more than two days.
pub const RETRIES_MAX: u64 = 20_000;

const _: () = assert!(QUEUED_INTERVAL_MIN.as_millis() * 2 <= KEEP_ALIVE_INTERVAL.as_millis());
const _: () = assert!(QUEUE_MAX <= super::CONNECTIONS_MAX / 2);
const _: () = assert!(QUEUE_PER_GUEST_MAX <= super::CONNECTIONS_PER_ADDRESS_MAX / 2);
