//! The lines of minisign's files, and what is in them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

pub(super) const UNTRUSTED: &str = "untrusted comment: ";
pub(super) const TRUSTED: &str = "trusted comment: ";
/// Marks of Ed25519 (keys, and signatures over the file itself), and of Ed25519 over BLAKE2b-512.
pub(super) const ED25519: [u8; 2] = *b"Ed";
pub(super) const PREHASHED: [u8; 2] = *b"ED";

/// The lines of a file that has exactly `N` of them, without their ends. Nothing but a tab may control a terminal.
pub(super) fn exactly<const N: usize>(bytes: &[u8]) -> Option<[&str; N]> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let found: [&str; N] = std::array::from_fn(|_| {
        let line = lines.next().unwrap_or_default();
        line.strip_suffix('\r').unwrap_or(line)
    });
    let is_plain = |line: &&str| !line.is_empty() && !line.chars().any(|c| c.is_control() && c != '\t');
    (lines.next().is_none() && found.iter().all(is_plain)).then_some(found)
}

/// Exactly `N` bytes in base64, in their one spelling.
pub(super) fn decode<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    if text.len() != N.div_ceil(3) * 4 {
        return None;
    }
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The parts of an array at these places. Callers name constants, so that a wrong one fails in every test.
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}
