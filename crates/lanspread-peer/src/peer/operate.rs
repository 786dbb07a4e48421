//! What all operations on a game share. Each is a task, so that a shutdown cancels it and waits for it, and so that it
//! ends in order if its caller drops it. Those that change or compare a game first lock it and repair what an earlier
//! crash left.

use std::convert::Infallible;
use std::sync::Arc;

use lanspread_store::recover::{Recovered, lock_and_recover};
use lanspread_store::state::games_dir::GamesDir;
use lanspread_types::ids::GameId;
use tokio_util::sync::CancellationToken;

use crate::locked_game::LockedGame;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;
use crate::report::operation::OperationOptions;
use crate::task::contained::contained;

impl Peer {
    /// Runs `work` as one operation of this peer, in a task of its own. A shutdown cancels it and waits for it. If the
    /// caller drops the future, the operation is cancelled and ends on its own: it undoes what it did, and reports that.
    pub(crate) async fn operate<T, F>(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: &CancellationToken,
        work: impl FnOnce(Self, OperationContext) -> F,
    ) -> Result<T, PeerError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PeerError>> + Send + 'static,
    {
        let stop = self.inner.tasks.cancel_token();
        let cancel = cancel.child_token();
        let context = OperationContext {
            game: game.clone(),
            options: options.clone(),
            events: self.inner.events.of_operation(None),
            cancel: cancel.clone(),
        };
        let (caller, ending) = self.inner.leftovers.operation(game, cancel.clone());
        let work = work(self.clone(), context);
        let running = self.inner.tasks.spawn_contained("operation", async move {
            // Dropped last, so that the game is not locked any more when a next operation has waited for this one.
            let _ending = ending;
            let cancelling = async {
                stop.cancelled().await;
                cancel.cancel();
                std::future::pending::<Infallible>().await
            };
            tokio::select! {
                // A panic is the failure of this operation, and no reason for the peer to stop.
                done = contained(work) => done.unwrap_or_else(|panicked| Err(PeerError::Internal(panicked.to_string()))),
                never = cancelling => match never {},
            }
        });
        let done = running.await;
        drop(caller);
        done.unwrap_or_else(|error| {
            Err(PeerError::Internal(format!("the task of an operation ended abnormally: {error}")))
        })
    }

    /// Runs the road of an operation. If it panics, only this operation fails: what it left on the disk is repaired at
    /// once.
    pub(super) async fn contain<T>(
        &self,
        context: &OperationContext,
        road: impl Future<Output = Result<T, PeerError>>,
    ) -> Result<T, PeerError> {
        let panicked = match contained(road).await {
            Ok(done) => return done,
            Err(panicked) => panicked,
        };
        if let Err(error) = self.lock_and_recover(context).await {
            tracing::error!("{}: what is left is repaired by the next operation: {error}", context.game);
        }
        Err(PeerError::Internal(panicked.to_string()))
    }

    /// Looks at a game on the disk without locking it: what is found may be another thing a moment later.
    pub(super) async fn look_at<T: Send + 'static>(
        &self,
        name: &'static str,
        game: &GameId,
        look: impl FnOnce(&Arc<GamesDir>, &GameId) -> Result<T, PeerError> + Send + 'static,
    ) -> Result<T, PeerError> {
        let (games_dir, game) = (self.inner.games_dir.clone(), game.clone());
        self.blocking(name, move || look(&Arc::new(GamesDir::open(&games_dir)?), &game)).await
    }

    /// Locks the game and repairs what an interrupted operation left.
    pub(super) async fn lock_and_recover(
        &self,
        operation: &OperationContext,
    ) -> Result<LockedGame, PeerError> {
        let (games_dir, tasks) = (self.inner.games_dir.clone(), self.inner.tasks.clone());
        let (game, events) = (operation.game.clone(), operation.events.clone());
        let cancel = operation.cancel.clone();
        let leftovers_ended = self.inner.leftovers.ended(&operation.game);
        if cancel.run_until_cancelled(leftovers_ended).await.is_none() {
            return Err(PeerError::Cancelled);
        }
        self.blocking("lock", move || {
            let games = Arc::new(GamesDir::open(&games_dir)?);
            let Recovered { lock, actions } = lock_and_recover(&games, &game)?;
            for action in actions {
                events.report(PeerEvent::GameRecovered { game: game.clone(), action: action.into() });
            }
            Ok(LockedGame::new(games, game, lock, tasks, cancel))
        })
        .await
    }
}
