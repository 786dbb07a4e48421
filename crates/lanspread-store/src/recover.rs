//! Recovers games that an interrupted operation left half done: one game before every operation on it, all of them when
//! a peer starts to serve, and again from time to time while it serves.

use std::path::Path;
use std::sync::Arc;

use lanspread_types::ids::GameId;

use crate::download::commit;
use crate::error::StoreError;
use crate::install::recovery;
use crate::state::games_dir::GamesDir;
use crate::state::lock::GameLock;
use crate::state::{booking, intent, record};

/// A locked game that is in a consistent state.
#[derive(Debug)]
pub struct Recovered {
    /// The lock.
    pub lock: GameLock,
    /// What recovery did, as stable kebab-case codes; usually nothing.
    pub actions: Vec<&'static str>,
}

/// Recovers all games that crashes left half done, and calls `done` with every action. A game that an operation holds
/// or that cannot be recovered is left alone, so that the others can still be served.
///
/// # Errors
/// If the games directory or its state cannot be read.
pub fn recover_all(games_dir: &Path, mut done: impl FnMut(&GameId, &'static str)) -> Result<(), StoreError> {
    let games = Arc::new(GamesDir::open(games_dir)?);
    let mut unfinished = intent::recorded(&games)?;
    unfinished.extend(record::begun(&games)?);
    unfinished.extend(intent::unwritten(&games)?);
    unfinished.sort();
    unfinished.dedup();
    for game in unfinished {
        match lock_and_recover(&games, &game) {
            Ok(recovered) => recovered.actions.iter().for_each(|action| done(&game, action)),
            Err(error @ StoreError::InProgress { .. }) => tracing::debug!("{error}"),
            Err(error) => tracing::warn!("{game} is left as it is: {error}"),
        }
    }
    if let Err(error) = booking::remove_dead(&games) {
        // They count for nothing. A disk that is read-only or has no locks can be served all the same.
        tracing::warn!("the bookings of killed operations are left as they are: {error}");
    }
    Ok(())
}

/// Locks a game and recovers it from an earlier operation that did not end.
///
/// # Errors
/// [`StoreError::InProgress`] if another operation holds the game, [`StoreError::Foreign`] if no crash of lanspread
/// explains its state; failures of this machine's disk.
pub fn lock_and_recover(games: &Arc<GamesDir>, game: &GameId) -> Result<Recovered, StoreError> {
    let lock = GameLock::acquire(games, game)?;
    intent::remove_unwritten(games, game)?;
    booking::remove_dead_of(games, game)?;
    let actions = [recovery::recover(games, game)?, commit::recover(games, game)?];
    Ok(Recovered { lock, actions: actions.into_iter().flatten().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What killed processes leave beside the records of games: no operation explains it, and nothing needs it.
    #[test]
    fn leftovers_of_killed_processes_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join(".lanspread");
        for (path, content) in [
            ("intents/g.json.new", "{\"schema\""),
            ("bookings/g.json", "{\"needed_bytes\":1,\"written_bytes\":0}"),
            ("bookings/other.json", ""),
        ] {
            std::fs::create_dir_all(state.join(path).parent().unwrap()).unwrap();
            std::fs::write(state.join(path), content).unwrap();
        }
        recover_all(folder.path(), |game, action| panic!("{game}: {action}")).unwrap();
        assert!(!state.exists());
    }

    #[test]
    fn the_booking_of_a_killed_operation_ends_with_the_next_one_on_its_game() {
        let folder = tempfile::tempdir().unwrap();
        let bookings = folder.path().join(".lanspread/bookings");
        std::fs::create_dir_all(&bookings).unwrap();
        std::fs::write(bookings.join("g.json"), "").unwrap();
        let games = Arc::new(GamesDir::open(folder.path()).unwrap());
        drop(lock_and_recover(&games, &"g".parse().unwrap()).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
