//! Opens and lists all archives of one game, within the limits of a game.

use std::sync::Arc;

use lanspread_types::content::Totals;
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::names;
use crate::provider::{ArchiveListing, ArchiveProvider, OpenArchive, SharedSink, WantedEntries};
use crate::set::ArchiveSet;

/// An archive that is listed. It stays open unless too many volumes are open already.
pub struct ListedArchive {
    set: ArchiveSet,
    listing: Arc<ArchiveListing>,
    /// `None` if too many volumes were open already; the archive is then opened again to be decoded.
    open: Option<Box<dyn OpenArchive>>,
}

/// Opens and lists all archives of a game and sums them up. Each one is opened only once, unless together they have
/// more than [`limits::VOLUMES_KEPT_OPEN`] volumes.
///
/// # Errors
/// As [`ArchiveProvider::open`]; also [`ArchiveError::Limit`] if the sums exceed the limits of a game, and
/// [`ArchiveError::Clash`] if two archives hold the same file.
pub fn list(
    provider: &dyn ArchiveProvider,
    archives: &[ArchiveSet],
    cancel: &CancellationToken,
) -> Result<(Vec<ListedArchive>, Totals), ArchiveError> {
    let mut totals = Totals::default();
    let mut volumes_open = 0;
    let mut listed = Vec::with_capacity(archives.len());
    for set in archives {
        let open = provider.open(set, cancel)?;
        let listing = Arc::clone(open.listing());
        totals = totals
            .checked_add(listing.summary.totals)
            .filter(|totals| {
                totals.entries() <= limits::ENTRIES_MAX && totals.bytes <= limits::GAME_BYTES_MAX
            })
            .ok_or_else(|| ArchiveError::Limit {
                archive: set.name().to_owned(),
                what: "entries, with the archives before it",
                limit: limits::ENTRIES_MAX,
                got: totals.entries().saturating_add(listing.summary.totals.entries()),
            })?;
        let stays_open = volumes_open + set.volumes() <= limits::VOLUMES_KEPT_OPEN;
        volumes_open += if stays_open { set.volumes() } else { 0 };
        listed.push(ListedArchive { set: set.clone(), listing, open: stays_open.then_some(open) });
    }
    if let [_, _, ..] = listed[..] {
        // Before a byte is decoded: a receiver would find it only in the middle of the second archive.
        names::check(&listings(&listed), NamePolicy::Native)?;
    }
    Ok((listed, totals))
}

/// The listings of archives, in their order.
pub fn listings(archives: &[ListedArchive]) -> Vec<&ArchiveListing> {
    archives.iter().map(ListedArchive::listing).collect()
}

/// The largest dictionary that one of the archives needs, in bytes. They are decoded one after the other.
pub fn dictionary_bytes(archives: &[ListedArchive]) -> u64 {
    archives.iter().map(|archive| archive.listing.dictionary_bytes).max().unwrap_or(0)
}

impl ListedArchive {
    /// Everything in it.
    pub fn listing(&self) -> &ArchiveListing {
        &self.listing
    }

    /// Decodes the archive and pushes its entries into `sink`.
    ///
    /// # Errors
    /// As [`OpenArchive::extract`]. If the archive has to be opened again, also as [`ArchiveProvider::open`], and
    /// [`ArchiveError::Corrupt`] if it is no longer the listed one.
    pub fn extract(
        self,
        provider: &dyn ArchiveProvider,
        sink: SharedSink,
        cancel: &CancellationToken,
    ) -> Result<(), ArchiveError> {
        self.opened(provider, cancel)?.extract(sink, cancel)
    }

    /// Decodes the archive and pushes only the entries that are `wanted` into `sink`.
    ///
    /// # Errors
    /// As [`Self::extract`].
    pub fn extract_some(
        self,
        provider: &dyn ArchiveProvider,
        wanted: &WantedEntries,
        sink: SharedSink,
        cancel: &CancellationToken,
    ) -> Result<(), ArchiveError> {
        self.opened(provider, cancel)?.extract_some(wanted, sink, cancel)
    }

    fn opened(
        self,
        provider: &dyn ArchiveProvider,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        let open = match self.open {
            Some(open) => open,
            None => provider.open(&self.set, cancel)?,
        };
        if *open.listing() != self.listing {
            return Err(ArchiveError::changed(self.set.name()));
        }
        Ok(open)
    }
}
