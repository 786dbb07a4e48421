//! Bounds of HTTP servers as sources.

use std::time::Duration;

/// Length of the URL of a source, with its placeholders, in bytes: presigned URLs have about 1,000.
pub const URL_BYTES_MAX: usize = 2048;
/// Length of a URL that is requested, in bytes: what most servers take. The longest names of a game and a file make a URL
/// longer than its source.
pub const REQUEST_URL_BYTES_MAX: usize = 8 * 1024;
/// Servers that one list of sources names: a mirror on the network and some elsewhere.
pub const SERVERS_MAX: usize = 16;
/// Bytes of an answer's head, which is also the largest piece of a body that is read at once.
pub const HTTP_HEAD_BYTES_MAX: usize = 128 * 1024;
/// Header fields of an answer: content delivery networks send about 30.
pub const HTTP_FIELDS_MAX: usize = 100;
/// Redirects that one request follows: from a name to a mirror and from there to its storage, and some more.
pub const HTTP_REDIRECTS_MAX: usize = 5;
/// What one request of a download asks a server for, at most: one listed chunk of [`super::MANIFEST_CHUNK_BYTES`]. It is held
/// until it is whole, and a cache in between keeps as much at once.
pub const HTTP_PART_BYTES: u64 = super::MANIFEST_CHUNK_BYTES as u64;
/// Requests of a download that one server answers at the same time: as many small files as it may owe, and of large ones
/// 8 MiB, which cover 1 Gbit/s and 64 ms. This is also the memory that such a source takes.
pub const HTTP_PARTS_AHEAD: usize = super::CHUNK_REQUESTS_MAX;
/// Connections that one client keeps open for its next requests: those of one download.
pub const HTTP_IDLE_CONNECTIONS_MAX: usize = HTTP_PARTS_AHEAD;
/// What may be asked for ahead of an upstream is asked for, also if it is a server.
const _: () = assert!(HTTP_PARTS_AHEAD <= super::PACKED_ASKED_MAX);
/// A server must send [`HTTP_PROGRESS_BYTES_MIN`] in this much time in which it was waited for.
pub const HTTP_PROGRESS_SPAN: Duration = Duration::from_mins(1);
/// The same as a peer must send: one frame of [`super::DATA_CHUNK_BYTES`].
pub const HTTP_PROGRESS_BYTES_MIN: u64 = super::DATA_CHUNK_BYTES as u64;
/// A server that asks for a pause gets one of at most this length. If it wants a longer one, it is asked again too early.
pub const HTTP_RETRY_AFTER_MAX: Duration = Duration::from_mins(1);
/// For a whole manifest from a server, with time for what has arrived at [`super::HANDED_ON_BYTES_PER_SECOND_MIN`].
pub const HTTP_MANIFEST_DEADLINE: Duration = Duration::from_secs(20);
/// Bytes that are read of what a server writes about a refusal: an object store names its reason in the first hundred.
pub const HTTP_REFUSAL_BYTES_MAX: usize = 4 * 1024;
/// How long a signed URL of an object store can be used, from the beginning of the hour in which it is made: two hours, so
/// that one that was made at the end of its own has a whole one left, and a clock may be late by as much.
pub const SIGNED_URL_LIFE: Duration = Duration::from_hours(2);
/// Length of a key or a token of an object store, in bytes: tokens have some hundred, seldom 2,000.
pub const STORE_SECRET_BYTES_MAX: usize = 4 * 1024;
