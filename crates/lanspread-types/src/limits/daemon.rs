//! Bounds of a daemon: what survives it, and how it stops and starts.

use std::time::Duration;

use super::{OPERATIONS_RUNNING_MAX, OPERATIONS_WAITING_MAX};

/// Operations that a daemon does again after a restart: all that can run and wait.
pub const WANTED_OPERATIONS_MAX: usize = OPERATIONS_RUNNING_MAX + OPERATIONS_WAITING_MAX;
/// Size of the file of one of them. A request that names [`super::PEERS_MAX`] peers and as many rules has half of it; a
/// larger one does not survive the daemon. Times [`WANTED_OPERATIONS_MAX`] it is what a start may read.
pub const WANTED_BYTES_MAX: u64 = 64 * 1024;
/// An operation that began so often without an end, because the daemon was killed or the machine failed, is dropped: it may
/// be the reason.
pub const WANTED_STARTS_MAX: u32 = 3;
/// A daemon that drains looks so often whether everything has ended.
pub const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// The longest time to drain: a decoded stream of 50 GB to a receiver in a slow network, and no whole night.
pub const DRAIN_MAX: Duration = Duration::from_hours(6);
/// An operation waits for so long for a source to come back that stopped or whose connection broke: the restart of a machine.
pub const RETURN_PATIENCE: Duration = Duration::from_mins(2);
/// The first pause before such a source is asked again; a restarted daemon is back within it. Doubled up to
/// [`RETURN_RETRY_INTERVAL_MAX`].
pub const RETURN_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The longest of these pauses.
pub const RETURN_RETRY_INTERVAL_MAX: Duration = Duration::from_secs(8);
/// After a start, a daemon tries operations again for so long that fail because no source is there. If the power was gone, all
/// machines start together, and some take minutes.
pub const RESUME_PATIENCE: Duration = Duration::from_mins(5);
/// The time between two of these tries: short beside the start of a machine, and long beside a search for peers.
pub const RESUME_RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How long a build of a catalog waits for the lock of another one: one that has ended may seem to hold it for a moment.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two tries in that time.
pub const LOCK_RETRY_PAUSE: Duration = Duration::from_millis(10);
