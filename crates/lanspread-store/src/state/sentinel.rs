//! Reads a sentinel: the file whose first line is the version of a downloaded game.
//!
//! People write it with all kinds of editors. It is text in UTF-8, or in UTF-16 with a byte order mark, as `echo 1 >
//! version.ini` writes it in Windows PowerShell 5. It belongs to the user and may be a link.

use std::io::Read;
use std::path::Path;

use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameVersion;
use lanspread_types::limits;
use lanspread_types::regular_file::{FileError, open_of_user};

/// What a sentinel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sentinel {
    /// The version.
    Version(GameVersion),
    /// Nothing: there is none.
    Absent,
    /// Nothing that can be used; the reason is a clause that follows its name.
    Unusable(String),
}

impl Sentinel {
    /// The version, if it says one.
    pub fn version(self) -> Option<GameVersion> {
        match self {
            Self::Version(version) => Some(version),
            Self::Absent | Self::Unusable(_) => None,
        }
    }
}

/// Reads the sentinel at a path.
///
/// # Errors
/// If the system does not let it be read.
pub fn read_sentinel(path: &Path) -> Result<Sentinel, LocalError> {
    let mut bytes = Vec::new();
    let read = open_of_user(path).and_then(|file| {
        file.take(limits::SENTINEL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(())
    });
    match read {
        Ok(()) => Ok(parse(&bytes).map_or_else(Sentinel::Unusable, Sentinel::Version)),
        Err(error) if error.is_absent() => Ok(Sentinel::Absent),
        Err(FileError::Io(error)) => Err(LocalError::io("read", path)(error)),
        Err(other) => Ok(Sentinel::Unusable(other.to_string())),
    }
}

/// The version in the first line, trimmed.
fn parse(bytes: &[u8]) -> Result<GameVersion, String> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
        _ if bytes.iter().take(limits::LABEL_BYTES_MAX).any(|byte| *byte == 0) => {
            return Err("it is not text, or UTF-16 without a byte order mark".to_owned());
        }
        _ => utf8(bytes)?,
    };
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err("its first line is empty".to_owned());
    }
    line.parse().map_err(|error: lanspread_types::ids::WordError| format!("its first line: {error}"))
}

/// The first line of UTF-8 text. Later lines may be anything.
fn utf8(bytes: &[u8]) -> Result<String, String> {
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    String::from_utf8(line.to_vec()).map_err(|_| "its first line is not UTF-8 text".to_owned())
}

/// What is not UTF-16 becomes a replacement character, as in other programs.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn units(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn the_first_line_is_the_version_in_every_encoding_that_editors_write() {
        let text = "\u{feff}v1 \u{e4}\r\nrest\n";
        for bytes in [
            text.as_bytes().to_vec(),
            text.trim_start_matches('\u{feff}').as_bytes().to_vec(),
            units(text, u16::to_le_bytes),
            units(text, u16::to_be_bytes),
        ] {
            assert_eq!(parse(&bytes).unwrap().as_str(), "v1 \u{e4}", "{bytes:?}");
        }
        // Cut in the middle of a character of a later line.
        assert_eq!(parse(b"\xff\xfe1\0\n\0x").unwrap().as_str(), "1");
        assert_eq!(parse(b"1\n\xff\xff").unwrap().as_str(), "1");
    }

    #[test]
    fn a_first_line_that_is_no_version_is_refused_with_the_reason() {
        for (bytes, reason) in [
            (&b""[..], "empty"),
            (b"\nsecond", "empty"),
            (b"\xff\xfe", "empty"),
            (b"a\x1bb", "control characters"),
            (b"1\0\r\0\n\0", "byte order mark"),
            (b"\xdcnreal", "UTF-8"),
            (&[b'x'; 65], "64 bytes"),
        ] {
            let refused = parse(bytes).unwrap_err();
            assert!(refused.contains(reason), "{bytes:?}: {refused}");
        }
    }

    #[test]
    fn a_sentinel_may_be_a_link_and_is_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("version.ini");
        assert_eq!(read_sentinel(&path).unwrap(), Sentinel::Absent);
        fs::write(folder.path().join("elsewhere"), "7").unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert_eq!(read_sentinel(&path).unwrap().version().unwrap().as_str(), "7");
        fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(read_sentinel(&path).unwrap(), Sentinel::Unusable("it is a pipe, not a file".to_owned()));
    }
}
