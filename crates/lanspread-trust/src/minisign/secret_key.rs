//! Secret keys: `algorithm 2, key derivation 2, checksum algorithm 2, salt 32, limits 16, key id 8, seed 32, public key
//! 32, checksum 32`. Without a pass phrase the derivation is zero, and so are salt and limits.

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::{Zeroize, Zeroizing};

use crate::minisign::error::KeyProblem;
use crate::minisign::key_id::KeyId;
use crate::minisign::lines::{ED25519, UNTRUSTED, decode, encode, exactly, part};
use crate::minisign::public_key::PublicKey;

const BYTES: usize = 158;
const CHECKSUM_ALGORITHM: [u8; 2] = *b"B2";
const NO_DERIVATION: [u8; 2] = [0, 0];
const ID_AT: usize = 54;
const SEED_AT: usize = 62;
const PUBLIC_AT: usize = 94;
const CHECKSUM_AT: usize = 126;

/// A secret key of minisign. It is never shown, and overwritten when it is dropped.
pub struct SecretKey {
    id: KeyId,
    seed: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl SecretKey {
    /// A new random key pair.
    ///
    /// # Errors
    /// If the system cannot provide random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let (mut id, mut seed) = ([0; 8], Zeroizing::new([0; 32]));
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut *seed)?;
        Ok(Self::from_seed(KeyId(id), seed))
    }

    pub(super) fn from_seed(id: KeyId, seed: Zeroizing<[u8; 32]>) -> Self {
        let public = public_half(&seed);
        Self { id, seed, public }
    }

    /// Reads a file of a secret key without a pass phrase, with or without a checksum.
    ///
    /// # Errors
    /// [`KeyProblem`]; a key with a pass phrase is [`KeyProblem::PassPhrase`].
    pub fn parse_file(bytes: &[u8]) -> Result<Self, KeyProblem> {
        let [comment, key] = exactly::<2>(bytes).ok_or(KeyProblem::NotTwoLines)?;
        if !comment.starts_with(UNTRUSTED) {
            return Err(KeyProblem::NoComment);
        }
        let bytes = decode::<BYTES>(key).ok_or(KeyProblem::Damaged(BYTES))?;
        if part(&*bytes, 0) != ED25519 || part(&*bytes, 4) != CHECKSUM_ALGORITHM {
            return Err(KeyProblem::Algorithm);
        }
        match part(&*bytes, 2) {
            NO_DERIVATION => {}
            [b'S', b'c'] => return Err(KeyProblem::PassPhrase),
            _ => return Err(KeyProblem::Algorithm),
        }
        let id = KeyId(part(&*bytes, ID_AT));
        let key = Self::from_seed(id, Zeroizing::new(part(&*bytes, SEED_AT)));
        let checksum: [u8; 32] = part(&*bytes, CHECKSUM_AT);
        if checksum != [0; 32] && checksum != key.checksum() {
            return Err(KeyProblem::Checksum);
        }
        if key.public != part::<32>(&*bytes, PUBLIC_AT) {
            return Err(KeyProblem::Halves);
        }
        Ok(key)
    }

    /// The file of this key, without a pass phrase and with a checksum. It is a secret.
    pub fn file(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        bytes.extend(ED25519);
        bytes.extend(NO_DERIVATION);
        bytes.extend(CHECKSUM_ALGORITHM);
        bytes.resize(ID_AT, 0);
        bytes.extend(self.id.0);
        bytes.extend(*self.seed);
        bytes.extend(self.public);
        bytes.extend(self.checksum());
        let mut line = encode(&bytes);
        let file = Zeroizing::new(format!("{UNTRUSTED}minisign secret key {}\n{line}\n", self.id));
        line.zeroize();
        file
    }

    /// The half that may be handed on.
    pub fn public(&self) -> PublicKey {
        PublicKey::new(self.id, self.public)
    }

    /// An Ed25519 signature.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        part(pair(&self.seed).sign(message).as_ref(), 0)
    }

    fn checksum(&self) -> [u8; 32] {
        let mut hasher = Blake2b::<U32>::new();
        hasher.update(ED25519);
        hasher.update(self.id.0);
        hasher.update(*self.seed);
        hasher.update(self.public);
        hasher.finalize().into()
    }
}

fn pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    // Every 32 bytes are a seed.
    Ed25519KeyPair::from_seed_unchecked(seed).unwrap_or_else(|_| unreachable!("a seed has 32 bytes"))
}

fn public_half(seed: &[u8; 32]) -> [u8; 32] {
    part(pair(seed).public_key().as_ref(), 0)
}
