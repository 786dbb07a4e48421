//! Writes on the board what this peer is doing, for others to read.

use std::collections::BTreeMap;

use lanspread_proto::activity::{ActivityHead, GameActivity};
use lanspread_store::state::booking::free_bytes;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::peer::core::Peer;
use crate::peer::work_for_peers::WorkForPeers;
use crate::room::here::GameHere;
use crate::room::words::{self, OwnPlaces};

impl Peer {
    /// Keeps the board true while this peer serves.
    pub(super) async fn write_board(self) {
        let stop = self.tasks().cancel_token();
        let mut events = self.events();
        loop {
            let activity = self.look_at_games().await;
            self.inner.source.board.write(activity.0, activity.1);
            let (now, source) = (Instant::now(), &self.inner.source);
            let changed = async {
                tokio::select! {
                    event = events.next() => drop(event),
                    () = source.here.changed() => {}
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                _ = timeout_at(now + limits::ACTIVITY_LOOK_INTERVAL, changed) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(now + limits::ACTIVITY_INTERVAL) => {}
            }
            // One look is enough for all of them.
            while events.try_next().is_some() {}
        }
    }

    /// What is told about this peer now.
    async fn look_at_games(&self) -> (ActivityHead, Vec<GameActivity>) {
        let games_dir = self.inner.games_dir.clone();
        let look = move || Ok(free_bytes(&GamesDir::open(&games_dir)?)?);
        let free_bytes = self.blocking("space", look).await;
        let source = &self.inner.source;
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let head = ActivityHead {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            free_bytes: free_bytes.ok().map(|free| free - free % limits::FREE_BYTES_STEP),
            transfers: small(source.active_transfers()),
            transfers_max: small(source.streams_max()),
            waiting: small(source.waiting_transfers()),
        };
        (head, self.games_told())
    }

    /// What is told about the games.
    fn games_told(&self) -> Vec<GameActivity> {
        let mut games: BTreeMap<GameId, GameActivity> = BTreeMap::new();
        for (id, here) in self.inner.source.here.all() {
            let GameHere { installed, installed_version, downloaded_version } = here;
            let nothing = GameActivity::gone(id.clone());
            games.insert(id, GameActivity { installed, installed_version, downloaded_version, ..nothing });
        }
        let mut of_game = |game: &GameId, tell: &mut dyn FnMut(&mut GameActivity)| {
            tell(games.entry(game.clone()).or_insert_with(|| GameActivity::gone(game.clone())));
        };
        let places = self.own_places();
        for ended in self.ended_operations() {
            let failure = ended.failure.as_ref().map(|failure| words::failure(ended.kind, failure, &places));
            of_game(&ended.game, &mut |game| game.failure.clone_from(&failure));
        }
        // The first one on a game is the one that runs.
        for info in self.running_operations().iter().rev() {
            let work = words::work(info.operation, info.kind, info.running, &info.progress);
            of_game(&info.game, &mut |game| {
                game.work = Some(work.clone());
                // What failed before is being done again.
                game.failure = None;
            });
        }
        games.into_values().collect()
    }

    /// The paths of its folders, which it tells no other peer.
    pub(super) fn own_places(&self) -> OwnPlaces<'_> {
        OwnPlaces { games_dir: &self.inner.games_dir, state_dir: &self.inner.state_dir }
    }

    /// Lets the peers that the user has named have something done here.
    pub(super) fn accept_operations(&self) {
        let peers = self.inner.accept_from.clone();
        if peers.is_empty() {
            return;
        }
        self.inner.source.asked.accept(peers, Box::new(WorkForPeers::of(self)));
    }
}
