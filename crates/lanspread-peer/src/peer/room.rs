//! The room of a serving peer: what it knows put together, again whenever something has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::discovery::neighbours::Neighbours;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::room::{Room, RoomChanges, RoomLooking, RoomOperation};
use crate::room::board::Activity;
use crate::room::cells::seconds_left;
use crate::room::changes::{RoomDifference, difference};
use crate::room::known::{Known, KnownGame, OurSeat, RoomOffer};
use crate::room::view::{SlowLinks, view};

/// What a follower of the room is told next.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RoomUpdate {
    /// The whole room: at the beginning, and when something has left it.
    Room(Box<Room>),
    /// What has changed.
    Changes(Box<RoomChanges>),
    /// Nothing has changed for [`limits::ROOM_ALIVE_INTERVAL`].
    Unchanged,
}

/// Follows the room of a peer. A follower that reads slowly is told what has changed since it read last, and nothing twice.
pub struct RoomFollower {
    peer: Peer,
    neighbours: Arc<Neighbours>,
    board: watch::Receiver<Arc<Activity>>,
    memory: watch::Receiver<()>,
    slow: SlowLinks,
    /// What was told last, and when.
    told: Option<(Room, Instant)>,
}

impl Peer {
    /// Follows the room from now on.
    ///
    /// # Errors
    /// [`PeerError::NotServing`] if this peer does not serve: it knows no room then.
    pub fn room(&self) -> Result<RoomFollower, PeerError> {
        let not_serving = || PeerError::NotServing { games_dir: self.inner.games_dir.clone() };
        let neighbours = Arc::clone(self.inner.neighbours.get().ok_or_else(not_serving)?);
        let (board, memory) = (self.inner.source.board.follow(), neighbours.room().follow());
        let slow = SlowLinks::default();
        Ok(RoomFollower { peer: self.clone(), neighbours, board, memory, slow, told: None })
    }
}

impl RoomFollower {
    /// What is to be told next, at most every [`limits::ROOM_INTERVAL`]. Cancel-safe.
    pub async fn next(&mut self) -> RoomUpdate {
        let Some((before, at)) = self.told.clone() else {
            let room = self.look(1);
            self.told = Some((room.clone(), Instant::now()));
            return RoomUpdate::Room(Box::new(room));
        };
        let (soonest, latest) = (at + limits::ROOM_INTERVAL, at + limits::ROOM_ALIVE_INTERVAL);
        sleep_until(soonest).await;
        loop {
            let (board, memory) = (&mut self.board, &mut self.memory);
            let changed = async {
                tokio::select! {
                    // If one of them is gone, the peer has stopped, and nothing changes any more.
                    gone = board.changed() => gone.is_err(),
                    gone = memory.changed() => gone.is_err(),
                }
            };
            // Silence is no change of anything, and shows in the room nevertheless.
            let waited = timeout_at(latest, changed).await;
            if waited == Ok(true) {
                sleep_until(latest).await;
            }
            let room = self.look(before.seq + 1);
            let now = Instant::now();
            let update = match difference(&before, &room) {
                RoomDifference::None if waited == Ok(false) && now < latest => {
                    sleep_until((now + limits::ROOM_INTERVAL).min(latest)).await;
                    continue;
                }
                RoomDifference::None => {
                    // It takes no number: a reader that counts has missed nothing.
                    self.told = Some((before, now));
                    return RoomUpdate::Unchanged;
                }
                RoomDifference::Changes(told) => RoomUpdate::Changes(told),
                RoomDifference::Everything => RoomUpdate::Room(Box::new(room.clone())),
            };
            self.told = Some((room, now));
            return update;
        }
    }

    /// The room now. What has changed until now counts as seen.
    fn look(&mut self, seq: u64) -> Room {
        self.board.mark_unchanged();
        self.memory.mark_unchanged();
        let now = Instant::now();
        let mut room = view(&self.known(), &mut self.slow, now);
        room.seq = seq;
        let party = &self.peer.inner.endpoint.introduction.party;
        room.party = if party.is_open_network() { String::new() } else { party.name() };
        let since = now.duration_since(self.neighbours.since());
        room.uptime_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        room.operations = self.operations();
        room.looking = (room.peers.len() < 2).then(|| self.looking(room.uptime_ms));
        room
    }

    fn known(&self) -> Known {
        let (peer, inner) = (&self.peer, &self.peer.inner);
        let activity = Arc::clone(&self.board.borrow());
        let ours = OurSeat {
            id: peer.id(),
            name: peer.name().clone(),
            address: peer.listening().unwrap_or_else(|| ([0, 0, 0, 0], 0).into()),
            head: activity.head.clone(),
            games: activity.games().cloned().collect(),
        };
        let mut offers: BTreeMap<GameId, Vec<RoomOffer>> = BTreeMap::new();
        let neighbours = self.neighbours.known();
        let duplicates: BTreeSet<_> =
            neighbours.iter().filter(|known| known.duplicate).map(|known| known.id).collect();
        let own = inner.source.library.current().list();
        let all = neighbours.into_iter().map(|known| (known.id, known.games)).chain([(peer.id(), own)]);
        for (peer, games) in all {
            for offer in games.into_iter().filter(|offer| !offer.entries) {
                let offered = RoomOffer { peer, version: offer.version, bytes: offer.bytes };
                offers.entry(offer.game).or_default().push(offered);
            }
        }
        let (others, catalog) = (self.neighbours.room().all(), self.catalog());
        Known { ours, others, offers, catalog, wanted: inner.games_wanted.clone(), duplicates }
    }

    fn catalog(&self) -> BTreeMap<GameId, KnownGame> {
        let Some(catalog) = self.peer.catalog() else { return BTreeMap::new() };
        let games = catalog.content().games.iter().map(|(id, game)| {
            let known = KnownGame {
                title: Some(game.name.clone()),
                version: Some(game.version.clone()),
                bytes: game.bytes,
                unpacked_bytes: game.unpacked_bytes,
            };
            (id.clone(), known)
        });
        games.collect()
    }

    fn operations(&self) -> Vec<RoomOperation> {
        let operations = self.peer.running_operations().into_iter().map(|info| {
            let progress = info.progress;
            RoomOperation {
                operation: info.operation,
                kind: info.kind,
                game: info.game,
                running: info.running,
                followers: info.followers as u64,
                waiting_for: progress.waiting_for_id,
                before: progress.ahead.map(Into::into),
                bytes: progress.bytes,
                bytes_total: progress.bytes_total,
                bytes_per_second: progress.bytes_per_second,
                seconds_left: seconds_left(progress.bytes, progress.bytes_total, progress.bytes_per_second),
            }
        });
        operations.collect()
    }

    fn looking(&self, since_ms: u64) -> RoomLooking {
        let message = if self.peer.inner.discovery {
            "it announces itself and looks for others by multicast DNS"
        } else {
            "it does not look for others by itself: they have to be named"
        };
        RoomLooking {
            since_ms,
            addrs: self.peer.listening().map(|address| address.to_string()).into_iter().collect(),
            message: message.to_owned(),
            hint: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lanspread_testing::machine::Machine;

    use super::*;
    use crate::testing::machine::PeerOf;

    /// The number of an update, and none of one that only says that nothing has changed.
    fn number(update: &RoomUpdate) -> Option<u64> {
        match update {
            RoomUpdate::Room(room) => Some(room.seq),
            RoomUpdate::Changes(changes) => Some(changes.seq),
            RoomUpdate::Unchanged => None,
        }
    }

    #[tokio::test]
    async fn each_change_has_the_next_number_and_silence_has_none() {
        let machine = Machine::new();
        let peer = machine.describe("seat").build().unwrap();
        peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        let mut follower = peer.room().unwrap();
        let mut numbers = vec![number(&follower.next().await).unwrap()];
        for game in ["one", "two", "three"] {
            let root = machine.games_dir().join(game);
            fs::create_dir_all(&root).unwrap();
            fs::write(root.join("a.eti"), "archive").unwrap();
            fs::write(root.join("version.ini"), "1").unwrap();
            let has_game = |room: &Room| room.games.iter().any(|known| known.game.as_str() == game);
            while !follower.told.as_ref().is_some_and(|(room, _)| has_game(room)) {
                numbers.extend(number(&follower.next().await));
            }
            // Silence comes between two changes. (The free disk may change at any time.)
            tokio::time::pause();
            while let Some(number) = number(&follower.next().await) {
                numbers.push(number);
            }
            tokio::time::resume();
        }
        let last = *numbers.last().unwrap();
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
        assert!(last >= 4, "the first look and three games: {numbers:?}");
        peer.shutdown().await.unwrap();
    }
}
