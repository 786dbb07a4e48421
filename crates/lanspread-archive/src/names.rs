//! The names of all archives of a game together: each must have a place of its own.

use lanspread_types::entry_path::{EntryKind, EntryPath, NameError, NamePolicy, PathIndex};

use crate::error::ArchiveError;
use crate::provider::{ArchiveListing, ListedEntry};

/// Checks every name of a game under a policy. Returns the number of folders of its tree, those on the way to files
/// included.
///
/// # Errors
/// [`ArchiveError::Name`] for a name that the policy refuses or that its own archive has twice, and
/// [`ArchiveError::Clash`] if two archives have it.
pub fn check(archives: &[&ArchiveListing], policy: NamePolicy) -> Result<u64, ArchiveError> {
    let mut paths = PathIndex::new(policy);
    let mut folders = 0;
    for (number, listing) in archives.iter().enumerate() {
        for entry in &listing.entries {
            let (path, kind) = place(entry);
            let refused =
                |source: NameError| ArchiveError::Name { archive: listing.summary.name.clone(), source };
            // The provider has only checked that the name is safe.
            EntryPath::parse(path.as_str(), policy).map_err(refused)?;
            match paths.insert(path, kind) {
                Ok(new_folders) => folders += new_folders.len() as u64,
                Err(source) => {
                    let earlier = archives[..number].iter().find(|other| !has_room(other, entry, policy));
                    let Some(other) = earlier else { return Err(refused(source)) };
                    let (first, second) = (other.summary.name.clone(), listing.summary.name.clone());
                    return Err(ArchiveError::Clash { first, second, source });
                }
            }
        }
    }
    Ok(folders)
}

/// Whether an entry could be added to an archive.
fn has_room(archive: &ArchiveListing, entry: &ListedEntry, policy: NamePolicy) -> bool {
    let mut paths = PathIndex::new(policy);
    let mut fits = |entry| {
        let (path, kind) = place(entry);
        paths.insert(path, kind).is_ok()
    };
    archive.entries.iter().all(&mut fits) && fits(entry)
}

fn place(entry: &ListedEntry) -> (&EntryPath, EntryKind) {
    match entry {
        ListedEntry::Directory(directory) => (&directory.path, EntryKind::Directory),
        ListedEntry::File(file) => (&file.path, EntryKind::File),
        ListedEntry::Copy(copy) => (&copy.path, EntryKind::File),
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::content::{ArchiveFormat, ArchiveSummary, DirectoryEntry, FileEntry, Totals};
    use lanspread_types::entry_path::NameProblem;

    use super::*;

    /// An archive with these entries; folders end in `/`.
    fn archive(name: &str, entries: &[&str]) -> ArchiveListing {
        let entries = entries.iter().map(|name| {
            let path = EntryPath::parse(name.trim_end_matches('/'), NamePolicy::Native).unwrap();
            if name.ends_with('/') {
                return ListedEntry::Directory(DirectoryEntry { path });
            }
            ListedEntry::File(FileEntry { path, size: 0, checksum: None, modified: None, executable: false })
        });
        let (format, totals) = (ArchiveFormat::Rar5, Totals::default());
        let summary = ArchiveSummary { name: name.to_owned(), format, solid: false, totals };
        ArchiveListing { summary, entries: entries.collect(), dictionary_bytes: 0 }
    }

    fn refusal(archives: &[&ArchiveListing], policy: NamePolicy) -> String {
        check(archives, policy).unwrap_err().to_string()
    }

    #[test]
    fn a_file_in_two_archives_names_both() {
        let base = archive("base.eti", &["bin/", "bin/game.exe", "readme"]);
        let other = archive("music.eti", &["bin/", "music/track"]);
        let patch = archive("patch.eti", &["bin/game.exe"]);
        let folders = check(&[&base, &other], NamePolicy::Native).unwrap();
        assert_eq!(folders, 2, "`bin`, and `music` on the way to a file");
        assert_eq!(
            refusal(&[&base, &other, &patch], NamePolicy::Native),
            "base.eti and patch.eti cannot be installed together: both hold `bin/game.exe`"
        );
        let file_for_folder = archive("patch.eti", &["bin"]);
        assert_eq!(
            refusal(&[&base, &file_for_folder], NamePolicy::Native),
            "base.eti and patch.eti cannot be installed together: both hold `bin`"
        );
    }

    #[test]
    fn names_that_only_other_systems_mix_up_are_for_the_policy() {
        let (base, patch) = (archive("base.eti", &["Game.exe"]), archive("patch.eti", &["GAME.EXE"]));
        check(&[&base, &patch], NamePolicy::Native).unwrap();
        let refusal = refusal(&[&base, &patch], NamePolicy::Portable);
        assert!(refusal.starts_with("base.eti and patch.eti cannot be installed together"), "{refusal}");
        assert!(refusal.contains("letter case"), "{refusal}");
    }

    #[test]
    fn a_name_twice_in_one_archive_is_the_fault_of_that_archive() {
        let (one, two) = (archive("one.eti", &["a"]), archive("two.eti", &["b", "b"]));
        let error = check(&[&one, &two], NamePolicy::Native).unwrap_err();
        let ArchiveError::Name { archive, source } = &error else { panic!("{error}") };
        assert_eq!((archive.as_str(), source.problem), ("two.eti", NameProblem::Duplicate));
    }
}
