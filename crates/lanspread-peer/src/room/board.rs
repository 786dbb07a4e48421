//! What this peer tells others about what it is doing, with a revision for each game, so that each is told what it does not
//! know yet.
//!
//! - Revisions only grow. What changed at revision `r` is told to everybody who knows less than `r`.
//! - A game that is gone stays on the board as gone, so that those who know it hear of it. There are never more of these than
//!   [`limits::ACTIVITY_GAMES_MAX`]; then everybody is told everything once.

use std::collections::BTreeMap;
use std::sync::Arc;

use lanspread_proto::activity::{ActivityHead, GameActivity};
use lanspread_proto::message::Reply;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio::sync::watch;

/// What is told, at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Activity {
    /// Counts the changes in this run of the peer; 0 until something was written.
    pub(crate) revision: u64,
    pub(crate) head: ActivityHead,
    /// Each game with the revision at which it changed last.
    games: BTreeMap<GameId, (u64, GameActivity)>,
    /// Games that are gone are not known from before this revision on.
    whole_since: u64,
}

impl Activity {
    /// The games about which there is something to say.
    pub(crate) fn games(&self) -> impl Iterator<Item = &GameActivity> {
        self.games.values().map(|(_, game)| game).filter(|game| !game.is_gone())
    }

    /// The activity with these games and this head; none if nothing has changed.
    fn with(&self, head: ActivityHead, told: Vec<GameActivity>) -> Option<Self> {
        let revision = self.revision + 1;
        let mut now: BTreeMap<GameId, GameActivity> =
            within_bounds(told).into_iter().map(|game| (game.game.clone(), game)).collect();
        let mut games = BTreeMap::new();
        for (id, (changed_at, before)) in &self.games {
            let game = now.remove(id).unwrap_or_else(|| GameActivity::gone(id.clone()));
            let changed_at = if game == *before { *changed_at } else { revision };
            games.insert(id.clone(), (changed_at, game));
        }
        games.extend(now.into_iter().map(|(id, game)| (id, (revision, game))));
        let is_changed = self.revision == 0
            || head != self.head
            || games.values().any(|(changed_at, _)| *changed_at == revision);
        let mut whole_since = self.whole_since;
        if games.values().filter(|(_, game)| game.is_gone()).count() > limits::ACTIVITY_GAMES_MAX {
            games.retain(|_, (_, game)| !game.is_gone());
            whole_since = revision;
        }
        is_changed.then_some(Self { revision, head, games, whole_since })
    }

    /// What is told to a peer that knows a revision, in parts.
    pub(crate) fn since(&self, known: Option<u64>, accepts: bool) -> Vec<Reply> {
        let known = known.filter(|known| (self.whole_since..=self.revision).contains(known));
        let is_news = |changed_at: u64| known.is_none_or(|known| changed_at > known);
        let told: Vec<GameActivity> = self
            .games
            .values()
            .filter(|(changed_at, game)| is_news(*changed_at) && (known.is_some() || !game.is_gone()))
            .map(|(_, game)| game.clone())
            .collect();
        let part = |games: &[GameActivity], more| Reply::Activity {
            revision: self.revision,
            is_whole: known.is_none(),
            accepts,
            head: self.head.clone(),
            games: games.to_vec(),
            more,
        };
        let mut chunks = told.chunks(limits::ACTIVITY_GAMES_PER_MESSAGE).peekable();
        let mut parts = Vec::new();
        while let Some(games) = chunks.next() {
            parts.push(part(games, chunks.peek().is_some()));
        }
        if parts.is_empty() {
            parts.push(part(&[], false));
        }
        parts
    }
}

/// As many games as may be told, those first with which something happens, and no more texts than may be.
fn within_bounds(mut games: Vec<GameActivity>) -> Vec<GameActivity> {
    games.sort_by_key(|game| (game.work.is_none(), game.failure.is_none(), game.game.clone()));
    games.truncate(limits::ACTIVITY_GAMES_MAX);
    let mut failures = 0;
    for game in &mut games {
        failures += usize::from(game.failure.is_some());
        if failures > limits::ACTIVITY_FAILURES_MAX
            && let Some(failure) = &mut game.failure
        {
            failure.message.clear();
        }
    }
    let mut bytes = 0;
    games.retain(|game| {
        bytes += game.memory_bytes();
        bytes <= limits::ACTIVITY_BYTES_MAX
    });
    games
}

/// The board of this peer, which others can follow.
#[derive(Debug)]
pub(crate) struct Board(watch::Sender<Arc<Activity>>);

impl Default for Board {
    fn default() -> Self {
        Self(watch::Sender::new(Arc::default()))
    }
}

impl Board {
    /// What is on it now.
    #[cfg(test)]
    pub(crate) fn current(&self) -> Arc<Activity> {
        Arc::clone(&self.0.borrow())
    }

    /// Follows it from now on.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Activity>> {
        self.0.subscribe()
    }

    /// Writes what is so now.
    pub(crate) fn write(&self, head: ActivityHead, games: Vec<GameActivity>) {
        self.0.send_if_modified(|current| {
            let Some(activity) = current.with(head, games) else { return false };
            *current = Arc::new(activity);
            true
        });
    }
}

#[cfg(test)]
mod tests;
