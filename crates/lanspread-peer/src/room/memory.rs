//! What the peers around this one have told about what they are doing, and when they were heard last.
//!
//! A peer that is lost stays, so that an organiser sees which seat is gone and what it did last. Of at most
//! [`limits::ROOM_PEERS_MAX`] peers something is remembered; of more, the one that was lost first is forgotten, and if none is
//! lost the newest one is not remembered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lanspread_proto::activity::{ActivityHead, GameActivity};
use lanspread_types::ids::{GameId, PeerId, PeerName};
use lanspread_types::limits;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::room::told::ToldActivity;

/// A peer of the room, as far as this one has heard.
#[derive(Debug, Clone)]
pub(crate) struct RoomPeer {
    pub(crate) name: PeerName,
    pub(crate) address: SocketAddr,
    /// When it was heard last.
    pub(crate) heard: Instant,
    /// Whether its connection is gone and it does not answer.
    pub(crate) is_lost: bool,
    /// Whether it does what this peer asks.
    pub(crate) accepts: bool,
    pub(crate) head: ActivityHead,
    pub(crate) games: BTreeMap<GameId, GameActivity>,
}

/// The peers of the room.
#[derive(Debug)]
pub(crate) struct RoomMemory {
    peers: Mutex<BTreeMap<PeerId, RoomPeer>>,
    changed: watch::Sender<()>,
}

impl Default for RoomMemory {
    fn default() -> Self {
        Self { peers: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl RoomMemory {
    /// All of them.
    pub(crate) fn all(&self) -> BTreeMap<PeerId, RoomPeer> {
        self.peers().clone()
    }

    /// Follows changes from now on.
    pub(crate) fn follow(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A peer answers at an address.
    pub(crate) fn answers(&self, peer: PeerId, name: &PeerName, address: SocketAddr, now: Instant) {
        let mut peers = self.peers();
        if let Some(known) = peers.get_mut(&peer) {
            (known.name, known.address) = (name.clone(), address);
            (known.heard, known.is_lost) = (now, false);
        } else if make_room(&mut peers) {
            let known = RoomPeer {
                name: name.clone(),
                address,
                heard: now,
                is_lost: false,
                accepts: false,
                head: ActivityHead::default(),
                games: BTreeMap::new(),
            };
            peers.insert(peer, known);
        }
        drop(peers);
        self.changed.send_replace(());
    }

    /// A peer has said something, and nothing new about itself.
    pub(crate) fn heard(&self, peer: PeerId, now: Instant) {
        if let Some(known) = self.peers().get_mut(&peer) {
            known.heard = now;
        }
        // Whether it is silent may have changed.
        self.changed.send_replace(());
    }

    /// A peer has told what it is doing.
    pub(crate) fn told(&self, peer: PeerId, told: ToldActivity, now: Instant) {
        if let Some(known) = self.peers().get_mut(&peer) {
            (known.heard, known.accepts, known.head) = (now, told.accepts, told.head);
            if told.is_whole {
                known.games.clear();
            }
            for game in told.games {
                if game.is_gone() {
                    known.games.remove(&game.game);
                } else {
                    known.games.insert(game.game.clone(), game);
                }
            }
            // What was told before counts too.
            let mut bytes = 0;
            known.games.retain(|_, game| {
                bytes += game.memory_bytes();
                bytes <= limits::ACTIVITY_BYTES_MAX
            });
        }
        self.changed.send_replace(());
    }

    /// A peer does not answer any more.
    pub(crate) fn lost(&self, peer: PeerId) {
        if let Some(known) = self.peers().get_mut(&peer) {
            known.is_lost = true;
        }
        self.changed.send_replace(());
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<PeerId, RoomPeer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more peer. Returns whether there is.
fn make_room(peers: &mut BTreeMap<PeerId, RoomPeer>) -> bool {
    if peers.len() < limits::ROOM_PEERS_MAX {
        return true;
    }
    let lost = peers.iter().filter(|(_, peer)| peer.is_lost).min_by_key(|(_, peer)| peer.heard);
    let Some(first) = lost.map(|(id, _)| *id) else { return false };
    peers.remove(&first);
    true
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(number: u16) -> PeerId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        bytes.into()
    }

    fn answers(memory: &RoomMemory, number: u16, now: Instant) {
        memory.answers(id(number), &"pc".parse().unwrap(), ([10, 0, 0, 1], 4107).into(), now);
    }

    fn told(games: Vec<GameActivity>, is_whole: bool) -> ToldActivity {
        ToldActivity { revision: 1, is_whole, accepts: true, head: ActivityHead::default(), games }
    }

    fn game(id: &str) -> GameActivity {
        GameActivity { installed: true, ..GameActivity::gone(id.parse().unwrap()) }
    }

    #[test]
    fn a_lost_peer_stays_with_what_it_told_until_its_place_is_needed() {
        let (memory, begin) = (RoomMemory::default(), Instant::now());
        for number in 0..u16::try_from(limits::ROOM_PEERS_MAX).unwrap() {
            answers(&memory, number, begin + Duration::from_secs(number.into()));
        }
        memory.told(id(7), told(vec![game("a")], true), begin);
        answers(&memory, 1000, begin);
        assert!(!memory.all().contains_key(&id(1000)), "no peer that answers is forgotten for another");
        memory.lost(id(9));
        memory.lost(id(7));
        assert!(memory.all()[&id(7)].is_lost);
        assert_eq!(memory.all()[&id(7)].games.len(), 1);
        answers(&memory, 1000, begin);
        let peers = memory.all();
        assert!(peers.contains_key(&id(1000)) && peers.contains_key(&id(9)) && !peers.contains_key(&id(7)));
        answers(&memory, 9, begin);
        assert!(!memory.all()[&id(9)].is_lost, "it is back");
    }

    #[test]
    fn games_are_replaced_by_what_is_told_of_them_and_their_memory_is_bounded() {
        let (memory, now) = (RoomMemory::default(), Instant::now());
        answers(&memory, 1, now);
        memory.told(id(1), told(vec![game("a"), game("b")], true), now);
        memory.told(id(1), told(vec![GameActivity::gone("a".parse().unwrap())], false), now);
        let ids = |memory: &RoomMemory| {
            memory.all()[&id(1)].games.keys().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(ids(&memory), ["b"]);
        memory.told(id(1), told(vec![game("c")], true), now);
        assert_eq!(ids(&memory), ["c"]);
        for round in 0..20 {
            let games = (0..500).map(|number| game(&format!("g{round}-{number}"))).collect();
            memory.told(id(1), told(games, false), now);
        }
        let bytes: usize = memory.all()[&id(1)].games.values().map(GameActivity::memory_bytes).sum();
        assert!(bytes <= limits::ACTIVITY_BYTES_MAX, "{bytes}");
        memory.told(id(2), told(vec![game("c")], true), now);
        assert!(!memory.all().contains_key(&id(2)), "only a peer that answers is of the room");
    }
}
