//! Names on disk: what belongs to whom below the games directory.
//!
//! ```text
//! <games-dir>/<game id>/              game root
//!     *.eti                           root archives; with version.ini: downloaded
//!     version.ini                     sentinel, written last
//!     local/                          the installed tree; belongs to the user
//!     .local.installing/              staging; ours
//!     .local.backup/                  the previous local/ during an update; ours
//! <games-dir>/.lanspread/             locks, intents, receipts; ours
//! ```

/// First line of this file, trimmed, is the version; its presence means *downloaded*.
pub const SENTINEL_FILE: &str = "version.ini";
/// The installed tree.
pub const LOCAL_DIR: &str = "local";
/// Where an attempt writes; thrown away on failure.
pub const STAGING_DIR: &str = ".local.installing";
/// The previous installed tree while an update is promoted.
pub const BACKUP_DIR: &str = ".local.backup";
/// State of the games directory, on the same file system so that renames are atomic.
pub const STATE_DIR: &str = ".lanspread";
/// Advisory locks, one file per game, below [`STATE_DIR`].
pub const LOCKS_DIR: &str = "locks";
/// Intents, one file per game, below [`STATE_DIR`].
pub const INTENTS_DIR: &str = "intents";
/// Receipts, one file per game, below [`STATE_DIR`].
pub const RECEIPTS_DIR: &str = "receipts";
/// Extension of a root archive, without the dot; compared without regard to ASCII case.
pub const ARCHIVE_EXTENSION: &str = "eti";
