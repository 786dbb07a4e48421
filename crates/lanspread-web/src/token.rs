//! The token of the page: a file of the user, or one in the state directory that is made once.

use std::io;
use std::path::{Path, PathBuf};

use lanspread_peer::LocalError;
use lanspread_trust::made_once::{make, read};
use lanspread_types::limits;
use lanspread_types::regular_file::{self, FileError};

/// The file of the state directory. Only its owner can read it.
const TOKEN_FILE: &str = "web-token";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file of the user cannot be read.
    #[error("the token file {}: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: FileError,
    },
    /// The file has no token that could be one.
    #[error(
        "the token file {}: expected one line of at least {} printable ASCII characters without spaces",
        path.display(), limits::WEB_TOKEN_CHARS_MIN
    )]
    NoToken {
        /// Which file.
        path: PathBuf,
    },
    /// The state directory cannot keep it.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The system has no random numbers.
    #[error("cannot make a token: {0}")]
    NoRandomNumbers(getrandom::Error),
}

/// Reads the token from a file of the user.
///
/// # Errors
/// [`TokenError`] if there is none that could be one.
pub fn token_of_file(path: &Path) -> Result<String, TokenError> {
    let bytes = regular_file::read_of_user(path, limits::WEB_TOKEN_BYTES_MAX as u64)
        .map_err(|reason| TokenError::Unreadable { path: path.to_owned(), reason })?;
    checked(&bytes).ok_or_else(|| TokenError::NoToken { path: path.to_owned() })
}

/// Reads the token of a state directory, which is made if it is not there yet, and says where it is.
///
/// # Errors
/// [`TokenError`] if it cannot be read or made.
pub fn token_of_state(state_dir: &Path) -> Result<(String, PathBuf), TokenError> {
    let path = state_dir.join(TOKEN_FILE);
    let there = || {
        read(state_dir, TOKEN_FILE, |file| regular_file::read_whole(file, limits::WEB_TOKEN_BYTES_MAX as u64))
    };
    let bytes = if let Some(bytes) = there()? {
        bytes
    } else {
        let (token, unique) = (random_word()?, random_word()?);
        make(state_dir, TOKEN_FILE, &unique, format!("{token}\n").as_bytes())?;
        // If another program was faster, its token is the one that counts.
        there()?.ok_or_else(|| LocalError::io("read", &path)(io::ErrorKind::NotFound.into()))?
    };
    match checked(&bytes) {
        Some(token) => Ok((token, path)),
        None => Err(TokenError::NoToken { path }),
    }
}

/// The only line of a file, if a header can carry it and it is long enough not to be guessed.
fn checked(bytes: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(bytes).ok()?.trim_ascii_end();
    let is_token =
        line.len() >= limits::WEB_TOKEN_CHARS_MIN && line.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| line.to_owned())
}

fn random_word() -> Result<String, TokenError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(TokenError::NoRandomNumbers)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let (token, path) = token_of_state(&state).unwrap();
        assert_eq!(token.len(), 32);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(token_of_state(&state).unwrap(), (token.clone(), path.clone()));
        assert_eq!(token_of_file(&path).unwrap(), token);
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(token_of_file(&path), Err(TokenError::Unreadable { .. })));
        for wrong in
            ["", "short", "two words of enough length", "a line of\nmore than one", "wörter-sind-kein-token"]
        {
            fs::write(&path, wrong).unwrap();
            assert!(matches!(token_of_file(&path), Err(TokenError::NoToken { .. })), "{wrong}");
        }
        fs::write(&path, "x".repeat(limits::WEB_TOKEN_BYTES_MAX + 1)).unwrap();
        assert!(matches!(token_of_file(&path), Err(TokenError::Unreadable { .. })));
        fs::write(&path, "correct-horse-battery\r\n").unwrap();
        assert_eq!(token_of_file(&path).unwrap(), "correct-horse-battery");
    }
}
