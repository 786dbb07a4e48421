//! Which peers the announced numbers of members stand for. Pure.
//!
//! A number becomes known when a member has answered where it was announced. From then on an announcement of it is one of
//! that peer. A member announces a new number before it withdraws the old one, so only its newest number counts when it
//! says goodbye.

use std::collections::BTreeMap;

use lanspread_types::limits;

use crate::discovery::directory::PeerKey;

/// The numbers that are known.
#[derive(Debug, Default)]
pub(crate) struct MemberNumbers {
    /// Key of a number → the peer.
    peers: BTreeMap<PeerKey, PeerKey>,
    /// Peer → key of its newest number.
    newest: BTreeMap<PeerKey, PeerKey>,
}

impl MemberNumbers {
    /// Enters that a peer has answered where a number was announced.
    pub(crate) fn learn(&mut self, number: PeerKey, peer: PeerKey) {
        // Only members get here. If one of them makes up numbers without end, others are asked once more.
        while self.peers.len() >= limits::MEMBER_NUMBERS_MAX && self.peers.pop_first().is_some() {}
        while self.newest.len() >= limits::MEMBER_NUMBERS_MAX && self.newest.pop_first().is_some() {}
        self.peers.insert(number, peer);
        self.newest.insert(peer, number);
    }

    /// The peer that is meant by a key that was heard of.
    pub(crate) fn peer(&self, heard: PeerKey) -> PeerKey {
        self.peers.get(&heard).copied().unwrap_or(heard)
    }

    /// The peer that says goodbye, if the key that was withdrawn is not an earlier number of a peer that has a newer one.
    pub(crate) fn goodbye(&mut self, withdrawn: PeerKey) -> Option<PeerKey> {
        let Some(peer) = self.peers.remove(&withdrawn) else { return Some(withdrawn) };
        if self.newest.get(&peer) != Some(&withdrawn) {
            return None;
        }
        self.newest.remove(&peer);
        Some(peer)
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::ids::PeerId;

    use super::*;

    fn peer() -> PeerKey {
        PeerKey { id: PeerId::random().unwrap(), instance: 1 }
    }

    fn number(number: u64) -> PeerKey {
        PeerKey::of_number(number.to_be_bytes())
    }

    #[test]
    fn a_number_stands_for_the_peer_that_answered() {
        let (mut numbers, one) = (MemberNumbers::default(), peer());
        assert!(number(1).is_of_number() && !one.is_of_number());
        assert!(!PeerKey { instance: 2, ..number(1) }.is_of_number());
        assert_eq!(numbers.peer(number(1)), number(1));
        numbers.learn(number(1), one);
        assert_eq!((numbers.peer(number(1)), numbers.peer(one)), (one, one));
        assert_eq!(numbers.goodbye(number(1)), Some(one));
        assert_eq!(numbers.peer(number(1)), number(1), "and is forgotten");
        assert_eq!(numbers.goodbye(one), Some(one), "of an open network");
    }

    #[test]
    fn the_goodbye_of_an_earlier_number_is_none() {
        let (mut numbers, one) = (MemberNumbers::default(), peer());
        numbers.learn(number(1), one);
        numbers.learn(number(2), one);
        assert_eq!(numbers.goodbye(number(1)), None);
        assert_eq!(numbers.peer(number(2)), one);
        assert_eq!(numbers.goodbye(number(2)), Some(one));
    }

    #[test]
    fn numbers_without_end_take_no_memory_without_end() {
        let mut numbers = MemberNumbers::default();
        for n in 0..3000 {
            numbers.learn(number(n), peer());
        }
        assert!(numbers.peers.len() <= limits::MEMBER_NUMBERS_MAX);
        assert!(numbers.newest.len() <= limits::MEMBER_NUMBERS_MAX);
        let last = peer();
        numbers.learn(number(9999), last);
        assert_eq!(numbers.peer(number(9999)), last);
    }
}
