//! Public keys: `algorithm 2, key id 8, key 32`.

use std::fmt;

use crate::minisign::error::KeyProblem;
use crate::minisign::key_id::KeyId;
use crate::minisign::lines::{ED25519, UNTRUSTED, decode, encode, exactly, part};

const BYTES: usize = 42;

/// A public key of minisign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    key: [u8; 32],
}

impl PublicKey {
    pub(super) fn new(id: KeyId, key: [u8; 32]) -> Self {
        Self { id, key }
    }

    /// The number by which people tell keys apart.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The Ed25519 key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Reads a `.pub` file.
    ///
    /// # Errors
    /// [`KeyProblem`].
    pub fn parse_file(bytes: &[u8]) -> Result<Self, KeyProblem> {
        let [comment, key] = exactly::<2>(bytes).ok_or(KeyProblem::NotTwoLines)?;
        if !comment.starts_with(UNTRUSTED) {
            return Err(KeyProblem::NoComment);
        }
        Self::parse(key)
    }

    /// Reads the second line of a `.pub` file.
    ///
    /// # Errors
    /// [`KeyProblem`].
    pub fn parse(base64: &str) -> Result<Self, KeyProblem> {
        let bytes = decode::<BYTES>(base64).ok_or(KeyProblem::Damaged(BYTES))?;
        if !bytes.starts_with(&ED25519) {
            return Err(KeyProblem::Algorithm);
        }
        Ok(Self { id: KeyId(part(&*bytes, 2)), key: part(&*bytes, 10) })
    }

    /// The `.pub` file that minisign writes for this key.
    pub fn file(&self) -> String {
        format!("{UNTRUSTED}minisign public key {}\n{self}\n", self.id)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(ED25519);
        bytes.extend(self.id.0);
        bytes.extend(self.key);
        formatter.write_str(&encode(&bytes))
    }
}
