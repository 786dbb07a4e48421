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
mod tests;
