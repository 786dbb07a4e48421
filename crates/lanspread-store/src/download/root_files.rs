//! Which lists of root files are accepted. Pure.

use lanspread_types::content::RootFile;
use lanspread_types::entry_path::{EntryKind, EntryPath, NamePolicy, PathIndex};
use lanspread_types::fault::ContentError;
use lanspread_types::layout::{SENTINEL_FILE, is_archive_name};
use lanspread_types::limits;

/// Checks a list of root files, and sorts it into the order in which a download numbers the files.
///
/// # Errors
/// [`ContentError::Name`] or [`ContentError::RootFiles`] if no game can have these files.
pub fn accept(files: &[RootFile], policy: NamePolicy) -> Result<Vec<RootFile>, ContentError> {
    let refuse = |why: String| Err(ContentError::RootFiles(why));
    let mut sorted = files.to_vec();
    sorted.sort();
    let mut names = PathIndex::new(policy);
    for RootFile { name, .. } in &sorted {
        let path = EntryPath::parse(name, policy)?;
        if path.parents().next().is_some() || (name != SENTINEL_FILE && !is_archive_name(name)) {
            return refuse(format!("`{}` is neither an archive nor {SENTINEL_FILE}", path.as_str()));
        }
        names.insert(&path, EntryKind::File)?;
    }
    let bytes = sorted.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.size));
    if bytes.is_none_or(|bytes| bytes > limits::GAME_BYTES_MAX) {
        return refuse(format!("it has more than {} bytes", limits::GAME_BYTES_MAX));
    }
    if sorted.iter().filter(|file| file.name == SENTINEL_FILE).count() != 1 {
        return refuse(format!("it has no {SENTINEL_FILE}"));
    }
    if sorted.len() < 2 {
        return refuse("it has no archive".to_owned());
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(files: &[(&str, u64)]) -> Vec<RootFile> {
        files.iter().map(|(name, size)| RootFile { name: (*name).to_owned(), size: *size }).collect()
    }

    #[test]
    fn archives_and_one_sentinel_are_a_game() {
        let accepted =
            accept(&list(&[("version.ini", 9), ("a.part1.eti", 5), ("B.ETI", 0)]), NamePolicy::Portable);
        let names: Vec<String> = accepted.unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["B.ETI", "a.part1.eti", "version.ini"]);
    }

    #[test]
    fn names_that_lead_elsewhere_and_lists_that_are_not_a_game_are_refused() {
        let sentinel = ("version.ini", 1);
        for (files, code) in [
            (vec![sentinel, ("../a.eti", 1)], "entry-name-refused"),
            (vec![sentinel, ("/a.eti", 1)], "entry-name-refused"),
            (vec![sentinel, ("local/a.eti", 1)], "root-files-refused"),
            (vec![sentinel, ("a\n.eti", 1)], "entry-name-refused"),
            (vec![sentinel, ("a.exe", 1)], "root-files-refused"),
            (vec![sentinel, ("local", 1)], "root-files-refused"),
            (vec![sentinel, (".downloading", 1)], "root-files-refused"),
            (vec![sentinel, ("a.eti", 1), ("A.eti", 1)], "entry-name-refused"),
            (vec![sentinel, ("a.eti", 1), ("a.eti", 1)], "entry-name-refused"),
            (vec![sentinel, sentinel, ("a.eti", 1)], "entry-name-refused"),
            (vec![("a.eti", 1)], "root-files-refused"),
            (vec![sentinel], "root-files-refused"),
            (vec![], "root-files-refused"),
            (vec![sentinel, ("a.eti", limits::GAME_BYTES_MAX)], "root-files-refused"),
            (vec![sentinel, ("a.eti", u64::MAX)], "root-files-refused"),
        ] {
            let error = accept(&list(&files), NamePolicy::Portable).unwrap_err();
            assert_eq!(error.code(), code, "{files:?}: {error}");
        }
    }
}
