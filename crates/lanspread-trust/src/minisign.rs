//! Key pairs and signatures in the format of the public program `minisign`.
//!
//! Invariants:
//!
//! - Only *prehashed* signatures (`ED`) are made and accepted: Ed25519 over the BLAKE2b-512 of the file. A file is read
//!   once, whatever its size.
//! - A signature file has exactly four lines, a file of a key exactly two; each line ends, `CRLF` is allowed. The first
//!   line begins with `untrusted comment: `. Other files are refused, also some that `minisign` accepts: what this parser
//!   accepts is a subset of what the program accepts.
//! - Both signatures of a file are checked: the one over the content, and the one over that and the trusted comment.
//! - A key id is a hint for people, no proof.
//! - Secret keys have no `Debug` output and are overwritten before their memory is given back. (`ring` keeps its own copy
//!   while it signs, and does not overwrite it.)
//!
//! Source of the format: <https://jedisct1.github.io/minisign/>, section *Signature format* and *Secret key format*; the
//! checksum of secret keys is taken from the program (0.11), which leaves it zero in keys without a pass phrase.

mod error;
mod key_id;
mod lines;
mod public_key;
mod secret_key;
mod signature;
mod signer;
#[cfg(test)]
mod tests;

pub use error::{KeyProblem, SignatureProblem};
pub use key_id::KeyId;
pub use public_key::PublicKey;
pub use secret_key::SecretKey;
pub use signature::Signature;
pub use signer::Signer;
