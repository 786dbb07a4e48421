//! Names on disk, and which files in a games directory belong to lanspread (“ours”) or to the user.
//!
//! ```text
//! <games-dir>/<game id>/              game root
//!     *.eti                           root archives; with version.ini: downloaded
//!     version.ini                     sentinel, written last
//!     local/                          the installed tree; belongs to the user
//!     .local.installing/              staging; ours
//!     .local.backup/                  the old local/ during an update or uninstall; ours
//!     .downloading/                   root files that are not complete yet; ours
//! <games-dir>/.lanspread.remove.<id>  an intent on a full disk; also .lanspread.uninstall.<id>; ours
//! <games-dir>/.lanspread/             locks, intents, receipts, download records, bookings, packing lists,
//!                                     wanted operations; ours
//! ```

/// The sentinel. Its presence means *downloaded*; its first line, trimmed, is the version.
pub const SENTINEL_FILE: &str = "version.ini";
/// The installed tree.
pub const LOCAL_DIR: &str = "local";
/// Where an install writes; removed if it fails.
pub const STAGING_DIR: &str = ".local.installing";
/// The old installed tree while an update or uninstall is finished.
pub const BACKUP_DIR: &str = ".local.backup";
/// Where root files arrive; kept if a download fails, so that the next one can resume.
pub const DOWNLOADING_DIR: &str = ".downloading";
/// Our state in a games directory.
pub const STATE_DIR: &str = ".lanspread";
/// Advisory locks, one file per game, below [`STATE_DIR`].
pub const LOCKS_DIR: &str = "locks";
/// Intents, one file per game, below [`STATE_DIR`].
pub const INTENTS_DIR: &str = "intents";
/// An empty file in the games directory whose name is the intent of an operation that frees space: on a full disk no
/// other one can be written. This, the operation, a dot and the game id are its name.
pub const MARK_PREFIX: &str = ".lanspread.";
/// Receipts, one file per game, below [`STATE_DIR`].
pub const RECEIPTS_DIR: &str = "receipts";
/// Download records, one file per game, below [`STATE_DIR`].
pub const DOWNLOADS_DIR: &str = "downloads";
/// Disk space that running operations have booked, one file per game, below [`STATE_DIR`].
pub const BOOKINGS_DIR: &str = "bookings";
/// The packing lists of games that are served, below [`STATE_DIR`]; a cache.
pub const PACKING_DIR: &str = "packing";
/// Operations that a daemon was asked for and has not ended, one file each, below [`STATE_DIR`].
pub const WANTED_DIR: &str = "wanted";
/// The manifest of a game beside its files, on an HTTP server.
pub const MANIFEST_NAME: &str = "manifest.lsm";
/// Extension of a root archive, without the dot; ASCII case is ignored.
pub const ARCHIVE_EXTENSION: &str = "eti";
/// Names the daemon that owns a games directory, below [`STATE_DIR`], and the one that uses a peer's state directory.
pub const DAEMON_FILE: &str = "daemon.json";
/// The control socket of a daemon, in the peer's state directory.
pub const CONTROL_SOCKET: &str = "control.sock";
/// The socket of a daemon on which it can only be asked, in the folder of sockets that a group may open.
pub const ASKING_SOCKET: &str = "ask.sock";

/// The running daemons of one user, one locked file each, in the user's own state directory.
pub const DAEMONS_DIR: &str = "daemons";

/// Whether this is the file name of a root archive or volume.
pub fn is_archive_name(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty() && extension.eq_ignore_ascii_case(ARCHIVE_EXTENSION)
    })
}
