//! What a manifest says, in memory.

use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{ArchiveFormat, HeaderRange, RootFile, Totals};
use lanspread_types::entry_path::EntryPath;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;

/// What a manifest says, without the digests of chunks and the header bytes. One without an installed tree is a packing
/// list: what a source can make by reading alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// The files of the game root, sorted by name.
    pub root_files: Vec<RootFile>,
    /// The archives, in the order of their first files.
    pub archives: Vec<ManifestArchive>,
    /// The installed tree; empty in a packing list only, because no game installs nothing.
    pub entries: ManifestEntries,
}

/// One archive, of one or more root files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestArchive {
    /// Its volumes in their order, by their place in [`Manifest::root_files`].
    pub files: Vec<usize>,
    /// Container format.
    pub format: ArchiveFormat,
    /// Whether files depend on the ones before them.
    pub solid: bool,
    /// Memory that decoding takes for its dictionary.
    pub dictionary_bytes: u64,
    /// Where a decoder reads anything but packed data: ascending, not touching. Empty if it was not recorded.
    pub headers: Vec<HeaderRange>,
}

/// The bytes of one chunk of a game whose root files have so many bytes in all.
pub fn chunk_bytes(root_bytes: u64) -> u32 {
    if root_bytes < limits::MANIFEST_SMALL_GAME_BYTES {
        limits::MANIFEST_SMALL_CHUNK_BYTES
    } else {
        limits::MANIFEST_CHUNK_BYTES
    }
}

impl Manifest {
    /// Whether it lists the installed tree; a packing list does not.
    pub fn has_tree(&self) -> bool {
        !self.entries.is_empty()
    }

    /// The packing list of the same root files. `None` if the headers of an archive were not recorded:
    /// only the archives themselves have them then.
    pub fn packing_list(&self) -> Option<Self> {
        let Self { game, version, root_files, archives, entries: _ } = self;
        self.archive_without_headers().is_none().then(|| Self {
            game: game.clone(),
            version: version.clone(),
            root_files: root_files.clone(),
            archives: archives.clone(),
            entries: ManifestEntries::default(),
        })
    }

    /// The first file of an archive whose headers were not recorded.
    pub(super) fn archive_without_headers(&self) -> Option<&RootFile> {
        let archive = self.archives.iter().find(|archive| archive.headers.is_empty())?;
        self.root_files.get(*archive.files.first()?)
    }

    /// Bytes of all root files.
    pub fn root_bytes(&self) -> u64 {
        self.root_files.iter().map(|file| file.size).sum()
    }

    /// Bytes of one chunk of a root file.
    pub fn chunk_bytes(&self) -> u32 {
        chunk_bytes(self.root_bytes())
    }

    /// How many digests of chunks there are.
    pub fn chunks(&self) -> u64 {
        let chunk = u64::from(self.chunk_bytes());
        self.root_files.iter().map(|file| file.size.div_ceil(chunk)).sum()
    }
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryContent<'m> {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Its bytes.
        size: u64,
        /// Whether it can be executed.
        executable: bool,
        /// SHA-256 of the whole file.
        digest: &'m ContentDigest,
        /// SHA-256 of each [`limits::MANIFEST_PART_BYTES`] of it, if it is larger than that.
        parts: &'m [ContentDigest],
    },
}

/// One file or folder of the installed tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestEntry<'m> {
    /// Its place in the installed tree.
    pub path: &'m str,
    /// What is there.
    pub content: EntryContent<'m>,
}

/// All entries, sorted by path, in a few large pieces of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestEntries {
    paths: String,
    records: Vec<Record>,
    parts: Vec<ContentDigest>,
    totals: Totals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    path_begin: usize,
    path_end: usize,
    parts_begin: usize,
    parts_end: usize,
    /// `None` for a folder.
    file: Option<FileRecord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileRecord {
    size: u64,
    executable: bool,
    digest: ContentDigest,
}

impl ManifestEntries {
    /// Adds an entry behind those that are here. `None` if the sums overflow.
    #[must_use]
    pub fn push(&mut self, path: &EntryPath, content: EntryContent<'_>) -> Option<()> {
        let (path_begin, parts_begin) = (self.paths.len(), self.parts.len());
        let (file, more) = match content {
            EntryContent::Folder => (None, Totals { directories: 1, ..Totals::default() }),
            EntryContent::File { size, executable, digest, parts } => {
                self.parts.extend_from_slice(parts);
                let file = FileRecord { size, executable, digest: *digest };
                (Some(file), Totals { files: 1, bytes: size, ..Totals::default() })
            }
        };
        self.totals = self.totals.checked_add(more)?;
        self.paths.push_str(path.as_str());
        let (path_end, parts_end) = (self.paths.len(), self.parts.len());
        self.records.push(Record { path_begin, path_end, parts_begin, parts_end, file });
        Some(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Files, folders and bytes.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The entries, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = ManifestEntry<'_>> {
        self.records.iter().map(|record| self.entry(record))
    }

    /// The entry at a path.
    pub fn find(&self, path: &str) -> Option<ManifestEntry<'_>> {
        self.place(path).map(|(place, _)| self.at(place))
    }

    /// What is at a path, and its place among the entries, from 0.
    pub fn place(&self, path: &str) -> Option<(usize, EntryContent<'_>)> {
        let place = self.records.binary_search_by(|record| self.path(record).cmp(path)).ok()?;
        Some((place, self.at(place).content))
    }

    /// The entry at a place, from 0.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn at(&self, place: usize) -> ManifestEntry<'_> {
        self.entry(&self.records[place])
    }

    fn path(&self, record: &Record) -> &str {
        &self.paths[record.path_begin..record.path_end]
    }

    fn entry<'m>(&'m self, record: &'m Record) -> ManifestEntry<'m> {
        let content = match &record.file {
            None => EntryContent::Folder,
            Some(FileRecord { size, executable, digest }) => {
                let parts = &self.parts[record.parts_begin..record.parts_end];
                EntryContent::File { size: *size, executable: *executable, digest, parts }
            }
        };
        ManifestEntry { path: self.path(record), content }
    }
}

/// How many digests of parts a file of this size has.
pub(super) fn parts_of(size: u64) -> u64 {
    if size > limits::MANIFEST_PART_BYTES { size.div_ceil(limits::MANIFEST_PART_BYTES) } else { 0 }
}
