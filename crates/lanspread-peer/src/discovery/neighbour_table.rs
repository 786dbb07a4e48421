//! What was heard of peers that are neither named nor saved: who has a place among the neighbours, who gives it to a
//! newcomer, and who is forgotten. Pure: the time is an argument.
//!
//! Anyone can announce any number of peers, or connect under any number of identities. Therefore a peer that has not
//! answered yet is the first to give its place, one address has a share of the places, and a full table admits a peer
//! from an address that has few places instead of one from the address that has the most.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lanspread_types::limits;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::discovery::directory::{HowKnown, PeerKey};
use crate::discovery::member_numbers::MemberNumbers;

/// How the table reaches the task that looks after a peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handle {
    /// There is news of the peer.
    pub(crate) poke: Arc<Notify>,
    /// Its place was given to another peer.
    pub(crate) ended: CancellationToken,
}

#[derive(Debug)]
struct HeardPeer {
    /// The latest first.
    addresses: Vec<SocketAddr>,
    /// The address to whose share it counts: where it came from, or the first that was announced.
    from: IpAddr,
    how: HowKnown,
    first_heard_at: Instant,
    /// When it was last heard of; none after it said goodbye.
    heard_at: Option<Instant>,
    /// When it last answered.
    answered_at: Option<Instant>,
    /// Where it last answered.
    answered_from: Option<SocketAddr>,
    handle: Handle,
}

/// What became of a hint.
#[derive(Debug)]
pub(crate) enum NeighbourPlace {
    /// The peer is in the table already.
    Known,
    /// The peer is new and has a place. `instead_of` lost its place to it.
    New { handle: Handle, instead_of: Option<PeerKey> },
    /// No other peer gives it a place.
    None,
}

/// The peers heard of.
#[derive(Debug, Default)]
pub(crate) struct NeighbourTable {
    peers: BTreeMap<PeerKey, HeardPeer>,
    /// Of a party.
    numbers: MemberNumbers,
}

impl NeighbourTable {
    /// Enters that a peer may answer at these addresses.
    pub(crate) fn hear(
        &mut self,
        key: PeerKey,
        addresses: Vec<SocketAddr>,
        how: HowKnown,
        now: Instant,
    ) -> NeighbourPlace {
        let Some(from) = addresses.first().map(SocketAddr::ip) else { return NeighbourPlace::None };
        if let Some(known) = self.peers.get_mut(&key) {
            known.heard_at = Some(now);
            known.addresses.retain(|address| !addresses.contains(address));
            known.addresses.splice(0..0, addresses);
            known.addresses.truncate(limits::PEER_ADDRESSES_MAX);
            known.handle.poke.notify_one();
            return NeighbourPlace::Known;
        }
        let Some(instead_of) = self.place_for(from) else { return NeighbourPlace::None };
        if let Some(key) = instead_of {
            self.end(key);
        }
        let handle = Handle::default();
        let peer = HeardPeer {
            addresses,
            from,
            how,
            first_heard_at: now,
            heard_at: Some(now),
            answered_at: None,
            answered_from: None,
            handle: handle.clone(),
        };
        self.peers.insert(key, peer);
        NeighbourPlace::New { handle, instead_of }
    }

    /// The peer that is meant by a key that was heard of.
    pub(crate) fn peer(&self, heard: PeerKey) -> PeerKey {
        self.numbers.peer(heard)
    }

    /// Enters that a peer has answered where another key was heard of, which stands for it if it is that of a number.
    pub(crate) fn learn_number(&mut self, heard: PeerKey, peer: PeerKey) {
        if heard.is_of_number() {
            self.numbers.learn(heard, peer);
        }
    }

    /// Takes the place of a peer, and tells its task.
    pub(crate) fn end(&mut self, key: PeerKey) {
        if let Some(gone) = self.peers.remove(&key) {
            gone.handle.ended.cancel();
        }
    }

    /// Whether a newcomer from this address gets a place, and instead of whom.
    #[allow(clippy::option_option, reason = "no place, a free place, the place of another peer")]
    fn place_for(&self, from: IpAddr) -> Option<Option<PeerKey>> {
        let mut places: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for peer in self.peers.values() {
            *places.entry(peer.from).or_default() += 1;
        }
        let here = places.get(&from).copied().unwrap_or_default();
        if here >= limits::NEIGHBOURS_PER_ADDRESS_MAX {
            return self.first_to_go(|peer| peer.from == from && peer.answered_at.is_none()).map(Some);
        }
        if self.peers.len() < limits::NEIGHBOURS_MAX {
            return Some(None);
        }
        let unanswered = self.first_to_go(|peer| peer.answered_at.is_none());
        // Two fewer there and one more here must not be the other way round, or the two would take turns.
        let crowded = |peer: &HeardPeer| {
            let there = places[&peer.from];
            there >= here + 2 && Some(&there) == places.values().max()
        };
        unanswered.or_else(|| self.first_to_go(crowded)).map(Some)
    }

    /// The peer that goes first among these. Announced ones go before those that have connected, because a connection
    /// at least comes from where it says; then those that last answered, or were heard of, the longest ago.
    fn first_to_go(&self, among: impl Fn(&HeardPeer) -> bool) -> Option<PeerKey> {
        let among = self.peers.iter().filter(|(_, peer)| among(peer));
        let order = |peer: &HeardPeer| {
            let announced = peer.answered_at.is_none() && peer.how == HowKnown::Discovered;
            (!announced, peer.answered_at.unwrap_or(peer.first_heard_at))
        };
        among.min_by_key(|(_, peer)| order(peer)).map(|(key, _)| *key)
    }

    /// Enters that a peer said goodbye, or that its announcement expired. What runs with it goes on: anyone can say
    /// goodbye for another peer.
    pub(crate) fn goodbye(&mut self, key: PeerKey) {
        let Some(key) = self.numbers.goodbye(key) else { return };
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.heard_at = None;
            peer.handle.poke.notify_one();
        }
    }

    /// Enters that a peer answers now, or answered until now, which counts like hearing of it.
    pub(crate) fn answered(&mut self, key: PeerKey, from: SocketAddr, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.answered_at = Some(now);
            peer.answered_from = Some(from);
            peer.heard_at = peer.heard_at.map(|_| now);
        }
    }

    /// Where a peer last answered.
    pub(crate) fn answered_from(&self, key: PeerKey) -> Option<SocketAddr> {
        self.peers.get(&key).and_then(|peer| peer.answered_from)
    }

    pub(crate) fn said_goodbye(&self, key: PeerKey) -> bool {
        self.peers.get(&key).is_some_and(|peer| peer.heard_at.is_none())
    }

    /// Whether a peer is only heard of: it has never answered.
    pub(crate) fn never_answered(&self, key: PeerKey) -> bool {
        self.peers.get(&key).is_some_and(|peer| peer.answered_at.is_none())
    }

    /// Whether there is no more reason to look after a peer, which does not answer now.
    pub(crate) fn is_forgotten(&self, key: PeerKey, now: Instant) -> bool {
        let Some(peer) = self.peers.get(&key) else { return true };
        let Some(heard_at) = peer.heard_at else { return true };
        match peer.answered_at {
            Some(_) => now.duration_since(heard_at) >= limits::HINT_EXPIRY,
            None => now.duration_since(peer.first_heard_at) >= limits::HINT_UNANSWERED_EXPIRY,
        }
    }

    pub(crate) fn addresses(&self, key: PeerKey) -> Vec<SocketAddr> {
        self.peers.get(&key).map(|peer| peer.addresses.clone()).unwrap_or_default()
    }

    /// Tells the task of a peer that there is news.
    pub(crate) fn poke(&self, key: PeerKey) {
        if let Some(peer) = self.peers.get(&key) {
            peer.handle.poke.notify_one();
        }
    }

    /// Removes a peer, unless its place was given away and it has come back since.
    pub(crate) fn remove(&mut self, key: PeerKey, handle: &Handle) {
        if self.peers.get(&key).is_some_and(|peer| Arc::ptr_eq(&peer.handle.poke, &handle.poke)) {
            self.peers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
