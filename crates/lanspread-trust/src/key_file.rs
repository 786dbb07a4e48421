//! Keys on disk.
//!
//! The key pair of an organiser is one file in the state directory, readable by its user only. It is made once: two
//! programs that start at once get the same one. A damaged key is reported and never replaced. A secret key that is named
//! by its path is the user's own file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::limits::KEY_FILE_BYTES_MAX;
use lanspread_types::regular_file::{FileError, if_present, open_of_user, read_whole};
use zeroize::Zeroizing;

use crate::made_once;
use crate::minisign::{KeyProblem, PublicKey, SecretKey};

/// Name of the secret key in the state directory.
pub const CATALOG_KEY_FILE: &str = "catalog.key";

/// Why a key was not loaded or not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file is there, and is no key that can be used.
    #[error("the key {} cannot be used: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: KeyProblem,
    },
    /// The text is neither a key nor the path of one.
    #[error("`{text}` is neither a file nor a public key: {problem}")]
    NeitherFileNorKey {
        /// What was given, cut and made printable.
        text: String,
        /// Why it is no key.
        problem: KeyProblem,
    },
    /// The file that was named cannot be read.
    #[error("the key {} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// The state directory has no key.
    #[error("there is no key {}", path.display())]
    NoKey {
        /// Where it would be.
        path: PathBuf,
    },
    /// Another file is where a key would be written.
    #[error("{} is there already and is not this key; it is left alone", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
    },
    /// The system provides no random numbers.
    #[error("internal fault: the system provides no random numbers: {0}")]
    NoRandomNumbers(getrandom::Error),
    /// Something that is not ours is where the key would be.
    #[error(transparent)]
    Foreign(#[from] ForeignState),
    /// This machine's disk.
    #[error(transparent)]
    Local(LocalError),
}

impl From<LocalError> for KeyError {
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Foreign(error) => Self::Foreign(error),
            error => Self::Local(error),
        }
    }
}

/// Where the key of a state directory is.
pub fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join(CATALOG_KEY_FILE)
}

/// Reads the key of a state directory.
///
/// # Errors
/// [`KeyError::NoKey`] if there is none.
pub fn load_of_state(state_dir: &Path) -> Result<SecretKey, KeyError> {
    read_of_state(state_dir)?.ok_or_else(|| KeyError::NoKey { path: path_in(state_dir) })
}

/// Reads the key of a state directory, or makes one. Says whether it was made.
///
/// # Errors
/// [`KeyError`]; what is there is never replaced.
pub fn load_or_make(state_dir: &Path) -> Result<(SecretKey, bool), KeyError> {
    if let Some(key) = read_of_state(state_dir)? {
        return Ok((key, false));
    }
    let is_ours = make(state_dir)?;
    Ok((load_of_state(state_dir)?, is_ours))
}

fn read_of_state(state_dir: &Path) -> Result<Option<SecretKey>, KeyError> {
    let bytes = made_once::read(state_dir, CATALOG_KEY_FILE, read_secret)?;
    let parsed = bytes.map(|bytes| SecretKey::parse_file(&bytes)).transpose();
    parsed.map_err(|problem| KeyError::Unusable { path: path_in(state_dir), problem })
}

/// Makes a key. Says whether it is the one that is there now.
fn make(state_dir: &Path) -> Result<bool, KeyError> {
    let key = SecretKey::random().map_err(KeyError::NoRandomNumbers)?;
    // The key id is random.
    let unique = key.public().id().to_string();
    Ok(made_once::make(state_dir, CATALOG_KEY_FILE, &unique, key.file().as_bytes())?)
}

/// Reads a secret key that a user named.
///
/// # Errors
/// [`KeyError`].
pub fn load_secret(path: &Path) -> Result<SecretKey, KeyError> {
    let unreadable = |source| KeyError::File { path: path.to_owned(), source };
    let bytes = open_of_user(path).and_then(|file| read_secret(&file)).map_err(unreadable)?;
    SecretKey::parse_file(&bytes).map_err(|problem| KeyError::Unusable { path: path.to_owned(), problem })
}

/// Reads a public key: the path of its file, or its line in base64.
///
/// # Errors
/// [`KeyError`].
pub fn load_public(file_or_key: &str) -> Result<PublicKey, KeyError> {
    let no_key = match PublicKey::parse(file_or_key) {
        Ok(key) => return Ok(key),
        Err(problem) => problem,
    };
    let path = Path::new(file_or_key);
    let bytes = open_of_user(path).and_then(|file| read_whole(&file, KEY_FILE_BYTES_MAX));
    let bytes = match bytes {
        Ok(bytes) => bytes,
        // What has neither a slash nor a dot may have been meant as a key.
        Err(error) if error.is_absent() && !file_or_key.contains('.') => {
            let text = lanspread_types::text::printable(file_or_key, 80);
            return Err(KeyError::NeitherFileNorKey { text, problem: no_key });
        }
        Err(source) => return Err(KeyError::File { path: path.to_owned(), source }),
    };
    PublicKey::parse_file(&bytes).map_err(|problem| KeyError::Unusable { path: path.to_owned(), problem })
}

/// Writes a public key, to hand it on. A file that is there must be the same.
///
/// # Errors
/// [`KeyError::OtherFile`]; [`KeyError::Local`].
pub fn write_public(path: &Path, key: &PublicKey) -> Result<(), KeyError> {
    let there = if_present(open_of_user(path).and_then(|file| read_whole(&file, KEY_FILE_BYTES_MAX)));
    match there {
        Ok(None) => Ok(crate::draft_file::replace(path, key.file().as_bytes(), 0o644)?),
        Ok(Some(bytes)) if PublicKey::parse_file(&bytes) == Ok(*key) => Ok(()),
        _ => Err(KeyError::OtherFile { path: path.to_owned() }),
    }
}

/// Reads a small file into memory that is overwritten afterwards and never moved.
fn read_secret(mut file: &File) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let bytes_max = usize::try_from(KEY_FILE_BYTES_MAX).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(vec![0; bytes_max + 1]);
    let mut filled = 0;
    loop {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    if filled > bytes_max {
        return Err(FileError::TooLarge(KEY_FILE_BYTES_MAX));
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_key_is_made_once_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("a/b");
        assert!(matches!(load_of_state(&state_dir), Err(KeyError::NoKey { .. })));
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_make(&state_dir).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.windows(2).all(|pair| pair[0].0.public() == pair[1].0.public()));
        assert_eq!(made.iter().filter(|(_, is_new)| *is_new).count(), 1);
        assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 1, "no draft is left");
        let metadata = fs::metadata(path_in(&state_dir)).unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.nlink()), (0o600, 1));
    }

    #[test]
    fn a_damaged_key_is_reported_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        let (key, _) = load_or_make(folder.path()).unwrap();
        let damaged = key.file().replacen("RWQAA", "RWQAB", 1);
        for text in ["nonsense", "", &damaged] {
            fs::write(&path, text).unwrap();
            assert!(matches!(load_or_make(folder.path()), Err(KeyError::Unusable { .. })), "{text:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_key_is_not_read_through_a_link_or_a_pipe_and_not_if_it_is_huge() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (path_in(folder.path()), folder.path().join("target"));
        let refused = |what: &str| {
            let refused = load_or_make(folder.path()).map(|(key, _)| key.public());
            assert!(matches!(refused, Err(KeyError::Foreign(_))), "{what}: {refused:?}");
            assert!(!target.exists(), "{what}");
            fs::remove_file(&path).unwrap();
        };
        symlink(&target, &path).unwrap();
        refused("link");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        refused("pipe");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        refused("huge");
        load_or_make(folder.path()).unwrap();
    }

    #[test]
    fn a_public_key_is_a_file_or_a_line_and_never_replaces_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let (one, _) = load_or_make(&folder.path().join("1")).unwrap();
        let (two, _) = load_or_make(&folder.path().join("2")).unwrap();
        let path = folder.path().join("key.pub");
        for _ in 0..2 {
            write_public(&path, &one.public()).unwrap();
        }
        assert!(matches!(write_public(&path, &two.public()), Err(KeyError::OtherFile { .. })));
        assert_eq!(load_public(path.to_str().unwrap()).unwrap(), one.public());
        assert_eq!(load_public(&two.public().to_string()).unwrap(), two.public());
        assert!(matches!(load_public("RWQabc"), Err(KeyError::NeitherFileNorKey { .. })));
        assert!(matches!(load_public("no/such/key.pub"), Err(KeyError::File { .. })));
        let secret = path_in(&folder.path().join("1"));
        assert!(matches!(load_public(secret.to_str().unwrap()), Err(KeyError::Unusable { .. })));
    }
}
