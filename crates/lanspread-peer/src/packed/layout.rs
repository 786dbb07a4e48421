//! Which chunk of a packed stream is where in the archives. Pure.

use std::time::Duration;

use lanspread_trust::manifest::Manifest;

/// The chunks of a packed stream: those of all volumes, counted through from 0 in the order in which they are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    chunk_bytes: u64,
    /// In the order in which they are decoded.
    volumes: Vec<Volume>,
    chunks: u64,
    bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Volume {
    /// Its place among the root files of the manifest.
    file: usize,
    bytes: u64,
    first_chunk: u64,
}

/// One chunk of a packed stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedChunk {
    /// Its volume, from 0.
    pub(crate) volume: usize,
    /// The file of that volume, by its place among the root files of the manifest.
    pub(crate) file: usize,
    /// Its number in that file, from 0.
    pub(crate) in_file: u64,
    /// Where it begins in the file.
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Layout {
    /// The layout of the archives of a manifest.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let files = manifest.archives.iter().flat_map(|archive| &archive.files);
        // A manifest has no archive with a file that is not among its root files.
        let volumes = files.map(|file| (*file, manifest.root_files.get(*file).map_or(0, |file| file.size)));
        Self::new(u64::from(manifest.chunk_bytes()), volumes)
    }

    /// The layout of volumes, each with its file and its bytes.
    pub(crate) fn new(chunk_bytes: u64, volumes: impl IntoIterator<Item = (usize, u64)>) -> Self {
        let mut layout = Self { chunk_bytes: chunk_bytes.max(1), volumes: Vec::new(), chunks: 0, bytes: 0 };
        for (file, bytes) in volumes {
            layout.volumes.push(Volume { file, bytes, first_chunk: layout.chunks });
            layout.chunks += bytes.div_ceil(layout.chunk_bytes);
            layout.bytes += bytes;
        }
        layout
    }

    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of every chunk but the last of a volume.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes
    }

    /// Where a chunk is; `None` if there are not so many.
    pub(crate) fn chunk(&self, chunk: u64) -> Option<PackedChunk> {
        if chunk >= self.chunks {
            return None;
        }
        let after = self.volumes.partition_point(|volume| volume.first_chunk <= chunk);
        let number = after.checked_sub(1)?;
        let volume = self.volumes.get(number)?;
        let in_file = chunk - volume.first_chunk;
        let offset = in_file * self.chunk_bytes;
        let length = (volume.bytes - offset).min(self.chunk_bytes);
        Some(PackedChunk { volume: number, file: volume.file, in_file, offset, length })
    }

    /// The chunk that has a byte of a volume, and the place of the byte in it; `None` behind the volume's end.
    pub(crate) fn at(&self, volume: usize, offset: u64) -> Option<(u64, u64)> {
        let volume = self.volumes.get(volume).filter(|volume| offset < volume.bytes)?;
        Some((volume.first_chunk + offset / self.chunk_bytes, offset % self.chunk_bytes))
    }
}

/// How long `left` chunks take if `done` of them took the time `passed`; `None` if none is done, or too long to say.
pub(crate) fn at_pace(passed: Duration, done: u64, left: u64) -> Option<Duration> {
    let all_ms = passed.as_millis().checked_mul(left.into())?.checked_div(done.into())?;
    u64::try_from(all_ms).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn volumes_are_counted_through() {
        let layout = Layout::new(4, [(2, 9), (0, 0), (1, 4)]);
        assert_eq!((layout.chunks(), layout.bytes()), (4, 13));
        let at = |volume, file, in_file, offset, length| {
            Some(PackedChunk { volume, file, in_file, offset, length })
        };
        assert_eq!(layout.chunk(0), at(0, 2, 0, 0, 4));
        assert_eq!(layout.chunk(2), at(0, 2, 2, 8, 1));
        assert_eq!(layout.chunk(3), at(2, 1, 0, 0, 4), "the empty volume has none");
        assert_eq!(layout.chunk(4), None);
        assert_eq!(layout.at(0, 9), None);
        assert_eq!(layout.at(2, 3), Some((3, 3)));
    }

    proptest! {
        /// Each byte is in exactly the chunk that says so.
        #[test]
        fn chunks_and_bytes_agree(sizes in prop::collection::vec(0_u64..40, 0..6), chunk_bytes in 1_u64..9) {
            let layout = Layout::new(chunk_bytes, sizes.iter().copied().enumerate());
            let mut seen = 0;
            for chunk in 0..layout.chunks() {
                let place = layout.chunk(chunk).unwrap();
                prop_assert!(place.length > 0 && place.length <= chunk_bytes);
                for byte in 0..place.length {
                    prop_assert_eq!(layout.at(place.volume, place.offset + byte), Some((chunk, byte)));
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, sizes.iter().sum::<u64>());
        }
    }
}
