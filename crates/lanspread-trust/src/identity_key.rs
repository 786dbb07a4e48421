//! The key of a peer: who has it, is that peer.
//!
//! It is written as PKCS#8 version 1 in PEM, which `openssl pkey` reads and writes: a fixed prefix and 32 random bytes.
//! The name of the peer is the SHA-256 of its public key in the form in which TLS sends it (RFC 8410, RFC 7250).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanspread_types::ids::PeerId;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::party::KeyDigest;

/// Bytes of a public key as TLS sends it.
pub const PUBLIC_KEY_BYTES: usize = PUBLIC_PREFIX.len() + 32;
/// `SubjectPublicKeyInfo` of an Ed25519 key, up to the key.
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// PKCS#8 version 1 of an Ed25519 key, up to the key.
const SECRET_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const SEED_BYTES: usize = 32;

/// Bytes that are no Ed25519 key in PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no Ed25519 private key in PEM")]
pub struct NoIdentityKey;

/// The secret key of a peer. It is never shown, and overwritten when it is dropped.
#[derive(Clone)]
pub struct IdentityKey {
    seed: Zeroizing<[u8; SEED_BYTES]>,
    public: [u8; PUBLIC_KEY_BYTES],
}

/// Shows whose key it is, and nothing of the key.
impl fmt::Debug for IdentityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IdentityKey({})", self.peer_id())
    }
}

impl IdentityKey {
    /// A new random key.
    ///
    /// # Errors
    /// If the system cannot provide random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        // Every 32 bytes are a key, so that the loop ends at its first turn.
        loop {
            let mut seed = Zeroizing::new([0; SEED_BYTES]);
            getrandom::fill(&mut *seed)?;
            if let Ok(key) = Self::from_seed(seed) {
                return Ok(key);
            }
        }
    }

    /// The key that is made of these random bytes.
    ///
    /// # Errors
    /// None that is known: every 32 bytes are a key.
    pub fn from_seed(seed: Zeroizing<[u8; SEED_BYTES]>) -> Result<Self, NoIdentityKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| NoIdentityKey)?;
        let mut public = [0; PUBLIC_KEY_BYTES];
        let (prefix, key) = public.split_at_mut(PUBLIC_PREFIX.len());
        prefix.copy_from_slice(&PUBLIC_PREFIX);
        key.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { seed, public })
    }

    /// Reads the file of a key, as [`Self::pem`] and OpenSSL write it.
    ///
    /// # Errors
    /// [`NoIdentityKey`] for everything else.
    pub fn parse_pem(file: &[u8]) -> Result<Self, NoIdentityKey> {
        let text = std::str::from_utf8(file).map_err(|_| NoIdentityKey)?;
        let mut lines = text.trim_end().lines().map(str::trim_end);
        let (Some(BEGIN), Some(body), Some(END), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NoIdentityKey);
        };
        let bytes = Zeroizing::new(STANDARD.decode(body).map_err(|_| NoIdentityKey)?);
        let seed = bytes.strip_prefix(&SECRET_PREFIX).ok_or(NoIdentityKey)?;
        Self::from_seed(Zeroizing::new(seed.try_into().map_err(|_| NoIdentityKey)?))
    }

    /// The key as PKCS#8.
    pub fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&SECRET_PREFIX[..], &*self.seed].concat())
    }

    /// The file of the key.
    pub fn pem(&self) -> Zeroizing<String> {
        let mut body = STANDARD.encode(&*self.pkcs8());
        let file = Zeroizing::new(format!("{BEGIN}\n{body}\n{END}\n"));
        body.zeroize();
        file
    }

    /// The public key as TLS sends it.
    pub fn public(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.public
    }

    /// What the public key is named by.
    pub fn digest(&self) -> KeyDigest {
        digest(&self.public)
    }

    /// The peer that has this key.
    pub fn peer_id(&self) -> PeerId {
        PeerId::of_key(&self.digest())
    }
}

/// The digest of a public key as TLS sends it, if it is an Ed25519 key.
pub fn digest_of_public(key: &[u8]) -> Option<KeyDigest> {
    (key.len() == PUBLIC_KEY_BYTES && key.starts_with(&PUBLIC_PREFIX)).then(|| digest(key))
}

fn digest(public: &[u8]) -> KeyDigest {
    Sha256::digest(public).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> IdentityKey {
        IdentityKey::from_seed(Zeroizing::new([byte; 32])).unwrap()
    }

    /// What OpenSSL 3.0 writes for this key.
    const OF_OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_is_written_as_openssl_writes_it() {
        assert_eq!(*key(1).pem(), OF_OPENSSL);
        for text in
            [OF_OPENSSL.to_owned(), OF_OPENSSL.replace('\n', "\r\n"), OF_OPENSSL.trim_end().to_owned()]
        {
            assert_eq!(IdentityKey::parse_pem(text.as_bytes()).unwrap().public(), key(1).public());
        }
        let random = IdentityKey::random().unwrap();
        assert_eq!(IdentityKey::parse_pem(random.pem().as_bytes()).unwrap().peer_id(), random.peer_id());
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn the_public_key_is_that_of_the_standard() {
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        };
        let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let key = IdentityKey::from_seed(Zeroizing::new(seed.try_into().unwrap())).unwrap();
        assert_eq!(key.public()[PUBLIC_PREFIX.len()..], public);
        assert_eq!(digest_of_public(key.public()), Some(key.digest()));
    }

    #[test]
    fn a_damaged_file_is_no_key() {
        let good = key(1).pem();
        for cut in 0..good.trim_end().len() {
            assert!(IdentityKey::parse_pem(&good.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
        let of_another_kind = good.replacen("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vu", 1);
        let twice = good.repeat(2);
        let longer = good.replacen("AQEB\n", "AQEBAQEB\n", 1);
        for bad in
            [&of_another_kind, &twice, &longer, &good.replace("PRIVATE", "EC PRIVATE"), &"x".to_owned()]
        {
            assert!(IdentityKey::parse_pem(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn other_kinds_of_public_keys_have_no_digest() {
        let good = *key(1).public();
        assert!(digest_of_public(&good).is_some());
        assert!(digest_of_public(&good[..43]).is_none());
        assert!(digest_of_public(&[&good[..], &[0]].concat()).is_none());
        let mut of_x25519 = good;
        of_x25519[8] = 0x6e;
        assert!(digest_of_public(&of_x25519).is_none());
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", key(0xab));
        assert!(
            !shown.contains("ab, ") && !shown.contains("171") && shown.contains("IdentityKey("),
            "{shown}"
        );
    }
}
