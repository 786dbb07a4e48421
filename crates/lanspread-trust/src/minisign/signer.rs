//! The key that must have signed something.

use std::fmt;

use crate::minisign::key_id::KeyId;
use crate::minisign::public_key::PublicKey;

/// A signer: an Ed25519 key, and the number by which people know it if a file of minisign named it. The number proves
/// nothing, so a signer without it is as good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signer {
    key: [u8; 32],
    id: Option<KeyId>,
}

impl Signer {
    /// The signer with this Ed25519 key, as a party line carries it.
    pub fn of_key(key: [u8; 32]) -> Self {
        Self { key, id: None }
    }

    /// The Ed25519 key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// The number of the key, if it is known.
    pub fn id(&self) -> Option<KeyId> {
        self.id
    }
}

impl From<PublicKey> for Signer {
    fn from(key: PublicKey) -> Self {
        Self { key: *key.bytes(), id: Some(key.id()) }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => fmt::Display::fmt(&id, formatter),
            None => self.key.iter().take(8).try_for_each(|byte| write!(formatter, "{byte:02x}")),
        }
    }
}
