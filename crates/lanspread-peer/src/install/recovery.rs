//! What to do about an operation that never ended: a table from (intent, what is on disk) to an action. Pure and
//! total; the doing stands below it.
//!
//! | intent  | staging | local/  | how it came to be                               | action            |
//! |---------|---------|---------|-------------------------------------------------|-------------------|
//! | none    | none    | any     | nothing happened                                | nothing           |
//! | none    | there   | any     | not ours: staging never exists without intent   | report            |
//! | begin   | any     | any     | crashed while receiving; `local/` is the user's | roll back         |
//! | promote | there   | none    | crashed before the rename; staging is durable   | promote           |
//! | promote | none    | there   | crashed behind the rename                       | finish            |
//! | promote | none    | none    | crashed behind it, then the user removed it     | roll back         |
//! | promote | there   | there   | the rename never replaces: not by a crash       | report            |
//! | any     | no folder | any   | not ours                                        | report            |

use std::io;

use super::games_dir::GamesDir;
use super::intent::{self, Phase};
use super::transaction;
use crate::error::PeerError;
use crate::fault::LocalError;
use crate::game::GameId;
use crate::library::layout::{LOCAL_DIR, STAGING_DIR};

/// What stands at one of our names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Nothing,
    Folder,
    /// A file, link or device.
    Other,
}

/// What recovery does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing to do.
    Nothing,
    /// Remove staging, the game root if the operation made it and it is empty, the receipt's draft, the intent.
    RollBack,
    /// Rename staging to `local/`, then finish.
    Promote,
    /// Keep the receipt, clear the intent.
    Finish,
    /// No crash of ours leaves this; touch nothing.
    Report(&'static str),
}

/// The table.
pub(crate) fn decide(phase: Option<Phase>, staging: Standing, local: Standing) -> Action {
    use Standing::{Folder, Nothing, Other};
    match (phase, staging, local) {
        (None, Nothing, _) => Action::Nothing,
        (_, Other, _) => Action::Report("is not a folder made by lanspread"),
        (None, Folder, _) => Action::Report("stands there but no install was recorded"),
        (Some(Phase::Begin), Nothing | Folder, _) | (Some(Phase::Promote), Nothing, Nothing | Other) => {
            Action::RollBack
        }
        (Some(Phase::Promote), Folder, Nothing) => Action::Promote,
        (Some(Phase::Promote), Nothing, Folder) => Action::Finish,
        (Some(Phase::Promote), Folder, Folder | Other) => {
            Action::Report("stands beside an installed tree that came from elsewhere")
        }
    }
}

/// Puts in order what an earlier operation on a locked game left. Returns what was done, if anything.
pub(crate) fn recover(games: &GamesDir, game: &GameId) -> Result<Option<&'static str>, PeerError> {
    let intent = intent::read(games, game)?;
    let staging = standing(games, game, STAGING_DIR)?;
    let local = standing(games, game, LOCAL_DIR)?;
    let action = decide(intent.as_ref().map(|intent| intent.phase), staging, local);
    match (action, intent) {
        (Action::Report(what), _) => Err(PeerError::ForeignState {
            path: games.root_path(game).join(STAGING_DIR),
            what: what.to_owned(),
        }),
        (Action::Nothing, _) | (_, None) => Ok(None),
        (Action::RollBack, Some(intent)) => {
            transaction::roll_back(games, game, intent.created_root)?;
            Ok(Some("rolled-back"))
        }
        (Action::Promote, Some(_)) => {
            transaction::promote(games, game)?;
            finish(games, game);
            Ok(Some("promoted"))
        }
        (Action::Finish, Some(_)) => {
            finish(games, game);
            Ok(Some("finished"))
        }
    }
}

/// The game is installed: what fails now is left to the next recovery.
fn finish(games: &GamesDir, game: &GameId) {
    if let Err(error) = transaction::finish(games, game) {
        tracing::warn!("{game} is installed, but its records are not in order yet: {error}");
    }
}

/// What stands at a name in a game root, links not followed.
pub(crate) fn standing(games: &GamesDir, game: &GameId, name: &str) -> Result<Standing, LocalError> {
    let path = std::path::Path::new(game.as_str()).join(name);
    match games.dir().symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(Standing::Folder),
        Ok(_) => Ok(Standing::Other),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Standing::Nothing)
        }
        Err(error) => Err(LocalError::io("read", games.path().join(path))(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No state leads to an action that could touch what is not ours.
    #[test]
    fn the_table_is_total_and_touches_only_what_is_ours() {
        use Standing::{Folder, Nothing, Other};
        for phase in [None, Some(Phase::Begin), Some(Phase::Promote)] {
            for staging in [Nothing, Folder, Other] {
                for local in [Nothing, Folder, Other] {
                    let action = decide(phase, staging, local);
                    if phase.is_none() {
                        assert!(
                            matches!(action, Action::Nothing | Action::Report(_)),
                            "no intent, no change"
                        );
                    }
                    if staging == Other {
                        assert!(matches!(action, Action::Report(_)), "never through a link or file");
                    }
                    if action == Action::Promote {
                        assert_eq!((phase, staging, local), (Some(Phase::Promote), Folder, Nothing));
                    }
                    if action == Action::Finish {
                        assert_eq!((phase, staging, local), (Some(Phase::Promote), Nothing, Folder));
                    }
                    if action == Action::RollBack && staging == Folder {
                        assert_eq!(phase, Some(Phase::Begin), "a complete tree is never thrown away");
                    }
                }
            }
        }
    }
}
