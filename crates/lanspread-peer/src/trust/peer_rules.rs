//! Which peers this one has to do with: it lets them in, and asks them. Everyone else is treated like a stranger.
//!
//! Deny wins over allow. What the user decides with another command counts from the next connection on.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use lanspread_types::ids::PeerId;

use crate::report::operation::AdmissionRules;
use crate::trust::saved_peers::{PeerDecisions, SavedPeers, SavedPeersError};

/// Whether a peer is let in and asked, by the rules of a command line and by what the user has decided. Pure.
pub(crate) fn admits(rules: &AdmissionRules, decisions: &PeerDecisions, id: &PeerId) -> bool {
    let is_denied = rules.deny.contains(id) || decisions.denies(id);
    let is_open = rules.allow.is_empty() && !rules.only_trusted;
    let is_allowed = rules.allow.contains(id) || (rules.only_trusted && decisions.trusts(id));
    !is_denied && (is_open || is_allowed)
}

/// The rules of one peer and the file of decisions, which is read again after it changes.
#[derive(Debug)]
pub(crate) struct PeerRules {
    rules: AdmissionRules,
    saved: SavedPeers,
    read: Mutex<(Option<Stamp>, Arc<PeerDecisions>)>,
}

/// Identifies one state of the file.
type Stamp = (SystemTime, u64, u64);

impl PeerRules {
    /// Reads the decisions for the first time.
    ///
    /// # Errors
    /// [`SavedPeersError`] if they cannot be read: no peer is let in by mistake.
    pub(crate) fn new(rules: AdmissionRules, saved: SavedPeers) -> Result<Self, SavedPeersError> {
        let stamp = stamp(&saved);
        let decisions = Arc::new(saved.decisions()?);
        Ok(Self { rules, saved, read: Mutex::new((stamp, decisions)) })
    }

    /// Whether a peer is let in and asked.
    pub(crate) fn admits(&self, id: &PeerId) -> bool {
        admits(&self.rules, &self.decisions(), id)
    }

    /// The same, for an operation that has rules of its own. Both must let the peer in.
    pub(crate) fn admits_to(&self, rules: &AdmissionRules, id: &PeerId) -> bool {
        let decisions = self.decisions();
        admits(&self.rules, &decisions, id) && admits(rules, &decisions, id)
    }

    /// The decisions as the file is now. If it cannot be read, that is logged once and the previous ones stay in force.
    pub(crate) fn decisions(&self) -> Arc<PeerDecisions> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.saved);
        if now != read.0 {
            read.0 = now;
            match self.saved.decisions() {
                Ok(decisions) => read.1 = Arc::new(decisions),
                Err(error) => tracing::warn!("the previous decisions about peers stay in force: {error}"),
            }
        }
        Arc::clone(&read.1)
    }
}

fn stamp(saved: &SavedPeers) -> Option<Stamp> {
    let metadata = std::fs::symlink_metadata(saved.path()).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

/// The one identity that begins like this.
///
/// # Errors
/// [`SavedPeersError::NotOne`] if none or several of the known ones do, or if it is not a short id.
pub fn of_short_id(short: &str, known: impl IntoIterator<Item = PeerId>) -> Result<PeerId, SavedPeersError> {
    let wanted = short.to_ascii_lowercase();
    let known: BTreeSet<PeerId> = known.into_iter().filter(|id| id.short() == wanted).collect();
    match (known.len(), known.first()) {
        (1, Some(id)) => Ok(*id),
        (count, _) => {
            Err(SavedPeersError::NotOne { peer: lanspread_types::text::printable(short, 40), count })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_wins_over_allow_and_a_list_shuts_all_others_out() {
        let folder = tempfile::tempdir().unwrap();
        let saved = SavedPeers::of(Some(folder.path().into())).unwrap();
        let [friend, foe, other] = [0; 3].map(|_| PeerId::random().unwrap());
        saved.trust(friend, None).unwrap();
        saved.deny(foe, None).unwrap();
        let decisions = saved.decisions().unwrap();
        let let_in = |allow: &[PeerId], deny: &[PeerId], only_trusted| {
            let rules = AdmissionRules {
                allow: allow.iter().copied().collect(),
                deny: deny.iter().copied().collect(),
                only_trusted,
            };
            [friend, foe, other].map(|id| admits(&rules, &decisions, &id))
        };
        assert_eq!(let_in(&[], &[], false), [true, false, true]);
        assert_eq!(let_in(&[], &[friend], false), [false, false, true]);
        assert_eq!(let_in(&[], &[], true), [true, false, false]);
        assert_eq!(let_in(&[other], &[], true), [true, false, true]);
        assert_eq!(let_in(&[other, foe], &[], false), [false, false, true]);
        assert_eq!(let_in(&[other], &[other], false), [false; 3]);
    }

    #[test]
    fn a_decision_of_another_program_counts_at_once_and_a_broken_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let saved = SavedPeers::of(Some(folder.path().into())).unwrap();
        let admission = PeerRules::new(AdmissionRules::default(), saved.clone()).unwrap();
        let id = PeerId::random().unwrap();
        assert!(admission.admits(&id));
        saved.deny(id, None).unwrap();
        assert!(!admission.admits(&id));
        std::fs::write(saved.path(), "nonsense").unwrap();
        assert!(!admission.admits(&id));
        assert!(PeerRules::new(AdmissionRules::default(), saved.clone()).is_err());
        std::fs::remove_file(saved.path()).unwrap();
        assert!(admission.admits(&id));
        let rules = AdmissionRules { deny: BTreeSet::from([id]), ..AdmissionRules::default() };
        assert!(!admission.admits_to(&rules, &id));
    }

    #[test]
    fn a_short_id_stands_for_exactly_one_known_peer() {
        let ids: Vec<PeerId> = (0..4).map(|_| PeerId::random().unwrap()).collect();
        let short = ids[2].short();
        assert_eq!(short.len(), 8);
        assert_eq!(of_short_id(&short, ids.iter().copied()).unwrap(), ids[2]);
        assert_eq!(of_short_id(&short.to_ascii_uppercase(), [ids[2], ids[2]]).unwrap(), ids[2]);
        for (given, known) in [(short.as_str(), &ids[..2]), (&short[..7], &ids[..]), ("", &ids[..])] {
            let refused = of_short_id(given, known.iter().copied());
            assert!(matches!(refused, Err(SavedPeersError::NotOne { count: 0, .. })), "{given}: {refused:?}");
        }
    }
}
