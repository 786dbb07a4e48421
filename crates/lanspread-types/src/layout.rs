//! Names on disk: what belongs to whom below the games directory.
//!
//! ```text
//! <games-dir>/<game id>/              game root
//!     *.eti                           root archives; with version.ini: downloaded
//!     version.ini                     sentinel, written last
//!     local/                          the installed tree; belongs to the user
//!     .local.installing/              staging; ours
//!     .local.backup/                  the previous local/ during an update; ours
//!     .downloading/                   root files that are not whole yet; ours
//! <games-dir>/.lanspread/             locks, intents, receipts, download records, bookings; ours
//! ```

/// First line of this file, trimmed, is the version; its presence means *downloaded*.
pub const SENTINEL_FILE: &str = "version.ini";
/// The installed tree.
pub const LOCAL_DIR: &str = "local";
/// Where an attempt writes; thrown away on failure.
pub const STAGING_DIR: &str = ".local.installing";
/// The previous installed tree while an update is promoted.
pub const BACKUP_DIR: &str = ".local.backup";
/// Where root files arrive; kept when a download fails, so that the next one goes on there.
pub const DOWNLOADING_DIR: &str = ".downloading";
/// State of the games directory, on the same file system so that renames are atomic.
pub const STATE_DIR: &str = ".lanspread";
/// Advisory locks, one file per game, below [`STATE_DIR`].
pub const LOCKS_DIR: &str = "locks";
/// Intents, one file per game, below [`STATE_DIR`].
pub const INTENTS_DIR: &str = "intents";
/// Receipts, one file per game, below [`STATE_DIR`].
pub const RECEIPTS_DIR: &str = "receipts";
/// Download records, one file per game, below [`STATE_DIR`].
pub const DOWNLOADS_DIR: &str = "downloads";
/// Space that running operations have booked, one file per game, below [`STATE_DIR`].
pub const BOOKINGS_DIR: &str = "bookings";
/// Extension of a root archive, without the dot; compared without regard to ASCII case.
pub const ARCHIVE_EXTENSION: &str = "eti";
/// Which daemon owns the games directory, below [`STATE_DIR`]; and which one uses a peer's state directory.
pub const DAEMON_FILE: &str = "daemon.json";
/// The control socket of a daemon, in the peer's state directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// Whether a file name is that of a root archive or volume.
pub fn is_archive_name(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty() && extension.eq_ignore_ascii_case(ARCHIVE_EXTENSION)
    })
}
