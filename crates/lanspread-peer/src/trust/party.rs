//! The party that this peer is of: read once, when the peer is made.

use std::path::Path;

use lanspread_trust::party::PartyLine;
use lanspread_trust::party_file;

use crate::trust::error::TrustError;

/// The party of a peer: from the file that was named, or else from its state directory. `None` if it is of none.
///
/// # Errors
/// [`TrustError`]; a file that was named and cannot be used never makes a peer one of no party.
pub(crate) fn load(state_dir: &Path, named: Option<&Path>) -> Result<Option<PartyLine>, TrustError> {
    Ok(match named {
        Some(file) => Some(party_file::load_named(file)?),
        None => party_file::load_of_state(state_dir)?,
    })
}

#[cfg(test)]
mod tests {
    use lanspread_trust::party::PartyKey;

    use super::*;

    #[test]
    fn a_file_that_was_named_comes_before_the_state_directory_and_must_be_usable() {
        let folder = tempfile::tempdir().unwrap();
        let line = || PartyLine { key: PartyKey::random().unwrap(), catalog_signer: None };
        let (ours, other, file) = (line(), line(), folder.path().join("secret"));
        assert!(load(folder.path(), None).unwrap().is_none());
        let missing = load(folder.path(), Some(&file)).unwrap_err();
        assert_eq!(missing.code(), "party-unusable");
        party_file::store(folder.path(), &ours, false).unwrap();
        std::fs::write(&file, other.text().reveal()).unwrap();
        assert!(load(folder.path(), None).unwrap().unwrap().says_the_same(&ours));
        assert!(load(folder.path(), Some(&file)).unwrap().unwrap().says_the_same(&other));
        std::fs::write(&file, "").unwrap();
        assert_eq!(load(folder.path(), Some(&file)).unwrap_err().code(), "party-unusable");
    }
}
