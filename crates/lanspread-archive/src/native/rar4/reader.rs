//! Read access for `rars`: cancellable, and with large reads where it reads in sequence.
//!
//! It reads about 9 KiB at a time and seeks before each read; headers are far apart. So a read that continues
//! the last one fills a large buffer, and any other read a small one.

use std::io::{self, Read, Seek, SeekFrom};

use tokio_util::sync::CancellationToken;

use crate::set::Volume;

const SCATTERED_READ_BYTES: usize = 8 * 1024;
const SEQUENTIAL_READ_BYTES: usize = 512 * 1024;

/// One volume.
pub(super) struct VolumeReader {
    volume: Box<dyn Volume>,
    /// Position of the volume: its next read begins here.
    volume_position: u64,
    length: u64,
    cancel: CancellationToken,
    position: u64,
    buffer: Vec<u8>,
    /// Offset in the file of the first byte of `buffer`.
    buffer_start: u64,
}

impl VolumeReader {
    pub(super) fn new(mut volume: Box<dyn Volume>, cancel: CancellationToken) -> io::Result<Self> {
        let length = volume.seek(SeekFrom::End(0))?;
        Ok(Self {
            volume,
            volume_position: length,
            length,
            cancel,
            position: 0,
            buffer: Vec::new(),
            buffer_start: 0,
        })
    }

    /// Bytes of the volume.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    fn buffered(&self) -> &[u8] {
        let offset =
            self.position.checked_sub(self.buffer_start).and_then(|offset| usize::try_from(offset).ok());
        offset.and_then(|offset| self.buffer.get(offset..)).unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let sequential = self.position == self.buffer_start + self.buffer.len() as u64;
        let wanted = if sequential { SEQUENTIAL_READ_BYTES } else { SCATTERED_READ_BYTES };
        self.buffer.resize(wanted, 0);
        match read_at(&mut *self.volume, &mut self.volume_position, self.position, &mut self.buffer) {
            Ok(filled) => {
                self.buffer.truncate(filled);
                self.buffer_start = self.position;
                Ok(())
            }
            Err(error) => {
                self.buffer.clear();
                Err(error)
            }
        }
    }
}

/// Reads once at position `wanted`: what two reads give must not be mixed, see [`crate::native::open`]. Seeks only if the
/// volume is at another position.
fn read_at(volume: &mut dyn Volume, position: &mut u64, wanted: u64, out: &mut [u8]) -> io::Result<usize> {
    if *position != wanted {
        *position = volume.seek(SeekFrom::Start(wanted))?;
    }
    loop {
        match volume.read(out) {
            Ok(count) => {
                *position = wanted + count as u64;
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Read for VolumeReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.buffered().is_empty() && !out.is_empty() {
            self.fill()?;
        }
        let available = self.buffered();
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for VolumeReader {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.length.checked_add_signed(delta),
        };
        self.position =
            position.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn reads_the_file_s_bytes_wherever_it_seeks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let content: Vec<u8> =
            (0..2_000_000u32).map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap()).collect();
        std::fs::write(&path, &content).unwrap();
        let mut reader =
            VolumeReader::new(Box::new(File::open(&path).unwrap()), CancellationToken::new()).unwrap();
        for (start, length) in
            [(0, 10), (10, 600_000), (1_999_000, 5000), (5, 20_000), (600_010, 1_000_000), (3_000_000, 1)]
        {
            reader.seek(SeekFrom::Start(start as u64)).unwrap();
            let mut got = Vec::new();
            reader.by_ref().take(length as u64).read_to_end(&mut got).unwrap();
            let end = (start + length).min(content.len());
            assert_eq!(got, content[start.min(end)..end], "{start}+{length}");
        }
        assert_eq!(reader.seek(SeekFrom::End(-1)).unwrap(), content.len() as u64 - 1);
        assert!(reader.seek(SeekFrom::Current(-2_000_000)).is_err());
    }

    #[test]
    fn a_cancelled_reader_stops() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"x").unwrap();
        let cancel = CancellationToken::new();
        let mut reader = VolumeReader::new(Box::new(File::open(&path).unwrap()), cancel.clone()).unwrap();
        cancel.cancel();
        assert!(reader.read(&mut [0]).is_err());
    }
}
