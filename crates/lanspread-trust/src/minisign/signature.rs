//! Signatures: `algorithm 2, key id 8, signature 64`, and a second signature over the first one and the trusted comment.

use blake2::{Blake2b512, Digest};
use lanspread_types::limits::SIGNATURE_BYTES_MAX;
use ring::signature::{ED25519 as RING_ED25519, UnparsedPublicKey};

use crate::minisign::error::SignatureProblem;
use crate::minisign::key_id::KeyId;
use crate::minisign::lines::{ED25519, PREHASHED, TRUSTED, UNTRUSTED, decode, encode, exactly, part};
use crate::minisign::public_key::PublicKey;
use crate::minisign::secret_key::SecretKey;
use crate::minisign::signer::Signer;

const BYTES: usize = 74;

/// A signature that was read, and not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    key_id: KeyId,
    /// Over the prehash of the file.
    of_file: [u8; 64],
    trusted_comment: String,
    /// Over the first one and the trusted comment.
    of_comment: [u8; 64],
}

impl Signature {
    /// Signs a file. The comment is one short line for people.
    pub fn sign(key: &SecretKey, file: &[u8], trusted_comment: &str) -> Self {
        let of_file = key.sign(&Blake2b512::digest(file));
        let of_comment = key.sign(&with_comment(&of_file, trusted_comment));
        let trusted_comment = trusted_comment.to_owned();
        Self { key_id: key.public().id(), of_file, trusted_comment, of_comment }
    }

    /// Reads a `.minisig` file.
    ///
    /// # Errors
    /// [`SignatureProblem`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureProblem> {
        if bytes.len() as u64 > SIGNATURE_BYTES_MAX {
            return Err(SignatureProblem::TooLarge);
        }
        let [comment, of_file, trusted, of_comment] =
            exactly::<4>(bytes).ok_or(SignatureProblem::NotFourLines)?;
        if !comment.starts_with(UNTRUSTED) {
            return Err(SignatureProblem::NoComment);
        }
        let trusted_comment = trusted.strip_prefix(TRUSTED).ok_or(SignatureProblem::NoTrustedComment)?;
        let bytes = decode::<BYTES>(of_file).ok_or(SignatureProblem::Damaged(2, BYTES))?;
        let of_comment = decode::<64>(of_comment).ok_or(SignatureProblem::Damaged(4, 64))?;
        match part(&*bytes, 0) {
            PREHASHED => {}
            ED25519 => return Err(SignatureProblem::Legacy),
            _ => return Err(SignatureProblem::Algorithm),
        }
        Ok(Self {
            key_id: KeyId(part(&*bytes, 2)),
            of_file: part(&*bytes, 10),
            trusted_comment: trusted_comment.to_owned(),
            of_comment: *of_comment,
        })
    }

    /// Checks that the file and the comment are what the holder of the key signed.
    ///
    /// # Errors
    /// [`SignatureProblem`].
    pub fn verify(&self, key: &PublicKey, file: &[u8]) -> Result<(), SignatureProblem> {
        self.verify_signer(&Signer::from(*key), file)
    }

    /// The same for a signer of whom perhaps only the Ed25519 key is known.
    ///
    /// # Errors
    /// [`SignatureProblem`].
    pub fn verify_signer(&self, signer: &Signer, file: &[u8]) -> Result<(), SignatureProblem> {
        if let Some(expected) = signer.id().filter(|expected| *expected != self.key_id) {
            return Err(SignatureProblem::OtherKey { signed_by: self.key_id, expected });
        }
        let verifier = UnparsedPublicKey::new(&RING_ED25519, signer.bytes());
        let file_is_of_signer = verifier.verify(&Blake2b512::digest(file), &self.of_file).is_ok();
        match (file_is_of_signer, self.comment_is_of_key(signer.bytes())) {
            (true, true) => Ok(()),
            (true, false) => Err(SignatureProblem::CommentChanged),
            // Without the number of the key, only this tells another key from another file.
            (false, false) if signer.id().is_none() => Err(SignatureProblem::NotOfKey),
            (false, _) => Err(SignatureProblem::FileChanged),
        }
    }

    /// Whether the holder of the key signed this comment, with some file.
    pub fn comment_is_of(&self, key: &PublicKey) -> bool {
        self.comment_is_of_key(key.bytes())
    }

    fn comment_is_of_key(&self, key: &[u8; 32]) -> bool {
        let verifier = UnparsedPublicKey::new(&RING_ED25519, key);
        let message = with_comment(&self.of_file, &self.trusted_comment);
        verifier.verify(&message, &self.of_comment).is_ok()
    }

    /// The key that is said to have signed it.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// One line for people. It counts only after [`Signature::verify`].
    pub fn trusted_comment(&self) -> &str {
        &self.trusted_comment
    }

    /// The `.minisig` file.
    pub fn file(&self) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(PREHASHED);
        bytes.extend(self.key_id.0);
        bytes.extend(self.of_file);
        format!(
            "{UNTRUSTED}signature from lanspread key {}\n{}\n{TRUSTED}{}\n{}\n",
            self.key_id,
            encode(&bytes),
            self.trusted_comment,
            encode(&self.of_comment)
        )
    }
}

fn with_comment(signature: &[u8; 64], comment: &str) -> Vec<u8> {
    [signature, comment.as_bytes()].concat()
}
