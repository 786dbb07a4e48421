//! Decides which of the peers' answers to believe. Pure.
//!
//! Peers with another version are dropped. The rest is grouped by identical root file lists (names and sizes). The
//! largest group is validated: the peers that the user named come first, in order of name, then identity, and the others
//! by how busy they are, then in an order of the receiver's own, so that receivers do not all try the same source. Of
//! those, each address has its first peer tried before any has its second. If two largest groups have equal size, both
//! are refused: nothing but the peers' word shows which one is right.
//!
//! An identity has one vote: that of the peer that comes first in the order of asking, which is named before saved,
//! before known, before found, and the longest known first. A copy of an identity must not take the vote of the peer
//! that had it first, nor keep it from being a source. A copy that reports the same files is tried after all other
//! sources.
//!
//! Peers of the largest group may name a packing list each. It is not trusted, but two of them contradict each other: the
//! same files have one list only. Their digests are voted on in the same way; see [`votes`]. A peer that has not made its
//! list yet contradicts no other, and the list counts as agreed only if such peers could not turn the vote.
//!
//! With a trusted manifest no peer has a vote. Those that report exactly its version and its root files are sources,
//! however few they are; two runs of one identity are both used, because what arrives proves itself.
//!
//! Peers that offer installed files are sources only with a trusted manifest, after those that have the archives.
//!
//! A penalised peer has no vote and is tried after all others. Without a manifest, one that lied is no source, and those
//! that broke the protocol have a vote if no other peer has the game: that may have been a fault of a program or a link,
//! and a user who tries again at once must not be told that no peer has the game.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lanspread_trust::manifest::Manifest;
use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use sha2::{Digest, Sha256};

use crate::report::failure::PeerAnswer;

mod offer;
mod votes;

pub(crate) use self::offer::{Disbelief, Load, PeerOffer, is_further};
use self::offer::{fits, sorted};
pub(crate) use self::votes::{AgreedList, Vote, settled};
use self::votes::{agreed_list, winning_manifest};

/// The validated peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The version to install.
    pub(crate) version: GameVersion,
    /// The validated peers in the order in which they are tried; never empty. Penalised ones come last.
    pub(crate) sources: Vec<PeerOffer>,
    /// The other peers, and why they were dropped.
    pub(crate) dropped: Vec<PeerAnswer>,
    /// Peers that have the identity of a peer that was asked before them.
    pub(crate) copies: Vec<PeerAnswer>,
    /// The packing list on which they agree, without a trusted manifest. The sources that have it name it.
    pub(crate) list: AgreedList,
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

impl Selection {
    /// The sources for a transfer of archives that uses several at once: penalised ones only if there are no others.
    pub(crate) fn at_once(&self) -> Vec<PeerOffer> {
        let (trusted, penalised): (Vec<PeerOffer>, Vec<PeerOffer>) = self
            .sources
            .iter()
            .filter(|source| source.entries.is_none())
            .cloned()
            .partition(|source| source.penalty.is_none());
        if trusted.is_empty() { penalised } else { trusted }
    }
}

impl SourceOrder<'_> {
    /// Smaller comes first: of the peers that were not named, those with less to do, and those that do not say it last.
    /// Of equally busy ones, each receiver has another order for each game, and always the same one, so that receivers
    /// that begin together do not all take the same source.
    fn rank(&self, index: usize, offer: &PeerOffer) -> Rank {
        let named = index < self.named;
        let text = format!("{} {} {}", self.ours, offer.id, self.game);
        let spread = if named { [0; 32] } else { Sha256::digest(text).into() };
        let load = offer.load.unwrap_or(Load { is_full: true, waiting: u64::MAX, transfers: u64::MAX });
        let load = if named { Load { is_full: false, waiting: 0, transfers: 0 } } else { load };
        (!named, named.then(|| offer.name.clone()), load, spread, offer.id)
    }
}

/// Chooses the validated peers from offers in the order of asking. With a trusted manifest, it decides alone. Without
/// one and without `wanted`, the version that most peers have is taken.
pub(crate) fn select(
    offers: Vec<PeerOffer>,
    wanted: Option<&GameVersion>,
    manifest: Option<&Manifest>,
    order: &SourceOrder<'_>,
) -> Result<Selection, SelectError> {
    let ranked = offers.iter().enumerate().rev();
    let ranks: Ranks =
        ranked.map(|(index, offer)| ((offer.id, offer.instance), order.rank(index, offer))).collect();
    match manifest {
        Some(manifest) => of_manifest(offers, manifest, &ranks),
        None => of_majority(offers, wanted, &ranks),
    }
}

type Ranks = BTreeMap<(PeerId, u64), Rank>;

fn of_manifest(offers: Vec<PeerOffer>, manifest: &Manifest, ranks: &Ranks) -> Result<Selection, SelectError> {
    let (first, copies) = one_per_identity(offers);
    let reported = report_copies(&first, &copies);
    let offers = first.into_iter().chain(copies);
    let (fitting, others): (Vec<_>, Vec<_>) = offers.partition(|offer| fits(offer, manifest));
    let version = &manifest.version;
    let dropped = others.iter().map(|offer| {
        let other_version = offer.version != *version;
        dropped_because(
            offer,
            if other_version {
                format!("it has version {}, not {version}", offer.version)
            } else {
                "its files differ from those of the catalog's manifest".to_owned()
            },
        )
    });
    let dropped = dropped.collect();
    if fitting.is_empty() {
        return Err(SelectError::NotOffered(dropped));
    }
    let (penalised, trusted): (Vec<_>, Vec<_>) =
        fitting.into_iter().partition(|offer| offer.penalty.is_some());
    let (archives, entries): (Vec<_>, Vec<_>) =
        trusted.into_iter().partition(|offer| offer.entries.is_none());
    let mut sources = in_order(archives, ranks);
    sources.extend(in_order(entries, ranks));
    sources.extend(in_order(penalised, ranks));
    let list = AgreedList::None;
    Ok(Selection { version: version.clone(), sources, dropped, copies: reported, list })
}

fn of_majority(
    offers: Vec<PeerOffer>,
    wanted: Option<&GameVersion>,
    ranks: &Ranks,
) -> Result<Selection, SelectError> {
    let (liars, offers): (Vec<_>, Vec<_>) = offers.into_iter().partition(PeerOffer::is_of_liar);
    let (liars, of_liars) = one_per_identity(liars);
    let why = |offer: &PeerOffer| offer.penalty.clone().map_or_else(String::new, |penalty| penalty.reason);
    let mut dropped: Vec<PeerAnswer> =
        liars.iter().chain(&of_liars).map(|offer| dropped_because(offer, why(offer))).collect();
    let is_candidate =
        |offer: &PeerOffer| offer.penalty.is_none() && wanted.is_none_or(|version| offer.version == *version);
    let has_others = offers.iter().any(is_candidate);
    let (penalised, offers): (Vec<_>, Vec<_>) =
        offers.into_iter().partition(|offer| has_others && offer.penalty.is_some());
    let (penalised, more_of_them) = one_per_identity(penalised);
    dropped.extend(report_copies(&penalised, &more_of_them));
    let (voters, copies) = one_per_identity(offers);
    if voters.is_empty() {
        return Err(SelectError::NotOffered(dropped));
    }
    let version = match wanted {
        Some(version) => version.clone(),
        None => most_common(&voters, |offer| offer.version.clone(), |version| format!("version {version}"))?,
    };
    let mut keep = |offers: Vec<PeerOffer>, also: &str, rule: &dyn Fn(&PeerOffer) -> Option<String>| {
        let mut kept = Vec::new();
        for offer in offers {
            match rule(&offer) {
                None => kept.push(offer),
                Some(reason) => dropped.push(dropped_because(&offer, format!("{also}{reason}"))),
            }
        }
        kept
    };
    let other_version = |offer: &PeerOffer| {
        let differs = offer.version != version;
        differs.then(|| format!("it has version {}, not {version}", offer.version))
    };
    let reported = report_copies(&voters, &copies);
    let voters = keep(voters, "", &other_version);
    let copies = keep(copies, ALSO_SAME_IDENTITY, &other_version);
    let penalised = keep(penalised, "", &other_version);
    if voters.is_empty() {
        return Err(SelectError::NotOffered(dropped));
    }
    let files = most_common(&voters, |offer| sorted(&offer.files), |files| describe(files))?;
    let other_files = |offer: &PeerOffer| {
        (sorted(&offer.files) != files).then(|| "its files differ from the majority's".to_owned())
    };
    let voters = keep(voters, "", &other_files);
    let copies = keep(copies, ALSO_SAME_IDENTITY, &other_files);
    let penalised = keep(penalised, "", &other_files);
    let said: Vec<_> = voters.iter().map(|offer| (offer.manifest, offer.manifest_in_ms)).collect();
    let list = agreed_list(&said);
    let manifests = voters.iter().map(|offer| (offer.manifest, offer.name.as_str()));
    let winner = winning_manifest(manifests.collect()).map_err(SelectError::Ambiguous)?;
    let other_manifest = |offer: &PeerOffer| winner.excludes(offer.manifest.as_ref()).map(str::to_owned);
    let mut sources = in_order(keep(voters, "", &other_manifest), ranks);
    sources.extend(in_order(keep(copies, ALSO_SAME_IDENTITY, &other_manifest), ranks));
    sources.extend(in_order(keep(penalised, "", &other_manifest), ranks));
    Ok(Selection { version, sources, dropped, copies: reported, list })
}

/// The order in which peers are tried.
fn in_order(mut offers: Vec<PeerOffer>, ranks: &Ranks) -> Vec<PeerOffer> {
    let rank = |offer: &PeerOffer| &ranks[&(offer.id, offer.instance)];
    offers.sort_by(|one, other| (rank(one), one.instance).cmp(&(rank(other), other.instance)));
    let named = offers.iter().filter(|offer| !rank(offer).0).count();
    let unnamed = one_per_address_first(offers.split_off(named));
    offers.extend(unnamed);
    offers
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

const ALSO_SAME_IDENTITY: &str = "another running peer has the same identity, and ";

/// A peer that answered on two addresses is one peer. Of the running peers with one identity, the first has the vote;
/// the others are copies.
fn one_per_identity(offers: Vec<PeerOffer>) -> (Vec<PeerOffer>, Vec<PeerOffer>) {
    let (mut seen, mut identities) = (BTreeSet::new(), BTreeSet::new());
    let once = offers.into_iter().filter(|offer| seen.insert((offer.id, offer.instance)));
    once.partition(|offer| identities.insert(offer.id))
}

/// What is reported of copies: the peer that has the vote is named too, because it may as well be the copy.
fn report_copies(first: &[PeerOffer], copies: &[PeerOffer]) -> Vec<PeerAnswer> {
    let said = copies.iter().map(|copy| {
        let other = first.iter().find(|offer| offer.id == copy.id);
        let other = other.map_or("another running peer", |offer| offer.name.as_str());
        dropped_because(copy, format!("{other} has the same identity: one state directory was copied"))
    });
    said.collect()
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

fn describe(files: &[RootFile]) -> String {
    let bytes: u128 = files.iter().map(|file| u128::from(file.size)).sum();
    format!("{} files, {bytes} bytes", files.len())
}

fn dropped_because(offer: &PeerOffer, reason: impl Into<String>) -> PeerAnswer {
    PeerAnswer { peer: offer.name.to_string(), reason: reason.into() }
}

#[cfg(test)]
mod tests;
