//! Does it fit? Needed space against free space on the games directory's file system.

use super::games_dir::GamesDir;
use crate::archive::provider::Totals;
use crate::fault::LocalError;
use crate::limits::{SPACE_MARGIN_BYTES, SPACE_PER_ENTRY_BYTES};

/// Bytes an install of these totals takes, with room for names and a margin. Pure.
pub(crate) fn needed_bytes(totals: Totals) -> u64 {
    totals
        .bytes
        .saturating_add(totals.entries().saturating_mul(SPACE_PER_ENTRY_BYTES))
        .saturating_add(SPACE_MARGIN_BYTES)
}

/// Bytes an ordinary user may still write beneath the games directory.
pub(crate) fn free_bytes(games: &GamesDir) -> Result<u64, LocalError> {
    let stat = rustix::fs::fstatvfs(games.dir())
        .map_err(|error| LocalError::io("read the free space of", games.path())(error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Refuses, with both numbers, what does not fit.
pub(crate) fn check(games: &GamesDir, totals: Totals) -> Result<(), LocalError> {
    let (needed_bytes, free_bytes) = (needed_bytes(totals), free_bytes(games)?);
    if needed_bytes > free_bytes {
        return Err(LocalError::NotEnoughSpace { path: games.path().to_owned(), needed_bytes, free_bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_count_with_their_blocks_and_sums_never_wrap() {
        let totals = Totals { files: 10, directories: 2, bytes: 100 };
        assert_eq!(needed_bytes(totals), 100 + 12 * SPACE_PER_ENTRY_BYTES + SPACE_MARGIN_BYTES);
        let absurd = Totals { files: u64::MAX, directories: u64::MAX, bytes: u64::MAX };
        assert_eq!(needed_bytes(absurd), u64::MAX);
    }

    #[test]
    fn what_can_never_fit_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let games = GamesDir::open(folder.path()).unwrap();
        assert!(check(&games, Totals::default()).is_ok());
        let error = check(&games, Totals { bytes: 1 << 60, ..Totals::default() }).unwrap_err();
        match error {
            LocalError::NotEnoughSpace { needed_bytes, free_bytes, .. } => assert!(needed_bytes > free_bytes),
            LocalError::Io { .. } => panic!("{error}"),
        }
    }
}
