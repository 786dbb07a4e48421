//! Which version of each signer's catalog this machine has seen last: the file `catalog-seen` of the state directory.
//!
//! ```text
//! lanspread catalog-seen 1
//! <key, 64 hexadecimal digits> <version> <SHA-256 of the catalog>
//! ```
//! One line for each signing key, sorted; the versions of two keys have nothing to do with each other. Pure: the file is
//! read and written by `catalog_store.rs`, after the catalog itself.

use std::collections::BTreeMap;

use lanspread_types::checksum::ContentDigest;
use lanspread_types::limits;

/// Name of the file in the state directory.
pub(super) const SEEN_FILE: &str = "catalog-seen";
const HEAD: &str = "lanspread catalog-seen 1";

/// The highest version of each signer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen(BTreeMap<[u8; 32], (u64, ContentDigest)>);

/// What a catalog is, compared with what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// The very catalog that was seen last.
    Same,
    /// It may be recorded. `jumps` if its version is suspiciously far ahead of this one.
    Higher { jumps: Option<u64> },
    /// A higher version was seen.
    Older { seen: u64 },
    /// Other bytes were seen under this version.
    SignedTwice,
    /// There is no room for another signer.
    Full,
}

impl Seen {
    /// Reads the text of the file.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.strip_suffix('\n').ok_or("is cut".to_owned())?.split('\n');
        if lines.next() != Some(HEAD) {
            return Err(format!("does not begin with `{HEAD}`"));
        }
        let mut seen = BTreeMap::new();
        for (number, line) in lines.enumerate() {
            let unusable = || {
                format!("cannot be used, line {}: a key, a version and a SHA-256 are expected", number + 2)
            };
            let [key, version, digest] = *line.split(' ').collect::<Vec<_>>() else { return Err(unusable()) };
            // A key is 32 bytes in the spelling of a digest.
            let key: ContentDigest = key.parse().map_err(|_| unusable())?;
            let version: u64 = version.parse().map_err(|_| unusable())?;
            let digest = digest.parse().map_err(|_| unusable())?;
            if seen.insert(key.0, (version, digest)).is_some() {
                return Err(unusable());
            }
        }
        if seen.len() > limits::CATALOG_SIGNERS_MAX {
            return Err(format!("names more than {} keys", limits::CATALOG_SIGNERS_MAX));
        }
        Ok(Self(seen))
    }

    /// The text of the file.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for (key, (version, digest)) in &self.0 {
            text += &format!("{} {version} {digest}\n", ContentDigest(*key));
        }
        text
    }

    /// Compares a catalog with what was seen of its signer.
    pub(super) fn compare(&self, signer: &[u8; 32], version: u64, digest: &ContentDigest) -> Compared {
        match self.0.get(signer) {
            Some((seen, _)) if version < *seen => Compared::Older { seen: *seen },
            Some((seen, known)) if version == *seen && digest == known => Compared::Same,
            Some((seen, _)) if version == *seen => Compared::SignedTwice,
            Some((seen, _)) => Compared::Higher {
                jumps: Some(*seen).filter(|seen| version - seen > limits::CATALOG_VERSION_JUMP_MAX),
            },
            None if self.0.len() >= limits::CATALOG_SIGNERS_MAX => Compared::Full,
            // A new key starts its own count, whatever its first version is.
            None => Compared::Higher { jumps: None },
        }
    }

    /// The highest version of a signer.
    #[cfg(test)]
    pub(super) fn version(&self, signer: &[u8; 32]) -> Option<u64> {
        self.0.get(signer).map(|(version, _)| *version)
    }

    /// Records a catalog.
    pub(super) fn record(&mut self, signer: [u8; 32], version: u64, digest: ContentDigest) {
        self.0.insert(signer, (version, digest));
    }

    /// Forgets a signer. Returns the version that was seen.
    pub(super) fn forget(&mut self, signer: &[u8; 32]) -> Option<u64> {
        self.0.remove(signer).map(|(version, _)| version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [1; 32];

    fn digest(of: &str) -> ContentDigest {
        ContentDigest::of(of.as_bytes())
    }

    fn seen(version: u64) -> Seen {
        let mut seen = Seen::default();
        seen.record(KEY, version, digest("seven"));
        seen
    }

    #[test]
    fn versions_never_go_down_and_are_signed_once() {
        let seen = seen(7);
        let compared = |version, of| seen.compare(&KEY, version, &digest(of));
        assert_eq!(compared(7, "seven"), Compared::Same);
        assert_eq!(compared(6, "seven"), Compared::Older { seen: 7 });
        assert_eq!(compared(7, "other"), Compared::SignedTwice);
        assert_eq!(compared(8, "seven"), Compared::Higher { jumps: None });
        assert_eq!(compared(7 + limits::CATALOG_VERSION_JUMP_MAX, "x"), Compared::Higher { jumps: None });
        assert_eq!(compared(8 + limits::CATALOG_VERSION_JUMP_MAX, "x"), Compared::Higher { jumps: Some(7) });
        let highest = limits::CATALOG_VERSION_MAX;
        assert_eq!(
            seen.compare(&[2; 32], highest, &digest("x")),
            Compared::Higher { jumps: None },
            "a new key"
        );
    }

    #[test]
    fn what_is_written_is_read_and_everything_else_is_refused() {
        let mut seen = seen(7);
        seen.record([0xab; 32], limits::CATALOG_VERSION_MAX, digest("x"));
        let text = seen.text();
        assert_eq!(Seen::parse(&text), Ok(seen.clone()));
        assert_eq!(Seen::parse(&Seen::default().text()), Ok(Seen::default()));
        for cut in 0..text.len() {
            // What ends with a line is a shorter file; it replaced no longer one, because files are replaced as a whole.
            if !text[..cut].ends_with('\n') {
                assert!(Seen::parse(&text[..cut]).is_err(), "cut at {cut}");
            }
        }
        let line = text.lines().nth(1).unwrap();
        for bad in [
            format!("{text}{line}\n"),
            text.replace(" 7 ", " -7 "),
            text.replace(" 7 ", "  7 "),
            text.replace("ab", "AB"),
        ] {
            assert!(Seen::parse(&bad).is_err(), "{bad}");
        }
        assert_eq!((seen.forget(&KEY), seen.forget(&KEY)), (Some(7), None));
    }

    #[test]
    fn the_number_of_signers_is_bounded() {
        let mut seen = Seen::default();
        for number in 0..limits::CATALOG_SIGNERS_MAX {
            seen.record(digest(&number.to_string()).0, 1, digest("x"));
        }
        assert_eq!(seen.compare(&KEY, 1, &digest("x")), Compared::Full);
        assert!(
            Seen::parse(&seen.text()).is_ok() && (seen.text().len() as u64) < limits::CATALOG_SEEN_BYTES_MAX
        );
        seen.record(KEY, 1, digest("x"));
        assert!(Seen::parse(&seen.text()).is_err());
    }
}
