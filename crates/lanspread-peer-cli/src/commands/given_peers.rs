//! Peers that a user named: by address, by name or by identity. A name or an identity is looked up among the peers that
//! answer; a name that no peer has is taken for that of a machine.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use lanspread_peer::{
    Answer, AskOptions, CancellationToken, ControlReply, ControlRequest, DiscoveryMode, ErrorCategory,
    OperationOptions, PeerAddress, PeerClient, PeerError, PeerId, PeerName,
};
use tokio::net::lookup_host;

use crate::arguments::{Fetching, GivenPeer};
use crate::backend::Backend;
use crate::exit::Failure;

/// A peer that answered.
#[derive(Debug, Clone)]
pub(super) struct Answering {
    pub(super) id: PeerId,
    pub(super) name: PeerName,
    pub(super) address: SocketAddr,
}

impl Answering {
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        match answer {
            Answer::Peer { peer, name, addr, .. } => {
                Some(Self { id: *peer, name: name.clone(), address: *addr })
            }
            _ => None,
        }
    }
}

/// Adds the peers that the options name to those of an operation, as addresses and identities.
pub(super) async fn apply(
    backend: &Backend<'_>,
    fetching: &Fetching,
    options: OperationOptions,
) -> Result<OperationOptions, Failure> {
    let (given, only) = (&fetching.peers.peers, &fetching.only_from.only_from);
    let named: Vec<PeerAddress> = given.iter().chain(only).filter_map(GivenPeer::address).collect();
    let is_known = |peer: &GivenPeer| matches!(peer, GivenPeer::Id(_));
    let found = if given.iter().any(GivenPeer::is_looked_up) || !only.iter().all(is_known) {
        ask(backend, named, (&fetching.discovery).into()).await?
    } else {
        Vec::new()
    };
    let mut addresses = addresses(given, &found)?;
    let mut only_from = BTreeSet::new();
    for peer in only {
        only_from.insert(identity(peer, &found).await?);
        // It is asked, whether it is found by itself or not.
        let asked = match peer {
            GivenPeer::Address(address) => Some(address.clone()),
            peer => only_one(peer, &found).ok().map(|peer| peer.address.into()),
        };
        addresses.extend(asked.filter(|asked| !addresses.contains(asked)));
    }
    Ok(options.with_peers(addresses).with_only_from(only_from))
}

/// The addresses of the peers that a question names.
pub(super) async fn addresses_for(
    backend: &Backend<'_>,
    given: &[GivenPeer],
    discovery: DiscoveryMode,
) -> Result<Vec<PeerAddress>, Failure> {
    let found = if given.iter().any(GivenPeer::is_looked_up) {
        ask(backend, given.iter().filter_map(GivenPeer::address).collect(), discovery).await?
    } else {
        Vec::new()
    };
    addresses(given, &found)
}

/// The addresses of peers that cannot be looked up: each is an address or the name of a machine.
pub(super) fn hosts(given: &[GivenPeer]) -> Result<Vec<PeerAddress>, Failure> {
    let host = |peer: &GivenPeer| peer.as_host().ok_or_else(|| NotOne::None.of(peer));
    given.iter().map(host).collect()
}

/// The addresses of peers, without a games directory.
pub(super) async fn addresses_of(
    client: &PeerClient,
    given: &[GivenPeer],
    discovery: DiscoveryMode,
) -> Result<Vec<PeerAddress>, Failure> {
    let mut found = Vec::new();
    if given.iter().any(GivenPeer::is_looked_up) {
        let named = given.iter().filter_map(GivenPeer::address).collect();
        let options = AskOptions::default().with_peers(named).with_discovery(discovery);
        match client.peers(&options).await {
            Ok(answers) => found.extend(answers.iter().filter_map(Answering::of)),
            Err(PeerError::NoPeers { .. } | PeerError::Peer { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    addresses(given, &found)
}

/// The peers that answer. None is no failure: a name may be that of a machine.
async fn ask(
    backend: &Backend<'_>,
    named: Vec<PeerAddress>,
    discovery: DiscoveryMode,
) -> Result<Vec<Answering>, Failure> {
    let options = AskOptions::default().with_peers(named).with_discovery(discovery);
    let mut found = Vec::new();
    let replies = backend.ask(ControlRequest::Peers(options)).await?;
    let never = CancellationToken::new();
    let asked = replies.each(&never, async |reply| {
        if let ControlReply::Report { report } = reply {
            found.extend(Answering::of(&report));
        }
        Ok(())
    });
    match asked.await {
        Err(failure) if &*failure.code != "no-peers" && !failure.may_pass() => Err(failure),
        _ => Ok(found),
    }
}

/// The addresses of peers, each once, in the order in which they were given.
pub(super) fn addresses(given: &[GivenPeer], found: &[Answering]) -> Result<Vec<PeerAddress>, Failure> {
    let mut addresses = Vec::new();
    for peer in given {
        let address = match peer {
            GivenPeer::Address(address) => address.clone(),
            peer => match (only_one(peer, found), peer.as_host()) {
                (Ok(found), _) => found.address.into(),
                (Err(NotOne::None), Some(host)) => host,
                (Err(not_one), _) => return Err(not_one.of(peer)),
            },
        };
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// The identity of a peer that alone may be a source.
async fn identity(peer: &GivenPeer, found: &[Answering]) -> Result<PeerId, Failure> {
    let address = match peer {
        GivenPeer::Id(id) => return Ok(*id),
        GivenPeer::Named(_) => match (only_one(peer, found), peer.as_host()) {
            (Ok(found), _) => return Ok(found.id),
            (Err(NotOne::None), Some(host)) => host,
            (Err(not_one), _) => return Err(not_one.of(peer)),
        },
        GivenPeer::Address(address) => address.clone(),
    };
    // Refused names are those that no peer answered at.
    let resolved: Vec<SocketAddr> =
        lookup_host(address.as_str()).await.map(Iterator::collect).unwrap_or_default();
    let at = found.iter().find(|found| resolved.contains(&found.address));
    at.map(|found| found.id).ok_or_else(|| NotOne::None.of(peer))
}

/// Why a word stands for no peer.
#[derive(Debug, PartialEq, Eq)]
enum NotOne {
    None,
    Several(usize),
}

impl NotOne {
    fn of(self, peer: &GivenPeer) -> Failure {
        let (code, category, why) = match self {
            Self::None => {
                ("no-such-peer", ErrorCategory::NotOffered, "no peer that answers is it".to_owned())
            }
            Self::Several(count) => ("not-one-peer", ErrorCategory::Refused, format!("{count} peers fit")),
        };
        Failure::new(code, None, format!("the peer `{peer}` is not known: {why}"), category)
    }
}

/// The one peer of this name, or whose identity begins like this.
fn only_one<'f>(peer: &GivenPeer, found: &'f [Answering]) -> Result<&'f Answering, NotOne> {
    let fitting: Vec<&Answering> = found.iter().filter(|found| fits(peer, found)).collect();
    let identities: BTreeSet<PeerId> = fitting.iter().map(|found| found.id).collect();
    match (identities.len(), fitting.first()) {
        (1, Some(one)) => Ok(one),
        (0, _) => Err(NotOne::None),
        (count, _) => Err(NotOne::Several(count)),
    }
}

fn fits(peer: &GivenPeer, found: &Answering) -> bool {
    match peer {
        GivenPeer::Address(_) => false,
        GivenPeer::Id(id) => found.id == *id,
        GivenPeer::Named(word) => {
            let short = word.strip_prefix(ID_PREFIX).unwrap_or(word);
            let id = found.id.to_string();
            let is_beginning = short.len() >= SHORT_ID_CHARS_MIN
                && id.strip_prefix(ID_PREFIX).is_some_and(|id| id.starts_with(&short.to_ascii_lowercase()));
            found.name.as_str() == word || is_beginning
        }
    }
}

/// What every identity begins with.
const ID_PREFIX: &str = "peer1";
/// Fewer characters of an identity are more likely a name.
const SHORT_ID_CHARS_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(number: u8, name: &str) -> Answering {
        let address = ([10, 0, 0, number], 4107).into();
        Answering { id: PeerId::from([number; 16]), name: name.parse().unwrap(), address }
    }

    fn resolve(given: &str, found: &[Answering]) -> Result<String, String> {
        let resolved = addresses(&[given.parse().unwrap()], found);
        resolved.map(|addresses| addresses[0].to_string()).map_err(|failure| failure.code.to_string())
    }

    #[test]
    fn a_peer_is_found_by_its_name_or_its_identity_and_a_host_needs_no_port() {
        let peers = [found(1, "den"), found(2, "foyer"), found(3, "foyer")];
        let id = peers[1].id.to_string();
        assert_eq!(resolve("den", &peers).as_deref(), Ok("10.0.0.1:4107"));
        assert_eq!(resolve(&id, &peers).as_deref(), Ok("10.0.0.2:4107"));
        assert_eq!(resolve(&id[5..13], &peers).as_deref(), Ok("10.0.0.2:4107"));
        assert_eq!(resolve(&id[..12].to_ascii_lowercase(), &peers).as_deref(), Ok("10.0.0.2:4107"));
        assert_eq!(resolve("foyer", &peers), Err("not-one-peer".to_owned()));
        assert_eq!(resolve("cellar", &peers).as_deref(), Ok("cellar:4107"));
        assert_eq!(resolve("party pc", &peers), Err("no-such-peer".to_owned()));
        assert_eq!(resolve("10.0.0.9", &peers).as_deref(), Ok("10.0.0.9:4107"));
        assert_eq!(resolve("fe80::1", &peers).as_deref(), Ok("[fe80::1]:4107"));
        assert_eq!(resolve("10.0.0.9:5000", &peers).as_deref(), Ok("10.0.0.9:5000"));
        assert_eq!(resolve(&PeerId::from([9; 16]).to_string(), &peers), Err("no-such-peer".to_owned()));
    }

    #[test]
    fn each_peer_is_asked_once() {
        let given: Vec<GivenPeer> =
            ["den", "10.0.0.1:4107"].iter().map(|peer| peer.parse().unwrap()).collect();
        assert_eq!(addresses(&given, &[found(1, "den")]).unwrap().len(), 1);
    }
}
