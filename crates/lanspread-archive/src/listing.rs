//! Builds a listing entry by entry and refuses what must not be installed, the same way for both providers.

use std::collections::HashMap;

use lanspread_types::checksum::Checksum;
use lanspread_types::content::{
    ArchiveFormat, ArchiveSummary, CopyEntry, DirectoryEntry, FileEntry, Totals, UnixSeconds,
};
use lanspread_types::entry_path::{EntryPath, NameError, NamePolicy, NameProblem};
use lanspread_types::limits;
use lanspread_types::text::printable;

use crate::error::ArchiveError;
use crate::provider::{ArchiveListing, ListedEntry};

/// Collects the entries of one archive.
pub(super) struct ListingBuilder {
    archive: String,
    entries: Vec<ListedEntry>,
    totals: Totals,
    dictionary_bytes_max: u64,
    dictionary_bytes: u64,
    /// Size of each file by its path, for copies; filled on the first copy, so that most archives pay nothing for it.
    files: Option<HashMap<EntryPath, u64>>,
}

/// What every entry has.
pub(super) struct Common<'n> {
    pub(super) name: &'n str,
    pub(super) modified: Option<UnixSeconds>,
    pub(super) executable: bool,
}

/// A stored name up to its first NUL. Some writers pad names with NULs, and `unrar` ends a name at the first one.
pub(super) fn until_nul(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == 0).next().unwrap_or_default()
}

impl ListingBuilder {
    pub(super) fn new(archive: &str, dictionary_bytes_max: u64) -> Self {
        Self {
            archive: archive.to_owned(),
            entries: Vec::new(),
            totals: Totals::default(),
            dictionary_bytes_max,
            dictionary_bytes: 0,
            files: None,
        }
    }

    /// Takes the dictionary of a compressed file, also of one that is left out: a solid archive decodes it too.
    pub(super) fn dictionary(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        if bytes > self.dictionary_bytes_max {
            let limit = self.dictionary_bytes_max;
            return Err(ArchiveError::Dictionary { archive: self.archive.clone(), limit, got: bytes });
        }
        self.dictionary_bytes = self.dictionary_bytes.max(bytes);
        Ok(())
    }

    pub(super) fn directory(&mut self, name: &str) -> Result<(), ArchiveError> {
        let path = self.path(name.strip_suffix('/').unwrap_or(name))?;
        self.add(
            ListedEntry::Directory(DirectoryEntry { path }),
            Totals { directories: 1, ..Totals::default() },
        )
    }

    pub(super) fn file(
        &mut self,
        common: &Common<'_>,
        size: u64,
        checksum: Option<Checksum>,
    ) -> Result<(), ArchiveError> {
        let path = self.path(common.name)?;
        if let Some(files) = &mut self.files {
            files.insert(path.clone(), size);
        }
        let file =
            FileEntry { path, size, checksum, modified: common.modified, executable: common.executable };
        self.add(ListedEntry::File(file), Totals { files: 1, bytes: size, ..Totals::default() })
    }

    pub(super) fn copy(&mut self, common: &Common<'_>, original: &str) -> Result<(), ArchiveError> {
        let path = self.path(common.name)?;
        let original_path = self.path(original)?;
        let files = self.files.get_or_insert_with(|| {
            let sizes = self.entries.iter().filter_map(|entry| match entry {
                ListedEntry::File(file) => Some((file.path.clone(), file.size)),
                _ => None,
            });
            sizes.collect()
        });
        let Some(size) = files.get(&original_path).copied() else {
            return Err(ArchiveError::DanglingCopy {
                archive: self.archive.clone(),
                entry: path.to_string(),
                original: original_path.to_string(),
            });
        };
        // A copy can be the original of a later one.
        files.insert(path.clone(), size);
        let copy = CopyEntry {
            path,
            original: original_path,
            size,
            modified: common.modified,
            executable: common.executable,
        };
        self.add(ListedEntry::Copy(copy), Totals { files: 1, bytes: size, ..Totals::default() })
    }

    /// The listing. An archive without entries is refused: it is of no use, and a RAR 4 archive that was cut after its
    /// first header looks like one.
    pub(super) fn finish(self, format: ArchiveFormat, solid: bool) -> Result<ArchiveListing, ArchiveError> {
        if self.entries.is_empty() {
            return Err(ArchiveError::Empty { archive: self.archive });
        }
        let summary = ArchiveSummary { name: self.archive, format, solid, totals: self.totals };
        Ok(ArchiveListing { summary, entries: self.entries, dictionary_bytes: self.dictionary_bytes })
    }

    /// The refusal of an entry that is neither file nor folder.
    pub(super) fn unsupported(&self, what: &'static str, name: &str) -> ArchiveError {
        ArchiveError::UnsupportedEntry { archive: self.archive.clone(), what, entry: printable(name, 200) }
    }

    /// A stored name as text. `rar` and `unrar` put U+FFFE into a name whose bytes were not text, and map those bytes to
    /// private characters, so their meaning is lost.
    pub(super) fn text<'n>(&self, name: &'n [u8]) -> Result<&'n str, ArchiveError> {
        const NOT_TEXT_MARK: char = '\u{fffe}';
        match std::str::from_utf8(name) {
            Ok(text) if !text.contains(NOT_TEXT_MARK) => Ok(text),
            _ => {
                let source = NameError::new(&String::from_utf8_lossy(name), NameProblem::NotUnicode);
                Err(ArchiveError::Name { archive: self.archive.clone(), source })
            }
        }
    }

    /// A stored name of RAR 4 as text. Where it was stored in UTF-16 (`is_wide`), `unrar` shows and writes `?` for
    /// characters that need two units of it. Names with either are refused: two decoders would install two names.
    pub(super) fn text_of_rar4<'n>(&self, name: &'n [u8], is_wide: bool) -> Result<&'n str, ArchiveError> {
        let text = self.text(name)?;
        let is_exact = |character: char| character != '?' && !(is_wide && character.len_utf16() > 1);
        if text.chars().all(is_exact) {
            return Ok(text);
        }
        let source = NameError::new(text, NameProblem::NotExact);
        Err(ArchiveError::Name { archive: self.archive.clone(), source })
    }

    /// Accepts every name that is safe. Whether a name is portable is the receiver's decision.
    fn path(&self, name: &str) -> Result<EntryPath, ArchiveError> {
        EntryPath::parse(name, NamePolicy::Native)
            .map_err(|source| ArchiveError::Name { archive: self.archive.clone(), source })
    }

    fn add(&mut self, entry: ListedEntry, more: Totals) -> Result<(), ArchiveError> {
        let limit =
            |what, limit, got| ArchiveError::Limit { archive: self.archive.clone(), what, limit, got };
        let totals = self
            .totals
            .checked_add(more)
            .filter(|totals| totals.bytes <= limits::GAME_BYTES_MAX)
            .ok_or_else(|| {
                limit("unpacked bytes", limits::GAME_BYTES_MAX, self.totals.bytes.saturating_add(more.bytes))
            })?;
        if totals.entries() > limits::ENTRIES_MAX {
            return Err(limit("entries", limits::ENTRIES_MAX, totals.entries()));
        }
        self.totals = totals;
        self.entries.push(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(name: &str) -> Common<'_> {
        Common { name, modified: None, executable: false }
    }

    #[test]
    fn entries_and_bytes_are_bounded() {
        let mut builder = ListingBuilder::new("x.eti", 0);
        builder.totals.files = limits::ENTRIES_MAX - 1;
        builder.directory("last").unwrap();
        let error = builder.directory("one too many").unwrap_err();
        assert!(matches!(error, ArchiveError::Limit { what: "entries", .. }), "{error}");

        let mut builder = ListingBuilder::new("x.eti", 0);
        builder.file(&common("large"), limits::GAME_BYTES_MAX, None).unwrap();
        for more in [1, u64::MAX] {
            let error = builder.file(&common("more"), more, None).unwrap_err();
            assert!(matches!(error, ArchiveError::Limit { what: "unpacked bytes", .. }), "{error}");
        }
    }

    #[test]
    fn a_copy_can_be_the_original_of_a_copy() {
        let mut builder = ListingBuilder::new("x.eti", 0);
        builder.file(&common("a"), 5, None).unwrap();
        builder.copy(&common("b"), "a").unwrap();
        builder.copy(&common("c"), "b").unwrap();
        builder.file(&common("d"), 7, None).unwrap();
        builder.copy(&common("e"), "d").unwrap();
        assert!(matches!(builder.copy(&common("f"), "g"), Err(ArchiveError::DanglingCopy { .. })));
        let listing = builder.finish(ArchiveFormat::Rar5, false).unwrap();
        assert_eq!(listing.summary.totals, Totals { files: 5, directories: 0, bytes: 3 * 5 + 2 * 7 });
    }
}
