//! Every bound of the peer, by name, with its reason.
//!
//! A bound is checked where a value enters (wire, archive, disk, options) and before anything is allocated
//! for it. Units stand last in each name.

use std::time::Duration;

// ---- Wire ------------------------------------------------------------------------------------------------------------

/// Longest control frame payload. Longer lists travel as several messages; a peer cannot make us allocate more.
pub const CONTROL_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Longest data frame payload accepted from a source.
pub const DATA_FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Data frame payload a source aims for: large enough that wake-ups do not dominate, small enough for a slow link
/// to finish one well inside [`FRAME_DEADLINE`].
pub const DATA_CHUNK_BYTES: usize = 256 * 1024;
/// Items that wait between a decoder and the socket, and between the socket and the disk, on each side.
/// Times [`DATA_CHUNK_BYTES`] this is the memory a stream may buffer; the bound is the back-pressure.
pub const STREAM_QUEUE_ITEMS: usize = 16;
/// TCP connect to one address of a peer.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// The whole `Hello` exchange, so that a silent or dripping connection cannot hold a place.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// One frame from its first byte to its last, so that dripping bytes cannot hold a connection. Long enough for
/// [`DATA_CHUNK_BYTES`] over one of many starved connections of a slow link, at 35 kbit/s.
pub const FRAME_DEADLINE: Duration = Duration::from_secs(60);
/// A served connection may sit idle this long between two requests.
pub const REQUEST_IDLE_DEADLINE: Duration = Duration::from_secs(60);
/// One complete reply to a listing request. Generous, for archives on slow disks.
pub const REPLY_DEADLINE: Duration = Duration::from_secs(60);
/// A source with nothing to send says so this often.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// A receiver gives a source up after this long without a single byte: ten keep-alives in a row are missing. On a
/// crowded link TCP itself can be silent for over ten seconds before it sends a lost segment again.
pub const STREAM_IDLE_DEADLINE: Duration = Duration::from_secs(20);
/// A receiver gives a source up after this long with keep-alives but no progress: no honest decoder needs it.
pub const STREAM_STALL_DEADLINE: Duration = Duration::from_secs(180);
/// A source gives a receiver up when one frame cannot be written for this long (its disk may be busy).
pub const FRAME_WRITE_DEADLINE: Duration = Duration::from_secs(60);
/// A peer's name and a game's version, in bytes: they are shown in one line.
pub const LABEL_BYTES_MAX: usize = 64;
/// A message that explains a refusal or failure, in bytes; longer ones are cut.
pub const MESSAGE_BYTES_MAX: usize = 512;

// ---- Serving ---------------------------------------------------------------------------------------------------------

/// Streams a source serves at once unless told otherwise; each costs a decoder and its dictionary.
pub const STREAMS_MAX_DEFAULT: usize = 8;
/// Streams `--max-streams` may ask for.
pub const STREAMS_MAX: usize = 256;
/// Connections accepted at once; past it new ones are closed at once so that running streams keep their descriptors.
pub const CONNECTIONS_MAX: usize = 256;
/// Connections accepted at once from one address, so that one machine cannot take all places.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;
/// Archive listings computed at once for requests that do not stream.
pub const INSPECTIONS_MAX: usize = 2;
/// A stopping source waits this long for a receiver to take the rest of a frame, and once more to be told why there
/// are no more. Both fit into [`SHUTDOWN_DEADLINE`] with room for the decoder to end.
pub const FAREWELL_DEADLINE: Duration = Duration::from_secs(1);
/// How long a stopping peer waits for its streams to end before it reports what is left.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(4);

// ---- Games and archives ----------------------------------------------------------------------------------------------

/// Length of a game id in bytes.
pub const GAME_ID_BYTES_MAX: usize = 64;
/// Games one peer offers or a catalog names.
pub const GAMES_MAX: usize = 20_000;
/// Size of a catalog file: [`GAMES_MAX`] entries of about 200 bytes.
pub const CATALOG_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How much of a sentinel is read for its first line.
pub const SENTINEL_BYTES_MAX: u64 = 4096;
/// Files in one game root that are offered (archives, volumes, sentinel).
pub const ROOT_FILES_MAX: usize = 4096;
/// Entries of one game, over all archives: headers are held in memory while a source decodes.
pub const ENTRIES_MAX: u64 = 1_000_000;
/// Headers of one archive file: an entry may carry service records beside its own header.
pub const ARCHIVE_HEADERS_MAX: u64 = 2 * ENTRIES_MAX;
/// Header bytes of one archive file, against header bombs.
pub const ARCHIVE_HEADER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Unpacked bytes of one game: beyond any game, within what sums without overflow.
pub const GAME_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024 * 1024;
/// Decoder dictionary: RAR 7 archives may claim 64 GiB, game archives use 4 MiB to 1 GiB.
pub const DICTIONARY_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Members up to this size are decoded whole in memory, which is faster; measured on a 32 MiB dictionary the peak stays
/// near 100 MiB in all. 0 makes the decoder many times slower on non-solid archives.
pub const BUFFERED_MEMBER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Text `unrar` may print for a listing, about 400 bytes an entry.
pub const LISTING_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// How much of a program's stderr is kept for its error message.
pub const STDERR_BYTES_MAX: u64 = 8 * 1024;

// ---- Entry paths -----------------------------------------------------------------------------------------------------

/// Length of one path component in bytes: what ext4, NTFS and APFS can hold.
pub const COMPONENT_BYTES_MAX: usize = 255;
/// Components of one path; games stay far below, nesting bombs do not.
pub const PATH_DEPTH_MAX: usize = 64;
/// Length of a whole path in bytes: `PATH_MAX` of Linux without its terminator.
pub const PATH_BYTES_MAX: usize = 4095;

// ---- Receiving -------------------------------------------------------------------------------------------------------

/// `stream-progress` events come at most this often.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// Peers given to one operation.
pub const PEERS_MAX: usize = 1024;
/// Peers asked at the same time.
pub const PEERS_ASKED_AT_ONCE: usize = 32;
/// Space a file takes beyond its bytes: half a block on average, plus its inode and name.
pub const SPACE_PER_ENTRY_BYTES: u64 = 4096;
/// Space left free on the receiver's file system: a full disk breaks more than this install.
pub const SPACE_MARGIN_BYTES: u64 = 16 * 1024 * 1024;
/// An intent file: one small JSON object.
pub const INTENT_BYTES_MAX: u64 = 64 * 1024;
/// Longest wait for discovery that may be asked for.
pub const DISCOVERY_TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Events a slow subscriber may lag behind before it is told that it lost some.
pub const EVENT_QUEUE_ITEMS: usize = 4096;

// A frame must be able to hold one whole path and its neighbours, and a chunk must fit a frame.
const _: () = assert!(PATH_BYTES_MAX * 2 + 1024 < CONTROL_FRAME_BYTES_MAX);
const _: () = assert!(DATA_CHUNK_BYTES <= DATA_FRAME_BYTES_MAX);
const _: () = assert!(STREAM_IDLE_DEADLINE.as_millis() >= 4 * KEEP_ALIVE_INTERVAL.as_millis());
