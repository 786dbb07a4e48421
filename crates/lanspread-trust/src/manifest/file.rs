//! A manifest in a file that is named by its digest.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use lanspread_types::checksum::{ContentDigest, ContentHasher};
use lanspread_types::limits;
use lanspread_types::regular_file::open_of_user;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::manifest::content::Manifest;
use crate::manifest::decode::{Places, decode};
use crate::manifest::encode::{Blocks, encode};
use crate::manifest::error::{ManifestError, ManifestProblem};
use crate::manifest::input::Stored;

/// Extension of the file of a manifest, without the dot.
pub const MANIFEST_EXTENSION: &str = "lsm";

/// The name of the file of a manifest.
pub fn file_name(digest: &ContentDigest) -> String {
    format!("{digest}.{MANIFEST_EXTENSION}")
}

/// A manifest whose bytes were checked, with what it leaves in its file.
#[derive(Debug)]
pub struct ManifestFile<S = File> {
    stored: S,
    bytes: u64,
    digest: ContentDigest,
    manifest: Arc<Manifest>,
    places: Places,
}

impl ManifestFile {
    /// Opens the file of a manifest: its length and digest first, then what it says.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn open(path: &Path, digest: &ContentDigest, bytes: Option<u64>) -> Result<Self, ManifestError> {
        let stored =
            open_of_user(path).map_err(|source| ManifestError::File { path: path.to_owned(), source })?;
        let length = stored.metadata().map(|metadata| metadata.len());
        let checked = length.map_err(ManifestProblem::Io).and_then(|got| {
            if let Some(expected) = bytes.filter(|expected| *expected != got) {
                return Err(ManifestProblem::Length { expected, got });
            }
            Self::check(stored, got, Some(digest))
        });
        checked.map_err(|problem| ManifestError::Refused { path: path.to_owned(), problem })
    }
}

impl ManifestFile {
    /// Checks bytes and holds them in a file without a name, in memory: nothing of them is left when it is dropped, or when
    /// the process is killed.
    ///
    /// # Errors
    /// [`ManifestProblem`].
    pub fn in_memory(bytes: &[u8], expected: Option<&ContentDigest>) -> Result<Self, ManifestProblem> {
        let memory = memfd_create("manifest", MemfdFlags::CLOEXEC).map_err(io::Error::from)?;
        let mut file = File::from(memory);
        file.write_all(bytes)?;
        Self::check(file, bytes.len() as u64, expected)
    }

    /// A second handle to its bytes.
    ///
    /// # Errors
    /// Those of the system.
    pub fn file(&self) -> io::Result<File> {
        self.stored.try_clone()
    }
}

impl<S: Stored> ManifestFile<S> {
    /// Checks bytes that are stored somewhere.
    ///
    /// # Errors
    /// [`ManifestProblem`].
    pub fn check(stored: S, bytes: u64, expected: Option<&ContentDigest>) -> Result<Self, ManifestProblem> {
        if bytes > limits::MANIFEST_BYTES_MAX {
            let limit = limits::MANIFEST_BYTES_MAX;
            return Err(ManifestProblem::Limit { what: "bytes", limit, got: bytes });
        }
        let mut hasher = HashWriter::default();
        copy(&stored, 0, bytes, &mut hasher)?;
        let digest = hasher.0.finish();
        if expected.is_some_and(|expected| *expected != digest) {
            return Err(ManifestProblem::Digest { got: digest });
        }
        let (manifest, places) = decode(&stored, bytes)?;
        let checked = Self { stored, bytes, digest, manifest: Arc::new(manifest), places };
        let mut again = HashWriter::default();
        encode(&checked.manifest, &checked, &mut again)?;
        if again.0.finish() == digest { Ok(checked) } else { Err(ManifestProblem::NotCanonical) }
    }

    /// What it says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What it says, to be kept.
    pub fn shared(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest)
    }

    /// Writes the packing list of the same root files. `false` if there is none: see [`Manifest::packing_list`].
    ///
    /// # Errors
    /// Those of the system and of the writer.
    pub fn write_packing_list(&self, out: &mut dyn Write) -> io::Result<bool> {
        let Some(list) = self.manifest.packing_list() else { return Ok(false) };
        // The same root files and archives have the same digests of chunks and the same headers.
        encode(&list, self, out)?;
        Ok(true)
    }

    /// The digest of the packing list of the same root files; `None` if there is none.
    ///
    /// # Errors
    /// Those of the system.
    pub fn packing_list_digest(&self) -> io::Result<Option<ContentDigest>> {
        let mut hasher = HashWriter::default();
        Ok(self.write_packing_list(&mut hasher)?.then(|| hasher.0.finish()))
    }

    /// SHA-256 of all its bytes: its name.
    pub fn digest(&self) -> ContentDigest {
        self.digest
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The header bytes of an archive, counted from 0: those of its [`headers`], one after the other, and none if they were
    /// not recorded. They are at most [`limits::MANIFEST_HEADER_BYTES_MAX`].
    ///
    /// [`headers`]: crate::manifest::ManifestArchive::headers
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if there is no such archive; those of the system.
    pub fn headers(&self, archive: usize) -> io::Result<Vec<u8>> {
        let Some(listed) = self.manifest.archives.get(archive) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        // Bounded when the manifest was decoded.
        let length: u64 = listed.headers.iter().map(|range| range.length).sum();
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.stored.read_at(&mut bytes, self.places.headers[archive])?;
        Ok(bytes)
    }

    /// Passes all its bytes on, in pieces.
    ///
    /// # Errors
    /// Those of `take`, and of reading.
    pub fn copy_to<E: From<io::Error>>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let (mut position, mut buffer) = (0, vec![0; COPY_BYTES]);
        while position < self.bytes {
            let rest = usize::try_from(self.bytes - position).unwrap_or(COPY_BYTES);
            let piece = &mut buffer[..rest.min(COPY_BYTES)];
            self.stored.read_at(piece, position)?;
            take(piece)?;
            position += piece.len() as u64;
        }
        Ok(())
    }

    /// The digest of a chunk of a root file; both count from 0.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if there is no such chunk; those of the system.
    pub fn chunk(&self, file: usize, chunk: u64) -> io::Result<ContentDigest> {
        let size = u64::from(self.manifest.chunk_bytes());
        let chunks = |file: &lanspread_types::content::RootFile| file.size.div_ceil(size);
        let files = &self.manifest.root_files;
        if files.get(file).is_none_or(|file| chunk >= chunks(file)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let before: u64 = files[..file].iter().map(chunks).sum();
        let mut digest = [0; 32];
        self.stored.read_at(&mut digest, self.places.chunks + 32 * (before + chunk))?;
        Ok(ContentDigest(digest))
    }
}

impl<S: Stored> Blocks for ManifestFile<S> {
    fn write_chunks(&self, out: &mut dyn Write) -> io::Result<()> {
        copy(&self.stored, self.places.chunks, 32 * self.manifest.chunks(), out)
    }

    fn write_headers(&self, archive: usize, out: &mut dyn Write) -> io::Result<()> {
        let bytes = self.manifest.archives[archive].headers.iter().map(|range| range.length).sum();
        copy(&self.stored, self.places.headers[archive], bytes, out)
    }
}

/// Bytes of a manifest that are read at once.
const COPY_BYTES: usize = 64 * 1024;

fn copy(stored: &impl Stored, mut position: u64, mut bytes: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    while bytes > 0 {
        let take = usize::try_from(bytes).map_or(buffer.len(), |bytes| bytes.min(buffer.len()));
        stored.read_at(&mut buffer[..take], position)?;
        out.write_all(&buffer[..take])?;
        position += take as u64;
        bytes -= take as u64;
    }
    Ok(())
}

#[derive(Default)]
struct HashWriter(ContentHasher);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
