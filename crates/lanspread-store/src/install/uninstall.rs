//! Removing an installed tree.

use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;

use crate::error::StoreError;
use crate::install::replace::refuse_user_files;
use crate::install::{steps, transaction};
use crate::state::games_dir::GamesDir;
use crate::state::intent::IntentStep;
use crate::state::tree::open_local;

/// Removes the installed tree of a locked game; with `force`, also files that the user added or changed.
///
/// # Errors
/// [`StoreError::NotInstalled`]; without `force`, [`StoreError::UserFiles`] and [`StoreError::NoReceipt`]; failures of
/// this machine's disk.
pub fn uninstall(games: &GamesDir, game: &GameId, force: bool) -> Result<(), StoreError> {
    if open_local(games, game)?.is_none() {
        let path = games.root_path(game).join(LOCAL_DIR);
        return Err(StoreError::NotInstalled { game: game.clone(), path });
    }
    if !force {
        refuse_user_files(games, game)?;
    }
    let steps = steps::UNINSTALL;
    Ok(transaction::run_without_return(games, game, IntentStep::Uninstall, steps, "uninstalled")?)
}
