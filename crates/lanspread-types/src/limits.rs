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

// ---- Downloads -------------------------------------------------------------------------------------------------------

/// What one request of a download asks for: large enough that a record stays small and requests cost nothing, small
/// enough that a source that fails loses little. A source sends no more for one request.
pub const CHUNK_BYTES: u64 = 16 * 1024 * 1024;
/// Chunks asked of one source ahead of what has come: while one is arriving, the next is known there.
pub const CHUNKS_AHEAD: usize = 2;
/// Requests that a source keeps of one receiver before it reads no more of them.
pub const CHUNK_REQUESTS_MAX: usize = 8;
/// Data frames that wait between disk and socket of a download, on each side. Times [`DATA_CHUNK_BYTES`] this is the
/// memory one connection may buffer.
pub const CHUNK_QUEUE_ITEMS: usize = 8;
/// Sources that one download uses at the same time: more would not be faster, and would take places from others.
pub const DOWNLOAD_SOURCES_MAX: usize = 8;
/// A source that takes longer than this to answer keeps no share of the chunks for itself.
pub const SHARE_DEADLINE: Duration = Duration::from_secs(2);
/// Failures in a row, without a whole chunk between them, after which a source is not tried again.
pub const SOURCE_FAILURES_MAX: u32 = 3;
/// Wait before a failed source is tried again; doubled for each further failure in a row.
pub const SOURCE_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// A source that needs no longer than this for what it owes is left alone, however fast another one is.
pub const TAKEOVER_MIN: Duration = Duration::from_secs(2);
/// A source's rate is measured over no less than this: shorter spans are mostly about when somebody looked.
pub const RATE_SPAN_MIN: Duration = Duration::from_millis(100);
/// One line of a download record: the first one names [`ROOT_FILES_MAX`] files.
pub const RECORD_LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A booking of space: one small JSON object.
pub const BOOKING_BYTES_MAX: u64 = 4096;

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

/// An operation that takes files away waits this long for the transfers that read them, before it ends them: streams
/// near their end are not lost, and a receiver on a slow link cannot hold the operation for hours.
pub const QUIESCE_DEADLINE: Duration = Duration::from_secs(60);
// ---- Library and peers -----------------------------------------------------------------------------------------------

/// A source that is asked to tell when its library changes answers after this long that it has not. Well below
/// [`REPLY_DEADLINE`] and [`REQUEST_IDLE_DEADLINE`], so that a waiting connection is never taken for a dead one.
pub const LIBRARY_WAIT: Duration = Duration::from_secs(20);
/// A peer that waits for a library to change gives the source up after this long: one late answer is a dead network.
pub const LIBRARY_REPLY_DEADLINE: Duration = Duration::from_secs(30);
/// Connections that may wait for the library to change at once: half of [`CONNECTIONS_MAX`], the rest is for installs.
pub const LIBRARY_POLLS_MAX: usize = 128;
/// Everything is read again this often, for what the watcher of the file system missed or could not watch.
pub const LIBRARY_SCAN_INTERVAL: Duration = Duration::from_secs(300);
/// A game is read again when nothing has changed in it for this long: a copy that runs is not read at every write.
pub const LIBRARY_QUIET: Duration = Duration::from_millis(300);
/// A game that never comes to rest is read again this often.
pub const LIBRARY_RESTLESS_INTERVAL: Duration = Duration::from_secs(3);
/// Peers to which a serving peer keeps a connection: half of [`CONNECTIONS_MAX`], because each side keeps one. A room
/// of fifty is far below.
pub const NEIGHBOURS_MAX: usize = 128;
/// Addresses kept of one peer: a machine with more interfaces is reached over the first of them.
pub const PEER_ADDRESSES_MAX: usize = 8;
/// Offers kept of all neighbours together, about 30 MiB; the libraries of fifty seats are a tenth of it.
pub const DIRECTORY_OFFERS_MAX: usize = 200_000;
/// Tries to get a lost neighbour back before it is reported lost.
pub const NEIGHBOUR_RETRIES: u32 = 3;
/// Wait before the first of these tries; each further one waits twice as long.
pub const NEIGHBOUR_RETRY_PAUSE: Duration = Duration::from_millis(500);
/// A named or saved peer that does not answer is tried again this often.
pub const NEIGHBOUR_SLOW_RETRY: Duration = Duration::from_secs(15);
/// A found peer that does not answer and did not say goodbye is forgotten this long after it was last heard of: as long
/// as multicast DNS itself keeps its record and therefore does not tell of it again (RFC 6762 section 10).
pub const HINT_EXPIRY: Duration = Duration::from_secs(75 * 60);
/// Hints that wait to be looked at; what comes faster is dropped, it will be said again.
pub const HINT_QUEUE_ITEMS: usize = 256;
/// A changed library is announced to the network at most this often; connected peers hear of it at once.
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// Discovery is over when every peer heard of has answered, one of them offers the game, and nobody new was heard of for
/// this long. Answers to a query come within 120 ms (RFC 6762 section 6); four times that is left to slow machines.
pub const DISCOVERY_QUIET: Duration = Duration::from_millis(500);
/// The same for a list of everybody, where the one missing counts: long enough for the second query, which follows the
/// first after a second.
pub const DISCOVERY_LIST_QUIET: Duration = Duration::from_millis(1500);
/// A serving peer that has listened this long has heard everybody who answers: three queries went out, after 0, 1 and 3
/// seconds (RFC 6762 section 5.2). Until then an operation searches on its own.
pub const DISCOVERY_LISTENED: Duration = Duration::from_secs(5);
/// A peer that was only heard of must answer within this: its address may be one that this machine cannot reach.
pub const HINT_ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// A thread that a library of others runs for us (mDNS, watching files) ends within this; it takes a few milliseconds.
pub const HELPER_STOP_DEADLINE: Duration = Duration::from_secs(1);
/// Peers that can be saved.
pub const SAVED_PEERS_MAX: usize = 256;
/// The file of saved peers: [`SAVED_PEERS_MAX`] of the longest addresses.
pub const SAVED_PEERS_BYTES_MAX: u64 = 128 * 1024;

// ---- Games and archives ----------------------------------------------------------------------------------------------

/// Length of a game id in bytes.
pub const GAME_ID_BYTES_MAX: usize = 64;
/// Games one peer offers or a catalog names.
pub const GAMES_MAX: usize = 20_000;
/// Size of a catalog file: [`GAMES_MAX`] entries of about 200 bytes.
pub const CATALOG_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Size of a config file: every option a hundred times over.
pub const CONFIG_FILE_BYTES_MAX: u64 = 64 * 1024;
/// How much of a sentinel is read for its first line.
pub const SENTINEL_BYTES_MAX: u64 = 4096;
/// Volumes of one game that stay open between listing and decoding: enough for ordinary games, few enough that many
/// streams of sets with many volumes do not use up the descriptors of a process.
pub const VOLUMES_KEPT_OPEN: usize = 64;
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

/// Progress events come at most this often, and bookings are renewed at most this often.
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
/// One line over the control socket, each way. The longest names [`GAMES_MAX`] games of [`GAME_ID_BYTES_MAX`].
pub const CONTROL_LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A control client has this long to say what it wants.
pub const CONTROL_REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// A control client that reads nothing for this long is dropped.
pub const CONTROL_WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Replies that wait for a control client to take them.
pub const CONTROL_QUEUE_ITEMS: usize = 64;
/// A stopping daemon lets its control clients hear how their operations ended; within [`SHUTDOWN_DEADLINE`].
pub const CONTROL_FAREWELL_DEADLINE: Duration = Duration::from_secs(3);
/// Control clients at once: callers that follow operations, and some who ask.
pub const CONTROL_CLIENTS_MAX: usize = 64;
/// The file that says which daemon owns a folder: one small JSON object.
pub const DAEMON_FILE_BYTES_MAX: u64 = 16 * 1024;
/// Wait after an accept error that may be a lack of descriptors, so that the loop does not spin.
pub const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);
/// Events that a daemon remembers for those who ask later; progress is not remembered.
pub const EVENT_HISTORY_ITEMS: usize = 512;
/// Operations that run at once unless told otherwise: two keep a disk and a link busy, more make all of them slow.
pub const OPERATIONS_RUNNING_DEFAULT: usize = 2;
/// Operations that may be told to run at once.
pub const OPERATIONS_RUNNING_MAX: usize = 64;
/// Operations that wait for their turn: more than any script asks for by intent.
pub const OPERATIONS_WAITING_MAX: usize = 1024;
/// One line of a receipt: a path whose every byte is escaped, and its neighbours.
pub const RECEIPT_LINE_BYTES_MAX: usize = 16 * 1024;
/// Files that are named when an operation is refused because the user would lose them.
pub const USER_FILES_SHOWN: usize = 5;
/// Longest wait for discovery that may be asked for.
pub const DISCOVERY_TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Events a slow subscriber may lag behind before it is told that it lost some.
pub const EVENT_QUEUE_ITEMS: usize = 4096;

// A frame must be able to hold one whole path and its neighbours, and a chunk must fit a frame.
const _: () = assert!(PATH_BYTES_MAX * 2 + 1024 < CONTROL_FRAME_BYTES_MAX);
const _: () = assert!(PATH_BYTES_MAX * 2 + 1024 < RECEIPT_LINE_BYTES_MAX);
const _: () = assert!(DATA_CHUNK_BYTES <= DATA_FRAME_BYTES_MAX);
const _: () = assert!(CHUNKS_AHEAD <= CHUNK_REQUESTS_MAX);
const _: () = assert!(((ROOT_FILES_MAX * (COMPONENT_BYTES_MAX * 2 + 64)) as u64) < RECORD_LINE_BYTES_MAX);
// A peer that waits for news must be heard from before any deadline that takes it for dead.
const _: () = assert!(LIBRARY_WAIT.as_millis() < LIBRARY_REPLY_DEADLINE.as_millis());
const _: () = assert!(LIBRARY_REPLY_DEADLINE.as_millis() < REPLY_DEADLINE.as_millis());
const _: () = assert!(STREAM_IDLE_DEADLINE.as_millis() >= 4 * KEEP_ALIVE_INTERVAL.as_millis());
const _: () = assert!(GAMES_MAX * (GAME_ID_BYTES_MAX + 8) < CONTROL_LINE_BYTES_MAX);
