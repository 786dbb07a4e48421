//! The chunks of root files whose digests a manifest lists. They are smaller than the chunks that a download asks for.
//!
//! A chunk of a download begins and ends where listed chunks begin and end, because its length is a multiple of theirs:
//! no listed chunk is in two of them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanspread_trust::manifest::{ManifestFile, file_name};
use lanspread_types::checksum::{ContentDigest, ContentHasher};
use lanspread_types::content::RootFile;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameVersion;
use lanspread_types::limits;

/// Bytes read at once when listed chunks are read again.
const READ_BYTES: usize = 256 * 1024;

/// What a manifest lists about the root files of a game, in the order in which a download numbers them.
#[derive(Debug, Clone)]
pub struct ListedChunks {
    file: Arc<ManifestFile>,
    is_trusted: bool,
}

impl ListedChunks {
    /// What this manifest lists, which the catalog names.
    pub fn new(manifest: Arc<ManifestFile>) -> Self {
        Self { file: manifest, is_trusted: true }
    }

    /// What this manifest lists, for which only its source vouches. What is as it lists is not damaged, and not verified.
    pub fn unsigned(manifest: Arc<ManifestFile>) -> Self {
        Self { file: manifest, is_trusted: false }
    }

    /// The manifest itself.
    pub fn list(&self) -> &Arc<ManifestFile> {
        &self.file
    }

    /// Whether what is as it lists is verified.
    pub fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// The root files, sorted by name.
    pub fn files(&self) -> &[RootFile] {
        &self.file.manifest().root_files
    }

    /// The version of the game that it is about.
    pub fn version(&self) -> &GameVersion {
        &self.file.manifest().version
    }

    /// The name of the manifest.
    pub fn manifest(&self) -> ContentDigest {
        self.file.digest()
    }

    /// Bytes of a listed chunk that is not the last one of its file.
    pub fn chunk_bytes(&self) -> u64 {
        self.listed_bytes()
    }

    /// Where the listed chunk ends that has the byte at `position` of a file of `size` bytes.
    pub fn end_of(&self, size: u64, position: u64) -> u64 {
        end_of(self.listed_bytes(), size, position)
    }

    /// The digest of the listed chunk that has the byte at `position` of a file.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn digest(&self, file: usize, position: u64) -> Result<ContentDigest, LocalError> {
        let shown = PathBuf::from(file_name(&self.file.digest()));
        self.file.chunk(file, position / self.listed_bytes()).map_err(LocalError::io("read", shown))
    }

    /// Whether a part of a file, which begins and ends where listed chunks do, is as listed. Reads no further than to the
    /// end of the first listed chunk that differs. `read` is told how many bytes were read, and what it fails with ends the
    /// comparison.
    ///
    /// # Errors
    /// Those of `read`; if the manifest or, as `shown`, the file cannot be read.
    pub fn are_in<E: From<LocalError>>(
        &self,
        file: usize,
        content: &mut File,
        shown: &Path,
        part: Range<u64>,
        mut read: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<bool, E> {
        let failed = |error| E::from(LocalError::io("read", shown)(error));
        content.seek(SeekFrom::Start(part.start)).map_err(failed)?;
        let (mut position, mut buffer) = (part.start, vec![0; READ_BYTES]);
        while position < part.end {
            let listed_end = self.end_of(part.end, position);
            let expected = self.digest(file, position)?;
            let mut hasher = ContentHasher::default();
            while position < listed_end {
                let missing = usize::try_from(listed_end - position).unwrap_or(usize::MAX);
                let count = match content.read(&mut buffer[..missing.min(READ_BYTES)]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    count => count.map_err(failed)?,
                };
                if count == 0 {
                    return Ok(false);
                }
                hasher.update(&buffer[..count]);
                position += count as u64;
                read(count as u64)?;
            }
            if hasher.finish() != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn listed_bytes(&self) -> u64 {
        u64::from(self.file.manifest().chunk_bytes())
    }
}

/// Where the listed chunk of `listed_bytes` ends that has the byte at `position` of a file of `size` bytes.
fn end_of(listed_bytes: u64, size: u64, position: u64) -> u64 {
    (position / listed_bytes + 1).saturating_mul(listed_bytes).min(size)
}

const _: () = assert!(limits::CHUNK_BYTES.is_multiple_of(limits::MANIFEST_CHUNK_BYTES as u64));
const _: () = assert!(limits::CHUNK_BYTES.is_multiple_of(limits::MANIFEST_SMALL_CHUNK_BYTES as u64));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::chunks::Chunks;

    proptest! {
        /// Walking over the chunks of a download meets every listed chunk of the file once, whole, and in order.
        #[test]
        fn no_listed_chunk_is_in_two_chunks_of_a_download(
            size in 0u64..500, listed_bytes in 1u64..20, listed_in_chunk in 1u64..8
        ) {
            let file = RootFile { name: String::new(), size };
            let chunks = Chunks::of(&[file], listed_bytes * listed_in_chunk);
            let mut listed = 0;
            for chunk in chunks.of_file(0) {
                let mut position = chunk.offset;
                while position < chunk.offset + chunk.length {
                    prop_assert_eq!(position / listed_bytes, listed);
                    prop_assert_eq!(position, listed * listed_bytes);
                    let end = end_of(listed_bytes, size, position);
                    prop_assert!(end > position && end <= chunk.offset + chunk.length);
                    for inside in position..end {
                        prop_assert_eq!(end_of(listed_bytes, size, inside), end);
                    }
                    (position, listed) = (end, listed + 1);
                }
                prop_assert_eq!(position, chunk.offset + chunk.length);
            }
            prop_assert_eq!(listed, size.div_ceil(listed_bytes));
        }
    }
}
