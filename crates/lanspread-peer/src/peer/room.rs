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
        let Some((_, at)) = &self.told else { return RoomUpdate::Room(Box::new(self.look())) };
        let (soonest, latest) = (*at + limits::ROOM_INTERVAL, *at + limits::ROOM_ALIVE_INTERVAL);
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
            let before = self.told.as_ref().map(|(room, _)| room.clone()).unwrap_or_default();
            let room = self.look();
            match difference(&before, &room) {
                RoomDifference::None if waited == Ok(false) && Instant::now() < latest => {}
                RoomDifference::None => return RoomUpdate::Unchanged,
                RoomDifference::Changes(told) => return RoomUpdate::Changes(told),
                RoomDifference::Everything => return RoomUpdate::Room(Box::new(room)),
            }
            sleep_until((Instant::now() + limits::ROOM_INTERVAL).min(latest)).await;
        }
    }

    /// The room now, which counts as told.
    fn look(&mut self) -> Room {
        self.board.mark_unchanged();
        self.memory.mark_unchanged();
        let now = Instant::now();
        let mut room = view(&self.known(), &mut self.slow, now);
        room.seq = self.told.as_ref().map_or(0, |(room, _)| room.seq) + 1;
        let party = &self.peer.inner.endpoint.introduction.party;
        room.party = if party.is_open_network() { String::new() } else { party.name() };
        let since = now.duration_since(self.neighbours.since());
        room.uptime_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        room.operations = self.operations();
        room.looking = (room.peers.len() < 2).then(|| self.looking(room.uptime_ms));
        self.told = Some((room.clone(), now));
        room
    }

    fn known(&self) -> Known {
        let (peer, inner) = (&self.peer, &self.peer.inner);
        let activity = Arc::clone(&self.board.borrow());
        let address = *inner.listening.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ours = OurSeat {
            id: peer.id(),
            name: peer.name().clone(),
            address: address.unwrap_or_else(|| ([0, 0, 0, 0], 0).into()),
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
        let inner = &self.peer.inner;
        let address = *inner.listening.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let message = if inner.discovery {
            "it announces itself and looks for others by multicast DNS"
        } else {
            "it does not look for others by itself: they have to be named"
        };
        RoomLooking {
            since_ms,
            addrs: address.map(|address| address.to_string()).into_iter().collect(),
            message: message.to_owned(),
            hint: None,
        }
    }
}
