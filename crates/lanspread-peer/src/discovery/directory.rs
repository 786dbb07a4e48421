//! The peer table: which peers answer, where, with which games. Decisions only; the sockets are in `neighbours.rs`.
//!
//! An entry is one running peer: an identity and its instance. It exists while a task holds a connection to the peer or
//! tries to reconnect. One peer on two interfaces is one entry with two addresses. Two instances of one identity are
//! two entries; the one that was known first comes first where the order decides.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::SystemTime;

use lanspread_proto::connection::Connection;
use lanspread_types::content::GameOffer;
use lanspread_types::ids::{PeerId, PeerName};
use lanspread_types::limits;
use sha2::{Digest, Sha256};

use crate::discovery::library_memory::LibraryShare;

/// One running peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerKey {
    pub(crate) id: PeerId,
    pub(crate) instance: u64,
}

impl<S> From<&Connection<S>> for PeerKey {
    fn from(connection: &Connection<S>) -> Self {
        Self { id: connection.peer, instance: connection.theirs.instance }
    }
}

/// What a member of a party announces instead of itself: a random number.
pub(crate) type MemberNumber = [u8; 8];

impl PeerKey {
    /// Stands for a member of a party until it has answered: its announcement says a number and not which peer it is.
    /// No peer has such a key, because the identity in it is a digest of the number.
    pub(crate) fn of_number(number: MemberNumber) -> Self {
        let digest: [u8; 32] = Sha256::digest([b"member ".as_slice(), &number].concat()).into();
        let id = std::array::from_fn::<u8, 16, _>(|index| digest[index]);
        Self { id: id.into(), instance: u64::from_be_bytes(number) }
    }

    /// Whether this stands for the number of a member.
    pub(crate) fn is_of_number(self) -> bool {
        self == Self::of_number(self.instance.to_be_bytes())
    }
}

/// How a peer became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HowKnown {
    /// Named by the user.
    Named,
    /// One of the saved peers.
    Saved,
    /// Found by multicast DNS.
    Discovered,
    /// It connected to this peer.
    Connected,
}

/// A peer that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownPeer {
    /// Its identity.
    pub id: PeerId,
    /// Its name.
    pub name: PeerName,
    /// Where it answers; the first address is in use.
    pub addresses: Vec<SocketAddr>,
    /// How it became known.
    pub how_known: BTreeSet<HowKnown>,
    /// Random number of this run of the peer.
    pub instance: u64,
    /// Revision of its library; none until the peer has reported it.
    pub revision: Option<u64>,
    /// Games it offers.
    pub games: Vec<GameOffer>,
    /// When it last answered.
    pub last_seen: SystemTime,
    /// Whether another peer that answers has the same identity.
    pub duplicate: bool,
}

#[derive(Debug)]
struct Entry {
    peer: KnownPeer,
    /// Counts the entries in the order in which they were made.
    number: u64,
    /// The memory of its games, held so that it counts.
    share: Option<LibraryShare>,
    /// Whether its connection is broken and its task tries to reconnect.
    lost: bool,
}

/// The result of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A new entry, held by the task that claims it. `others` are the entries with the same identity and another
    /// instance, which must be asked whether they still answer.
    New { others: Vec<(PeerKey, Vec<SocketAddr>)> },
    /// Another task already holds the entry, over another connection; the entry has learnt the address.
    Held,
    /// The table is full.
    Full,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    entries: BTreeMap<PeerKey, Entry>,
    /// Identities that were reported as duplicate and still are.
    duplicates: BTreeSet<PeerId>,
    /// Entries that were made so far.
    made: u64,
}

impl Directory {
    /// Claims the entry of a peer that has answered at an address.
    pub(crate) fn claim(
        &mut self,
        key: PeerKey,
        name: &PeerName,
        address: SocketAddr,
        how: HowKnown,
        now: SystemTime,
    ) -> Claim {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.peer.how_known.insert(how);
            learn(&mut entry.peer.addresses, address);
            return Claim::Held;
        }
        if self.entries.len() >= limits::PEERS_MAX {
            return Claim::Full;
        }
        let others = self.entries.iter().filter(|(other, _)| other.id == key.id);
        let others = others.map(|(other, entry)| (*other, entry.peer.addresses.clone())).collect();
        let peer = KnownPeer {
            id: key.id,
            name: name.clone(),
            addresses: vec![address],
            how_known: BTreeSet::from([how]),
            instance: key.instance,
            revision: None,
            games: Vec::new(),
            last_seen: now,
            duplicate: false,
        };
        self.made += 1;
        self.entries.insert(key, Entry { peer, number: self.made, share: None, lost: false });
        Claim::New { others }
    }

    /// Records that the entry is now held over this address.
    pub(crate) fn answers(&mut self, key: PeerKey, address: SocketAddr, now: SystemTime) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.lost = false;
            entry.peer.last_seen = now;
            entry.peer.addresses.retain(|known| *known != address);
            entry.peer.addresses.insert(0, address);
            entry.peer.addresses.truncate(limits::PEER_ADDRESSES_MAX);
        }
    }

    /// Records that the connection broke; the entry stays while its task tries to reconnect.
    pub(crate) fn lose(&mut self, key: PeerKey) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.lost = true;
        }
    }

    /// Removes a peer that no longer answers. Returns its name, once.
    pub(crate) fn remove(&mut self, key: PeerKey) -> Option<PeerName> {
        let removed = self.entries.remove(&key)?;
        let left: Vec<PeerKey> = self.entries.keys().filter(|other| other.id == key.id).copied().collect();
        if left.len() < 2 {
            self.duplicates.remove(&key.id);
            for other in left {
                if let Some(entry) = self.entries.get_mut(&other) {
                    entry.peer.duplicate = false;
                }
            }
        }
        Some(removed.peer.name)
    }

    /// Records the library that a peer reported, and holds the share of memory that it takes. Without a share there was
    /// no room for its games. Returns whether its revision differs from the known one.
    pub(crate) fn library_reported(
        &mut self,
        key: PeerKey,
        revision: u64,
        games: Option<(Vec<GameOffer>, LibraryShare)>,
        now: SystemTime,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        let changed = entry.peer.revision != Some(revision);
        entry.peer.revision = Some(revision);
        entry.peer.last_seen = now;
        if games.is_none() {
            tracing::warn!(
                "the games of {} are left out: together the peers offer too many",
                entry.peer.name
            );
        }
        let (games, share) = games.map_or((Vec::new(), None), |(games, share)| (games, Some(share)));
        (entry.peer.games, entry.share) = (games, share);
        changed
    }

    /// Records that a peer still answers.
    pub(crate) fn seen(&mut self, key: PeerKey, now: SystemTime) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.peer.last_seen = now;
        }
    }

    /// Marks all entries of an identity as duplicates, because they all answer. Returns their names and addresses if
    /// this was not reported yet.
    pub(crate) fn duplicate(&mut self, id: PeerId) -> Option<(Vec<PeerName>, Vec<SocketAddr>)> {
        let mut told = (Vec::new(), Vec::new());
        for entry in self.entries.iter_mut().filter(|(key, _)| key.id == id).map(|(_, entry)| entry) {
            entry.peer.duplicate = true;
            told.0.push(entry.peer.name.clone());
            told.1.extend(entry.peer.addresses.first());
        }
        self.duplicates.insert(id).then_some(told)
    }

    /// Records that another peer answers with the identity of this one. Returns whether this was not reported yet.
    pub(crate) fn ours_elsewhere(&mut self, id: PeerId) -> bool {
        self.duplicates.insert(id)
    }

    /// The known addresses of an entry.
    pub(crate) fn addresses(&self, key: PeerKey) -> Vec<SocketAddr> {
        self.entries.get(&key).map(|entry| entry.peer.addresses.clone()).unwrap_or_default()
    }

    /// Whether the table has an entry of this identity.
    pub(crate) fn answers_as(&self, id: PeerId) -> bool {
        self.entries.keys().any(|key| key.id == id)
    }

    /// Whether the table has an entry for a peer.
    pub(crate) fn holds(&self, key: PeerKey) -> bool {
        self.entries.contains_key(&key)
    }

    /// Where the peers that answer can be asked, in the order in which they became known: a newcomer that has the name or
    /// the identity of another peer comes after it.
    pub(crate) fn longest_known(&self) -> Vec<SocketAddr> {
        let mut answering: Vec<&Entry> = self.entries.values().filter(|entry| !entry.lost).collect();
        answering.sort_by_key(|entry| entry.number);
        answering.iter().filter_map(|entry| entry.peer.addresses.first().copied()).collect()
    }

    /// The peers that answer, by name.
    pub(crate) fn known(&self) -> Vec<KnownPeer> {
        let answering = self.entries.values().filter(|entry| !entry.lost);
        let mut peers: Vec<KnownPeer> = answering.map(|entry| entry.peer.clone()).collect();
        peers.sort_by(|one, other| {
            (&one.name, one.id, one.instance).cmp(&(&other.name, other.id, other.instance))
        });
        peers
    }
}

/// Adds an address after the known ones, if there is room.
pub(crate) fn learn(addresses: &mut Vec<SocketAddr>, address: SocketAddr) {
    if !addresses.contains(&address) && addresses.len() < limits::PEER_ADDRESSES_MAX {
        addresses.push(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::library_memory::LibraryMemory;
    use crate::testing::offers;

    fn run(id: PeerId, instance: u64) -> PeerKey {
        PeerKey { id, instance }
    }

    fn name() -> PeerName {
        "pc".parse().unwrap()
    }

    fn address(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 4000).into()
    }

    #[test]
    fn one_peer_on_two_interfaces_is_one_entry() {
        let (mut directory, id, now) = (Directory::default(), PeerId::random().unwrap(), SystemTime::now());
        let first = directory.claim(run(id, 1), &name(), address(1), HowKnown::Discovered, now);
        assert_eq!(first, Claim::New { others: Vec::new() });
        assert_eq!(directory.claim(run(id, 1), &name(), address(2), HowKnown::Connected, now), Claim::Held);
        let known = directory.known();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].addresses, [address(1), address(2)]);
        assert_eq!(known[0].how_known.len(), 2);
    }

    #[test]
    fn a_peer_that_moves_keeps_its_entry() {
        let (mut directory, id, now) = (Directory::default(), PeerId::random().unwrap(), SystemTime::now());
        let key = PeerKey { id, instance: 1 };
        directory.claim(run(id, 1), &name(), address(1), HowKnown::Discovered, now);
        directory.lose(key);
        assert!(
            directory.known().is_empty() && directory.holds(key),
            "a lost peer is not offered as a source"
        );
        directory.answers(key, address(9), now);
        assert_eq!(directory.known()[0].addresses, [address(9), address(1)]);
    }

    #[test]
    fn two_instances_of_one_identity_are_reported_once_until_one_is_gone() {
        let (mut directory, id, now) = (Directory::default(), PeerId::random().unwrap(), SystemTime::now());
        let (one, other) = (PeerKey { id, instance: 1 }, PeerKey { id, instance: 2 });
        directory.claim(run(id, 1), &name(), address(1), HowKnown::Discovered, now);
        let claim = directory.claim(run(id, 2), &name(), address(2), HowKnown::Discovered, now);
        assert_eq!(claim, Claim::New { others: vec![(one, vec![address(1)])] });
        assert!(directory.known().iter().all(|peer| !peer.duplicate), "the first may be gone");
        let (names, addresses) = directory.duplicate(id).unwrap();
        assert_eq!((names.len(), addresses), (2, vec![address(1), address(2)]));
        assert!(directory.known().iter().all(|peer| peer.duplicate));
        assert_eq!(directory.duplicate(id), None, "reported once");
        assert!(directory.remove(one).is_some() && directory.remove(one).is_none());
        assert!(!directory.known()[0].duplicate && !directory.holds(one));
        directory.claim(run(id, 1), &name(), address(1), HowKnown::Discovered, now);
        assert!(directory.duplicate(id).is_some(), "reported again when it is back");
        assert!(directory.holds(other));
    }

    #[test]
    fn addresses_and_entries_are_bounded() {
        let (mut directory, id, now) = (Directory::default(), PeerId::random().unwrap(), SystemTime::now());
        let key = PeerKey { id, instance: 1 };
        for last in 0..100 {
            directory.claim(run(id, 1), &name(), address(last), HowKnown::Discovered, now);
            directory.answers(key, address(last), now);
        }
        assert_eq!(directory.known()[0].addresses.len(), limits::PEER_ADDRESSES_MAX);
        for instance in 2..=limits::PEERS_MAX as u64 {
            let id = PeerId::random().unwrap();
            let claim = directory.claim(run(id, instance), &name(), address(1), HowKnown::Discovered, now);
            assert!(matches!(claim, Claim::New { .. }));
        }
        let claim = directory.claim(
            run(PeerId::random().unwrap(), 1),
            &name(),
            address(1),
            HowKnown::Discovered,
            now,
        );
        assert_eq!(claim, Claim::Full);
    }

    #[test]
    fn a_library_without_room_is_left_out_and_its_revision_is_known() {
        let (mut directory, id, now) = (Directory::default(), PeerId::random().unwrap(), SystemTime::now());
        let (key, memory) = (PeerKey { id, instance: 1 }, LibraryMemory::default());
        directory.claim(run(id, 1), &name(), address(1), HowKnown::Discovered, now);
        let told = |count| Some((offers(count), memory.share(address(1).ip())));
        assert!(directory.library_reported(key, 1, told(3), now));
        assert_eq!(directory.known()[0].games.len(), 3);
        assert!(!directory.library_reported(key, 1, told(3), now), "the same revision is not a change");
        assert!(directory.library_reported(key, 2, None, now));
        assert_eq!((directory.known()[0].games.len(), directory.known()[0].revision), (0, Some(2)));
    }

    #[test]
    fn peers_are_asked_in_the_order_in_which_they_became_known() {
        let (mut directory, now) = (Directory::default(), SystemTime::now());
        let ids: Vec<PeerId> = (0..20).map(|_| PeerId::random().unwrap()).collect();
        for (last, id) in (0..).zip(&ids) {
            directory.claim(run(*id, 1), &name(), address(last), HowKnown::Connected, now);
        }
        let copy = PeerKey { id: ids[3], instance: 0 };
        directory.claim(run(copy.id, copy.instance), &name(), address(99), HowKnown::Connected, now);
        directory.lose(PeerKey { id: ids[1], instance: 1 });
        let expected: Vec<SocketAddr> = (0..20).filter(|last| *last != 1).chain([99]).map(address).collect();
        assert_eq!(directory.longest_known(), expected);
    }
}
