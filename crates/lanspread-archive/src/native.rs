//! The `native` provider: the pure-Rust `rars` crate, in process.
//!
//! `rars` is young, and by default it has no limits. So every call passes limits, the listing guard holds what `rars`
//! yields to the listing, and none of its types leave this folder.

mod list;
mod reader;
mod tail_blocks;
mod translate;

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;

use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::listing_guard::ListingGuard;
use crate::native::reader::VolumeReader;
use crate::provider::{ArchiveListing, ArchiveProvider, OpenArchive, SharedSink};
use crate::set::ArchiveSet;

/// Decodes with `rars`.
pub(super) struct NativeProvider;

impl ArchiveProvider for NativeProvider {
    fn open(
        &self,
        archive: &ArchiveSet,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        let volumes = open(archive, cancel)?;
        let listing = Arc::new(list::list(archive, &volumes)?);
        Ok(Box::new(NativeArchive { set: archive.clone(), volumes, listing }))
    }
}

/// An archive whose headers are parsed and whose volumes are open.
struct NativeArchive {
    set: ArchiveSet,
    volumes: Vec<rars::Archive>,
    listing: Arc<ArchiveListing>,
}

impl OpenArchive for NativeArchive {
    fn listing(&self) -> &Arc<ArchiveListing> {
        &self.listing
    }

    fn extract(self: Box<Self>, sink: SharedSink, cancel: &CancellationToken) -> Result<(), ArchiveError> {
        let Self { set: archive, mut volumes, listing } = *self;
        if listing.summary.solid {
            separate_tail_blocks(&archive, &mut volumes, cancel)?;
        }
        let guard = ListingGuard::begin(Arc::clone(&listing), sink)?;
        let shared = Rc::new(RefCell::new(Decoding { guard, failure: None, cancel: cancel.clone() }));
        let decoded = decode(&volumes, &shared, &listing);
        // The decoder has returned and dropped its writers, so this is the last handle.
        let Some(decoding) = Rc::into_inner(shared).map(RefCell::into_inner) else {
            return Err(ArchiveError::corrupt(archive.name(), "the decoder kept a writer"));
        };
        if cancel.is_cancelled() {
            return Err(ArchiveError::Cancelled);
        }
        if let Some(failure) = decoding.failure {
            return Err(failure);
        }
        decoded.map_err(|error| translate::error(&archive, &error))?;
        decoding.guard.finish()
    }
}

/// Opens and parses every volume, headers only.
fn open(archive: &ArchiveSet, cancel: &CancellationToken) -> Result<Vec<rars::Archive>, ArchiveError> {
    let options = rars::ArchiveReadOptions::new()
        .with_max_header_count(limits::ARCHIVE_HEADERS_MAX)
        .with_max_header_bytes(limits::ARCHIVE_HEADER_BYTES_MAX);
    let mut volumes = Vec::new();
    for volume in 0..archive.volumes() {
        let reader = open_volume(archive, volume, cancel)?;
        let volume = rars::ArchiveReader::read_reader_with_options(reader, options).map_err(|error| {
            if cancel.is_cancelled() { ArchiveError::Cancelled } else { translate::error(archive, &error) }
        })?;
        volumes.push(volume);
    }
    Ok(volumes)
}

fn separate_tail_blocks(
    archive: &ArchiveSet,
    volumes: &mut [rars::Archive],
    cancel: &CancellationToken,
) -> Result<(), ArchiveError> {
    for (number, volume) in volumes.iter_mut().enumerate() {
        let rars::Archive::Rar50Plus(volume) = volume else { continue };
        let mut reader = open_volume(archive, number, cancel)?;
        tail_blocks::separate(volume, &mut reader).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::corrupt(archive.name(), "it ends too early"),
            _ => ArchiveError::Read { path: archive.path(number), source },
        })?;
    }
    Ok(())
}

fn open_volume(
    archive: &ArchiveSet,
    volume: usize,
    cancel: &CancellationToken,
) -> Result<VolumeReader, ArchiveError> {
    archive
        .open(volume)
        .and_then(|file| VolumeReader::new(file, cancel.clone()))
        .map_err(|source| ArchiveError::Read { path: archive.path(volume), source })
}

/// What the decoder's writers share.
struct Decoding {
    guard: ListingGuard,
    /// Why a writer refused: the decoder only reports an I/O error.
    failure: Option<ArchiveError>,
    cancel: CancellationToken,
}

fn decode(
    volumes: &[rars::Archive],
    shared: &Rc<RefCell<Decoding>>,
    listing: &ArchiveListing,
) -> Result<(), rars::Error> {
    let options = rars::ArchiveReadOptions::new()
        .with_rar50_buffered_decode_limit(limits::BUFFERED_MEMBER_BYTES_MAX)
        .with_rar50_dictionary_size_limit(limits::DICTIONARY_BYTES_MAX)
        // No limit on the decoder's whole workspace: with one, it moves its dictionary for every small file and takes
        // twice the time. An archive can only claim a dictionary, and that is bounded.
        // The next limit also makes decoding strictly sequential.
        .with_max_total_output_bytes(listing.summary.totals.bytes);
    let open = |meta: &rars::ExtractedEntryMeta| -> rars::Result<Box<dyn Write>> {
        if meta.is_directory {
            return Ok(Box::new(io::empty()));
        }
        let is_expected = shared.borrow().expects(&meta.name);
        if is_expected { Ok(Box::new(EntryWriter(Rc::clone(shared)))) } else { Ok(Box::new(EmptyFileWriter)) }
    };
    // Copies are entries of the listing, which has already refused symbolic links.
    let link = |_: &rars::ExtractedEntryMeta, _: rars::ExtractedLink<'_>| Ok(());
    match volumes {
        [archive] => archive.extract_with_links(options, open, link),
        _ => rars::extract_volumes_with_links(volumes, options, open, link),
    }
}

impl Decoding {
    /// Whether the entry that the decoder is about to write is the next one listed with content.
    fn expects(&self, stored_name: &[u8]) -> bool {
        let Some((file, 0)) = self.guard.expected() else { return false };
        let path = file.path.as_str().as_bytes();
        // RAR 4 separates with `\`, which the listing has translated.
        path.len() == stored_name.len()
            && path
                .iter()
                .zip(stored_name)
                .all(|(one, other)| one == other || (*one == b'/' && *other == b'\\'))
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        if self.cancel.is_cancelled() {
            return Err(ArchiveError::Cancelled);
        }
        self.guard.push(bytes)
    }
}

/// Passes a file's bytes to the listing guard.
struct EntryWriter(Rc<RefCell<Decoding>>);

impl Write for EntryWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut decoding = self.0.borrow_mut();
        match decoding.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                decoding.failure = Some(error);
                Err(io::Error::other("refused by the sink"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The writer of an entry that is listed without content: the decoder may open it but not write.
struct EmptyFileWriter;

impl Write for EmptyFileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            Ok(0)
        } else {
            Err(io::Error::other("content for an entry that was listed as empty"))
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
