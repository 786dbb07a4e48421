//! The arguments of `peers`.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueHint};
use lanspread_peer::{PeerAddress, PeerId, PeerName};

use crate::arguments::options::{DaemonGamesDir, DiscoveryChoice, PeerList};
use crate::arguments::values::GivenPeer;

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
    /// Addresses on which the peers listen, or names of their machines; the port is 4107 unless it is given
    #[arg(required = true, value_hint = ValueHint::Other, value_name = "HOST[:PORT]", value_parser = address)]
    pub(crate) addresses: Vec<PeerAddress>,
}

/// An address as `--peer` takes it. No peer is asked for its name: what is saved is where it listens.
fn address(text: &str) -> Result<PeerAddress, String> {
    let peer: GivenPeer = text.parse().map_err(|error: lanspread_peer::WordError| error.to_string())?;
    peer.as_host().ok_or_else(|| "it is neither an address nor the name of a machine".to_owned())
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command};

    #[test]
    fn a_peer_to_save_needs_no_port_as_for_peer() {
        for word in ["add", "remove"] {
            let words = ["den", "10.0.0.9", "fe80::1", "[fe80::2]", "den:5000", "[fe80::3]:5000"];
            let parsed = Arguments::try_parse_from(["lanspread", "peers", word].into_iter().chain(words));
            let Command::Peers(peers) = parsed.unwrap().command else { panic!("{word}") };
            let Some(PeersCommand::Decide(DecidePeers::Add(given) | DecidePeers::Remove(given))) =
                peers.command
            else {
                panic!("{word}")
            };
            let given: Vec<String> = given.addresses.iter().map(ToString::to_string).collect();
            let expected = [
                "den:4107",
                "10.0.0.9:4107",
                "[fe80::1]:4107",
                "[fe80::2]:4107",
                "den:5000",
                "[fe80::3]:5000",
            ];
            assert_eq!(given, expected);
        }
        let id = PeerId::from([7; 16]).to_string();
        for (word, why) in [(&*id, "name of a machine"), ("party pc", "name of a machine"), ("den:x", "port")]
        {
            let error = Arguments::try_parse_from(["lanspread", "peers", "add", word]).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
