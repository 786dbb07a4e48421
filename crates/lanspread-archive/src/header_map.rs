//! The header map of an archive: everything in it but data.
//!
//! It has the signature and the headers of each volume, with their places. The data after a header is not in it, be it of
//! a file or of a service record such as a comment, and neither is what is before the signature and after the end record.
//! Listing takes no more, so an archive can be listed from its map before its bytes arrive.
//!
//! The map depends on the bytes of the archive alone: the decoders of this crate find the headers, whichever provider
//! decodes.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use lanspread_types::content::HeaderRange;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::native;
use crate::provider::ArchiveListing;
use crate::set::{ArchiveSet, Volume};

/// The header map of one archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMap {
    ranges: Vec<HeaderRange>,
    bytes: Arc<[u8]>,
}

impl HeaderMap {
    /// A map of ranges and their bytes, one after the other. `None` if the bytes are not as many as the ranges have.
    pub fn new(ranges: Vec<HeaderRange>, bytes: Vec<u8>) -> Option<Self> {
        let length = ranges.iter().try_fold(0_u64, |sum, range| sum.checked_add(range.length));
        (length == Some(bytes.len() as u64)).then(|| Self { ranges, bytes: bytes.into() })
    }

    /// Reads the headers of all volumes. The map has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// Like [`crate::provider::ArchiveProvider::open`].
    pub fn read(
        archive: &ArchiveSet,
        bytes_max: u64,
        cancel: &CancellationToken,
    ) -> Result<Self, ArchiveError> {
        let (mut ranges, mut bytes) = (Vec::<HeaderRange>::new(), Vec::new());
        for volume in 0..archive.volumes() {
            let left = bytes_max.saturating_sub(bytes.len() as u64);
            for (offset, header) in native::headers_of_volume(archive, volume, left, cancel)? {
                let length = header.len() as u64;
                match ranges.last_mut() {
                    Some(before) if before.volume == volume && before.offset + before.length == offset => {
                        before.length += length;
                    }
                    _ => ranges.push(HeaderRange { volume, offset, length }),
                }
                bytes.extend_from_slice(&header);
            }
            if bytes.len() as u64 > bytes_max {
                let (archive, got) = (archive.name().to_owned(), bytes.len() as u64);
                return Err(ArchiveError::Limit { archive, what: "header bytes", limit: bytes_max, got });
            }
        }
        Ok(Self { ranges, bytes: bytes.into() })
    }

    /// Where the headers are: ascending, not touching.
    pub fn ranges(&self) -> &[HeaderRange] {
        &self.ranges
    }

    /// The bytes of all ranges.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Lists an archive of which nothing is here but this map. `archive` has the names of the volumes, and `sizes` their
    /// bytes; files of these names are left alone.
    ///
    /// # Errors
    /// Like [`crate::provider::ArchiveProvider::open`] of the native provider; [`ArchiveError::Corrupt`] if a header is not
    /// in the map.
    pub fn list(
        &self,
        archive: &ArchiveSet,
        sizes: &[u64],
        dictionary_bytes_max: u64,
        cancel: &CancellationToken,
    ) -> Result<Arc<ArchiveListing>, ArchiveError> {
        let open = |number: usize| {
            let Some(size) = sizes.get(number) else {
                let reason = format!("the size of volume {} is not known", number + 1);
                return Err(ArchiveError::VolumeMissing { archive: archive.name().to_owned(), reason });
            };
            Ok(Box::new(self.volume(number, *size)) as Box<dyn Volume>)
        };
        native::list(archive, &open, cancel, dictionary_bytes_max)
    }

    fn volume(&self, number: usize, size: u64) -> MapVolume {
        let (mut parts, mut at) = (Vec::new(), 0);
        for range in &self.ranges {
            // Not longer than the bytes, which are in memory.
            let length = usize::try_from(range.length).unwrap_or(usize::MAX);
            if range.volume == number {
                parts.push(Part { offset: range.offset, at, length });
            }
            at += length;
        }
        MapVolume { parts, bytes: Arc::clone(&self.bytes), size, position: 0 }
    }
}

/// What is read where the map has nothing. Neither format has a header of zeros, so one that is missing is noticed.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A volume of which only the headers are here.
struct MapVolume {
    /// In the order of their offsets.
    parts: Vec<Part>,
    bytes: Arc<[u8]>,
    size: u64,
    position: u64,
}

struct Part {
    offset: u64,
    /// Where its bytes begin in the map.
    at: usize,
    length: usize,
}

impl MapVolume {
    /// The next bytes: those of a part, or zeros up to the next part.
    fn here(&self) -> &[u8] {
        let after = self.parts.partition_point(|part| part.offset <= self.position);
        if let Some(part) = after.checked_sub(1).and_then(|before| self.parts.get(before)) {
            let bytes = self.bytes.get(part.at..part.at + part.length).unwrap_or_default();
            let from = usize::try_from(self.position - part.offset).unwrap_or(usize::MAX);
            if let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) {
                return rest;
            }
        }
        let end = self.parts.get(after).map_or(self.size, |next| next.offset);
        let zeros = usize::try_from(end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        &ZEROS[..zeros.min(ZEROS.len())]
    }
}

impl Read for MapVolume {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.here().read(out)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for MapVolume {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.size.checked_add_signed(delta),
        };
        self.position =
            position.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests;
