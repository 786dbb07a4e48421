//! Recovery of games that an operation has left half-way: of one before every operation on it, of all when a peer starts
//! and again from time to time while it serves.

use std::path::Path;
use std::sync::Arc;

use lanspread_types::ids::GameId;

use super::games_dir::GamesDir;
use super::lock::GameLock;
use super::{intent, recovery};
use crate::download::{commit, record};
use crate::error::PeerError;
use crate::event::{EventSender, PeerEvent};

/// Puts in order what crashes left. A game that an operation holds, or whose state is not ours, is left alone: it does
/// not keep the others from being served.
pub(crate) fn recover_recorded(games_dir: &Path, events: &EventSender) -> Result<(), PeerError> {
    let games = Arc::new(GamesDir::open(games_dir)?);
    let mut unfinished = intent::recorded(&games)?;
    unfinished.extend(record::begun(&games)?);
    unfinished.sort();
    unfinished.dedup();
    for game in unfinished {
        match lock_and_recover(&games, &game, events) {
            Ok(_lock) => {}
            Err(error @ PeerError::InProgress { .. }) => tracing::debug!("{error}"),
            Err(error) => tracing::warn!("{game} is left as it is: {error}"),
        }
    }
    Ok(())
}

/// Locks a game, puts in order what an earlier operation has left of it, and reports what was done.
pub(crate) fn lock_and_recover(
    games: &Arc<GamesDir>,
    game: &GameId,
    events: &EventSender,
) -> Result<GameLock, PeerError> {
    let lock = GameLock::acquire(games, game)?;
    let actions = [recovery::recover(games, game)?, commit::recover(games, game)?];
    for action in actions.into_iter().flatten() {
        events.report(PeerEvent::GameRecovered { game: game.clone(), action: action.into() });
    }
    Ok(lock)
}
