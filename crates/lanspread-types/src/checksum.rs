//! Checksums of files and chunks: CRC-32 as in IEEE 802.3, which is what RAR archives store.
//!
//! A checksum finds damage, not lies. All code that compares, carries or records one uses these two types, so that
//! adding another digest changes only this file and the places that read or write a format.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The checksum of some bytes; shown and parsed as eight hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checksum(u32);

impl Checksum {
    /// A CRC-32 as a format stores it.
    pub const fn from_crc32(crc32: u32) -> Self {
        Self(crc32)
    }

    /// Computes the checksum of bytes that are all in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc32fast::hash(bytes))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", self.0)
    }
}

/// The text is not a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a checksum is eight hexadecimal digits")]
pub struct NoChecksum;

impl FromStr for Checksum {
    type Err = NoChecksum;
    fn from_str(text: &str) -> Result<Self, NoChecksum> {
        let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits {
            return Err(NoChecksum);
        }
        u32::from_str_radix(text, 16).map(Self).map_err(|_| NoChecksum)
    }
}

/// Computes a [`Checksum`] from bytes that arrive in parts.
#[derive(Debug, Clone, Default)]
pub struct ChecksumHasher(crc32fast::Hasher);

impl ChecksumHasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of everything taken so far.
    pub fn finish(self) -> Checksum {
        Checksum(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_reads_as_it_is_written() {
        let checksum = Checksum::of(b"123456789");
        assert_eq!(checksum.to_string(), "cbf43926", "the check value of CRC-32/ISO-HDLC");
        assert_eq!("cbf43926".parse(), Ok(checksum));
        for bad in ["", "cbf4392", "cbf439266", "+bf43926", "cbf4392g"] {
            assert_eq!(bad.parse::<Checksum>(), Err(NoChecksum), "{bad}");
        }
    }

    #[test]
    fn bytes_that_pass_by_in_parts_have_the_checksum_of_the_whole() {
        let mut hasher = ChecksumHasher::default();
        hasher.update(b"1234");
        hasher.update(b"56789");
        assert_eq!(hasher.finish(), Checksum::of(b"123456789"));
    }
}
