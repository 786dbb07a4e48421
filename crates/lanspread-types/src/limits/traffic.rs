//! Bounds of the limits that a user sets for what is sent and received.

use std::time::Duration;

/// The lowest rate that can be set, in bytes per second: 2 Mbit/s. With the places that a source has by default, 8 streams
/// and [`super::PACKED_HEADS_MAX`] packed streams, each receiver then gets a chunk of 1 MiB in 96 s. That is sooner than
/// [`super::STREAM_STALL_DEADLINE`], after which it would leave. A receiver that is limited takes a frame of 256 KiB from each
/// of [`super::DOWNLOAD_SOURCES_MAX`] sources in 8 s, sooner than [`super::FRAME_WRITE_DEADLINE`].
pub const LIMIT_RATE_MIN: u64 = 256 * 1024;
/// The highest rate that can be set, in bytes per second: more than any link, and small enough that sums do not overflow.
pub const LIMIT_RATE_MAX: u64 = 1024 * 1024 * 1024 * 1024;
/// A line that was not used for this long may be used that much at once: timers and threads are late by a few milliseconds,
/// and what they lose is made up for.
pub const LIMIT_BURST: Duration = Duration::from_millis(50);

// Everything that a source may serve by default moves before its receivers give it up, and so does what a receiver takes.
const _: () = assert!(
    (super::STREAMS_MAX_DEFAULT + super::PACKED_HEADS_MAX) as u64 * super::DATA_FRAME_BYTES_MAX as u64
        <= LIMIT_RATE_MIN * super::STREAM_STALL_DEADLINE.as_secs()
);
const _: () = assert!(
    (super::DOWNLOAD_SOURCES_MAX * super::DATA_CHUNK_BYTES) as u64
        <= LIMIT_RATE_MIN * super::FRAME_WRITE_DEADLINE.as_secs()
);
