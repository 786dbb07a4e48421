//! Holds the entries of a game to its manifest. Pure: steps in, verdict out.
//!
//! Invariants:
//!
//! - A header is judged when it comes, before anything is created for it: only listed paths, each file once, with the
//!   listed size and executable bit.
//! - A file that the manifest lists in parts is proved by the digests of its parts, so that a wrong byte is found in its
//!   part and nothing is hashed twice. Every other file is proved by the digest of the whole.
//! - A copy is proved by its original, which has arrived and was proved: the manifest must list both with one digest.
//! - No two archives of a game have the same file, because nothing installs such a game. A folder may be named more than
//!   once, which adds nothing; so more folders may be announced than are listed, and they must come.
//! - What has passed is as listed only after [`ManifestCheck::complete`].

use std::fmt;
use std::sync::Arc;

use lanspread_types::checksum::{ContentDigest, ContentHasher};
use lanspread_types::content::{ArchiveSummary, CopyEntry, EntryStep, FileEntry, Totals};
use lanspread_types::limits::{MANIFEST_PART_BYTES, PATH_BYTES_MAX};
use lanspread_types::text::printable;

use crate::manifest::content::{EntryContent, Manifest};

/// The first thing that is not as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// The entry or the archive, safe to print; `None` if it is about the whole game.
    pub path: Option<String>,
    /// Where in the file the part begins that is wrong; `None` if it is about the whole file or its header.
    pub position: Option<u64>,
    /// What the manifest lists.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl fmt::Display for Deviation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.position) {
            (None, _) => write!(formatter, "the game")?,
            (Some(path), None) => write!(formatter, "`{path}`")?,
            (Some(path), Some(position)) => write!(formatter, "`{path}` from byte {position}")?,
        }
        write!(formatter, " is not as the catalog lists it: {} expected, got {}", self.expected, self.got)
    }
}

impl std::error::Error for Deviation {}

impl Deviation {
    fn of(path: &str, expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        let path = Some(printable(path, PATH_BYTES_MAX));
        Self { path, position: None, expected: expected.to_string(), got: got.to_string() }
    }

    fn of_game(expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self { path: None, position: None, expected: expected.to_string(), got: got.to_string() }
    }
}

/// Compares the steps of a game, in their order, with its manifest.
#[derive(Debug)]
pub struct ManifestCheck {
    manifest: Arc<Manifest>,
    /// Which entries and which archives have come, by their places in the manifest.
    entries_seen: Vec<bool>,
    archives_seen: Vec<bool>,
    announced: Option<Totals>,
    folders: u64,
    open: Option<OpenFile>,
}

/// The file that is arriving.
#[derive(Debug)]
struct OpenFile {
    /// Its place in the manifest.
    entry: usize,
    arrived: u64,
    hasher: ContentHasher,
}

impl ManifestCheck {
    /// Before the first step.
    pub fn new(manifest: Arc<Manifest>) -> Self {
        Self {
            entries_seen: vec![false; manifest.entries.len()],
            archives_seen: vec![false; manifest.archives.len()],
            manifest,
            announced: None,
            folders: 0,
            open: None,
        }
    }

    /// The totals that are announced before the first step. Returns those that the manifest lists.
    ///
    /// # Errors
    /// If they are other ones.
    pub fn announced(&mut self, totals: Totals) -> Result<Totals, Deviation> {
        let listed = self.manifest.entries.totals();
        let is_equal = totals.files == listed.files && totals.bytes == listed.bytes;
        if !is_equal || totals.directories < listed.directories {
            return Err(Deviation::of_game(totals_words(listed), totals_words(totals)));
        }
        self.announced = Some(totals);
        Ok(listed)
    }

    /// The next step, whose bytes `content` knows.
    ///
    /// # Errors
    /// If it is not as listed.
    pub fn take<'s, D>(
        &mut self,
        step: &'s EntryStep<D>,
        content: impl FnOnce(&'s D) -> &'s [u8],
    ) -> Result<(), Deviation> {
        match step {
            EntryStep::ArchiveBegin(summary) => self.archive(summary),
            EntryStep::Directory(directory) => self.folder(directory.path.as_str()),
            EntryStep::FileBegin(file) => self.file_begin(file),
            EntryStep::Data(data) => self.data(content(data)),
            EntryStep::FileEnd(_) => self.file_end(),
            EntryStep::Copy(copy) => self.copy(copy),
            EntryStep::ArchiveEnd => Ok(()),
        }
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// If something that is listed has not come.
    pub fn complete(&self) -> Result<(), Deviation> {
        if let Some(at) = self.archives_seen.iter().position(|seen| !seen) {
            return Err(Deviation::of(self.archive_name(at), "the archive", "nothing"));
        }
        let entries = self.manifest.entries.iter();
        if let Some((entry, _)) = entries.zip(&self.entries_seen).find(|(_, seen)| !**seen) {
            return Err(Deviation::of(entry.path, listed_words(&entry.content), "nothing"));
        }
        match self.announced {
            Some(totals) if totals.directories != self.folders => {
                Err(Deviation::of_game(format!("{} folders", totals.directories), self.folders))
            }
            _ => Ok(()),
        }
    }

    fn archive_name(&self, archive: usize) -> &str {
        let first = self.manifest.archives[archive].files.first();
        first.map_or("", |file| &self.manifest.root_files[*file].name)
    }

    fn archive(&mut self, summary: &ArchiveSummary) -> Result<(), Deviation> {
        let name = &summary.name;
        let found = (0..self.manifest.archives.len()).find(|at| self.archive_name(*at) == name);
        let Some(at) = found else { return Err(Deviation::of(name, "nothing", "an archive")) };
        if std::mem::replace(&mut self.archives_seen[at], true) {
            return Err(Deviation::of(name, "one archive", "a second one of this name"));
        }
        let listed = &self.manifest.archives[at];
        let words = |format, solid: bool| format!("{format:?}{}", if solid { ", solid" } else { "" });
        if (listed.format, listed.solid) != (summary.format, summary.solid) {
            let expected = words(listed.format, listed.solid);
            return Err(Deviation::of(name, expected, words(summary.format, summary.solid)));
        }
        Ok(())
    }

    fn folder(&mut self, path: &str) -> Result<(), Deviation> {
        let Some((at, content)) = self.manifest.entries.place(path) else {
            return Err(Deviation::of(path, "nothing", "a folder"));
        };
        if content != EntryContent::Folder {
            return Err(Deviation::of(path, listed_words(&content), "a folder"));
        }
        self.entries_seen[at] = true;
        self.folders += 1;
        Ok(())
    }

    /// Judges the header of a file, and returns its place.
    fn header(&mut self, path: &str, size: u64, executable: bool) -> Result<usize, Deviation> {
        let got = || file_words(size, executable);
        let Some((at, content)) = self.manifest.entries.place(path) else {
            return Err(Deviation::of(path, "nothing", got()));
        };
        let is_listed = matches!(
            content,
            EntryContent::File { size: listed, executable: is_executable, .. }
                if (listed, is_executable) == (size, executable)
        );
        if !is_listed {
            return Err(Deviation::of(path, listed_words(&content), got()));
        }
        if std::mem::replace(&mut self.entries_seen[at], true) {
            return Err(Deviation::of(path, "one file", "a second one of this path"));
        }
        Ok(at)
    }

    fn file_begin(&mut self, file: &FileEntry) -> Result<(), Deviation> {
        let entry = self.header(file.path.as_str(), file.size, file.executable)?;
        self.open = Some(OpenFile { entry, arrived: 0, hasher: ContentHasher::default() });
        Ok(())
    }

    fn data(&mut self, mut bytes: &[u8]) -> Result<(), Deviation> {
        let Self { manifest, open, .. } = self;
        let Some(open) = open else { return Err(Deviation::of_game("an entry", "bytes of no file")) };
        let entry = manifest.entries.at(open.entry);
        let EntryContent::File { size, parts, .. } = entry.content else { return Ok(()) };
        if size - open.arrived < bytes.len() as u64 {
            return Err(Deviation::of(entry.path, format!("{size} bytes"), "more"));
        }
        while !bytes.is_empty() {
            let position = open.arrived % MANIFEST_PART_BYTES;
            let missing = if parts.is_empty() { size } else { MANIFEST_PART_BYTES - position };
            let take = usize::try_from(missing).map_or(bytes.len(), |missing| missing.min(bytes.len()));
            let (now, rest) = bytes.split_at(take);
            open.hasher.update(now);
            open.arrived += now.len() as u64;
            bytes = rest;
            let is_whole = open.arrived.is_multiple_of(MANIFEST_PART_BYTES) || open.arrived == size;
            if !parts.is_empty() && is_whole {
                let begin = (open.arrived - 1) / MANIFEST_PART_BYTES;
                let listed = usize::try_from(begin).ok().and_then(|part| parts.get(part));
                let got = std::mem::take(&mut open.hasher).finish();
                if listed != Some(&got) {
                    let deviation = other_content(entry.path, listed, got);
                    return Err(Deviation { position: Some(begin * MANIFEST_PART_BYTES), ..deviation });
                }
            }
        }
        Ok(())
    }

    fn file_end(&mut self) -> Result<(), Deviation> {
        let Some(open) = self.open.take() else {
            return Err(Deviation::of_game("an entry", "the end of no file"));
        };
        let entry = self.manifest.entries.at(open.entry);
        let EntryContent::File { size, digest, parts, .. } = entry.content else { return Ok(()) };
        if open.arrived != size {
            return Err(Deviation::of(
                entry.path,
                format!("{size} bytes"),
                format!("{} bytes", open.arrived),
            ));
        }
        if !parts.is_empty() {
            return Ok(());
        }
        match open.hasher.finish() {
            got if got == *digest => Ok(()),
            got => Err(other_content(entry.path, Some(digest), got)),
        }
    }

    fn copy(&mut self, copy: &CopyEntry) -> Result<(), Deviation> {
        let path = copy.path.as_str();
        let at = self.header(path, copy.size, copy.executable)?;
        let listed = self.manifest.entries.at(at).content;
        let original = copy.original.as_str();
        let (place, content) = match self.manifest.entries.place(original) {
            Some((place, content)) if place != at && self.entries_seen[place] => (place, content),
            _ => return Err(Deviation::of(path, "a file or a copy of one that came", "a copy of another")),
        };
        match (listed, content) {
            (
                EntryContent::File { size, digest, .. },
                EntryContent::File { size: got_size, digest: got, .. },
            ) if (size, digest) == (got_size, got) => Ok(()),
            (EntryContent::File { digest, .. }, EntryContent::File { digest: got, .. }) => {
                Err(other_content(path, Some(digest), *got))
            }
            _ => Err(Deviation::of(path, "a file", format!("a copy of entry {place}"))),
        }
    }
}

fn other_content(path: &str, listed: Option<&ContentDigest>, got: ContentDigest) -> Deviation {
    let expected = listed.map_or_else(|| "nothing".to_owned(), |listed| format!("SHA-256 {listed}"));
    Deviation::of(path, expected, got)
}

fn file_words(size: u64, executable: bool) -> String {
    format!("{} of {size} bytes", if executable { "an executable file" } else { "a file" })
}

fn listed_words(content: &EntryContent<'_>) -> String {
    match content {
        EntryContent::Folder => "a folder".to_owned(),
        EntryContent::File { size, executable, .. } => file_words(*size, *executable),
    }
}

fn totals_words(totals: Totals) -> String {
    let Totals { files, directories, bytes } = totals;
    format!("{files} files and {directories} folders of {bytes} bytes")
}

#[cfg(test)]
mod tests;
