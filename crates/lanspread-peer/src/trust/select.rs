//! Decides which of the peers' answers to believe. Pure.
//!
//! Peers with another version are dropped. The rest is grouped by identical root file lists (names and sizes). The
//! largest group is validated and tried in order of name, then identity. If two largest groups have equal size, both
//! are refused: nothing but the peers' word shows which one is right.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameVersion, PeerId, PeerName};

use crate::report::failure::PeerAnswer;

/// One peer's answer about one game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerOffer {
    /// Name of the peer.
    pub(crate) name: PeerName,
    /// Its identity.
    pub(crate) id: PeerId,
    /// Random number of this run of the peer.
    pub(crate) instance: u64,
    /// Where it answered.
    pub(crate) address: SocketAddr,
    /// The version it has.
    pub(crate) version: GameVersion,
    /// Its root files.
    pub(crate) files: Vec<RootFile>,
}

/// The validated peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The version to install.
    pub(crate) version: GameVersion,
    /// The validated peers in the order in which they are tried; never empty.
    pub(crate) sources: Vec<PeerOffer>,
    /// The other peers, and why they were dropped.
    pub(crate) dropped: Vec<PeerAnswer>,
}

/// Why no peer is validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SelectError {
    /// No peer has the game in the wanted version.
    NotOffered(Vec<PeerAnswer>),
    /// The peers contradict each other with equal weight; one text per side.
    Ambiguous(Vec<String>),
}

/// Chooses the validated peers. Without `wanted`, the version that most peers have is taken.
pub(crate) fn select(offers: Vec<PeerOffer>, wanted: Option<&GameVersion>) -> Result<Selection, SelectError> {
    let (offers, doubtful) = one_per_identity(offers);
    if offers.is_empty() {
        return Err(SelectError::NotOffered(doubtful));
    }
    let version = match wanted {
        Some(version) => version.clone(),
        None => most_common(&offers, |offer| offer.version.clone(), |version| format!("version {version}"))?,
    };
    let (matching, others): (Vec<_>, Vec<_>) = offers.into_iter().partition(|offer| offer.version == version);
    let mut dropped: Vec<PeerAnswer> = others
        .into_iter()
        .map(|offer| dropped_because(&offer, format!("it has version {}, not {version}", offer.version)))
        .chain(doubtful)
        .collect();
    if matching.is_empty() {
        return Err(SelectError::NotOffered(dropped));
    }
    let files = most_common(&matching, |offer| sorted(&offer.files), |files| describe(files))?;
    let (mut sources, odd): (Vec<_>, Vec<_>) =
        matching.into_iter().partition(|offer| sorted(&offer.files) == files);
    dropped.extend(
        odd.iter().map(|offer| dropped_because(offer, "its files differ from the majority's".to_owned())),
    );
    sources.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
    Ok(Selection { version, sources, dropped })
}

/// A peer that answered on two addresses has one vote. Two running peers with one identity have none, because nothing
/// shows which of them is the right one.
fn one_per_identity(offers: Vec<PeerOffer>) -> (Vec<PeerOffer>, Vec<PeerAnswer>) {
    let mut instances: BTreeMap<PeerId, BTreeSet<u64>> = BTreeMap::new();
    for offer in &offers {
        instances.entry(offer.id).or_default().insert(offer.instance);
    }
    let mut seen = BTreeSet::new();
    let once = offers.into_iter().filter(|offer| seen.insert((offer.id, offer.instance)));
    let (alone, doubtful): (Vec<_>, Vec<_>) = once.partition(|offer| instances[&offer.id].len() == 1);
    let reason = |offer: &PeerOffer| {
        let reason = "another running peer has the same identity: one state directory was copied";
        dropped_because(offer, format!("{reason} ({})", offer.address))
    };
    let doubtful = doubtful.iter().map(reason).collect();
    (alone, doubtful)
}

/// The value on which most offers agree, or the sides if there is a tie.
fn most_common<K: Ord + Clone>(
    offers: &[PeerOffer],
    key: impl Fn(&PeerOffer) -> K,
    describe: impl Fn(&K) -> String,
) -> Result<K, SelectError> {
    let mut groups: BTreeMap<K, Vec<&PeerName>> = BTreeMap::new();
    for offer in offers {
        groups.entry(key(offer)).or_default().push(&offer.name);
    }
    let largest = groups.values().map(Vec::len).max().unwrap_or_default();
    let mut winners = groups.iter().filter(|(_, peers)| peers.len() == largest);
    match (winners.next(), winners.next()) {
        (Some((winner, _)), None) => Ok(winner.clone()),
        (None, _) => Err(SelectError::NotOffered(Vec::new())),
        (Some(_), Some(_)) => {
            let sides = groups.iter().filter(|(_, peers)| peers.len() == largest).map(|(key, peers)| {
                let names: Vec<&str> = peers.iter().map(|name| name.as_str()).collect();
                format!("{} ({})", describe(key), names.join(", "))
            });
            Err(SelectError::Ambiguous(sides.collect()))
        }
    }
}

fn sorted(files: &[RootFile]) -> Vec<RootFile> {
    let mut files = files.to_vec();
    files.sort();
    files
}

fn describe(files: &[RootFile]) -> String {
    let bytes: u128 = files.iter().map(|file| u128::from(file.size)).sum();
    format!("{} files, {bytes} bytes", files.len())
}

fn dropped_because(offer: &PeerOffer, reason: String) -> PeerAnswer {
    PeerAnswer { peer: offer.name.to_string(), reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(name: &str, version: &str, sizes: &[u64]) -> PeerOffer {
        let files = sizes
            .iter()
            .enumerate()
            .map(|(index, size)| RootFile { name: format!("{index}.eti"), size: *size });
        PeerOffer {
            name: name.parse().unwrap(),
            id: PeerId::random().unwrap(),
            instance: 1,
            address: ([127, 0, 0, 1], 1).into(),
            version: version.parse().unwrap(),
            files: files.collect(),
        }
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection.sources.iter().map(|source| source.name.as_str()).collect()
    }

    #[test]
    fn the_majority_is_validated_and_tried_by_name() {
        let offers = vec![offer("c", "1", &[5]), offer("a", "1", &[5]), offer("b", "1", &[6])];
        let selection = select(offers, Some(&"1".parse().unwrap())).unwrap();
        assert_eq!(names(&selection), ["a", "c"]);
        assert_eq!(selection.dropped[0].peer, "b");
    }

    #[test]
    fn one_against_one_is_refused() {
        let offers = vec![offer("a", "1", &[5]), offer("b", "1", &[6])];
        match select(offers, Some(&"1".parse().unwrap())) {
            Err(SelectError::Ambiguous(sides)) => assert_eq!(sides.len(), 2),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn another_version_has_no_vote() {
        let offers = vec![offer("a", "2", &[5]), offer("b", "2", &[5]), offer("c", "1", &[6])];
        let selection = select(offers.clone(), Some(&"1".parse().unwrap())).unwrap();
        assert_eq!(names(&selection), ["c"]);
        assert_eq!(selection.dropped.len(), 2);
        match select(offers, Some(&"3".parse().unwrap())) {
            Err(SelectError::NotOffered(dropped)) => assert_eq!(dropped.len(), 3),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_a_catalog_the_version_most_peers_have_is_taken() {
        let offers = vec![offer("a", "2", &[5]), offer("b", "2", &[5]), offer("c", "1", &[6])];
        assert_eq!(select(offers, None).unwrap().version.as_str(), "2");
        let tie = vec![offer("a", "2", &[5]), offer("c", "1", &[6])];
        assert!(matches!(select(tie, None), Err(SelectError::Ambiguous(_))));
        assert!(matches!(select(Vec::new(), None), Err(SelectError::NotOffered(_))));
    }

    #[test]
    fn one_peer_on_two_addresses_has_one_vote() {
        let twice = offer("a", "1", &[5]);
        let offers = vec![twice.clone(), twice, offer("b", "1", &[6])];
        assert!(matches!(select(offers, None), Err(SelectError::Ambiguous(_))));
    }

    #[test]
    fn the_order_of_a_file_list_does_not_matter() {
        let mut reversed = offer("b", "1", &[5, 6]);
        reversed.files.reverse();
        let selection = select(vec![offer("a", "1", &[5, 6]), reversed], None).unwrap();
        assert_eq!(selection.sources.len(), 2);
    }

    #[test]
    fn two_running_peers_with_one_identity_are_both_dropped() {
        let one = offer("a", "1", &[1]);
        let same_elsewhere = PeerOffer { address: ([127, 0, 0, 1], 2).into(), ..one.clone() };
        let copied = PeerOffer { instance: 2, name: "b".parse().unwrap(), ..one.clone() };
        let selection = select(vec![one.clone(), same_elsewhere.clone()], None).unwrap();
        assert_eq!(
            (names(&selection), selection.dropped.len()),
            (vec!["a"], 0),
            "two addresses are not a copied identity"
        );
        let doubtful = vec![one, copied, same_elsewhere];
        let Err(SelectError::NotOffered(dropped)) = select(doubtful.clone(), None) else { panic!() };
        assert_eq!(dropped.len(), 2);
        assert!(dropped.iter().all(|peer| peer.reason.contains("same identity")), "{dropped:?}");
        let selection = select([doubtful, vec![offer("c", "1", &[2])]].concat(), None).unwrap();
        assert_eq!(
            (names(&selection), selection.dropped.len()),
            (vec!["c"], 2),
            "peers with one identity have no vote"
        );
    }

    proptest! {
        /// The result does not depend on which peer answered first, and a validated group is larger than any other.
        #[test]
        fn the_order_of_answers_does_not_matter(
            sizes in proptest::collection::vec(0u64..3, 0..8),
            seed in any::<u64>(),
        ) {
            let offers: Vec<_> = sizes.iter().enumerate().map(|(i, size)| offer(&format!("p{i}"), "1", &[*size])).collect();
            let mut shuffled = offers.clone();
            let mut state = seed;
            for index in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
            }
            let one = select(offers, None);
            let other = select(shuffled, None);
            match (&one, &other) {
                (Ok(one), Ok(other)) => {
                    prop_assert_eq!(&one.sources, &other.sources);
                    for size in 0..3 {
                        let count = sizes.iter().filter(|s| **s == size).count();
                        prop_assert!(count < one.sources.len() || one.sources[0].files[0].size == size);
                    }
                }
                (Err(SelectError::Ambiguous(one)), Err(SelectError::Ambiguous(other))) => prop_assert_eq!(one.len(), other.len()),
                (Err(SelectError::NotOffered(_)), Err(SelectError::NotOffered(_))) => prop_assert!(sizes.is_empty()),
                _ => prop_assert!(false, "{:?} against {:?}", one, other),
            }
        }
    }
}
