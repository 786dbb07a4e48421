//! Checksums of files and chunks: CRC-32 as in IEEE 802.3, which is what RAR archives store; and digests: SHA-256.
//!
//! A checksum finds damage, not lies. All code that compares, carries or records one uses these types.
//! Archives store CRC-32 only. A [`ContentDigest`] names content that the organiser of a catalog has seen.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

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

/// The SHA-256 of some bytes; shown and parsed as 64 hexadecimal digits in lower case. Formats that people read have the
/// digits, the others the 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest(pub [u8; 32]);

impl ContentDigest {
    /// Computes the digest of bytes that are all in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits in lower case")]
pub struct NoDigest;

impl FromStr for ContentDigest {
    type Err = NoDigest;
    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(is_digit) {
            return Err(NoDigest);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NoDigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoDigest)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for ContentDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ContentDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

/// Computes a [`ContentDigest`] from bytes that arrive in parts.
#[derive(Debug, Clone, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken so far.
    pub fn finish(self) -> ContentDigest {
        ContentDigest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_as_it_is_written_and_in_no_other_spelling() {
        let digest = ContentDigest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text, "FIPS 180-4, example of SHA-256");
        assert_eq!(text.parse(), Ok(digest));
        let mut hasher = ContentHasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), digest);
        for bad in ["", &text[1..], &text.to_uppercase(), &format!("+{}", &text[1..]), &"é".repeat(32)] {
            assert_eq!(bad.parse::<ContentDigest>(), Err(NoDigest), "{bad}");
        }
    }

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
