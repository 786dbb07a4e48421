//! Why a key or a signature is not used. The messages follow the name of the file: *the key … cannot be used: it …*.

use lanspread_types::limits;

use crate::minisign::key_id::KeyId;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its documentation
pub enum KeyProblem {
    #[error("it is not a key of minisign, which has two lines")]
    NotTwoLines,
    #[error("its first line does not begin with `untrusted comment: `")]
    NoComment,
    #[error("it is damaged: {0} bytes in base64 are expected in its second line")]
    Damaged(usize),
    #[error("it is no Ed25519 key of minisign")]
    Algorithm,
    #[error("it has a pass phrase")]
    PassPhrase,
    #[error("it is damaged: its checksum does not match")]
    Checksum,
    #[error("it is damaged: its two halves do not belong together")]
    Halves,
}

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its documentation
pub enum SignatureProblem {
    #[error("it is larger than {} bytes", limits::SIGNATURE_BYTES_MAX)]
    TooLarge,
    #[error("it is not one signature of four lines")]
    NotFourLines,
    #[error("its first line does not begin with `untrusted comment: `")]
    NoComment,
    #[error("its third line does not begin with `trusted comment: `")]
    NoTrustedComment,
    #[error("it is damaged: {1} bytes in base64 are expected in line {0}")]
    Damaged(usize, usize),
    #[error("it uses the old format of minisign, which is not prehashed")]
    Legacy,
    #[error("it uses an algorithm that this program does not know")]
    Algorithm,
    #[error("it is signed by key {signed_by}, not by {expected}")]
    OtherKey { signed_by: KeyId, expected: KeyId },
    #[error("it is not of the key that is expected")]
    NotOfKey,
    #[error("the file was changed after it was signed")]
    FileChanged,
    #[error("its trusted comment was changed after it was signed")]
    CommentChanged,
}
