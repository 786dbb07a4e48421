//! Operations whose caller dropped the future: they are cancelled and end on their own. The next operation on the game
//! waits for that end instead of being refused because of its own process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanspread_types::ids::GameId;
use tokio_util::sync::CancellationToken;

/// The operations that still end, by game. A token is cancelled when its operation has ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Leftovers(Arc<Mutex<HashMap<GameId, Vec<CancellationToken>>>>);

/// The side of the caller. If it is dropped before the operation has ended, the operation is cancelled and is a leftover.
pub(super) struct Caller {
    leftovers: Leftovers,
    game: GameId,
    cancel: CancellationToken,
    ended: CancellationToken,
}

/// The side of the operation. It must be dropped after everything that the operation holds.
pub(super) struct Ending(CancellationToken);

impl Leftovers {
    /// The two sides of an operation that begins. `cancel` cancels it.
    pub(super) fn operation(&self, game: &GameId, cancel: CancellationToken) -> (Caller, Ending) {
        let ended = CancellationToken::new();
        let ending = Ending(ended.clone());
        (Caller { leftovers: self.clone(), game: game.clone(), cancel, ended }, ending)
    }

    /// Waits until no leftover works on the game.
    pub(super) async fn ended(&self, game: &GameId) {
        while let Some(ended) = self.first(game) {
            ended.cancelled().await;
        }
    }

    fn first(&self, game: &GameId) -> Option<CancellationToken> {
        let mut all = self.all();
        let of_game = all.get_mut(game)?;
        of_game.retain(|ended| !ended.is_cancelled());
        let first = of_game.first().cloned();
        if first.is_none() {
            all.remove(game);
        }
        first
    }

    fn all(&self) -> MutexGuard<'_, HashMap<GameId, Vec<CancellationToken>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.ended.is_cancelled() {
            self.cancel.cancel();
            self.leftovers.all().entry(self.game.clone()).or_default().push(self.ended.clone());
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_an_operation_without_its_caller_is_waited_for() {
        let leftovers = Leftovers::default();
        let game: GameId = "g".parse().unwrap();
        let wait = || tokio::time::timeout(Duration::from_secs(1), leftovers.ended(&game));

        let cancel = CancellationToken::new();
        let (caller, ending) = leftovers.operation(&game, cancel.clone());
        assert!(wait().await.is_ok(), "its caller is still there");
        drop(caller);
        assert!(cancel.is_cancelled());
        assert!(wait().await.is_err(), "it has not ended");
        leftovers.ended(&"other".parse().unwrap()).await;
        drop(ending);
        assert!(wait().await.is_ok());
        assert!(leftovers.all().is_empty());

        let cancel = CancellationToken::new();
        let (caller, ending) = leftovers.operation(&game, cancel.clone());
        drop(ending);
        drop(caller);
        assert!(!cancel.is_cancelled(), "it had ended before its caller went");
        assert!(leftovers.all().is_empty());
    }
}
