//! What one peer says about one game.

use std::net::SocketAddr;

use lanspread_trust::manifest::Manifest;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameVersion, PeerId, PeerName};

use crate::report::offender::Offence;

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
    /// The packing list of its files, or the manifest whose installed files it offers. It is the peer's word, as its files
    /// are.
    pub(crate) manifest: Option<ContentDigest>,
    /// In how many milliseconds it may have a packing list that it is making; none if it has one, or will have none.
    pub(crate) manifest_in_ms: Option<u32>,
    /// How busy it is, if it said so.
    pub(crate) load: Option<Load>,
    /// Why it is penalised, if it is.
    pub(crate) penalty: Option<Disbelief>,
    /// The manifest whose installed files it offers, if it has no archives. Nothing else is offered then, and its root
    /// files are those of the manifest.
    pub(crate) entries: Option<ContentDigest>,
}

/// Why a peer is penalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disbelief {
    /// The offence of its penalty.
    pub(crate) offence: Offence,
    /// In one line.
    pub(crate) reason: String,
}

/// How busy a source says that it is; less is smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    /// Whether all its places are taken.
    pub(crate) is_full: bool,
    /// Receivers that wait for a place.
    pub(crate) waiting: u64,
    /// Streams and downloads that it is sending.
    pub(crate) transfers: u64,
}

impl PeerOffer {
    /// Whether it lied. Without a manifest nothing can prove that it does not do so again.
    pub(super) fn is_of_liar(&self) -> bool {
        self.penalty.as_ref().is_some_and(|penalty| penalty.offence == Offence::Lied)
    }
}

/// Whether an offer is of exactly the version and the root files that a manifest lists.
pub(super) fn fits(offer: &PeerOffer, manifest: &Manifest) -> bool {
    offer.version == manifest.version && sorted(&offer.files) == sorted(&manifest.root_files)
}

/// Whether a peer that answers after the choice is a further source of the archives that were chosen. `agreed` is the packing
/// list on which the others agree, without a trusted manifest: this peer must name it. A penalised one is not needed.
pub(crate) fn is_further(offer: &PeerOffer, listed: &Manifest, agreed: Option<ContentDigest>) -> bool {
    let names_it = agreed.is_none_or(|digest| offer.manifest == Some(digest));
    names_it && offer.entries.is_none() && offer.penalty.is_none() && fits(offer, listed)
}

/// The files in an order that does not depend on the peer.
pub(super) fn sorted(files: &[RootFile]) -> Vec<RootFile> {
    let mut files = files.to_vec();
    files.sort();
    files
}
