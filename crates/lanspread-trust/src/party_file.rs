//! The party of a state directory: one line in a file that only its user can read.
//!
//! The file is written as a whole. It is never replaced unless the user says so: a member that loses its line has to ask
//! for it again.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::limits::PARTY_FILE_BYTES_MAX;
use lanspread_types::regular_file::{FileError, open_folder_of_user, open_of_user, read_whole};
use zeroize::Zeroizing;

use crate::party::{PartyLine, PartyLineError};
use crate::{draft_file, made_once};

/// Name of the file in the state directory.
pub const PARTY_FILE: &str = "party";

/// Why the party of a machine was not read or not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartyFileError {
    /// The file holds no party line.
    #[error("{} holds no party line: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: PartyLineError,
    },
    /// The file that was named cannot be read.
    #[error("the party line in {} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// This machine is of another party.
    #[error("this machine is of a party already ({name}, in {})", path.display())]
    OfAnother {
        /// The file.
        path: PathBuf,
        /// The name of that party.
        name: String,
    },
    /// Something that is not ours is in the place of the file.
    #[error(transparent)]
    Foreign(#[from] ForeignState),
    /// This machine's disk.
    #[error(transparent)]
    Local(LocalError),
}

impl From<LocalError> for PartyFileError {
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Foreign(error) => Self::Foreign(error),
            error => Self::Local(error),
        }
    }
}

/// What became of a party line that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartyStored {
    /// The machine was of no party.
    New,
    /// The machine was of another party, or the line named another signer.
    Replaced,
    /// The line was there already.
    Unchanged,
}

/// Where the party of a state directory is.
pub fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join(PARTY_FILE)
}

/// Reads the party of a state directory; `None` if it is of none.
///
/// # Errors
/// [`PartyFileError`].
pub fn load_of_state(state_dir: &Path) -> Result<Option<PartyLine>, PartyFileError> {
    let bytes = made_once::read(state_dir, PARTY_FILE, read_secret)?;
    bytes.map(|bytes| parse(&bytes, || path_in(state_dir))).transpose()
}

/// Reads a party line from a file that a user named. It may be a link: a secret of a container is one.
///
/// # Errors
/// [`PartyFileError`].
pub fn load_named(path: &Path) -> Result<PartyLine, PartyFileError> {
    let read = open_of_user(path).and_then(|file| read_secret(&file));
    let bytes = read.map_err(|source| PartyFileError::File { path: path.to_owned(), source })?;
    parse(&bytes, || path.to_owned())
}

/// Makes a machine a member. If it is of another party, that is replaced only if `replace` says so, and so is a file that
/// is damaged.
///
/// # Errors
/// [`PartyFileError`]; what was there is then still there.
pub fn store(state_dir: &Path, line: &PartyLine, replace: bool) -> Result<PartyStored, PartyFileError> {
    let path = path_in(state_dir);
    let mut content = Zeroizing::new(line.text().reveal().to_owned());
    content.push('\n');
    match load_of_state(state_dir) {
        Ok(None) => {
            let unique =
                getrandom::u64().map_err(io::Error::other).map_err(LocalError::io("write", &path))?;
            if made_once::make(state_dir, PARTY_FILE, &format!("{unique:016x}"), content.as_bytes())? {
                return Ok(PartyStored::New);
            }
            // Another program was faster.
            return match load_of_state(state_dir)? {
                Some(there) if there.says_the_same(line) => Ok(PartyStored::Unchanged),
                Some(there) => Err(PartyFileError::OfAnother { path, name: there.key.name() }),
                None => Err(LocalError::io("write", &path)(io::ErrorKind::NotFound.into()).into()),
            };
        }
        Ok(Some(there)) if there.says_the_same(line) => return Ok(PartyStored::Unchanged),
        Ok(Some(there)) if !replace => {
            return Err(PartyFileError::OfAnother { path, name: there.key.name() });
        }
        Ok(Some(_)) => {}
        Err(PartyFileError::Damaged { .. }) if replace => {}
        Err(error) => return Err(error),
    }
    draft_file::replace(&path, content.as_bytes(), 0o600)?;
    Ok(PartyStored::Replaced)
}

/// Makes a machine one of no party. Returns the party that it was of; a damaged file goes too, and is of none.
///
/// # Errors
/// [`PartyFileError`].
pub fn remove(state_dir: &Path) -> Result<Option<PartyLine>, PartyFileError> {
    let there = match load_of_state(state_dir) {
        Ok(None) => return Ok(None),
        Ok(there) => there,
        Err(PartyFileError::Damaged { .. }) => None,
        Err(error) => return Err(error),
    };
    let path = path_in(state_dir);
    let removed = std::fs::remove_file(&path).and_then(|()| open_folder_of_user(state_dir)?.sync_all());
    removed.map_err(LocalError::io("remove", &path))?;
    Ok(there)
}

/// Reads a secret of a few lines, which is overwritten when it is dropped.
fn read_secret(file: &File) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_whole(file, PARTY_FILE_BYTES_MAX).map(Zeroizing::new)
}

fn parse(bytes: &[u8], path: impl Fn() -> PathBuf) -> Result<PartyLine, PartyFileError> {
    // What is not text has characters that no line has.
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    PartyLine::parse(text).map_err(|problem| PartyFileError::Damaged { path: path(), problem })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::party::PartyKey;

    fn line() -> PartyLine {
        PartyLine { key: PartyKey::random().unwrap(), catalog_signer: None }
    }

    #[test]
    fn a_machine_is_of_the_party_that_was_stored_until_it_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("a/b");
        assert!(load_of_state(&state_dir).unwrap().is_none());
        assert!(remove(&state_dir).unwrap().is_none());
        let (one, two) = (line(), line());
        assert_eq!(store(&state_dir, &one, false).unwrap(), PartyStored::New);
        assert!(load_of_state(&state_dir).unwrap().unwrap().says_the_same(&one));
        let path = path_in(&state_dir);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(store(&state_dir, &one, false).unwrap(), PartyStored::Unchanged);
        let refused = store(&state_dir, &two, false).unwrap_err();
        assert!(refused.to_string().contains(&one.key.name()), "{refused}");
        assert!(load_of_state(&state_dir).unwrap().unwrap().says_the_same(&one));
        assert_eq!(store(&state_dir, &two, true).unwrap(), PartyStored::Replaced);
        assert!(load_of_state(&state_dir).unwrap().unwrap().says_the_same(&two));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(remove(&state_dir).unwrap().unwrap().says_the_same(&two));
        assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 0, "and nothing is left");
    }

    #[test]
    fn two_programs_that_start_at_once_make_one_party() {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<PartyLine> = (0..8).map(|_| line()).collect();
        let stored = std::thread::scope(|scope| {
            let store = |line| store(folder.path(), line, false).is_ok();
            let threads: Vec<_> = lines.iter().map(|line| scope.spawn(move || store(line))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let winner = stored.iter().position(|stored| *stored).unwrap();
        assert_eq!(stored.iter().filter(|stored| **stored).count(), 1);
        assert!(load_of_state(folder.path()).unwrap().unwrap().says_the_same(&lines[winner]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_damaged_file_is_an_error_and_goes_only_if_it_is_meant_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        for content in [&b"party1nonsense\n"[..], b"", b"\xff\xfe", b"two\nlines\n"] {
            fs::write(&path, content).unwrap();
            for refused in
                [load_of_state(folder.path()).map(|_| ()), store(folder.path(), &line(), false).map(|_| ())]
            {
                assert!(matches!(refused, Err(PartyFileError::Damaged { .. })), "{refused:?}");
            }
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(store(folder.path(), &line(), true).unwrap(), PartyStored::Replaced);
        fs::write(&path, "nonsense").unwrap();
        assert!(remove(folder.path()).unwrap().is_none());
        assert!(!path.exists());
    }

    #[test]
    fn a_party_is_not_read_through_a_link_and_not_if_it_is_huge() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (path_in(folder.path()), folder.path().join("target"));
        fs::write(&target, line().text().reveal()).unwrap();
        symlink(&target, &path).unwrap();
        for replace in [false, true] {
            let refused = store(folder.path(), &line(), replace);
            assert!(matches!(refused, Err(PartyFileError::Foreign(_))), "{refused:?}");
        }
        assert!(load_of_state(folder.path()).is_err() && remove(folder.path()).is_err());
        // A file that the user names is the user's own.
        load_named(&path).unwrap();
        fs::remove_file(&path).unwrap();
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(load_of_state(folder.path()), Err(PartyFileError::Foreign(_))));
        assert!(matches!(load_named(&path), Err(PartyFileError::File { .. })));
        assert!(matches!(load_named(&folder.path().join("none")), Err(PartyFileError::File { .. })));
    }
}
