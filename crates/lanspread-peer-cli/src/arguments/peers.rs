//! The arguments of `peers`.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueHint};
use lanspread_peer::{PeerAddress, PeerId, PeerName};

use crate::arguments::options::{DaemonGamesDir, DiscoveryChoice, PeerList};

/// `peers`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Peers {
    #[command(subcommand)]
    pub(crate) command: Option<PeersCommand>,
    #[command(flatten)]
    pub(crate) show: PeersShow,
}

/// What is asked or said about peers
#[derive(Debug, Subcommand)]
pub(crate) enum PeersCommand {
    /// Show the peers that answer: the beginning of the id, name, address, games, trust and penalty
    Show(PeersShow),
    #[command(flatten)]
    Decide(DecidePeers),
    /// Show which peers lied or broke the protocol, and are not believed for a while
    #[command(after_help = "\
Examples:
  lanspread-peer-cli peers penalties
  lanspread-peer-cli peers penalties --clear l5gs6vqa
  lanspread-peer-cli peers penalties --clear all

A peer that lied is not asked for ten minutes, and four times as long each time it lies again, up to a day. \
It is asked nevertheless if no other peer has a game whose content the catalog lists.")]
    Penalties(PeersPenalties),
}

/// What the user says about peers
#[derive(Debug, Subcommand)]
pub(crate) enum DecidePeers {
    /// Save peers with the ids that answer, so that they are always asked and another id is refused
    Add(PeerAddresses),
    /// Remove saved peers
    Remove(PeerAddresses),
    /// Show the saved, trusted and denied peers
    #[command(visible_alias = "ls")]
    List,
    /// Trust a peer: --only-trusted lets it in
    Trust(TrustPeer),
    /// Deny a peer: it is neither let in nor asked
    Deny(DenyPeer),
    /// Forget what was said about a peer
    Forget(ForgetPeer),
}

/// `peers show`
#[derive(Debug, Args)]
pub(crate) struct PeersShow {
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
    #[command(flatten)]
    pub(crate) named: PeerList,
    #[command(flatten)]
    pub(crate) discovery: DiscoveryChoice,
}

/// Peers to save or remove
#[derive(Debug, Args)]
pub(crate) struct PeerAddresses {
    /// Addresses on which the peers listen
    #[arg(required = true, value_hint = ValueHint::Other, value_name = "HOST:PORT")]
    pub(crate) addresses: Vec<PeerAddress>,
}

/// `peers trust`
#[derive(Debug, Args)]
pub(crate) struct TrustPeer {
    /// The whole id of the peer
    #[arg(value_hint = ValueHint::Other, value_name = "ID")]
    pub(crate) id: PeerId,
    /// Its name, for people
    #[arg(long, value_hint = ValueHint::Other, value_name = "TEXT")]
    pub(crate) name: Option<PeerName>,
}

/// `peers deny`
#[derive(Debug, Args)]
pub(crate) struct DenyPeer {
    /// The whole id of the peer
    #[arg(value_hint = ValueHint::Other, value_name = "ID")]
    pub(crate) id: PeerId,
    /// Why, for people
    #[arg(long, value_hint = ValueHint::Other, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `peers forget`
#[derive(Debug, Args)]
pub(crate) struct ForgetPeer {
    /// Its id, the first 8 characters after `peer1`, or the address under which it is saved
    #[arg(value_hint = ValueHint::Other, value_name = "ID|HOST:PORT")]
    pub(crate) peer: ForgottenPeer,
}

/// A peer as `peers forget` takes it.
#[derive(Debug, Clone)]
pub(crate) enum ForgottenPeer {
    Address(PeerAddress),
    Id(PeerId),
    /// The beginning of an id.
    Short(String),
}

impl FromStr for ForgottenPeer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(':') {
            text.parse().map(Self::Address).map_err(|error: lanspread_peer::WordError| error.to_string())
        } else if text.len() > 8 {
            text.parse().map(Self::Id).map_err(|error: lanspread_peer::WordError| error.to_string())
        } else {
            Ok(Self::Short(text.to_owned()))
        }
    }
}

/// `peers penalties`
#[derive(Debug, Args)]
pub(crate) struct PeersPenalties {
    /// End the penalties of a peer, of an address, or all
    #[arg(long, value_hint = ValueHint::Other, value_name = "ID|ADDRESS|all")]
    pub(crate) clear: Option<String>,
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
}
