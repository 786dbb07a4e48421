//! Every bound of a peer, by name, with its reason.
//!
//! A bound is checked where a value enters (wire, archive, disk, options) and before anything is allocated
//! for it. The unit is the last word of each name.

use std::time::Duration;

pub use self::daemon::*;
pub use self::http::*;
pub use self::packed::*;
pub use self::queue::*;
pub use self::room::*;
pub use self::traffic::*;
pub use self::trust::*;
pub use self::web::*;

mod daemon;
mod http;
mod packed;
mod queue;
mod room;
mod traffic;
mod trust;
mod web;

// ---- Wire ------------------------------------------------------------------------------------------------------------

/// Longest control frame payload: no peer can make another one allocate more. Longer lists are split.
pub const CONTROL_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Longest data frame payload accepted from a source.
pub const DATA_FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Data frame payload that a source aims for: large enough that wake-ups do not dominate, small enough that a slow
/// link transfers one well within [`FRAME_DEADLINE`].
pub const DATA_CHUNK_BYTES: usize = 256 * 1024;
/// Frames of a stream travel between two threads in batches of this many bytes: enough that neither a small file nor a
/// large one costs a wake-up each, and little enough that a batch is still in the processor's cache when it is taken.
pub const STREAM_BATCH_BYTES: usize = DATA_CHUNK_BYTES;
/// Batches of one stream, on each side: those that wait, the one that is filled, and the one that is taken. Times
/// [`STREAM_BATCH_BYTES`] this is the memory a stream may buffer; the bound is the back-pressure.
pub const STREAM_BATCHES: usize = 8;
/// Steps in one batch of a receiver. A step takes more memory than its frame, so that a source could fill the memory with
/// tiny frames otherwise; files of 1 KiB stay below it.
pub const STREAM_BATCH_STEPS_MAX: usize = 2048;
/// A batch that does not become full is handed on after this: long enough that batches become full on any link that is
/// worth it, and too short to be noticed.
pub const STREAM_BATCH_WAIT: Duration = Duration::from_millis(20);
/// For connecting to one address of a peer over TCP.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// For TLS, the proofs and the hellos together, so that a silent or dripping connection cannot hold a place.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// Handshakes that may be unfinished at the same time. One takes a millisecond of work; the rest is waiting.
pub const HANDSHAKES_MAX: usize = 64;
/// The same from one address. A further one from there ends the one that began first.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = 8;
/// For a program of protocol version 1 to read which version is spoken here.
pub const OLD_VERSION_FAREWELL: Duration = Duration::from_secs(1);
/// Bytes of a connection that may wait, encrypted, for the socket: four records in one call to the system. With a whole
/// batch, the allocator gives the memory back to the system after each one and asks for it again.
pub const TLS_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// For one frame from its first byte to its last, so that dripping bytes cannot hold a connection. Long enough for
/// [`DATA_CHUNK_BYTES`] over one of many starved connections of a slow link, at 35 kbit/s.
pub const FRAME_DEADLINE: Duration = Duration::from_mins(1);
/// A served connection may be idle this long between two requests.
pub const REQUEST_IDLE_DEADLINE: Duration = Duration::from_mins(1);
/// For the reply to a request that opens archives, which may be on slow disks.
pub const REPLY_DEADLINE: Duration = Duration::from_mins(1);
/// For a whole list of games or root files, from the request to the last part: a peer that sends part after part cannot
/// keep the asking peer waiting. The longest list, about 4 MiB, needs less than half of it on slow Wi-Fi.
pub const LISTING_DEADLINE: Duration = Duration::from_secs(10);
/// A source that has nothing to send sends a keep-alive this often.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// So many words that are said at intervals may come at once, such as after a link was down.
pub const WORDS_BURST: u32 = 8;
/// A receiver gives up on a source after this long without a single byte: ten keep-alives in a row are missing. On a
/// crowded link TCP itself can be silent for over ten seconds before it retransmits a lost segment.
pub const STREAM_IDLE_DEADLINE: Duration = Duration::from_secs(20);
/// A receiver gives up on a source after this long with keep-alives but no progress: no honest decoder needs it.
pub const STREAM_STALL_DEADLINE: Duration = Duration::from_mins(3);
/// A source that sends less than this in [`SLOW_SOURCE_SPAN`] is left while another validated source has not been tried:
/// one frame of [`DATA_CHUNK_BYTES`], because a frame counts when it is complete. At this rate a game of 10 GiB would
/// take five days.
pub const SLOW_SOURCE_BYTES: u64 = DATA_CHUNK_BYTES as u64;
/// How long a source must be that slow. Short, because a source that wastes the time of its receivers costs each of them
/// this much; and an honest one that is left too early, because it still lists an archive, is tried again after the
/// others.
pub const SLOW_SOURCE_SPAN: Duration = Duration::from_secs(10);
/// A source gives up on a receiver if one frame cannot be written for this long. The receiver's disk may be busy.
pub const FRAME_WRITE_DEADLINE: Duration = Duration::from_mins(1);
/// Length of a peer's name and of a game's version, in bytes: they are shown in one line.
pub const LABEL_BYTES_MAX: usize = 64;
/// Length of a message that explains a refusal or failure, in bytes; longer ones are cut.
pub const MESSAGE_BYTES_MAX: usize = 512;

// ---- Downloads -------------------------------------------------------------------------------------------------------

/// Most bytes that one chunk request asks for and that a source sends for it: large enough that a record stays small
/// and requests cost next to nothing, small enough that a source that fails loses little.
pub const CHUNK_BYTES: u64 = 16 * 1024 * 1024;
/// Chunks into which a repair cuts the files of a game at most: it fetches listed chunks alone, or several together of a game
/// of more than 1 TiB, so that its record stays as small as that of a download.
pub const REPAIR_CHUNKS_MAX: u64 = 1024 * 1024;
/// Chunks that a receiver requests from one source ahead of what has arrived: while one chunk arrives, the source
/// already knows the next one. Of chunks that are together no longer than one of [`CHUNK_BYTES`], up to
/// [`CHUNK_REQUESTS_MAX`].
pub const CHUNKS_AHEAD: usize = 2;
/// Requests of one receiver that a source queues before it stops reading more.
pub const CHUNK_REQUESTS_MAX: usize = 8;
/// Data frames of a download that wait between disk and socket, on each side. Times [`DATA_CHUNK_BYTES`] this is the
/// memory that one connection may buffer.
pub const CHUNK_QUEUE_ITEMS: usize = 8;
/// The same for each of the two queues of a receiver that compares with a manifest: to the check, and from it to the writer.
/// Between them the check holds one listed chunk of at most [`MANIFEST_CHUNK_BYTES`].
pub const CHECKED_QUEUE_ITEMS: usize = CHUNK_QUEUE_ITEMS / 2;
/// Smallest buffer in which the check of a receiver holds bytes, so that a source that sends them one by one makes it hold
/// few buffers.
pub const HELD_PIECE_BYTES_MIN: usize = 16 * 1024;
/// Buffers of a download that wait for their next use: one for each place of the queues, one on each of their sides, and
/// those that the check holds.
pub const CHUNK_BUFFERS_MAX: usize = CHUNK_QUEUE_ITEMS + 3 + MANIFEST_CHUNK_BYTES as usize / DATA_CHUNK_BYTES;
/// Sources that one download uses at the same time: more would not be faster, and would block other receivers.
pub const DOWNLOAD_SOURCES_MAX: usize = 8;
/// Sources of one download that take too long to answer and are still waited for beside those that answered: more of
/// them only cost descriptors.
pub const LATE_SOURCES_MAX: usize = 32;
/// If a source takes longer than this to answer, the other sources may take its share of the chunks.
pub const SHARE_DEADLINE: Duration = Duration::from_secs(2);
/// After this many failures in a row, without a whole chunk between them, a source is not tried again.
pub const SOURCE_FAILURES_MAX: u32 = 3;
/// Wait before a failed source is tried again; doubles with each further failure in a row.
pub const SOURCE_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// A source that needs no longer than this for the chunks it still owes keeps them, however fast another source is.
pub const TAKEOVER_MIN: Duration = Duration::from_secs(2);
/// A source's rate is measured over at least this long: over shorter spans it mostly depends on when it is measured.
pub const RATE_SPAN_MIN: Duration = Duration::from_millis(100);
/// Length of one line of a download record: the first one names up to [`ROOT_FILES_MAX`] files.
pub const RECORD_LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Size of a download record: each chunk of the largest game arrives four times, at about 250 bytes a line.
pub const RECORD_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Size of a file that books space: one small JSON object.
pub const BOOKING_BYTES_MAX: u64 = 4096;

// ---- Serving ---------------------------------------------------------------------------------------------------------

/// Streams and downloads that a source serves at once by default; a stream costs a decoder and its dictionary.
pub const STREAMS_MAX_DEFAULT: usize = 8;
/// The most of them that a source can be configured to serve at once.
pub const STREAMS_MAX: usize = 256;
/// A guest that holds fewer than one of this many parts of all transfers gets a place as long as another guest holds
/// more: four guests that take whatever they can get still leave a room of its own to each.
pub const TRANSFER_SHARES: usize = 4;
/// Another guest counts as being about this long after it asked for a transfer; meanwhile the last places are not lent.
pub const GUEST_MEMORY: Duration = Duration::from_mins(10);
/// A receiver must take [`RECEIVER_WINDOW_BYTES_MIN`] in this much time in which its source waited for it.
pub const RECEIVER_WINDOW: Duration = Duration::from_mins(1);
/// What a receiver must take per [`RECEIVER_WINDOW`] to keep its place: one frame of [`DATA_CHUNK_BYTES`], which it must
/// take within [`FRAME_WRITE_DEADLINE`] anyway. That is 35 kbit/s; one of eight receivers on a link of 1 Mbit/s has more.
pub const RECEIVER_WINDOW_BYTES_MIN: u64 = DATA_CHUNK_BYTES as u64;
/// What a control frame counts for a receiver at least: to create a small file is work for its disk, not idleness.
pub const RECEIVER_STEP_BYTES_MIN: u64 = SPACE_PER_ENTRY_BYTES;
/// Dictionaries of all running streams together, twice [`DICTIONARY_BYTES_DEFAULT`]: one guest may have half of it, and
/// the other half is left for the others. Less on a machine with less memory.
pub const DICTIONARIES_BYTES_MAX: u64 = 2 * DICTIONARY_BYTES_DEFAULT;
/// The same on a machine with very little memory. A stream that runs alone may need more.
pub const DICTIONARIES_BYTES_MIN: u64 = 256 * 1024 * 1024;
/// Connections open at the same time. If all are open, a further one takes the place of one whose guest has more than
/// [`CONNECTIONS_SHARE`], or of an idle one; else it is closed immediately. Fewer if the process may open few files.
pub const CONNECTIONS_MAX: usize = 256;
/// Connections that a guest keeps although others ask: one for each of eight peers on one machine to find out what is
/// here, and one for each to transfer it.
pub const CONNECTIONS_SHARE: usize = 16;
/// Connections open at the same time from one address, however few others there are.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;
/// If all connections are open, one that has asked nothing for this long gives way to a guest with few: a peer that is
/// in the middle of an operation asks its next question much sooner.
pub const CONNECTION_IDLE_MIN: Duration = Duration::from_secs(10);
/// Part of the files that a process may open that connections may use; the rest is for archives, programs, downloads
/// and the process itself.
pub const CONNECTIONS_OF_OPEN_FILES: u64 = 4;
/// The fewest connections, however few files the process may open.
pub const CONNECTIONS_MIN: usize = 8;
/// Archive listings computed at the same time for requests that do not stream. One guest has half of them at most.
pub const INSPECTIONS_MAX: usize = 2;
/// Answers that only need a look at one folder, made at the same time. One guest has half of them at most.
pub const QUICK_ANSWERS_MAX: usize = 4;
/// Games whose totals are remembered: more than any room plays; 100 bytes each.
pub const TOTALS_REMEMBERED_MAX: usize = 1024;
/// A stopping source waits this long for a receiver to take the rest of a frame, and as long again for it to take the
/// reason why no more follows. Both fit into [`SHUTDOWN_DEADLINE`], with room for the decoder to end.
pub const FAREWELL_DEADLINE: Duration = Duration::from_secs(1);
/// A stopping peer waits this long for its streams to end before it reports which are left.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(4);
/// An operation that removes files waits this long for the transfers that read them, and then ends them: a stream near
/// its end is not lost, and a receiver on a slow link cannot delay the operation for hours.
pub const QUIESCE_DEADLINE: Duration = Duration::from_mins(1);

// ---- Library and peers -----------------------------------------------------------------------------------------------

/// A peer that has no place for another one that waits for changes is asked again after this long. Well below
/// [`REPLY_DEADLINE`] and [`REQUEST_IDLE_DEADLINE`], so that a waiting connection is never taken for a dead one.
pub const LIBRARY_WAIT: Duration = Duration::from_secs(20);
/// A peer that waits for another one's library to change gives up after this long: an answer this late means that the
/// network is down.
pub const LIBRARY_REPLY_DEADLINE: Duration = Duration::from_secs(30);
/// Connections that may wait for a change of the library at the same time: half of [`CONNECTIONS_MAX`]; the other half
/// is for installs.
pub const LIBRARY_POLLS_MAX: usize = 128;
/// Waiting connections that a guest keeps although others ask: one for each of eight peers on one machine.
pub const LIBRARY_POLLS_SHARE: usize = 8;
/// A list of games is sent over one connection at most this often: a peer that asks again and again waits for it.
pub const LIBRARY_ANSWER_INTERVAL: Duration = Duration::from_secs(1);
/// All games are read again this often, to find changes that the watcher of the file system missed or could not watch.
pub const LIBRARY_SCAN_INTERVAL: Duration = Duration::from_mins(5);
/// A game is read again after nothing in it has changed for this long: while a copy runs, it is not read at every
/// write.
pub const LIBRARY_QUIET: Duration = Duration::from_millis(300);
/// A game that keeps changing is read again this often.
pub const LIBRARY_RESTLESS_INTERVAL: Duration = Duration::from_secs(3);
/// Wait between two questions to one neighbour about its library, after the first [`LIBRARY_POLLS_AT_ONCE`]. An honest
/// neighbour answers when its library changes; one that answers always at once must not keep this peer busy.
pub const LIBRARY_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Questions that may follow each other without that wait, so that a few quick changes are noticed at once.
pub const LIBRARY_POLLS_AT_ONCE: u32 = 4;
/// Peers to which a serving peer keeps a connection: half of [`CONNECTIONS_MAX`], because each side keeps one. A LAN
/// party of fifty peers is far below this.
pub const NEIGHBOURS_MAX: usize = 128;
/// The most of them that were heard of from one address, so that one machine cannot fill the table. A machine seldom
/// runs more than a few peers.
pub const NEIGHBOURS_PER_ADDRESS_MAX: usize = 16;
/// Addresses kept for one peer: a machine with more interfaces is reached over the first ones.
pub const PEER_ADDRESSES_MAX: usize = 8;
/// Memory for the libraries of all other peers together, whole or still arriving; those of fifty peers with 400 games
/// each need about 4 MiB.
pub const LIBRARIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most of it for the peers at one address, so that one machine cannot take all of it. Room for three libraries of
/// [`GAMES_MAX`] games.
pub const LIBRARIES_PER_ADDRESS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Attempts to reconnect to a neighbour before it is reported lost.
pub const NEIGHBOUR_RETRIES: u32 = 3;
/// Wait before the first of these attempts; it doubles for each further one.
pub const NEIGHBOUR_RETRY_PAUSE: Duration = Duration::from_millis(500);
/// A named or saved peer that does not answer is tried again this often.
pub const NEIGHBOUR_SLOW_RETRY: Duration = Duration::from_secs(15);
/// A discovered peer that neither answers nor said goodbye is forgotten this long after its last announcement:
/// multicast DNS keeps the record for as long and does not report it again meanwhile (RFC 6762 section 10).
pub const HINT_EXPIRY: Duration = Duration::from_mins(75);
/// A peer that was only heard of, and has not answered within this, is forgotten. Sixty machines that start at once can
/// be too busy to answer for minutes, and multicast DNS does not report them again.
pub const HINT_UNANSWERED_EXPIRY: Duration = Duration::from_mins(5);
/// Until then the wait between two tries doubles up to this: as many hints as [`NEIGHBOURS_MAX`] then use half of what
/// [`HINT_DIAL_INTERVAL`] allows.
pub const HINT_RETRY_PAUSE_MAX: Duration = Duration::from_mins(2);
/// A try that is not allowed within this, because others were, counts as one without an answer.
pub const HINT_TURN_DEADLINE: Duration = Duration::from_secs(30);
/// Connections to peers that were only announced, at once. Beyond them, one more every [`HINT_DIAL_INTERVAL`]: anyone can
/// announce the address of a machine that has nothing to do with lanspread. A LAN party of fifty is found at once.
pub const HINT_DIALS_AT_ONCE: u32 = 128;
/// See [`HINT_DIALS_AT_ONCE`]; 120 a minute.
pub const HINT_DIAL_INTERVAL: Duration = Duration::from_millis(500);
/// The same for the connections to one machine that was announced, and for those to one machine that has connected.
/// Visitors have no bound for all machines together: each can only point at itself.
pub const HINT_DIALS_PER_ADDRESS_AT_ONCE: u32 = 16;
/// See [`HINT_DIALS_PER_ADDRESS_AT_ONCE`]; 10 a minute.
pub const HINT_DIAL_PER_ADDRESS_INTERVAL: Duration = Duration::from_secs(6);
/// Machines for which these connections are counted apart at one time.
pub const HINT_DIAL_ADDRESSES_MAX: usize = 1024;
/// Peers heard of that one search asks: anyone can announce any number of them.
pub const HINTS_ASKED_MAX: usize = 256;
/// The most of them at one machine.
pub const HINTS_ASKED_PER_ADDRESS_MAX: usize = 16;
/// After a flood of announcements that ended the subscription to them, the next one begins after this.
pub const BROWSE_AGAIN_PAUSE: Duration = Duration::from_secs(1);
/// Hints that wait to be processed; more are dropped. Four for each of 60 machines that start at once.
pub const HINT_QUEUE_ITEMS: usize = 256;
/// A changed library is announced to the network at most this often; connected peers are notified immediately.
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// A member of a party announces another number after this: who listens must not be able to follow it for long, and each
/// change costs every other member a connection.
pub const MEMBER_NUMBER_LIFETIME: Duration = Duration::from_hours(1);
/// Announced numbers that a serving member knows the peers of: a few for each of [`NEIGHBOURS_MAX`].
pub const MEMBER_NUMBERS_MAX: usize = 1024;
/// The networks of this machine are read again this often while announcements arrive: a cable may have been plugged in.
pub const NETWORKS_INTERVAL: Duration = Duration::from_secs(1);
/// Discovery ends when every discovered peer has answered, one of them offers the game, and no new peer was discovered
/// for this long. Answers to a query arrive within 120 ms (RFC 6762 section 6); slow machines get four times that.
pub const DISCOVERY_QUIET: Duration = Duration::from_millis(500);
/// The same for a list of all peers, where each one counts: long enough for the second query, which follows the first
/// one after a second.
pub const DISCOVERY_LIST_QUIET: Duration = Duration::from_millis(1500);
/// A serving peer that has listened this long knows every peer that answers: three queries were sent, after 0, 1 and 3
/// seconds (RFC 6762 section 5.2). Until then an operation searches on its own.
pub const DISCOVERY_LISTENED: Duration = Duration::from_secs(5);
/// After its list of files, a peer has this long to say how busy it is; one that does not is tried last.
pub const LOAD_ANSWER_DEADLINE: Duration = Duration::from_millis(500);
/// A discovered or known peer must answer within this: its address may be one that this machine cannot reach.
pub const HINT_ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// A named or saved peer must answer within this: looking up its name, connecting to the second of its addresses, and
/// the whole answer.
pub const NAMED_ANSWER_DEADLINE: Duration = Duration::from_secs(20);
/// If the answers that are missing can no longer change which files are right, others are awaited until none has arrived
/// for this long: a peer that answers a moment later can still be a source, one that never answers costs no more.
pub const SETTLED_QUIET: Duration = Duration::from_millis(500);
/// With an offer at hand, peers that were neither named nor saved are awaited no longer than this. The same as the
/// longest wait of a search unless another is chosen.
pub const STRAGGLER_DEADLINE: Duration = Duration::from_secs(3);
/// A peer that relies on its neighbours searches the network if none of them has offered the game within this.
pub const SEARCH_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Peers without the game that are asked for their list, to suggest a similar id.
pub const SUGGESTION_PEERS_MAX: usize = 8;
/// A thread that a dependency runs for us (multicast DNS, watching files) must end within this; a few milliseconds are
/// usual.
pub const HELPER_STOP_DEADLINE: Duration = Duration::from_secs(1);

// ---- Games and archives ----------------------------------------------------------------------------------------------

/// Length of a game id in bytes.
pub const GAME_ID_BYTES_MAX: usize = 64;
/// The port on which a peer listens unless another one is chosen.
pub const PORT_DEFAULT: u16 = 4107;
/// Games that one peer offers or a catalog lists.
pub const GAMES_MAX: usize = 20_000;
/// Manifests in the state directory: one for each game that a catalog lists.
pub const MANIFESTS_KEPT_MAX: usize = GAMES_MAX;
/// Size of a config file: enough for every option a hundred times.
pub const CONFIG_FILE_BYTES_MAX: u64 = 64 * 1024;
/// How long a shell waits for the words that it can offer: a person notices a second, and a daemon needs milliseconds.
pub const CANDIDATES_DEADLINE: Duration = Duration::from_millis(700);
/// One answer of a person to a question of a command: the longest path that Linux takes has half of it.
pub const ANSWER_BYTES_MAX: u64 = 8 * 1024;
/// How much of a sentinel is read for its first line.
pub const SENTINEL_BYTES_MAX: u64 = 4096;
/// Folders of a games directory that are reported as passed over; of further ones only the number. A wrong games
/// directory has thousands.
pub const PASSED_OVER_MAX: usize = 256;
/// Names read in a folder to find out whether it looks like a game.
pub const FOLDER_NAMES_READ_MAX: usize = 4096;
/// Volumes of one game that stay open between listing and decoding: enough for ordinary games, few enough that many
/// streams of archives with many volumes do not use up the descriptors of a process.
pub const VOLUMES_KEPT_OPEN: usize = 64;
/// Files that one game root offers (archives, volumes, sentinel).
pub const ROOT_FILES_MAX: usize = 4096;
/// Entries of one game, over all archives: a source keeps their headers in memory while it decodes.
pub const ENTRIES_MAX: u64 = 1_000_000;
/// Headers of one archive file: an entry may have service records besides its own header.
pub const ARCHIVE_HEADERS_MAX: u64 = 2 * ENTRIES_MAX;
/// Header bytes of one archive file, against header bombs.
pub const ARCHIVE_HEADER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Unpacked bytes of one game: more than any game has, and small enough that sums do not overflow.
pub const GAME_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024 * 1024;
/// Dictionary that an archive may need by default. Decoding takes as much memory; game archives use 4 MiB to 1 GiB.
pub const DICTIONARY_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;
/// The smallest dictionary that can be allowed: the smallest that RAR 5 has.
pub const DICTIONARY_BYTES_MIN: u64 = 128 * 1024;
/// The largest dictionary that can be allowed: the largest that WinRAR offers.
pub const DICTIONARY_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Threads of one decoder. One thread copies matches in order, and more than three others do not feed it faster; each
/// takes about 5 MiB.
pub const DECODER_THREADS_MAX: usize = 4;
/// Text that `unrar` may print for a listing: about 400 bytes per entry.
pub const LISTING_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// How much of a program's stderr is kept for error messages.
pub const STDERR_BYTES_MAX: u64 = 8 * 1024;

// ---- Entry paths -----------------------------------------------------------------------------------------------------

/// Length of one path component in bytes: what ext4, NTFS and APFS can hold.
pub const COMPONENT_BYTES_MAX: usize = 255;
/// Components of one path: games stay far below this, nesting bombs do not.
pub const PATH_DEPTH_MAX: usize = 64;
/// Length of a whole path in bytes: `PATH_MAX` of Linux without its terminator.
pub const PATH_BYTES_MAX: usize = 4095;

// ---- Receiving -------------------------------------------------------------------------------------------------------

/// Progress is reported and bookings are renewed at most this often.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// Peers named for one operation.
pub const PEERS_MAX: usize = 1024;
/// Peers asked at the same time; named, saved and known ones apart from those that a search hears of.
pub const PEERS_ASKED_AT_ONCE: usize = 64;
/// Space that a file or folder takes beyond its bytes, at least: a block for its last bytes or its names.
pub const SPACE_PER_ENTRY_BYTES: u64 = 4096;
/// Larger blocks than this are not believed: network file systems report the size of their transfers.
pub const SPACE_BLOCK_BYTES_MAX: u64 = 64 * 1024;
/// Space left free on the receiver's file system: a full disk breaks more than this install.
pub const SPACE_MARGIN_BYTES: u64 = 16 * 1024 * 1024;
/// Files and folders that must remain possible on the receiver's file system: our own state needs a dozen.
pub const SPACE_MARGIN_INODES: u64 = 16;
/// An operation that outgrows its booking extends it by this much at a time: seldom enough that it costs nothing.
pub const BOOKING_STEP_BYTES: u64 = 1024 * 1024;
/// The same for files and folders.
pub const BOOKING_STEP_INODES: u64 = 64;
/// Archives need not name the folders on the way to their files. A stream may need as many folders beyond those it
/// announced as it announced files, or this many if that is more: deep trees of few files stay below it.
pub const FOLDERS_ON_THE_WAY_MIN: u64 = 1024;
/// A file of this size or less is written in a batch beside the thread that checks it: to create it costs more than to
/// write its bytes.
pub const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Small files in one batch, so that handing one over costs next to nothing for each of them.
pub const SMALL_FILE_BATCH_FILES: usize = 64;
/// Bytes after which a batch is full; one more small file may go beyond it.
pub const SMALL_FILE_BATCH_BYTES: usize = 256 * 1024;
/// Batches that wait to be written. Times [`SMALL_FILE_BATCH_BYTES`] this is the memory that they take, and what a
/// cancelled install discards.
pub const SMALL_FILE_BATCHES: usize = 4;
/// Size of an intent file: one small JSON object.
pub const INTENT_BYTES_MAX: u64 = 64 * 1024;
/// Length of one line over the control socket, each way. The longest lists [`GAMES_MAX`] games of
/// [`GAME_ID_BYTES_MAX`].
pub const CONTROL_LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A control client must send its request within this.
pub const CONTROL_REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// A control client that reads nothing for this long is dropped.
pub const CONTROL_WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Replies that wait for a control client to read them.
pub const CONTROL_QUEUE_ITEMS: usize = 64;
/// A stopping daemon gives its control clients this long to read how their operations ended; within
/// [`SHUTDOWN_DEADLINE`].
pub const CONTROL_FAREWELL_DEADLINE: Duration = Duration::from_secs(3);
/// Control clients connected at the same time: clients that follow operations, and some that ask.
pub const CONTROL_CLIENTS_MAX: usize = 64;
/// A daemon that started on a full disk tries this often to write where it takes commands.
pub const OWNERSHIP_RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Size of the file that names the daemon of a folder: one small JSON object.
pub const DAEMON_FILE_BYTES_MAX: u64 = 16 * 1024;
/// Length of the path of a socket: an address of a Unix socket has 108 bytes on Linux, and the last one is a zero.
pub const CONTROL_SOCKET_PATH_BYTES_MAX: usize = 107;
/// A daemon that has nothing else to send to a client says at least this often that it is there.
pub const CONTROL_KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// A command leaves a daemon that says nothing for this long, from the first reply on: several keep-alives are missing.
/// Shorter than a person waits before Ctrl-C.
pub const CONTROL_SILENCE_DEADLINE: Duration = Duration::from_secs(12);
/// Wait for a thread that the system must give to this process. If it refuses, nothing says so, and the work waits.
pub const THREAD_START_DEADLINE: Duration = Duration::from_secs(10);
/// Threads that a command needs beside those that move frames: multicast DNS, the watch of the library, and the disk work
/// of a few operations. If a process cannot have as many, it ends at once instead of waiting in the middle.
pub const THREADS_FREE_MIN: usize = 8;
/// Open files without which no command works: the runtime, a socket, a lock, a game.
pub const DESCRIPTORS_MIN: u64 = 64;
/// Open files to ask the system for: [`STREAMS_MAX`] archives of [`VOLUMES_KEPT_OPEN`] volumes, and the connections.
pub const DESCRIPTORS_WANTED: u64 = 20_000;
/// A second signal ends a command at once, but only after the command has taken the first one, at the latest after this.
pub const SIGNAL_TAKEN_DEADLINE: Duration = Duration::from_secs(5);
/// Files looked at for the running daemons of a user. A user has a few; files of killed daemons are removed.
pub const DAEMON_FILES_MAX: usize = 256;
/// Wait after an accept error that may be a lack of descriptors, so that the loop does not spin. It doubles with each
/// further one.
pub const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);
/// The longest wait after such errors in a row.
pub const ACCEPT_BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// Without a descriptor for it, a connection that waits to be accepted is closed within this. There is one, or accepting
/// would not have failed.
pub const TURN_AWAY_DEADLINE: Duration = Duration::from_millis(10);
/// Events that a daemon remembers for clients that ask later; progress is not remembered.
pub const EVENT_HISTORY_ITEMS: usize = 512;
/// The most of them that other peers caused: found, lost and changed peers, and transfers to them. The rest is for what
/// this peer did.
pub const EVENT_HISTORY_OTHERS_ITEMS: usize = 256;
/// The most of them that one other peer caused.
pub const EVENT_HISTORY_PER_PEER_ITEMS: usize = 32;
/// Operations that run at once by default: two keep a disk and a link busy, more make all of them slow.
pub const OPERATIONS_RUNNING_DEFAULT: usize = 2;
/// The most operations at once that a peer can be configured to run.
pub const OPERATIONS_RUNNING_MAX: usize = 64;
/// Operations that wait for their turn: more than any script requests on purpose.
pub const OPERATIONS_WAITING_MAX: usize = 1024;
/// Length of one line of a receipt: a path with every byte escaped, and the other fields.
pub const RECEIPT_LINE_BYTES_MAX: usize = 16 * 1024;
/// Files that are listed when an operation is refused because the user would lose them.
pub const USER_FILES_SHOWN: usize = 5;
/// The longest that discovery can be configured to wait.
pub const DISCOVERY_TIMEOUT_MAX: Duration = Duration::from_mins(1);
/// Games of which a peer remembers how their newest operation ended. What was asked for longest ago is forgotten first.
pub const OUTCOMES_MAX: usize = 1024;
/// A rate is averaged over this long: long enough to be steady for a person, and short enough to show a stall.
pub const RATE_SPAN: Duration = Duration::from_secs(2);
/// Events that a slow subscriber may lag behind before it loses some, which is reported to it.
pub const EVENT_QUEUE_ITEMS: usize = 4096;

// A frame must hold one whole path and the fields beside it, and a chunk of data must fit into a frame.
const _: () = assert!(PATH_BYTES_MAX * 2 + 1024 < CONTROL_FRAME_BYTES_MAX);
const _: () = assert!(PATH_BYTES_MAX * 2 + 1024 < RECEIPT_LINE_BYTES_MAX);
const _: () = assert!(DATA_CHUNK_BYTES <= DATA_FRAME_BYTES_MAX);
// Between two judgements, several keep-alives have shown that the source is alive.
const _: () = assert!(SLOW_SOURCE_SPAN.as_millis() >= 4 * KEEP_ALIVE_INTERVAL.as_millis());
const _: () = assert!(CHUNKS_AHEAD <= CHUNK_REQUESTS_MAX);
const _: () = assert!(((ROOT_FILES_MAX * (COMPONENT_BYTES_MAX * 2 + 64)) as u64) < RECORD_LINE_BYTES_MAX);
const _: () = assert!(GAME_BYTES_MAX / CHUNK_BYTES * 4 * 256 <= RECORD_BYTES_MAX);
const _: () = assert!(PART_BYTES + 64 < CONTROL_FRAME_BYTES_MAX);
// A peer that waits for a change must answer before any deadline that takes it for dead.
const _: () = assert!(LIBRARY_WAIT.as_millis() < LIBRARY_REPLY_DEADLINE.as_millis());
const _: () = assert!(LIBRARY_REPLY_DEADLINE.as_millis() < REPLY_DEADLINE.as_millis());
const _: () = assert!(
    NAMED_ANSWER_DEADLINE.as_millis() >= 2 * CONNECT_DEADLINE.as_millis() + LISTING_DEADLINE.as_millis()
);
// One list of the longest kind fits into the share of one address.
const _: () =
    assert!(GAMES_MAX * (GAME_ID_BYTES_MAX + LABEL_BYTES_MAX + 88) < LIBRARIES_PER_ADDRESS_BYTES_MAX);
const _: () = assert!(STREAM_IDLE_DEADLINE.as_millis() >= 4 * KEEP_ALIVE_INTERVAL.as_millis());
const _: () = assert!(GAMES_MAX * (GAME_ID_BYTES_MAX + 8) < CONTROL_LINE_BYTES_MAX);
