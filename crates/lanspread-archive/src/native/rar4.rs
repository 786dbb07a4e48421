//! RAR 1.5 to 4, read by the pure-Rust crate `rars`.
//!
//! `rars` is young, and by default it has no limits. So every call passes limits.

mod failure;
mod list;
mod reader;

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;

use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::listing_guard::ListingGuard;
use crate::native::rar4::reader::VolumeReader;
use crate::native::reader::{open_volume, unreadable};
use crate::provider::{ArchiveListing, OpenArchive, SharedSink};
use crate::set::ArchiveSet;

/// An archive whose headers are parsed and whose volumes are open.
pub(super) struct Rar4Archive {
    set: ArchiveSet,
    volumes: Vec<rars::Archive>,
    listing: Arc<ArchiveListing>,
    left_out: HashSet<Vec<u8>>,
}

/// Opens and lists an archive.
pub(super) fn open(
    archive: &ArchiveSet,
    cancel: &CancellationToken,
    dictionary_bytes_max: u64,
) -> Result<Rar4Archive, ArchiveError> {
    let options = rars::ArchiveReadOptions::new()
        .with_max_header_count(limits::ARCHIVE_HEADERS_MAX)
        .with_max_header_bytes(limits::ARCHIVE_HEADER_BYTES_MAX);
    let mut volumes = Vec::with_capacity(archive.volumes());
    let mut lengths = Vec::with_capacity(archive.volumes());
    for number in 0..archive.volumes() {
        let volume = open_volume(archive, number)?;
        let reader = VolumeReader::new(volume, cancel.clone())
            .map_err(|source| unreadable(archive, number, source))?;
        lengths.push(reader.length());
        let parsed = rars::ArchiveReader::read_reader_with_options(reader, options);
        volumes.push(parsed.map_err(|error| failure::of(archive, &error))?);
    }
    let list::Listed { listing, left_out } = list::list(archive, &volumes, &lengths, dictionary_bytes_max)?;
    Ok(Rar4Archive { set: archive.clone(), volumes, listing: Arc::new(listing), left_out })
}

impl OpenArchive for Rar4Archive {
    fn listing(&self) -> &Arc<ArchiveListing> {
        &self.listing
    }

    fn extract(self: Box<Self>, sink: SharedSink, cancel: &CancellationToken) -> Result<(), ArchiveError> {
        let Self { set: archive, volumes, listing, left_out } = *self;
        let guard = ListingGuard::begin(listing, sink)?;
        let shared = Rc::new(RefCell::new(Decoding { guard, failure: None, cancel: cancel.clone() }));
        let decoded = decode(&volumes, &shared, &left_out);
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
        decoded.map_err(|error| failure::of(&archive, &error))?;
        decoding.guard.finish()
    }
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
    left_out: &HashSet<Vec<u8>>,
) -> Result<(), rars::Error> {
    // This limit also makes decoding strictly sequential.
    let options = rars::ArchiveReadOptions::new().with_max_total_output_bytes(limits::GAME_BYTES_MAX);
    let open = |meta: &rars::ExtractedEntryMeta| -> rars::Result<Box<dyn Write>> {
        if meta.is_directory {
            return Ok(Box::new(io::empty()));
        }
        let is_expected = shared.borrow().expects(&meta.name);
        Ok(if is_expected {
            Box::new(EntryWriter(Rc::clone(shared)))
        } else if left_out.contains(&meta.name) {
            Box::new(io::sink())
        } else {
            Box::new(EmptyFileWriter)
        })
    };
    // The listing has already refused symbolic links.
    let link = |_: &rars::ExtractedEntryMeta, _: rars::ExtractedLink<'_>| Ok(());
    match volumes {
        [archive] => archive.extract_with_links(options, open, link),
        _ => rars::extract_volumes_with_links(volumes, options, open, link),
    }
}

impl Decoding {
    /// Whether the entry that the decoder is about to write is the next one listed with content.
    fn expects(&self, stored_name: &[u8]) -> bool {
        self.guard.expects(&list::name_of(stored_name))
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
