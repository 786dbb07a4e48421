//! The key of a party, and what two members prove with it.
//!
//! A party is everybody who has its key: 128 random bits. The key itself is never used and never sent. Three keys are
//! derived from it, each for one purpose:
//!
//! ```text
//! K(info)      = HKDF-SHA256(salt = "lanspread party 1", input = the 16 bytes of the key, info, 32 bytes)
//! proof of X   = HMAC-SHA256(K("proof"), "lanspread party 1\0" | X | exporter | client | server)   X = "client", "server"
//! tag          = first 16 bytes of HMAC-SHA256(K("tag"), "tag 1\0" | nonce | port)                 port: big endian
//! name         = first 20 bits of K("name"), as 4 characters of bech32
//! ```
//!
//! `client` and `server` are the digests of the two public keys, and `exporter` is bound to one TLS connection: a proof
//! is worth nothing in another connection, for other identities or in the other direction. A peer that is of no party
//! uses a key of zeros: its connections have the same shape, and it finds out by itself that another one is of a party.

mod line;

use std::fmt;

use ring::hmac;
use zeroize::Zeroizing;

pub use self::line::{LINE_CHARACTERS, LONG_LINE_CHARACTERS, PartyLine, PartyLineError, PartyText};

/// SHA-256 of a `SubjectPublicKeyInfo`: the whole identity of one end of a connection.
pub type KeyDigest = [u8; 32];

/// Bytes of a party's key.
pub const PARTY_KEY_BYTES: usize = 16;
/// Bytes of a tag.
pub const TAG_BYTES: usize = 16;

const SALT: &[u8] = b"lanspread party 1";
const PROOF_INFO: &[u8] = b"proof";
const TAG_INFO: &[u8] = b"tag";
const NAME_INFO: &[u8] = b"name";
const PROOF_LABEL: &[u8] = b"lanspread party 1\0";
const TAG_LABEL: &[u8] = b"tag 1\0";
/// The alphabet of bech32.
const NAME_ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The end that dialled.
    Client,
    /// The end that listened.
    Server,
}

impl Role {
    /// The end at which the other peer is.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    fn label(self) -> &'static [u8] {
        match self {
            Self::Client => b"client",
            Self::Server => b"server",
        }
    }
}

/// The key of a party. It is never shown, and overwritten when it is dropped.
#[derive(Clone)]
pub struct PartyKey(Zeroizing<[u8; PARTY_KEY_BYTES]>);

/// Shows that there is a key, and nothing of it.
impl fmt::Debug for PartyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PartyKey")
    }
}

impl PartyKey {
    /// A new random key.
    ///
    /// # Errors
    /// If the system cannot provide random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; PARTY_KEY_BYTES]);
        getrandom::fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// The key of the peers that are of no party: everybody has it.
    pub fn open_network() -> Self {
        Self(Zeroizing::new([0; PARTY_KEY_BYTES]))
    }

    /// The key with these bytes. `None` if it is [`PartyKey::open_network`], which is no party.
    pub fn from_bytes(bytes: Zeroizing<[u8; PARTY_KEY_BYTES]>) -> Option<Self> {
        (*bytes != [0; PARTY_KEY_BYTES]).then_some(Self(bytes))
    }

    fn bytes(&self) -> &[u8; PARTY_KEY_BYTES] {
        &self.0
    }

    /// Whether this is the key of the peers that are of no party.
    pub fn is_open_network(&self) -> bool {
        *self.0 == [0; PARTY_KEY_BYTES]
    }

    /// What the end `role` of a connection sends to show that it has this key. `exporter` is what TLS gives both ends of
    /// that connection; `client` and `server` are the identities that TLS has proved.
    pub fn proof(&self, role: Role, exporter: &[u8; 32], client: &KeyDigest, server: &KeyDigest) -> [u8; 32] {
        *hmac_of(&*self.derived(PROOF_INFO), &[&transcript(role, exporter, client, server)])
    }

    /// Whether `proof` is what the end `role` of this connection sends if it has this key. Takes the same time whatever
    /// was sent.
    pub fn proves(
        &self,
        proof: &[u8; 32],
        role: Role,
        exporter: &[u8; 32],
        client: &KeyDigest,
        server: &KeyDigest,
    ) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.derived(PROOF_INFO));
        hmac::verify(&key, &transcript(role, exporter, client, server), proof).is_ok()
    }

    /// What a member announces beside a random number and its port, so that other members know it for one.
    pub fn tag(&self, nonce: &[u8; 8], port: u16) -> [u8; TAG_BYTES] {
        let whole = hmac_of(&*self.derived(TAG_INFO), &[TAG_LABEL, nonce, &port.to_be_bytes()]);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&whole[..TAG_BYTES]);
        tag
    }

    /// Four characters that members can compare: they say whether two machines are of one party, and nothing else.
    pub fn name(&self) -> String {
        let derived = self.derived(NAME_INFO);
        let first = derived.iter().take(3).fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        // 20 of these 24 bits, five at a time.
        let characters = [19, 14, 9, 4].map(|shift| NAME_ALPHABET[first >> shift & 31] as char);
        characters.iter().collect()
    }

    /// HKDF-SHA256 (RFC 5869) of one block: extract, then expand.
    fn derived(&self, info: &[u8]) -> Zeroizing<[u8; 32]> {
        let extracted = hmac_of(SALT, &[&*self.0]);
        hmac_of(&*extracted, &[info, &[1]])
    }
}

fn hmac_of(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut out = Zeroizing::new([0; 32]);
    // Both have the 32 bytes of SHA-256.
    out.copy_from_slice(context.sign().as_ref());
    out
}

fn transcript(role: Role, exporter: &[u8; 32], client: &KeyDigest, server: &KeyDigest) -> Vec<u8> {
    [PROOF_LABEL, role.label(), exporter, client, server].concat()
}

#[cfg(test)]
mod tests;
