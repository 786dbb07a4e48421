//! What counts of an offer in a choice by majority, and when more answers can no longer change the choice. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};

use lanspread_trust::manifest::Manifest;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::{GameVersion, PeerId};
use lanspread_types::text::printable;

use super::offer::{PeerOffer, fits, sorted};

/// What peers with the same files say about its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfferedManifest {
    /// Nothing.
    Silent,
    /// Most of those that say something say this.
    Offered(ContentDigest),
    /// They contradict each other with equal weight, and more peers say nothing.
    Contradicted,
}

impl OfferedManifest {
    /// Why a peer that offers this manifest is no source. A peer that offers none contradicts no other.
    pub(super) fn excludes(self, offered: Option<&ContentDigest>) -> Option<&'static str> {
        match (self, offered?) {
            (Self::Offered(digest), offered) if digest == *offered => None,
            (Self::Silent, _) => None,
            (Self::Offered(_), _) => Some("its manifest differs from the majority's"),
            (Self::Contradicted, _) => Some("its manifest contradicts that of another peer"),
        }
    }
}

/// The manifest that most peers offer, of those that offer one; each with its name. A tie is refused, with one text per
/// side, unless more peers offer none: a few that contradict each other must not stop many that do not.
pub(super) fn winning_manifest(
    offered: Vec<(Option<ContentDigest>, &str)>,
) -> Result<OfferedManifest, Vec<String>> {
    let mut sides: BTreeMap<ContentDigest, Vec<&str>> = BTreeMap::new();
    let mut silent = 0;
    for (manifest, name) in offered {
        match manifest {
            Some(digest) => sides.entry(digest).or_default().push(name),
            None => silent += 1,
        }
    }
    let largest = sides.values().map(Vec::len).max().unwrap_or_default();
    let leading: Vec<_> = sides.into_iter().filter(|(_, names)| names.len() == largest).collect();
    match leading.as_slice() {
        [] => Ok(OfferedManifest::Silent),
        [(digest, _)] => Ok(OfferedManifest::Offered(*digest)),
        tied if tied.len() * largest < silent => Ok(OfferedManifest::Contradicted),
        tied => Err(tied
            .iter()
            .map(|(digest, names)| {
                format!("manifest {} ({})", printable(&digest.to_string(), 12), names.join(", "))
            })
            .collect()),
    }
}

/// What the validated peers come to about the packing list of the game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgreedList {
    /// None: no peer names one, or those that do contradict each other.
    None,
    /// More peers name this one than name another one or may still do so.
    Agreed(ContentDigest),
    /// Peers are making theirs. In so many milliseconds enough of them may have it.
    InMaking { in_ms: u32 },
}

/// Judges what each peer says about its packing list: the digest, or in how many milliseconds it may have one. A peer that
/// has none and makes none says nothing. One that is the first to be ready must not decide alone, or a liar would: those
/// that are making theirs could all name another one.
pub(super) fn agreed_list(said: &[(Option<ContentDigest>, Option<u32>)]) -> AgreedList {
    let mut counts: BTreeMap<ContentDigest, usize> = BTreeMap::new();
    for digest in said.iter().filter_map(|(digest, _)| *digest) {
        *counts.entry(digest).or_default() += 1;
    }
    let mut ranking: Vec<(usize, ContentDigest)> =
        counts.into_iter().map(|(digest, count)| (count, digest)).collect();
    ranking.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let leading = ranking.first().map_or(0, |(count, _)| *count);
    let second = ranking.get(1).map_or(0, |(count, _)| *count);
    let in_making = said.iter().filter(|(digest, _)| digest.is_none()).filter_map(|(_, in_ms)| *in_ms);
    let mut in_making: Vec<u32> = in_making.collect();
    in_making.sort_unstable();
    if let Some((_, digest)) = ranking.first().filter(|(count, _)| *count > second + in_making.len()) {
        return AgreedList::Agreed(*digest);
    }
    let enough = (1..).zip(&in_making).find(|(ready, _)| leading + ready > second + in_making.len() - ready);
    enough.map_or(AgreedList::None, |(_, in_ms)| AgreedList::InMaking { in_ms: *in_ms })
}

/// What one offer says, as far as it counts in a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vote {
    id: PeerId,
    version: GameVersion,
    /// Stands for the list of files.
    files: u64,
    manifest: Option<ContentDigest>,
    /// Whether it is what the trusted manifest lists, if there is one.
    fits: bool,
    /// Whether the peer is a source only if no other is found, and has no vote: it is penalised, or offers installed
    /// files only.
    is_last_resort: bool,
}

impl Vote {
    /// The vote of an offer. Votes of one choice need one `hasher`: its keys are random, so that no peer can make up a
    /// list that counts as another one.
    pub(crate) fn of(offer: &PeerOffer, manifest: Option<&Manifest>, hasher: &RandomState) -> Self {
        Self {
            id: offer.id,
            version: offer.version.clone(),
            files: hasher.hash_one(sorted(&offer.files)),
            manifest: offer.manifest,
            fits: manifest.is_some_and(|manifest| fits(offer, manifest)),
            is_last_resort: offer.penalty.is_some() || offer.entries.is_some(),
        }
    }

    /// Whether this is an offer of what is wanted, which a search looks for. That of a last resort is not: it is used if
    /// no other is found.
    pub(crate) fn offers(&self, wanted: Option<&GameVersion>, by_manifest: bool) -> bool {
        let is_wanted =
            if by_manifest { self.fits } else { wanted.is_none_or(|version| self.version == *version) };
        is_wanted && !self.is_last_resort
    }
}

/// Whether the choice between these votes stays the same whatever `missing` more peers answer.
///
/// With a trusted manifest, version and files are given, and one peer that has them is enough.
///
/// Without one, the leading version and the leading list must be ahead by more votes than can still be added to another
/// one. A tie would refuse the game, so being level is not enough. A missing peer counts as one with an identity of its
/// own: more than one vote it never has. The missing peers must not be able to make the manifests of that list tie
/// either.
pub(crate) fn settled<'v>(
    votes: impl IntoIterator<Item = &'v Vote>,
    wanted: Option<&GameVersion>,
    by_manifest: bool,
    missing: usize,
) -> bool {
    let mut identities = BTreeSet::new();
    let votes = votes.into_iter().filter(|vote| !vote.is_last_resort);
    if by_manifest {
        return votes.into_iter().any(|vote| vote.fits);
    }
    let votes: Vec<&Vote> = votes.filter(|vote| identities.insert(vote.id)).collect();
    let version = match wanted {
        Some(version) => Some(version),
        None => ahead(votes.iter().map(|vote| &vote.version), missing),
    };
    version.is_some_and(|version| {
        let matching = || votes.iter().filter(|vote| vote.version == *version);
        let files = ahead(matching().map(|vote| vote.files), missing);
        files.is_some_and(|files| {
            let manifests = || matching().filter(|vote| vote.files == files).map(|vote| vote.manifest);
            let offered = manifests().flatten().count();
            let silent = manifests().count() - offered;
            offered + missing < silent || ahead(manifests().flatten(), missing).is_some()
        })
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
