//! The `native` provider: decoders in this process, one for each generation of the format.
//!
//! RAR 5 and 7 are read by our own `lanspread-rar`, RAR 1.5 to 4 by the crate `rars`. An archive's signature decides. None
//! of the decoders' types leave this folder, and the listing guard holds what both yield to the listing.

mod rar4;
mod rar5;
mod reader;
mod threads;

use std::sync::Arc;

use lanspread_types::content::DataRange;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::native::reader::{OpenVolume, VolumeHeaders, open_volume};
pub(super) use crate::native::threads::DecoderThreads;
use crate::provider::{ArchiveListing, ArchiveProvider, OpenArchive, WantedEntries};
use crate::set::ArchiveSet;

/// Decodes in this process.
pub(super) struct NativeProvider {
    dictionary_bytes_max: u64,
    threads: Arc<DecoderThreads>,
}

impl NativeProvider {
    pub(super) fn new(dictionary_bytes_max: u64) -> Self {
        Self { dictionary_bytes_max, threads: DecoderThreads::of_this_machine() }
    }
}

impl ArchiveProvider for NativeProvider {
    fn open(
        &self,
        archive: &ArchiveSet,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        let open_volume = |number| open_volume(archive, number);
        open(archive, &open_volume, cancel, self.dictionary_bytes_max, &self.threads)
    }
}

/// Opens and lists the archive whose volumes `open_volume` opens. `archive` has their names, and its files are left alone.
///
/// The volumes are read twice. While the archive is listed, anything but the signature and the headers may be zeros, if
/// one read gives either of them and not both. Later on, all of them are read forward.
pub(super) fn open(
    archive: &ArchiveSet,
    open_volume: &OpenVolume<'_>,
    cancel: &CancellationToken,
    dictionary_bytes_max: u64,
    threads: &Arc<DecoderThreads>,
) -> Result<Box<dyn OpenArchive>, ArchiveError> {
    let opened = match rar5::open(archive, open_volume, cancel, dictionary_bytes_max, threads) {
        Ok(Some(rar5)) => Ok(Box::new(rar5) as Box<dyn OpenArchive>),
        Ok(None) => rar4::open(archive, open_volume, cancel, dictionary_bytes_max)
            .map(|rar4| Box::new(rar4) as Box<dyn OpenArchive>),
        Err(error) => Err(error),
    };
    // A cancelled reader fails, and the decoders take that for a fault of the disk.
    if cancel.is_cancelled() { Err(ArchiveError::Cancelled) } else { opened }
}

/// Lists the archive whose volumes `open` opens. `archive` has their names, and its files are left alone.
pub(super) fn list(
    archive: &ArchiveSet,
    open: &OpenVolume<'_>,
    cancel: &CancellationToken,
    dictionary_bytes_max: u64,
) -> Result<Arc<ArchiveListing>, ArchiveError> {
    match rar5::list(archive, open, cancel, dictionary_bytes_max)? {
        Some(listed) => Ok(listed.listing),
        None => Ok(Arc::clone(rar4::open(archive, open, cancel, dictionary_bytes_max)?.listing())),
    }
}

/// Where the data is that is read to decode the entries that are wanted; `None` if the format does not say it.
pub(super) fn places(
    archive: &ArchiveSet,
    open: &OpenVolume<'_>,
    wanted: &WantedEntries,
    dictionary_bytes_max: u64,
    cancel: &CancellationToken,
) -> Result<Option<Vec<DataRange>>, ArchiveError> {
    rar5::places(archive, open, wanted, dictionary_bytes_max, cancel)
}

/// The signature and the headers of one volume, each with its offset, of at most so many bytes.
pub(super) fn headers_of_volume(
    archive: &ArchiveSet,
    number: usize,
    bytes_max: u64,
    cancel: &CancellationToken,
) -> Result<VolumeHeaders, ArchiveError> {
    let headers = match rar5::headers_of_volume(archive, number, bytes_max, cancel) {
        Ok(None) => rar4::headers_of_volume(archive, number, bytes_max, cancel),
        Ok(Some(headers)) => Ok(headers),
        Err(error) => Err(error),
    };
    if cancel.is_cancelled() { Err(ArchiveError::Cancelled) } else { headers }
}

#[cfg(test)]
mod tests;
