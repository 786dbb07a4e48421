//! Recovery of games that an operation left half-way: of one before every operation on it, of all when a peer starts
//! and again from time to time while it serves.

use std::path::Path;
use std::sync::Arc;

use lanspread_types::ids::GameId;

use crate::download::commit;
use crate::error::StoreError;
use crate::install::recovery;
use crate::state::games_dir::GamesDir;
use crate::state::lock::GameLock;
use crate::state::{intent, record};

/// A locked game whose state is in order.
#[derive(Debug)]
pub struct Recovered {
    /// The lock.
    pub lock: GameLock,
    /// What was done to put it in order, as stable kebab-case codes; most often nothing.
    pub actions: Vec<&'static str>,
}

/// Puts in order what crashes left, and calls `done` with every action. A game that an operation holds, or whose state
/// is not ours, is left alone: it does not keep the others from being served.
pub fn recover_all(games_dir: &Path, mut done: impl FnMut(&GameId, &'static str)) -> Result<(), StoreError> {
    let games = Arc::new(GamesDir::open(games_dir)?);
    let mut unfinished = intent::recorded(&games)?;
    unfinished.extend(record::begun(&games)?);
    unfinished.sort();
    unfinished.dedup();
    for game in unfinished {
        match lock_and_recover(&games, &game) {
            Ok(recovered) => recovered.actions.iter().for_each(|action| done(&game, action)),
            Err(error @ StoreError::InProgress { .. }) => tracing::debug!("{error}"),
            Err(error) => tracing::warn!("{game} is left as it is: {error}"),
        }
    }
    Ok(())
}

/// Locks a game and puts in order what an earlier operation left of it.
pub fn lock_and_recover(games: &Arc<GamesDir>, game: &GameId) -> Result<Recovered, StoreError> {
    let lock = GameLock::acquire(games, game)?;
    let actions = [recovery::recover(games, game)?, commit::recover(games, game)?];
    Ok(Recovered { lock, actions: actions.into_iter().flatten().collect() })
}
