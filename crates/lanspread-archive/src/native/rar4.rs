//! RAR 1.5 to 4, read by the pure-Rust crate `rars`.
//!
//! `rars` is young, and by default it has no limits. So every call passes limits.

mod failure;
mod list;
mod reader;

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;
use std::sync::Arc;

use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::listing_guard::ListingGuard;
use crate::native::rar4::reader::VolumeReader;
use crate::native::reader::{OpenVolume, VolumeHeaders, open_volume, unreadable};
use crate::provider::{ArchiveListing, OpenArchive, SharedSink};
use crate::set::{ArchiveSet, Volume};

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
    open: &OpenVolume<'_>,
    cancel: &CancellationToken,
    dictionary_bytes_max: u64,
) -> Result<Rar4Archive, ArchiveError> {
    let mut volumes = Vec::with_capacity(archive.volumes());
    let mut lengths = Vec::with_capacity(archive.volumes());
    for number in 0..archive.volumes() {
        let (parsed, length) = parse(archive, number, open(number)?, cancel)?;
        volumes.push(parsed);
        lengths.push(length);
    }
    let list::Listed { listing, left_out } = list::list(archive, &volumes, &lengths, dictionary_bytes_max)?;
    Ok(Rar4Archive { set: archive.clone(), volumes, listing: Arc::new(listing), left_out })
}

/// The headers of one volume, and its length.
fn parse(
    archive: &ArchiveSet,
    number: usize,
    volume: Box<dyn Volume>,
    cancel: &CancellationToken,
) -> Result<(rars::Archive, u64), ArchiveError> {
    let options = rars::ArchiveReadOptions::new()
        .with_max_header_count(limits::ARCHIVE_HEADERS_MAX)
        .with_max_header_bytes(limits::ARCHIVE_HEADER_BYTES_MAX);
    let reader = VolumeReader::new(volume, cancel.clone());
    let reader = reader.map_err(|source| unreadable(archive, number, source))?;
    let length = reader.length();
    let parsed = rars::ArchiveReader::read_reader_with_options(reader, options);
    Ok((parsed.map_err(|error| failure::of(archive, &error))?, length))
}

/// The signature and the headers of one volume.
pub(super) fn headers_of_volume(
    archive: &ArchiveSet,
    number: usize,
    bytes_max: u64,
    cancel: &CancellationToken,
) -> Result<VolumeHeaders, ArchiveError> {
    let (parsed, _) = parse(archive, number, open_volume(archive, number)?, cancel)?;
    let places = list::places(archive, &parsed)?;
    let bytes: u64 = places.iter().map(|(_, length)| u64::from(*length)).sum();
    if bytes > bytes_max {
        let (archive, limit) = (archive.name().to_owned(), bytes_max);
        return Err(ArchiveError::Limit { archive, what: "header bytes", limit, got: bytes });
    }
    let failed = |source| unreadable(archive, number, source);
    let mut volume = VolumeReader::new(open_volume(archive, number)?, cancel.clone()).map_err(failed)?;
    let read = places.into_iter().map(|(offset, length)| {
        let mut header = vec![0; usize::from(length)];
        volume.seek(SeekFrom::Start(offset))?;
        volume.read_exact(&mut header)?;
        Ok((offset, header))
    });
    read.collect::<io::Result<_>>().map_err(failed)
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
