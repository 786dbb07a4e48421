//! A game that an operation has locked, and the one way to work on its files. It does not know the operations.

use std::sync::Arc;

use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::lock::GameLock;
use lanspread_types::ids::GameId;
use tokio_util::sync::CancellationToken;

use crate::task::{NoResult, Tasks};

/// A locked game. The game stays locked until the last clone is gone and the last work on it has ended.
#[derive(Clone)]
pub(crate) struct LockedGame {
    games: Arc<GamesDir>,
    game: GameId,
    /// Never read: holding it keeps the game locked.
    _lock: Arc<GameLock>,
    tasks: Tasks,
    cancel: CancellationToken,
}

/// A thread that worked on a game panicked, or the system gave this process no thread for it.
#[derive(Debug, thiserror::Error)]
#[error("the {name} thread ended abnormally: {why}")]
pub(crate) struct ThreadEnded {
    name: &'static str,
    why: NoResult,
}

impl LockedGame {
    /// `cancel` is the token of the operation.
    pub(crate) fn new(
        games: Arc<GamesDir>,
        game: GameId,
        lock: GameLock,
        tasks: Tasks,
        cancel: CancellationToken,
    ) -> Self {
        Self { games, game, _lock: Arc::new(lock), tasks, cancel }
    }

    /// Which game it is.
    pub(crate) fn game(&self) -> &GameId {
        &self.game
    }

    /// Runs disk work on a blocking thread. The thread keeps the game locked until the work is done, even if the future
    /// is dropped. The token that `work` gets is cancelled when the future is dropped or the operation is cancelled.
    pub(crate) async fn run<T, E>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Arc<GamesDir>, &GameId, &CancellationToken) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<ThreadEnded> + Send + 'static,
    {
        let cancel = self.cancel.child_token();
        let _cancel_on_drop = cancel.clone().drop_guard();
        let locked = self.clone();
        let working = self.tasks.spawn_blocking(name, move || {
            let done = work(&locked.games, &locked.game, &cancel);
            drop(locked);
            done
        });
        working.await.unwrap_or_else(|error| {
            tracing::error!("the {name} thread ended abnormally: {error}");
            Err(ThreadEnded { name, why: error }.into())
        })
    }
}
