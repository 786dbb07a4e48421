//! Bounds of what a peer believes: identities, penalties, catalogs and manifests, and what peers hand on of them.

use std::time::Duration;

// ---- Who a peer is, and who is let in -------------------------------------------------------------------------------

/// Size of the file of a peer's identity: a private key of three lines, of which OpenSSL writes 119 bytes.
pub const IDENTITY_BYTES_MAX: u64 = 1024;
/// Size of a file that holds a party line: 89 characters, and white space around them.
pub const PARTY_FILE_BYTES_MAX: u64 = 256;
/// Size of a file that holds a key: two lines, of which one has a fixed length.
pub const KEY_FILE_BYTES_MAX: u64 = 1024;
/// Number of peers that can be saved.
pub const SAVED_PEERS_MAX: usize = 256;
/// Number of peers that can be trusted or denied by identity.
pub const JUDGED_PEERS_MAX: usize = 1024;
/// Size of the file of saved peers: [`SAVED_PEERS_MAX`] of the longest addresses and [`JUDGED_PEERS_MAX`] of the longest
/// names and reasons.
pub const SAVED_PEERS_BYTES_MAX: u64 = 1024 * 1024;
/// Length of the reason for which a peer is denied, for people.
pub const DENIAL_REASON_CHARS_MAX: usize = 120;

// ---- Penalties ------------------------------------------------------------------------------------------------------

/// Penalties that are kept: more than there are peers at any party. The oldest goes first.
pub const PENALTIES_MAX: usize = 4096;
/// Size of the file of penalties: [`PENALTIES_MAX`] of the longest lines.
pub const PENALTIES_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What a penalty says about its offence.
pub const PENALTY_TEXT_CHARS_MAX: usize = 200;
/// Time without an offence after which a penalty counts half for the next one.
pub const PENALTY_QUIET_SPAN: Duration = Duration::from_hours(24);
/// Penalty for the first lie: longer than one more try of an operation takes. Each further one is four times as long.
pub const LIE_PENALTY: Duration = Duration::from_mins(10);
/// The longest penalty for a lie: the rest of a day of a party.
pub const LIE_PENALTY_MAX: Duration = Duration::from_hours(24);
/// Penalty for the first breach of the protocol, which may be a fault of a program; each further one is twice as long.
pub const BROKEN_PROTOCOL_PENALTY: Duration = Duration::from_secs(30);
/// The longest penalty for a breach of the protocol.
pub const BROKEN_PROTOCOL_PENALTY_MAX: Duration = Duration::from_hours(1);
/// Pause of an address after a failed handshake, which costs a millisecond; each further one is twice as long.
pub const FAILED_HANDSHAKE_PENALTY: Duration = Duration::from_secs(1);
/// The longest pause after failed handshakes: another peer may get the address.
pub const FAILED_HANDSHAKE_PENALTY_MAX: Duration = Duration::from_mins(5);

// ---- Catalogs -------------------------------------------------------------------------------------------------------

/// Size of a catalog file: `GAMES_MAX` entries of about 240 bytes, with room for long titles.
pub const CATALOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Size of a room file: `GAMES_MAX` entries of about 100 bytes.
pub const ROOM_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The highest version of a catalog: every integer up to it is exact in each language that may read it.
pub const CATALOG_VERSION_MAX: u64 = 1 << 53;
/// A version this much higher than the last one is taken and warned about: its author may run out of versions.
pub const CATALOG_VERSION_JUMP_MAX: u64 = 1_000_000;
/// Size of a file that signs a catalog: four lines, of which two have a fixed length.
pub const SIGNATURE_BYTES_MAX: u64 = 1024;
/// Signing keys of which the highest version is kept. A new one beyond that is refused until one is forgotten.
pub const CATALOG_SIGNERS_MAX: usize = 256;
/// Size of the file with the highest versions: [`CATALOG_SIGNERS_MAX`] lines of 150 bytes.
pub const CATALOG_SEEN_BYTES_MAX: u64 = 64 * 1024;
/// Games that `catalog build` can be told to read at once: more than any machine has cores for.
pub const CATALOG_JOBS_MAX: usize = 256;
/// Size of the cache of `catalog build`: the stamps of the root files of `GAMES_MAX` games, at about 120 bytes a file.
pub const CATALOG_BUILD_CACHE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Seconds after which the time of change of a file tells its next change apart on every file system; FAT has grains of
/// two.
pub const FILE_TIMES_SETTLED_SECONDS: i64 = 3;
/// Characters of a title from a catalog that are shown: more would break the line that shows it.
pub const CATALOG_TITLE_CHARS_SHOWN_MAX: usize = 80;
/// How often a serving peer looks whether another version of its signed catalog is in force, to say so to the others.
pub const CATALOG_LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How often the operations of a peer that does not serve ask for a newer catalog.
pub const CATALOG_ASK_INTERVAL: Duration = Duration::from_mins(1);

// ---- Manifests ------------------------------------------------------------------------------------------------------

/// Size of a manifest: 1,000,000 entries in 1 TB, with long paths. A reader keeps about 100 bytes an entry in memory.
pub const MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Header bytes that one manifest carries, of all its archives.
pub const MANIFEST_HEADER_BYTES_MAX: u64 = MANIFEST_BYTES_MAX;
/// Chunk of a root file with a digest of its own: one data frame of `DATA_FRAME_BYTES_MAX`.
pub const MANIFEST_CHUNK_BYTES: u32 = 1024 * 1024;
/// The same for games below [`MANIFEST_SMALL_GAME_BYTES`], so that a small game has more than a few chunks.
pub const MANIFEST_SMALL_CHUNK_BYTES: u32 = 256 * 1024;
/// See [`MANIFEST_SMALL_CHUNK_BYTES`].
pub const MANIFEST_SMALL_GAME_BYTES: u64 = 256 * 1024 * 1024;
/// An extracted file larger than this has a digest for each part of this size beside its own, so that a fault is found
/// before the whole file has arrived.
pub const MANIFEST_PART_BYTES: u64 = 64 * 1024 * 1024;
/// Ranges of headers of one game: the data of each entry separates two of them, and some entries have data of their own
/// for a service. A reader keeps 24 bytes of each.
pub const MANIFEST_HEADER_RANGES_MAX: u64 = 2_000_000;
/// Size of a packing list. Any peer may hand one on, and a receiver holds it in memory: a game of 500 GB in 100,000 files
/// has half of it.
pub const PACKING_LIST_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Size of the record of a packing list: the stamps of `ROOT_FILES_MAX` files, at about 250 bytes with a long name.
pub const PACKING_RECORD_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// What a source holds in memory of packing lists that its disk does not take, in bytes.
pub const PACKING_LISTS_IN_MEMORY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A packing list is made at this rate until one was made: of a disk of 200 MB/s.
pub const PACKING_RATE_ASSUMED: u64 = 200_000_000;
/// While transfers are running, a packing list that no peer waits for is made with this share of the time, one in so many.
pub const PACKING_SHARE_BESIDE_TRANSFERS: u32 = 4;
/// The longest such pause, after which a cancelled peer ends.
pub const PACKING_PAUSE_MAX: Duration = Duration::from_millis(500);
/// Manifests in the state directory, in bytes: those of a library of several TB. The oldest are removed.
pub const MANIFESTS_KEPT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Threads that read an installed tree to compare it with a manifest: one keeps up with most disks where the processor
/// has SHA instructions, four where it has none.
pub const VERIFY_THREADS_MAX: usize = 4;
/// Files, or parts of files, that wait for these threads: enough that none of them waits, whatever the sizes.
pub const VERIFY_JOBS_WAITING: usize = 64;

// ---- What is handed on ----------------------------------------------------------------------------------------------

/// What one answer carries of a file that is handed on: below `CONTROL_FRAME_BYTES_MAX`, and so large that a manifest of
/// 20 MB takes some 400 answers.
pub const PART_BYTES: usize = 48 * 1024;
/// Parts of a manifest that wait to be written.
pub const PARTS_AHEAD: usize = 8;
/// Between two parts of a file that is handed on. Longer than the source waits for a turn behind other guests.
pub const PART_DEADLINE: Duration = Duration::from_secs(10);
/// For a whole file that is handed on, with time for what has arrived at [`HANDED_ON_BYTES_PER_SECOND_MIN`]: a length that is
/// only claimed gives no time.
pub const HANDED_ON_DEADLINE: Duration = Duration::from_secs(20);
/// A peer that is asked for what another one may give too gets so long instead, as long as that one has not been asked.
/// Several trickling peers must not delay an operation by [`HANDED_ON_DEADLINE`] each; an honest one that waits behind other
/// guests is asked again.
pub const SILENT_PEER_PATIENCE: Duration = Duration::from_secs(3);
/// A source that hands a file on more slowly than this is left: 2 Mbit/s, a starved link.
pub const HANDED_ON_BYTES_PER_SECOND_MIN: u64 = 256 * 1024;
/// Wrong answers to one request for a manifest or a catalog, after which that peer is not asked for it again: one may be
/// a file that was replaced meanwhile.
pub const WRONG_ANSWERS_MAX: u32 = 2;
/// Peers that one operation asks for a manifest, so that many peers that have a wrong one cannot delay it for ever.
pub const MANIFEST_SOURCES_MAX: usize = 16;
