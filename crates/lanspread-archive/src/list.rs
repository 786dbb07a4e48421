//! Lists all archives of one game, within the limits of a game.

use std::sync::Arc;

use lanspread_types::content::Totals;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::provider::{ArchiveListing, ArchiveProvider};
use crate::set::ArchiveSet;

/// Lists all archives of a game and sums them up.
pub fn list(
    provider: &dyn ArchiveProvider,
    archives: &[ArchiveSet],
    cancel: &CancellationToken,
) -> Result<(Vec<Arc<ArchiveListing>>, Totals), ArchiveError> {
    let mut totals = Totals::default();
    let mut listings = Vec::with_capacity(archives.len());
    for archive in archives {
        let listing = provider.inspect(archive, cancel)?;
        totals = totals
            .checked_add(listing.summary.totals)
            .filter(|totals| {
                totals.entries() <= limits::ENTRIES_MAX && totals.bytes <= limits::GAME_BYTES_MAX
            })
            .ok_or_else(|| ArchiveError::Limit {
                archive: archive.name().to_owned(),
                what: "entries, with the archives before it",
                limit: limits::ENTRIES_MAX,
                got: totals.entries().saturating_add(listing.summary.totals.entries()),
            })?;
        listings.push(Arc::new(listing));
    }
    Ok((listings, totals))
}
