//! RAR 5 and 7, read by `lanspread-rar`.
//!
//! The headers of all volumes make the listing; nothing is decoded for it. The volumes stay open, so what was listed is
//! decoded even if another file takes the name in the meantime. The decoder's pieces go to the sink as they are: they
//! are borrowed from its window, and the sink makes the only copy.

mod failure;
mod list;
mod places;

use std::io::{self, SeekFrom};
use std::sync::Arc;

use lanspread_rar::{ArchiveDecoder, FileHeader, Headers, Limits, Member, VolumeReader};
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::listing_guard::ListingGuard;
pub(super) use crate::native::rar5::places::places;
use crate::native::reader::{Cancellable, OpenVolume, VolumeHeaders, open_volume};
use crate::native::threads::DecoderThreads;
use crate::provider::{ArchiveListing, ListedEntry, OpenArchive, SharedSink, WantedEntries};
use crate::set::{ArchiveSet, Volume};

/// An archive whose headers were read and whose volumes are open.
pub(super) struct Rar5Archive {
    set: ArchiveSet,
    volumes: Vec<Box<dyn Volume>>,
    listing: Arc<ArchiveListing>,
    limits: Limits,
    threads: Arc<DecoderThreads>,
}

/// Opens and lists an archive; `None` if it is one of RAR 4 or older.
pub(super) fn open(
    archive: &ArchiveSet,
    open: &OpenVolume<'_>,
    cancel: &CancellationToken,
    dictionary_bytes_max: u64,
    threads: &Arc<DecoderThreads>,
) -> Result<Option<Rar5Archive>, ArchiveError> {
    let Some(Listed { volumes, listing }) = list(archive, open, cancel, dictionary_bytes_max)? else {
        return Ok(None);
    };
    let (set, limits, threads) =
        (archive.clone(), limits_of_volume(dictionary_bytes_max), Arc::clone(threads));
    Ok(Some(Rar5Archive { set, volumes, listing, limits, threads }))
}

/// The open volumes of an archive, and its listing.
pub(super) struct Listed {
    volumes: Vec<Box<dyn Volume>>,
    pub(super) listing: Arc<ArchiveListing>,
}

/// Lists an archive; `None` if it is one of RAR 4 or older.
pub(super) fn list(
    archive: &ArchiveSet,
    open: &OpenVolume<'_>,
    cancel: &CancellationToken,
    dictionary_bytes_max: u64,
) -> Result<Option<Listed>, ArchiveError> {
    let limits = limits_of_volume(dictionary_bytes_max);
    let mut list = list::List::new(archive, cancel, &limits);
    let mut volumes = Vec::with_capacity(archive.volumes());
    for number in 0..archive.volumes() {
        let mut volume = open(number)?;
        if !list.volume(number, &mut *volume)? {
            return Ok(None);
        }
        volumes.push(volume);
    }
    Ok(Some(Listed { volumes, listing: Arc::new(list.finish()?) }))
}

/// The signature and the headers of one volume; `None` if it is one of RAR 4 or older.
pub(super) fn headers_of_volume(
    archive: &ArchiveSet,
    number: usize,
    bytes_max: u64,
    cancel: &CancellationToken,
) -> Result<Option<VolumeHeaders>, ArchiveError> {
    let failed = |error| failure::of(archive, error);
    let volume = open_volume(archive, number)?;
    // Nothing is decoded.
    let mut limits = limits_of_volume(0);
    limits.header_bytes = limits.header_bytes.min(bytes_max);
    let mut headers = match Headers::seek(Cancellable::new(volume, cancel), limits) {
        Err(lanspread_rar::Error::Rar4) => return Ok(None),
        opened => opened.map_err(failed)?.with_map(),
    };
    for header in headers.by_ref() {
        header.map_err(failed)?;
    }
    Ok(Some(headers.into_header_map()))
}

fn limits_of_volume(dictionary_bytes_max: u64) -> Limits {
    let mut limits = Limits::default();
    limits.dictionary_bytes = dictionary_bytes_max;
    limits.member_bytes = limits::GAME_BYTES_MAX;
    limits.headers = limits::ARCHIVE_HEADERS_MAX;
    limits.header_bytes = limits::ARCHIVE_HEADER_BYTES_MAX;
    limits
}

/// The listing counts headers in each volume, the decoder in all of them together.
fn limits_of_volumes(mut limits: Limits, volumes: usize) -> Limits {
    limits.volumes = volumes as u64;
    limits.headers = limits.headers.saturating_mul(limits.volumes);
    limits.header_bytes = limits.header_bytes.saturating_mul(limits.volumes);
    limits
}

impl OpenArchive for Rar5Archive {
    fn listing(&self) -> &Arc<ArchiveListing> {
        &self.listing
    }

    fn extract(self: Box<Self>, sink: SharedSink, cancel: &CancellationToken) -> Result<(), ArchiveError> {
        let Self { set, volumes, listing, limits, threads } = *self;
        let limits = limits_of_volumes(limits, volumes.len());
        let running = threads.begin();
        let mut guard = ListingGuard::begin(listing, sink)?;
        let decoded = ArchiveDecoder::with_volumes(one_by_one(volumes, cancel), limits, running.threads)
            .map_err(|error| failure::of(&set, error))
            // Dropping the decoder at the end of this call waits for its threads.
            .and_then(|mut decoder| decode(&set, &mut decoder, &mut guard, cancel));
        if cancel.is_cancelled() {
            return Err(ArchiveError::Cancelled);
        }
        decoded?;
        guard.finish()
    }

    /// Of an archive that is not solid, only the data of the entries that are wanted is decoded.
    fn extract_some(
        self: Box<Self>,
        wanted: &WantedEntries,
        sink: SharedSink,
        cancel: &CancellationToken,
    ) -> Result<(), ArchiveError> {
        let Self { set, volumes, listing, limits, threads } = *self;
        let limits = limits_of_volumes(limits, volumes.len());
        let running = threads.begin();
        let mut guard = ListingGuard::begin(Arc::new(chosen(&listing, wanted)), sink)?;
        let wanted = Arc::clone(wanted);
        let keeps = move |header: &FileHeader| {
            let path = EntryPath::parse(list::name_of(header), NamePolicy::Native);
            !list::is_left_out(header) && path.is_ok_and(|path| wanted(&path))
        };
        let decoded = ArchiveDecoder::of_members(one_by_one(volumes, cancel), limits, running.threads, keeps)
            .map_err(|error| failure::of(&set, error))
            .and_then(|mut decoder| decode_some(&set, &mut decoder, &mut guard, cancel));
        if cancel.is_cancelled() {
            return Err(ArchiveError::Cancelled);
        }
        decoded?;
        guard.finish()
    }
}

/// The listing with only the entries that are wanted.
fn chosen(listing: &ArchiveListing, wanted: &WantedEntries) -> ArchiveListing {
    let path = |entry: &ListedEntry| match entry {
        ListedEntry::Directory(directory) => wanted(&directory.path),
        ListedEntry::File(file) => wanted(&file.path),
        ListedEntry::Copy(copy) => wanted(&copy.path),
    };
    ArchiveListing {
        entries: listing.entries.iter().filter(|entry| path(entry)).cloned().collect(),
        ..listing.clone()
    }
}

/// Decodes up to the last entry that the guard expects. What it does not expect is left out.
fn decode_some(
    set: &ArchiveSet,
    decoder: &mut ArchiveDecoder,
    guard: &mut ListingGuard,
    cancel: &CancellationToken,
) -> Result<(), ArchiveError> {
    let failed = |error| failure::of(set, error);
    while guard.expected().is_some()
        && let Some(member) = decoder.next_member().map_err(failed)?
    {
        let header = member.header();
        let is_file = !list::is_left_out(header) && !header.is_directory && header.redirection.is_none();
        if is_file && guard.expects(list::name_of(header)) {
            push(set, member, guard, cancel)?;
        }
    }
    Ok(())
}

/// Gives the decoder each volume from its beginning.
fn one_by_one(
    volumes: Vec<Box<dyn Volume>>,
    cancel: &CancellationToken,
) -> impl FnMut(u64) -> io::Result<Option<VolumeReader>> + Send + 'static {
    let mut volumes = volumes.into_iter();
    let cancel = cancel.clone();
    // The decoder asks for them in order.
    move |_| {
        let Some(mut volume) = volumes.next() else { return Ok(None) };
        volume.seek(SeekFrom::Start(0))?;
        Ok(Some(Box::new(Cancellable::new(volume, &cancel))))
    }
}

fn decode(
    set: &ArchiveSet,
    decoder: &mut ArchiveDecoder,
    guard: &mut ListingGuard,
    cancel: &CancellationToken,
) -> Result<(), ArchiveError> {
    let failed = |error| failure::of(set, error);
    while let Some(member) = decoder.next_member().map_err(failed)? {
        let header = member.header();
        if list::is_left_out(header) || header.is_directory || header.redirection.is_some() {
            continue;
        }
        if guard.expects(list::name_of(header)) {
            push(set, member, guard, cancel)?;
        } else if header.unpacked_bytes == Some(0) {
            // The guard has passed it on already; only its checksum is left to compare.
            member.copy_to(|_| Ok(())).map_err(failed)?;
        } else {
            return Err(ArchiveError::changed(set.name()));
        }
    }
    Ok(())
}

fn push(
    set: &ArchiveSet,
    mut member: Member<'_>,
    guard: &mut ListingGuard,
    cancel: &CancellationToken,
) -> Result<(), ArchiveError> {
    while let Some(piece) = member.next_piece().map_err(|error| failure::of(set, error))? {
        if cancel.is_cancelled() {
            return Err(ArchiveError::Cancelled);
        }
        guard.push(piece)?;
    }
    Ok(())
}
