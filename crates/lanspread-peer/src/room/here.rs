//! Which games are on the disk of this peer, as the watcher of its library has read them last.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lanspread_store::state::game_state::GameState;
use lanspread_types::ids::{GameId, GameVersion};
use tokio::sync::Notify;

/// What is here of one game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GameHere {
    pub(crate) installed: bool,
    pub(crate) installed_version: Option<GameVersion>,
    pub(crate) downloaded_version: Option<GameVersion>,
}

impl GameHere {
    /// None if nothing that a user can use is here.
    fn of(state: &GameState) -> Option<Self> {
        (state.installed || state.downloaded()).then(|| Self {
            installed: state.installed,
            installed_version: state.installed_version.clone(),
            downloaded_version: state.version.clone(),
        })
    }
}

/// The games that are here.
#[derive(Debug, Default)]
pub(crate) struct GamesHere {
    games: Mutex<BTreeMap<GameId, GameHere>>,
    changed: Notify,
}

impl GamesHere {
    /// All of them.
    pub(crate) fn all(&self) -> BTreeMap<GameId, GameHere> {
        self.games().clone()
    }

    /// Waits until something was read again since the last time. For one task.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Everything was read again.
    pub(crate) fn replace<'s>(&self, states: impl IntoIterator<Item = &'s GameState>) {
        let found = |state: &GameState| Some((state.game.clone(), GameHere::of(state)?));
        *self.games() = states.into_iter().filter_map(found).collect();
        self.changed.notify_one();
    }

    /// One game was read again; none if its folder is no game any more.
    pub(crate) fn replace_game(&self, game: &GameId, state: Option<&GameState>) {
        let mut games = self.games();
        match state.and_then(GameHere::of) {
            Some(here) => games.insert(game.clone(), here),
            None => games.remove(game),
        };
        self.changed.notify_one();
    }

    fn games(&self) -> MutexGuard<'_, BTreeMap<GameId, GameHere>> {
        self.games.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
