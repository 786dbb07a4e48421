//! What all operations on a game share. Each is counted, so that a shutdown cancels it and waits for it. Those that
//! change or compare a game first lock it and repair what an earlier crash left.

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

impl Peer {
    /// Runs `work` as one operation of this peer. A shutdown cancels it and waits for it.
    pub(super) async fn operate<T>(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: &CancellationToken,
        work: impl AsyncFnOnce(OperationContext) -> Result<T, PeerError>,
    ) -> Result<T, PeerError> {
        let _counted = self.inner.tasks.hold();
        let stop = self.inner.tasks.cancel_token();
        let cancel = cancel.child_token();
        let context = OperationContext {
            game: game.clone(),
            options: options.clone(),
            events: self.inner.events.of_operation(),
            cancel: cancel.clone(),
        };
        let cancelling = async {
            stop.cancelled().await;
            cancel.cancel();
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            done = work(context) => done,
            never = cancelling => match never {},
        }
    }

    /// Locks the game and repairs what an interrupted operation left.
    pub(super) async fn lock_and_recover(
        &self,
        operation: &OperationContext,
    ) -> Result<LockedGame, PeerError> {
        let (games_dir, tasks) = (self.inner.games_dir.clone(), self.inner.tasks.clone());
        let (game, events) = (operation.game.clone(), operation.events.clone());
        let cancel = operation.cancel.clone();
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
