//! Decides which of the peers' answers to believe. Pure.
//!
//! Peers with another version are dropped. The rest is grouped by identical root file lists (names and sizes). The
//! largest group is validated: the peers that the user named come first, in order of name, then identity, and the others
//! by how busy they are, then in an order of the receiver's own, so that receivers do not all try the same source. Of
//! those, each address has its first peer tried before any has its second. If two largest groups have equal size, both
//! are refused: nothing but the peers' word shows which one is right.
//!
//! An identity has one vote: that of the peer that comes first in the order of asking, which is named before saved,
//! before known, before found, and the longest known first. Identities are not proved, so a copy of one must not take
//! the vote of the peer that had it first, nor keep it from being a source. A copy that reports the same files is tried
//! after all other sources.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use sha2::{Digest, Sha256};

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
    /// How busy it is, if it said so.
    pub(crate) load: Option<Load>,
}

/// How busy a source says that it is; less is smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    /// Whether all its places are taken.
    pub(crate) is_full: bool,
    /// Streams and downloads that it is sending.
    pub(crate) transfers: u64,
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
    /// Peers that have the identity of a peer that was asked before them.
    pub(crate) copies: Vec<PeerAnswer>,
}

/// Why no peer is validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SelectError {
    /// No peer has the game in the wanted version.
    NotOffered(Vec<PeerAnswer>),
    /// The peers contradict each other with equal weight; one text per side.
    Ambiguous(Vec<String>),
}

/// What decides in which order the validated peers are tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceOrder<'a> {
    /// How many offers, at the beginning, are of peers that the user named.
    pub(crate) named: usize,
    /// The receiver.
    pub(crate) ours: PeerId,
    pub(crate) game: &'a GameId,
}

/// Whether a peer was not named, its name if it was, how busy it is, its place in the receiver's own order.
type Rank = (bool, Option<PeerName>, Load, [u8; 32], PeerId);

impl SourceOrder<'_> {
    /// Smaller comes first: of the peers that were not named, those with less to do, and those that do not say it last.
    /// Of equally busy ones, each receiver has another order for each game, and always the same one, so that receivers
    /// that begin together do not all take the same source.
    fn rank(&self, index: usize, offer: &PeerOffer) -> Rank {
        let named = index < self.named;
        let text = format!("{} {} {}", self.ours, offer.id, self.game);
        let spread = if named { [0; 32] } else { Sha256::digest(text).into() };
        let load = offer.load.unwrap_or(Load { is_full: true, transfers: u64::MAX });
        let load = if named { Load { is_full: false, transfers: 0 } } else { load };
        (!named, named.then(|| offer.name.clone()), load, spread, offer.id)
    }
}

/// Chooses the validated peers from offers in the order of asking. Without `wanted`, the version that most peers have
/// is taken.
pub(crate) fn select(
    offers: Vec<PeerOffer>,
    wanted: Option<&GameVersion>,
    order: &SourceOrder<'_>,
) -> Result<Selection, SelectError> {
    let ranked = offers.iter().enumerate().rev();
    let ranks: BTreeMap<(PeerId, u64), _> =
        ranked.map(|(index, offer)| ((offer.id, offer.instance), order.rank(index, offer))).collect();
    let (voters, copies) = one_per_identity(offers);
    if voters.is_empty() {
        return Err(SelectError::NotOffered(Vec::new()));
    }
    let version = match wanted {
        Some(version) => version.clone(),
        None => most_common(&voters, |offer| offer.version.clone(), |version| format!("version {version}"))?,
    };
    let mut dropped = Vec::new();
    let mut of_version = |offers: Vec<PeerOffer>, also: &str| {
        let (matching, others): (Vec<_>, Vec<_>) =
            offers.into_iter().partition(|offer| offer.version == version);
        dropped.extend(others.into_iter().map(|offer| {
            dropped_because(&offer, format!("{also}it has version {}, not {version}", offer.version))
        }));
        matching
    };
    let voters = of_version(voters, "");
    let reported: Vec<PeerAnswer> = copies.iter().map(|copy| dropped_because(copy, SAME_IDENTITY)).collect();
    let copies = of_version(copies, ALSO_SAME_IDENTITY);
    if voters.is_empty() {
        return Err(SelectError::NotOffered(dropped));
    }
    let files = most_common(&voters, |offer| sorted(&offer.files), |files| describe(files))?;
    let mut of_majority = |offers: Vec<PeerOffer>, also: &str| {
        let (mut matching, odd): (Vec<_>, Vec<_>) =
            offers.into_iter().partition(|offer| sorted(&offer.files) == files);
        dropped.extend(
            odd.iter()
                .map(|offer| dropped_because(offer, format!("{also}its files differ from the majority's"))),
        );
        matching.sort_by(|one, other| {
            let rank = |offer: &PeerOffer| &ranks[&(offer.id, offer.instance)];
            rank(one).cmp(rank(other))
        });
        let named = matching.iter().filter(|offer| !ranks[&(offer.id, offer.instance)].0).count();
        let unnamed = one_per_address_first(matching.split_off(named));
        matching.extend(unnamed);
        matching
    };
    let mut sources = of_majority(voters, "");
    sources.extend(of_majority(copies, ALSO_SAME_IDENTITY));
    Ok(Selection { version, sources, dropped, copies: reported })
}

/// Peers at one address may be one machine, which then wastes the time of a receiver once and not as often as it has
/// peers: the second one of each address comes after the first ones of all.
fn one_per_address_first(sources: Vec<PeerOffer>) -> Vec<PeerOffer> {
    let mut at_address: BTreeMap<IpAddr, u64> = BTreeMap::new();
    let numbered = sources.into_iter().map(|source| {
        let number = at_address.entry(source.address.ip()).or_default();
        *number += 1;
        (*number, source)
    });
    let mut numbered: Vec<(u64, PeerOffer)> = numbered.collect();
    // Stable: within a number the order stays.
    numbered.sort_by_key(|(number, _)| *number);
    numbered.into_iter().map(|(_, source)| source).collect()
}

const SAME_IDENTITY: &str = "another running peer has the same identity: one state directory was copied";
const ALSO_SAME_IDENTITY: &str = "another running peer has the same identity, and ";

/// A peer that answered on two addresses is one peer. Of the running peers with one identity, the first has the vote;
/// the others are copies.
fn one_per_identity(offers: Vec<PeerOffer>) -> (Vec<PeerOffer>, Vec<PeerOffer>) {
    let (mut seen, mut identities) = (BTreeSet::new(), BTreeSet::new());
    let once = offers.into_iter().filter(|offer| seen.insert((offer.id, offer.instance)));
    once.partition(|offer| identities.insert(offer.id))
}

/// What one offer says, as far as it counts in a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vote {
    id: PeerId,
    version: GameVersion,
    /// Stands for the list of files.
    files: u64,
}

impl Vote {
    /// The vote of an offer. Votes of one choice need one `hasher`: its keys are random, so that no peer can make up a
    /// list that counts as another one.
    pub(crate) fn of(offer: &PeerOffer, hasher: &RandomState) -> Self {
        let files = hasher.hash_one(sorted(&offer.files));
        Self { id: offer.id, version: offer.version.clone(), files }
    }
}

/// Whether the choice between these votes stays the same whatever `missing` more peers answer: the leading version and
/// the leading list are ahead by more votes than can still be added to another one. A tie would refuse the game, so
/// being level is not enough. A missing peer counts as one with an identity of its own: more than one vote it never has.
pub(crate) fn settled<'v>(
    votes: impl IntoIterator<Item = &'v Vote>,
    wanted: Option<&GameVersion>,
    missing: usize,
) -> bool {
    let mut identities = BTreeSet::new();
    let votes: Vec<&Vote> = votes.into_iter().filter(|vote| identities.insert(vote.id)).collect();
    let version = match wanted {
        Some(version) => Some(version),
        None => ahead(votes.iter().map(|vote| &vote.version), missing),
    };
    version.is_some_and(|version| {
        let matching = votes.iter().filter(|vote| vote.version == *version);
        ahead(matching.map(|vote| vote.files), missing).is_some()
    })
}

/// The value that is ahead of every other one by more than `missing`.
fn ahead<K: Ord>(values: impl Iterator<Item = K>, missing: usize) -> Option<K> {
    let mut counts: BTreeMap<K, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let mut ranking: Vec<(usize, K)> = counts.into_iter().map(|(value, count)| (count, value)).collect();
    ranking.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let second = ranking.get(1).map_or(0, |(count, _)| *count);
    ranking.into_iter().next().filter(|(count, _)| *count > second + missing).map(|(_, value)| value)
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

fn dropped_because(offer: &PeerOffer, reason: impl Into<String>) -> PeerAnswer {
    PeerAnswer { peer: offer.name.to_string(), reason: reason.into() }
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
            load: None,
        }
    }

    /// Chooses from offers of peers that the user named.
    fn select(offers: Vec<PeerOffer>, wanted: Option<&GameVersion>) -> Result<Selection, SelectError> {
        let (game, ours) = ("g".parse().unwrap(), PeerId::random().unwrap());
        super::select(offers, wanted, &SourceOrder { named: usize::MAX, ours, game: &game })
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

    /// One machine may run as many peers as it likes.
    #[test]
    fn a_machine_with_many_peers_is_tried_once_before_the_others() {
        let game = "g".parse().unwrap();
        let at = |last: u8, name: &str| PeerOffer {
            address: ([10, 0, 0, last], 1).into(),
            ..offer(name, "1", &[5])
        };
        for _ in 0..20 {
            let mut offers = vec![at(1, "z-named"), at(1, "a-named")];
            offers.extend(["x1", "x2", "x3", "x4"].map(|name| at(1, name)));
            offers.extend([at(2, "two"), at(3, "three")]);
            let order = SourceOrder { named: 2, ours: PeerId::random().unwrap(), game: &game };
            let selection = super::select(offers, None, &order).unwrap();
            let names = names(&selection);
            assert_eq!(names[..2], ["a-named", "z-named"], "the user's own order of trust");
            let mut first_of_each: Vec<&str> =
                names[2..5].iter().map(|name| name.trim_end_matches(char::is_numeric)).collect();
            first_of_each.sort_unstable();
            assert_eq!(first_of_each, ["three", "two", "x"]);
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

    /// A copy of an identity, with another instance at another address.
    fn copy_of(offer: &PeerOffer, name: &str, sizes: &[u64]) -> PeerOffer {
        let files = super::tests::offer(name, "1", sizes).files;
        let (name, address) = (name.parse().unwrap(), ([127, 0, 0, 1], 2).into());
        PeerOffer { instance: 2, name, address, files, ..offer.clone() }
    }

    #[test]
    fn a_copy_of_an_identity_does_not_switch_off_the_peer_that_had_it_first() {
        let honest = [offer("b", "1", &[1]), offer("c", "1", &[1]), offer("d", "1", &[1])];
        let copies = |size: u64| honest.iter().map(move |offer| copy_of(offer, "a", &[size]));
        let lying = select(honest.iter().cloned().chain(copies(9)).collect(), None).unwrap();
        assert_eq!(names(&lying), ["b", "c", "d"]);
        assert_eq!(lying.sources[0].files[0].size, 1);
        assert!(lying.dropped.len() == 3 && lying.dropped[0].reason.contains("same identity"), "{lying:?}");
        assert_eq!(lying.copies.len(), 3, "they are reported");
        let agreeing = select(honest.iter().cloned().chain(copies(1)).collect(), None).unwrap();
        assert_eq!(names(&agreeing), ["b", "c", "d", "a", "a", "a"], "copies are tried last");
        assert_eq!((agreeing.dropped.len(), agreeing.copies.len()), (0, 3));
        let one = select(vec![honest[0].clone(), copy_of(&honest[0], "a", &[9])], None).unwrap();
        assert_eq!(names(&one), ["b"], "a copy has no vote, so there is no tie");
        let other_version = PeerOffer { version: "2".parse().unwrap(), ..copy_of(&honest[0], "a", &[9]) };
        let one = select(vec![honest[0].clone(), other_version], None).unwrap();
        assert_eq!((names(&one), one.dropped.len()), (vec!["b"], 1));
    }

    /// A hundred receivers of one game from four equal sources: each source is first for about a quarter of them, and
    /// each receiver keeps its order.
    #[test]
    fn receivers_spread_over_the_sources() {
        let offers: Vec<PeerOffer> = ["a", "b", "c", "d"].map(|name| offer(name, "1", &[1])).to_vec();
        let game: GameId = "g".parse().unwrap();
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..400 {
            let order = SourceOrder { named: 0, ours: PeerId::random().unwrap(), game: &game };
            let selection = super::select(offers.clone(), None, &order).unwrap();
            assert_eq!(selection.sources, super::select(offers.clone(), None, &order).unwrap().sources);
            *first.entry(selection.sources[0].name.to_string()).or_default() += 1;
        }
        assert!(first.len() == 4 && first.values().all(|count| (40..=200).contains(count)), "{first:?}");
        for _ in 0..20 {
            let order = SourceOrder { named: 2, ours: PeerId::random().unwrap(), game: &game };
            let named = super::select(offers.clone(), None, &order).unwrap();
            assert_eq!(names(&named)[..2], ["a", "b"], "those that were named come first, by name");
        }
    }

    /// A name that the user gave counts more than the load, and the load more than the receiver's own order.
    #[test]
    fn the_less_busy_source_is_tried_first() {
        let game: GameId = "g".parse().unwrap();
        let busy = |name: &str, load: Option<(bool, u64)>| PeerOffer {
            load: load.map(|(is_full, transfers)| Load { is_full, transfers }),
            ..offer(name, "1", &[1])
        };
        let offers = [
            busy("named", Some((true, 8))),
            busy("silent", None),
            busy("full", Some((true, 1))),
            busy("two", Some((false, 2))),
            busy("idle", Some((false, 0))),
        ];
        for _ in 0..20 {
            let order = SourceOrder { named: 1, ours: PeerId::random().unwrap(), game: &game };
            let selection = super::select(offers.to_vec(), None, &order).unwrap();
            assert_eq!(names(&selection), ["named", "idle", "two", "full", "silent"]);
        }
    }

    /// The order of asking decides who had an identity first.
    #[test]
    fn of_two_peers_with_one_identity_the_first_has_the_vote() {
        let one = offer("a", "1", &[1]);
        let copy = copy_of(&one, "b", &[2]);
        let same_elsewhere = PeerOffer { address: ([127, 0, 0, 1], 3).into(), ..one.clone() };
        let selection = select(vec![one.clone(), same_elsewhere.clone()], None).unwrap();
        assert_eq!((names(&selection), selection.copies.len()), (vec!["a"], 0), "two addresses are no copy");
        let selection = select(vec![one.clone(), copy.clone(), same_elsewhere.clone()], None).unwrap();
        assert_eq!(names(&selection), ["a"]);
        let selection = select(vec![copy, one, same_elsewhere], None).unwrap();
        assert_eq!(names(&selection), ["b"]);
    }

    #[test]
    fn a_choice_is_settled_when_the_missing_answers_cannot_change_it() {
        let hasher = RandomState::new();
        let settles = |offers: &[PeerOffer], wanted: Option<&str>, missing| {
            let votes: Vec<Vote> = offers.iter().map(|offer| Vote::of(offer, &hasher)).collect();
            settled(&votes, wanted.map(|version| version.parse().unwrap()).as_ref(), missing)
        };
        let (good, odd, old) = (offer("a", "2", &[1]), offer("b", "2", &[2]), offer("c", "1", &[1]));
        let again = || PeerOffer { id: PeerId::random().unwrap(), ..good.clone() };
        let three = [good.clone(), again(), again()];
        assert!(settles(&three, None, 2) && settles(&three, Some("2"), 2));
        assert!(!settles(&three, None, 3) && !settles(&three, Some("2"), 3), "three more could tie");
        let four = [three.as_slice(), std::slice::from_ref(&odd)].concat();
        assert!(settles(&four, None, 1) && !settles(&four, None, 2));
        let four = [three.as_slice(), &[old]].concat();
        assert!(settles(&four, Some("2"), 2) && !settles(&four, None, 2), "the version could still change");
        assert!(!settles(&three, Some("3"), 1), "no answer is of the wanted version");
        assert!(!settles(&[], None, 0) && !settles(&three[..1], None, 1) && settles(&three[..1], None, 0));
        let twice = [good.clone(), PeerOffer { instance: 2, ..good.clone() }, good];
        assert!(!settles(&twice, None, 1), "one identity has one vote");
    }

    proptest! {
        /// Settled means: whatever the missing peers answer, the same version and files are chosen; and if it is not
        /// settled, there are answers that change the choice.
        #[test]
        fn what_is_settled_does_not_change_any_more(
            votes in proptest::collection::vec((0u8..2, 0u64..2), 0..7),
            missing in proptest::collection::vec((0u8..3, 0u64..3), 0..5),
            wanted in proptest::option::of(0u8..2),
        ) {
            let make = |(version, size): &(u8, u64)| offer("p", &version.to_string(), &[*size]);
            let wanted = wanted.map(|version| version.to_string().parse::<GameVersion>().unwrap());
            let chosen = |offers: &[PeerOffer]| match select(offers.to_vec(), wanted.as_ref()) {
                Ok(selection) => Some((selection.version, selection.sources[0].files.clone())),
                Err(_) => None,
            };
            let told: Vec<PeerOffer> = votes.iter().map(make).collect();
            let hasher = RandomState::new();
            let votes: Vec<Vote> = told.iter().map(|offer| Vote::of(offer, &hasher)).collect();
            let before = chosen(&told);
            let with = |more: &[(u8, u64)]| chosen(&[told.clone(), more.iter().map(make).collect()].concat());
            if settled(&votes, wanted.as_ref(), missing.len()) {
                prop_assert!(before.is_some());
                prop_assert_eq!(&with(&missing), &before);
            } else if before.is_some() {
                // All missing ones say the same: one of these can change the choice.
                let same = |version, size| vec![(version, size); missing.len()];
                let changed = (0..3).flat_map(|version| (0..3).map(move |size| same(version, size)))
                    .any(|more| with(&more) != before);
                prop_assert!(changed, "{:?} more could not change {:?}", missing.len(), before);
            }
        }

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
            let (game, ours) = ("g".parse().unwrap(), PeerId::random().unwrap());
            let order = SourceOrder { named: 0, ours, game: &game };
            let one = super::select(offers, None, &order);
            let other = super::select(shuffled, None, &order);
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
