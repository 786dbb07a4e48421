//! The bytes of one archive, read forward and compared with its header map on the way.

use std::cmp::Ordering;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{self, AtomicBool};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::ArchiveError;
use crate::header_map::{HeaderMap, MapVolume};
use crate::packed::bytes::PackedBytes;
use crate::set::ArchiveSet;

/// What is read of headers that a decoder leaves out.
const COMPARE_BYTES: usize = 16 * 1024;

/// The stream of one archive.
pub(super) struct Forward {
    archive: ArchiveSet,
    bytes: Arc<dyn PackedBytes>,
    /// Volumes of the archives before this one.
    volumes_before: usize,
    sizes: Vec<u64>,
    headers: HeaderMap,
    /// Whether the stream is read. Before that, the map is all there is.
    has_begun: AtomicBool,
    /// One lock for each read, of which a decoder makes one in 256 KiB.
    at: Mutex<At>,
}

/// How far the stream was read.
#[derive(Default)]
struct At {
    /// The next byte that can be read.
    volume: usize,
    offset: u64,
    /// The first range that was not compared to its end.
    range: usize,
    scratch: Vec<u8>,
    failure: Option<ArchiveError>,
}

impl Forward {
    pub(super) fn new(
        archive: ArchiveSet,
        bytes: Arc<dyn PackedBytes>,
        volumes_before: usize,
        sizes: Vec<u64>,
        headers: HeaderMap,
    ) -> Self {
        let (has_begun, at) = (AtomicBool::new(false), Mutex::default());
        Self { archive, bytes, volumes_before, sizes, headers, has_begun, at }
    }

    /// From now on, the stream is read.
    pub(super) fn begin(&self) {
        self.has_begun.store(true, atomic::Ordering::Release);
    }

    /// Why a read failed, if one did. Returned once.
    pub(super) fn failure(&self) -> Option<ArchiveError> {
        self.at().failure.take()
    }

    /// Compares what is left of the map. What is left of the stream is not read.
    pub(super) fn finish(&self) -> Result<(), ArchiveError> {
        let mut at = self.at();
        match at.failure.take() {
            Some(failure) => Err(failure),
            None => self.advance(&mut at, self.sizes.len(), 0),
        }
    }

    fn at(&self) -> MutexGuard<'_, At> {
        // A reader that panicked inside has left the places as they were.
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from the stream.
    fn read(&self, volume: usize, position: u64, out: &mut [u8]) -> io::Result<usize> {
        let left = self.sizes[volume].saturating_sub(position);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        if length == 0 {
            return Ok(0);
        }
        let mut at = self.at();
        if at.failure.is_none() {
            match self.read_forward(&mut at, volume, position, &mut out[..length]) {
                Ok(count) => return Ok(count),
                Err(failure) => at.failure = Some(failure),
            }
        }
        Err(io::Error::other("the stream of the archive has failed"))
    }

    fn read_forward(
        &self,
        at: &mut At,
        volume: usize,
        position: u64,
        out: &mut [u8],
    ) -> Result<usize, ArchiveError> {
        match (volume, position).cmp(&(at.volume, at.offset)) {
            Ordering::Less => {
                // It was compared when it passed by.
                let known = self.headers.at(volume, position).unwrap_or_default();
                let count = known.len().min(out.len());
                out[..count].copy_from_slice(&known[..count]);
                return if count > 0 {
                    Ok(count)
                } else {
                    Err(self.wrong("data is needed that has passed by"))
                };
            }
            Ordering::Equal => {}
            Ordering::Greater => self.advance(at, volume, position)?,
        }
        self.read_here(at, out)
    }

    /// Goes forward to a place. Of what is between, only the headers are read.
    fn advance(&self, at: &mut At, volume: usize, position: u64) -> Result<(), ArchiveError> {
        let mut scratch = std::mem::take(&mut at.scratch);
        scratch.resize(COMPARE_BYTES, 0);
        while let Some(range) = self.headers.ranges().get(at.range)
            && (range.volume, range.offset) < (volume, position)
        {
            if (at.volume, at.offset) < (range.volume, range.offset) {
                (at.volume, at.offset) = (range.volume, range.offset);
            }
            let end = range.offset + range.length;
            let end = if range.volume == volume { end.min(position) } else { end };
            let left = usize::try_from(end - at.offset).unwrap_or(usize::MAX);
            if left == 0 {
                break;
            }
            self.read_here(at, &mut scratch[..left.min(COMPARE_BYTES)])?;
        }
        at.scratch = scratch;
        (at.volume, at.offset) = (volume, position);
        Ok(())
    }

    /// Reads the next bytes and compares those that the map has.
    fn read_here(&self, at: &mut At, out: &mut [u8]) -> Result<usize, ArchiveError> {
        let failed = |source| ArchiveError::Read { path: self.archive.path(at.volume), source };
        let count = loop {
            match self.bytes.read_at(self.volumes_before + at.volume, at.offset, out) {
                Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
                // A reader that claims more than it was given room for must not make us read elsewhere.
                Ok(count) => break count.min(out.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        };
        self.compare(at, &out[..count])?;
        at.offset += count as u64;
        Ok(count)
    }

    /// Compares bytes that are at the place of the stream.
    fn compare(&self, at: &mut At, got: &[u8]) -> Result<(), ArchiveError> {
        let begin = at.offset;
        let end = begin + got.len() as u64;
        while let Some(range) = self.headers.ranges().get(at.range)
            && range.volume == at.volume
            && range.offset < end
        {
            let (from, to) = (range.offset.max(begin), (range.offset + range.length).min(end));
            // Both are inside of what is in memory.
            let place = |from_place: u64| {
                let index = |place: u64| usize::try_from(place - from_place).unwrap_or(usize::MAX);
                index(from)..index(to)
            };
            let known = &self.headers.bytes_of(at.range)[place(range.offset)];
            let got = &got[place(begin)];
            if known != got {
                let same = known.iter().zip(got).take_while(|(known, got)| known == got).count();
                let (file, offset) = (&self.archive.files()[at.volume], from + same as u64);
                return Err(self.wrong(&format!("{file} has another byte at {offset}")));
            }
            if to < range.offset + range.length {
                break;
            }
            at.range += 1;
        }
        Ok(())
    }

    fn wrong(&self, reason: &str) -> ArchiveError {
        ArchiveError::HeaderMap { archive: self.archive.name().to_owned(), reason: reason.to_owned() }
    }
}

/// A volume: at first only its headers, then the stream.
pub(super) struct PackedVolume {
    forward: Arc<Forward>,
    number: usize,
    headers: MapVolume,
}

impl PackedVolume {
    pub(super) fn new(forward: Arc<Forward>, number: usize) -> Self {
        let headers = MapVolume::new(&forward.headers, number, forward.sizes[number]);
        Self { forward, number, headers }
    }
}

impl Read for PackedVolume {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.forward.has_begun.load(atomic::Ordering::Acquire) {
            return self.headers.read(out);
        }
        let position = self.headers.position();
        let count = self.forward.read(self.number, position, out)?;
        self.headers.seek(SeekFrom::Start(position + count as u64))?;
        Ok(count)
    }
}

impl Seek for PackedVolume {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.headers.seek(target)
    }
}
