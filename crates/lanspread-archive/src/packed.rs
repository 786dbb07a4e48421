//! Archives whose bytes are not on the disk: they arrive once, in their order.
//!
//! The volumes of all archives of a game are one stream, and [`PackedBytes`] has it, wherever it comes from. An archive is
//! listed from its header map before any of its bytes is there. Decoding then reads the stream forward, and each header that
//! passes by is compared with the map: both come from others, and each of them may lie.
//!
//! Invariants: no byte is read before one that was read already. An archive that was decoded was compared with its whole
//! map. What the sink took is what the map lists, and its checksums are right; whether it is also what the stream has is
//! certain when decoding has ended well, and not before.

mod bytes;
mod forward;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use bytes::PackedBytes;
use lanspread_types::content::{RootFile, Totals};
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::header_map::HeaderMap;
use crate::list::{self, ListedArchive};
use crate::native::{self, DecoderThreads};
use crate::packed::forward::{Forward, PackedVolume};
use crate::provider::{ArchiveListing, ArchiveProvider, OpenArchive, SharedSink};
use crate::set::{ArchiveSet, Volume};

/// One archive of a stream.
#[derive(Debug, Clone)]
pub struct PackedArchive {
    /// Its volumes, in their order.
    pub volumes: Vec<RootFile>,
    /// Everything in it but data.
    pub headers: HeaderMap,
}

/// All archives of a stream. It is the provider of exactly these, and decodes in this process.
pub struct PackedArchives {
    archives: Vec<Packed>,
    sets: Vec<ArchiveSet>,
    bytes: Arc<dyn PackedBytes>,
    dictionary_bytes_max: u64,
    threads: Arc<DecoderThreads>,
}

/// An archive, and where it is in the stream.
struct Packed {
    /// Volumes of the archives before it.
    volumes_before: usize,
    sizes: Vec<u64>,
    headers: HeaderMap,
}

impl PackedArchives {
    /// Takes the archives in the order in which `bytes` has them. Those that need a dictionary of more than
    /// `dictionary_bytes_max` bytes are refused when they are listed.
    ///
    /// # Errors
    /// [`ArchiveError::VolumeMissing`] if a volume is missing or there twice; [`ArchiveError::HeaderMap`] if the names say
    /// that the volumes belong together in another way or order, or if a header is not inside its volume.
    pub fn new(
        archives: Vec<PackedArchive>,
        bytes: Arc<dyn PackedBytes>,
        dictionary_bytes_max: u64,
    ) -> Result<Self, ArchiveError> {
        let names = archives.iter().flat_map(|archive| &archive.volumes).map(|file| file.name.as_str());
        let sets = ArchiveSet::group(Path::new(""), names).map_err(|gap| {
            let archive = gap.found.first().unwrap_or(&gap.set).clone();
            ArchiveError::VolumeMissing { archive, reason: gap.to_string() }
        })?;
        let mut sets_left = sets.iter();
        let (mut placed, mut volumes_before) = (Vec::with_capacity(archives.len()), 0);
        for PackedArchive { volumes, headers } in archives {
            let wrong = |reason: &str| {
                let archive = volumes.first().map(|file| file.name.clone()).unwrap_or_default();
                ArchiveError::HeaderMap { archive, reason: reason.to_owned() }
            };
            let names = volumes.iter().map(|file| &file.name);
            if !sets_left.next().is_some_and(|set| set.files().iter().eq(names)) {
                return Err(wrong(
                    "the names of its volumes say that other files belong to it, or in another order",
                ));
            }
            let sizes: Vec<u64> = volumes.iter().map(|file| file.size).collect();
            if !headers.fits(&sizes) {
                return Err(wrong("a header is outside of its volume"));
            }
            let volumes = sizes.len();
            placed.push(Packed { volumes_before, sizes, headers });
            volumes_before += volumes;
        }
        let threads = DecoderThreads::of_this_machine();
        Ok(Self { archives: placed, sets, bytes, dictionary_bytes_max, threads })
    }

    /// Lists all archives, before any of their bytes is there, within the limits of a game.
    ///
    /// # Errors
    /// Like [`list::list`].
    pub fn list(&self, cancel: &CancellationToken) -> Result<(Vec<ListedArchive>, Totals), ArchiveError> {
        list::list(self, &self.sets, cancel)
    }
}

impl ArchiveProvider for PackedArchives {
    fn open(
        &self,
        archive: &ArchiveSet,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        let Some(place) = self.sets.iter().position(|set| set == archive) else {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(ArchiveError::Read { path: archive.first_path(), source });
        };
        let Packed { volumes_before, sizes, headers } = &self.archives[place];
        let forward = Arc::new(Forward::new(
            archive.clone(),
            Arc::clone(&self.bytes),
            *volumes_before,
            sizes.clone(),
            headers.clone(),
        ));
        let open = |number| Ok(Box::new(PackedVolume::new(Arc::clone(&forward), number)) as Box<dyn Volume>);
        let decoder = native::open(archive, &open, cancel, self.dictionary_bytes_max, &self.threads)?;
        Ok(Box::new(OpenPacked { decoder, forward }))
    }
}

/// An archive that is listed, and whose bytes may arrive.
struct OpenPacked {
    decoder: Box<dyn OpenArchive>,
    forward: Arc<Forward>,
}

impl OpenArchive for OpenPacked {
    fn listing(&self) -> &Arc<ArchiveListing> {
        self.decoder.listing()
    }

    fn extract(self: Box<Self>, sink: SharedSink, cancel: &CancellationToken) -> Result<(), ArchiveError> {
        let Self { decoder, forward } = *self;
        forward.begin();
        match decoder.extract(sink, cancel) {
            // What the decoder makes of a read that failed says nothing about the archive.
            Err(error @ (ArchiveError::Cancelled | ArchiveError::Sink(_))) => Err(error),
            Err(error) => Err(forward.failure().unwrap_or(error)),
            Ok(()) => forward.finish(),
        }
    }
}
