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

use lanspread_types::content::{DataRange, HeaderRange};
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::native;
use crate::provider::{ArchiveListing, WantedEntries};
use crate::set::{ArchiveSet, Volume};

/// The header map of one archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMap(Arc<Map>);

#[derive(Debug, PartialEq, Eq)]
struct Map {
    /// Ascending, and none overlaps another.
    ranges: Vec<HeaderRange>,
    /// Where the bytes of each range begin.
    begins: Vec<usize>,
    bytes: Vec<u8>,
}

impl HeaderMap {
    /// A map of ranges and their bytes, one after the other. `None` if the ranges do not ascend, overlap or are empty, or
    /// if the bytes are not as many as the ranges have.
    pub fn new(ranges: Vec<HeaderRange>, bytes: Vec<u8>) -> Option<Self> {
        let mut begins = Vec::with_capacity(ranges.len());
        let (mut begin, mut before) = (0_usize, None);
        for range in &ranges {
            let end = range.offset.checked_add(range.length)?;
            let is_next = before.is_none_or(|before| before <= (range.volume, range.offset));
            if range.length == 0 || !is_next {
                return None;
            }
            begins.push(begin);
            begin = begin.checked_add(usize::try_from(range.length).ok()?)?;
            before = Some((range.volume, end));
        }
        (begin == bytes.len()).then(|| Self(Arc::new(Map { ranges, begins, bytes })))
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
        Self::new(ranges, bytes)
            .ok_or_else(|| ArchiveError::corrupt(archive.name(), "one of its headers is inside another"))
    }

    /// Where the headers are, in ascending order.
    pub fn ranges(&self) -> &[HeaderRange] {
        &self.0.ranges
    }

    /// The bytes of all ranges.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
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
        native::list(archive, &|number| self.volume(archive, sizes, number), cancel, dictionary_bytes_max)
    }

    /// Where the data is that must be there to decode the entries that are wanted: theirs, or in a solid archive everything
    /// up to the last of them. `None` if the format does not say it. The arguments are those of [`Self::list`].
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn places(
        &self,
        archive: &ArchiveSet,
        sizes: &[u64],
        wanted: &WantedEntries,
        dictionary_bytes_max: u64,
        cancel: &CancellationToken,
    ) -> Result<Option<Vec<DataRange>>, ArchiveError> {
        let open = |number| self.volume(archive, sizes, number);
        native::places(archive, &open, wanted, dictionary_bytes_max, cancel)
    }

    fn volume(
        &self,
        archive: &ArchiveSet,
        sizes: &[u64],
        number: usize,
    ) -> Result<Box<dyn Volume>, ArchiveError> {
        let Some(size) = sizes.get(number) else {
            let reason = format!("the size of volume {} is not known", number + 1);
            return Err(ArchiveError::VolumeMissing { archive: archive.name().to_owned(), reason });
        };
        Ok(Box::new(MapVolume::new(self, number, *size)))
    }

    /// The bytes of every range, with its place.
    pub fn parts(&self) -> impl Iterator<Item = (HeaderRange, &[u8])> {
        self.0.ranges.iter().enumerate().map(|(number, range)| (*range, self.bytes_of(number)))
    }

    /// Whether all ranges are inside of volumes of these sizes.
    pub(super) fn fits(&self, sizes: &[u64]) -> bool {
        let is_inside = |range: &HeaderRange| {
            // Whether the sum overflows was checked before.
            sizes.get(range.volume).is_some_and(|size| range.offset + range.length <= *size)
        };
        self.0.ranges.iter().all(is_inside)
    }

    /// The bytes of a range; none if there is no such range.
    pub(super) fn bytes_of(&self, range: usize) -> &[u8] {
        let Some(begin) = self.0.begins.get(range) else { return &[] };
        let end = self.0.begins.get(range + 1).copied().unwrap_or(self.0.bytes.len());
        &self.0.bytes[*begin..end]
    }

    /// The bytes from this place to the end of its range, if it is in one. Otherwise how many bytes there are to the next
    /// range of the volume, if there is one.
    pub(super) fn at(&self, volume: usize, position: u64) -> Result<&[u8], Option<u64>> {
        let ranges = &self.0.ranges;
        let after = ranges.partition_point(|range| (range.volume, range.offset) <= (volume, position));
        if let Some(before) = after.checked_sub(1)
            && ranges[before].volume == volume
        {
            let from = usize::try_from(position - ranges[before].offset).unwrap_or(usize::MAX);
            if let Some(rest) = self.bytes_of(before).get(from..).filter(|rest| !rest.is_empty()) {
                return Ok(rest);
            }
        }
        Err(ranges.get(after).filter(|next| next.volume == volume).map(|next| next.offset - position))
    }
}

/// What is read where the map has nothing. Neither format has a header of zeros, so one that is missing is noticed.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A volume of which only the headers are here.
pub(super) struct MapVolume {
    map: HeaderMap,
    number: usize,
    size: u64,
    position: u64,
}

impl MapVolume {
    /// This volume of the archive, which has so many bytes.
    pub(super) fn new(map: &HeaderMap, number: usize, size: u64) -> Self {
        Self { map: map.clone(), number, size, position: 0 }
    }

    /// Where the next read begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes: those of a range alone, or zeros up to the next one.
    fn here(&self) -> &[u8] {
        self.map.at(self.number, self.position).unwrap_or_else(|next| {
            let zeros = next.unwrap_or_else(|| self.size.saturating_sub(self.position));
            &ZEROS[..usize::try_from(zeros).unwrap_or(usize::MAX).min(ZEROS.len())]
        })
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
