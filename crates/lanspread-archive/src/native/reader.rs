//! Volumes for decoders: how they are opened, and how reading them is cancelled.

use std::io::{self, Read, Seek, SeekFrom};

use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::set::{ArchiveSet, Volume};

/// Opens a volume; volumes count from 0.
pub(super) type OpenVolume<'a> = dyn Fn(usize) -> Result<Box<dyn Volume>, ArchiveError> + 'a;

/// The signature and the headers of a volume, each with its offset.
pub(super) type VolumeHeaders = Vec<(u64, Vec<u8>)>;

/// Opens a volume on the disk; volumes count from 0.
pub(super) fn open_volume(archive: &ArchiveSet, volume: usize) -> Result<Box<dyn Volume>, ArchiveError> {
    archive.open(volume).map_err(|source| unreadable(archive, volume, source))
}

/// The refusal of a volume that the system does not let us read.
pub(super) fn unreadable(archive: &ArchiveSet, volume: usize, source: io::Error) -> ArchiveError {
    ArchiveError::Read { path: archive.path(volume), source }
}

/// Passes reads on until the call is cancelled; then every read fails.
pub(super) struct Cancellable<V> {
    volume: V,
    cancel: CancellationToken,
}

impl<V> Cancellable<V> {
    pub(super) fn new(volume: V, cancel: &CancellationToken) -> Self {
        Self { volume, cancel: cancel.clone() }
    }
}

impl<V: Read> Read for Cancellable<V> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.volume.read(out)
    }
}

impl<V: Seek> Seek for Cancellable<V> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.volume.seek(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_reader_stops() {
        let cancel = CancellationToken::new();
        let mut reader = Cancellable::new(io::Cursor::new(b"xy"), &cancel);
        assert_eq!(reader.read(&mut [0]).unwrap(), 1);
        cancel.cancel();
        assert!(reader.read(&mut [0]).is_err());
    }
}
