//! Decides what to do about an operation that never ended: a table from (intent, state on disk) to an action. The table
//! is pure and total; [`crate::install::steps`] has the steps of each action.
//!
//! Whatever the intent, a file or link in the place of staging or backup is not ours and is reported. Otherwise:
//!
//! | intent          | staging | local/   | backup | cause                                             | action       |
//! |-----------------|---------|----------|--------|---------------------------------------------------|--------------|
//! | none            | none    | any      | none   | nothing happened                                  | nothing      |
//! | none            | exists, or backup exists   || not ours: neither exists without an intent        | report       |
//! | install, update begin | any | any     | none   | crash while unpacking; `local/` stays as it is    | roll back    |
//! | install, update begin | any | any     | exists | not ours: nothing is set aside yet                | report       |
//! | install promote | exists  | none     | none   | crash before the rename; staging is durable       | promote      |
//! | install promote | none    | exists   | none   | crash after the rename                            | finish       |
//! | install promote | none    | no folder | none  | crash after it, then the user removed it          | roll back    |
//! | install promote | exists  | exists   | none   | the rename never replaces: not from a crash       | report       |
//! | install promote | any     | any      | exists | an install sets nothing aside                     | report       |
//! | update promote  | exists  | exists   | none   | crash before the first rename                     | set aside, promote |
//! | update promote  | exists  | none     | any    | crash between the renames                         | promote      |
//! | update promote  | none    | exists   | any    | crash after the second                            | finish       |
//! | update promote  | none    | no folder | none  | crash at the end, then the user removed it        | roll back    |
//! | update promote  | all three exist, or only the backup || not from a crash                         | report       |
//! | update in place | exists  | exists   | none   | crash while `local/` was removed                  | remove it, promote |
//! | update in place | exists  | none     | none   | crash before the rename                           | promote      |
//! | update in place | none    | exists   | none   | crash after the rename                            | finish       |
//! | update in place | none    | no folder | none  | crash at the end, then the user removed it        | roll back    |
//! | update in place | exists  | no folder but something | none | not from a crash                     | report       |
//! | update in place | any     | any      | exists | nothing is set aside                              | report       |
//! | uninstall       | none    | exists   | none   | crash before the rename                           | abandon      |
//! | uninstall       | none    | none     | any    | crash after the rename                            | uninstall    |
//! | uninstall       | none    | exists   | exists | the rename leaves no `local/`: not from a crash   | report       |
//! | uninstall in place | none | exists   | none   | crash while `local/` was removed                  | remove it, uninstall |
//! | uninstall in place | none | no folder | none  | crash after it                                    | uninstall    |
//! | uninstall in place | none | any      | exists | nothing is set aside                              | report       |
//! | remove          | none    | any      | none   | the sentinel exists: crash before its removal     | abandon      |
//! | remove          | none    | any      | none   | the sentinel is gone                              | remove       |
//! | repair begin    | any     | any      | none   | crash while entries were staged                   | roll back    |
//! | repair promote  | any     | exists   | none   | crash while entries were put in their places      | put them there |
//! | repair promote  | any     | no folder | none  | the user removed the tree meanwhile               | roll back    |
//! | repair begin, promote | any | any    | exists | nothing is set aside                              | report       |
//! | uninstall, remove | staging exists, or (remove) backup || neither creates them                      | report       |

use lanspread_types::fault::ForeignState;
use lanspread_types::ids::GameId;
use lanspread_types::layout::{BACKUP_DIR, LOCAL_DIR, SENTINEL_FILE, STAGING_DIR};

use crate::error::StoreError;
use crate::install::steps;
use crate::install::steps::DiskStep;
use crate::state::games_dir::GamesDir;
use crate::state::intent;
use crate::state::intent::{Intent, IntentStep};
use crate::state::standing::{Standing, standing};

/// What is in a game root under the names that operations change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standings {
    pub(crate) staging: Standing,
    pub(crate) local: Standing,
    pub(crate) backup: Standing,
    /// Whether there is anything under the sentinel's name.
    pub(crate) sentinel: bool,
}

/// What recovery does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecoveryAction {
    /// Nothing to do.
    Nothing,
    /// Remove staging, the receipt's draft, the game root if the operation created it and it is empty, the intent.
    RollBack,
    /// Rename `local/` to the backup, staging to `local/`, then finish.
    SetAsideAndPromote,
    /// Rename staging to `local/`, then finish.
    Promote,
    /// Remove `local/`, rename staging to `local/`, then finish.
    ReplaceInPlace,
    /// Publish the receipt, remove the backup, clear the intent.
    Finish,
    /// Remove the receipt, the backup, an empty game root, the intent.
    Uninstall,
    /// Remove `local/`, the receipt, an empty game root, the intent.
    UninstallInPlace,
    /// Remove the archives, what an unfinished download left, the records of downloads, an empty game root, the intent.
    Remove,
    /// Put the staged entries in their places in `local/`, publish the receipt, remove staging, the intent.
    Mend,
    /// Clear the intent: nothing was changed.
    Abandon,
    /// No crash of lanspread leaves this; touch nothing.
    Report {
        /// Its name in the game root.
        name: &'static str,
        /// What is wrong with it, as a verb phrase that follows its path.
        what: &'static str,
    },
}

/// The table.
pub(crate) fn decide(step: Option<IntentStep>, found: Standings) -> RecoveryAction {
    use Standing::{Folder, Nothing, Other};
    let staging_is = |what| RecoveryAction::Report { name: STAGING_DIR, what };
    let backup_is = |what| RecoveryAction::Report { name: BACKUP_DIR, what };
    let Standings { staging, local, backup, sentinel } = found;
    if staging == Other {
        return staging_is("is not a folder made by lanspread");
    }
    if backup == Other {
        return backup_is("is not a folder made by lanspread");
    }
    let Some(step) = step else {
        return match (staging, backup) {
            (Nothing, Nothing) => RecoveryAction::Nothing,
            (Nothing, _) => backup_is("exists, but no update or uninstall was recorded"),
            _ => staging_is("exists, but no install was recorded"),
        };
    };
    let installs_nothing = "exists, but the recorded operation installs nothing";
    let sets_nothing_aside = "exists, but the recorded operation sets nothing aside";
    match step {
        IntentStep::InstallBegin | IntentStep::UpdateBegin if backup == Nothing => RecoveryAction::RollBack,
        IntentStep::InstallBegin | IntentStep::UpdateBegin => backup_is(sets_nothing_aside),
        IntentStep::InstallPromote if backup == Folder => backup_is(sets_nothing_aside),
        IntentStep::InstallPromote | IntentStep::UpdatePromote => match (staging, local, backup) {
            (Folder, Nothing, _) => RecoveryAction::Promote,
            (Folder, Folder, Nothing) if step == IntentStep::UpdatePromote => {
                RecoveryAction::SetAsideAndPromote
            }
            (Nothing, Folder, _) => RecoveryAction::Finish,
            (Nothing, _, Nothing) => RecoveryAction::RollBack,
            (Nothing, _, _) => backup_is("is the tree from before an update, and the updated tree is gone"),
            _ => staging_is("exists beside an installed tree from elsewhere"),
        },
        IntentStep::UpdateInPlace
        | IntentStep::UninstallInPlace
        | IntentStep::RepairBegin
        | IntentStep::RepairPromote
            if backup == Folder =>
        {
            backup_is(sets_nothing_aside)
        }
        IntentStep::UpdateInPlace => match (staging, local) {
            (Folder, Folder) => RecoveryAction::ReplaceInPlace,
            (Folder, Nothing) => RecoveryAction::Promote,
            (Nothing, Folder) => RecoveryAction::Finish,
            (Nothing, _) => RecoveryAction::RollBack,
            _ => staging_is("exists beside an installed tree from elsewhere"),
        },
        IntentStep::Uninstall | IntentStep::UninstallInPlace | IntentStep::Remove if staging == Folder => {
            staging_is(installs_nothing)
        }
        IntentStep::UninstallInPlace if local == Folder => RecoveryAction::UninstallInPlace,
        IntentStep::UninstallInPlace => RecoveryAction::Uninstall,
        IntentStep::Uninstall => match (local, backup) {
            (Nothing, _) => RecoveryAction::Uninstall,
            (_, Nothing) => RecoveryAction::Abandon,
            _ => backup_is("was being removed, and there is an installed tree from elsewhere"),
        },
        IntentStep::RepairPromote if local == Folder => RecoveryAction::Mend,
        IntentStep::RepairBegin | IntentStep::RepairPromote => RecoveryAction::RollBack,
        IntentStep::Remove if backup == Folder => backup_is(sets_nothing_aside),
        IntentStep::Remove if sentinel => RecoveryAction::Abandon,
        IntentStep::Remove => RecoveryAction::Remove,
    }
}

/// The code that reports an action, and its steps: those that the operation had left to do.
fn doing(action: RecoveryAction, intent: &Intent) -> (&'static str, &'static [DiskStep]) {
    let updates = matches!(intent.step, IntentStep::UpdatePromote | IntentStep::UpdateInPlace);
    match action {
        RecoveryAction::Nothing | RecoveryAction::Report { .. } => ("", &[]),
        RecoveryAction::RollBack if intent.created_root => ("rolled-back", steps::ROLL_BACK_WITH_ROOT),
        RecoveryAction::RollBack => ("rolled-back", steps::ROLL_BACK),
        RecoveryAction::SetAsideAndPromote => ("promoted", steps::UPDATE),
        RecoveryAction::ReplaceInPlace => ("promoted", steps::UPDATE_IN_PLACE),
        RecoveryAction::Promote if updates => ("promoted", &steps::UPDATE[1..]),
        RecoveryAction::Promote => ("promoted", steps::INSTALL),
        RecoveryAction::Finish if updates => ("finished", &steps::UPDATE[steps::UPDATE_RENAMES..]),
        RecoveryAction::Finish => ("finished", &steps::INSTALL[steps::INSTALL_RENAMES..]),
        RecoveryAction::Uninstall => ("uninstalled", &steps::UNINSTALL[1..]),
        RecoveryAction::UninstallInPlace => ("uninstalled", steps::UNINSTALL_IN_PLACE),
        RecoveryAction::Remove => ("removed", &steps::REMOVE[1..]),
        RecoveryAction::Mend => ("repaired", steps::REPAIR),
        RecoveryAction::Abandon => ("abandoned", steps::ABANDON),
    }
}

/// What recovery would do about a locked game: the code that reports it, and the steps.
pub(crate) fn plan(
    games: &GamesDir,
    game: &GameId,
) -> Result<Option<(&'static str, &'static [DiskStep])>, StoreError> {
    let intent = intent::read(games, game)?;
    let found = Standings {
        staging: standing(games, game, STAGING_DIR)?,
        local: standing(games, game, LOCAL_DIR)?,
        backup: standing(games, game, BACKUP_DIR)?,
        sentinel: standing(games, game, SENTINEL_FILE)? != Standing::Nothing,
    };
    match (decide(intent.as_ref().map(|intent| intent.step), found), intent) {
        (RecoveryAction::Report { name, what }, _) => {
            Err(ForeignState { path: games.root_path(game).join(name), what: what.to_owned() }.into())
        }
        (RecoveryAction::Nothing, _) | (_, None) => Ok(None),
        (action, Some(intent)) => Ok(Some(doing(action, &intent))),
    }
}

/// Recovers a locked game from an earlier operation. Returns the code of what was done, if anything.
pub(crate) fn recover(games: &GamesDir, game: &GameId) -> Result<Option<&'static str>, StoreError> {
    let Some((told, steps)) = plan(games, game)? else { return Ok(None) };
    steps::run(steps, games, game)?;
    Ok(Some(told))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Option<IntentStep>; 11] = [
        None,
        Some(IntentStep::InstallBegin),
        Some(IntentStep::InstallPromote),
        Some(IntentStep::UpdateBegin),
        Some(IntentStep::UpdatePromote),
        Some(IntentStep::UpdateInPlace),
        Some(IntentStep::Uninstall),
        Some(IntentStep::UninstallInPlace),
        Some(IntentStep::Remove),
        Some(IntentStep::RepairBegin),
        Some(IntentStep::RepairPromote),
    ];

    fn every_state() -> impl Iterator<Item = (Option<IntentStep>, Standings)> {
        use Standing::{Folder, Nothing, Other};
        let standings = [Nothing, Folder, Other];
        STEPS.into_iter().flat_map(move |step| {
            standings.into_iter().flat_map(move |staging| {
                standings.into_iter().flat_map(move |local| {
                    standings.into_iter().flat_map(move |backup| {
                        [false, true].map(|sentinel| (step, Standings { staging, local, backup, sentinel }))
                    })
                })
            })
        })
    }

    /// All intents times all states on disk: no row leads to an action that could touch what is not ours, or leave
    /// neither the old tree nor the new one.
    #[test]
    fn the_table_is_total_and_touches_only_what_is_ours() {
        use IntentStep::{InstallPromote, UninstallInPlace, UpdateInPlace, UpdatePromote};
        use Standing::{Folder, Nothing, Other};
        let mut rows = 0;
        for (step, found) in every_state() {
            rows += 1;
            let why = format!("{step:?} {found:?}");
            let Standings { staging, local, backup, sentinel } = found;
            let action = decide(step, found);
            let reports = matches!(action, RecoveryAction::Report { .. });
            let promotes = matches!(step, Some(InstallPromote | UpdatePromote | UpdateInPlace));
            if step.is_none() {
                assert!(reports || action == RecoveryAction::Nothing, "no intent, no change: {why}");
                assert_eq!(reports, staging != Nothing || backup != Nothing, "{why}");
            }
            if staging == Other || backup == Other {
                assert!(reports, "never through a link or file: {why}");
            }
            match action {
                RecoveryAction::Nothing => assert_eq!(step, None, "an intent never remains: {why}"),
                RecoveryAction::RollBack => {
                    assert!(staging == Nothing || !promotes, "no complete tree is discarded: {why}");
                    assert_eq!(backup, Nothing, "{why}");
                }
                RecoveryAction::SetAsideAndPromote => {
                    assert_eq!(step, Some(IntentStep::UpdatePromote), "{why}");
                    assert_eq!((staging, local, backup), (Folder, Folder, Nothing), "{why}");
                }
                RecoveryAction::Promote => {
                    assert!(promotes && staging == Folder && local == Nothing, "{why}");
                }
                RecoveryAction::Finish => assert!(promotes && staging == Nothing && local == Folder, "{why}"),
                RecoveryAction::ReplaceInPlace => {
                    assert_eq!(step, Some(UpdateInPlace), "{why}");
                    assert_eq!((staging, local, backup), (Folder, Folder, Nothing), "{why}");
                }
                RecoveryAction::Uninstall => {
                    let expected = match step {
                        Some(IntentStep::Uninstall) => local == Nothing,
                        Some(UninstallInPlace) => local != Folder && backup == Nothing,
                        _ => false,
                    };
                    assert!(expected && staging == Nothing, "{why}");
                }
                RecoveryAction::UninstallInPlace => {
                    assert_eq!(step, Some(UninstallInPlace), "{why}");
                    assert_eq!((staging, local, backup), (Nothing, Folder, Nothing), "{why}");
                }
                RecoveryAction::Remove => assert!(step == Some(IntentStep::Remove) && !sentinel, "{why}"),
                RecoveryAction::Mend => {
                    assert_eq!(step, Some(IntentStep::RepairPromote), "{why}");
                    assert_eq!((local, backup), (Folder, Nothing), "{why}");
                }
                RecoveryAction::Abandon => {
                    let untouched = match step {
                        Some(IntentStep::Uninstall) => local != Nothing,
                        Some(IntentStep::Remove) => sentinel,
                        _ => false,
                    };
                    assert!(untouched && staging == Nothing && backup == Nothing, "{why}");
                }
                RecoveryAction::Report { name, .. } => {
                    let there = if name == STAGING_DIR { staging } else { backup };
                    assert_ne!(there, Nothing, "what is reported exists: {why}");
                }
            }
        }
        assert_eq!(rows, STEPS.len() * 27 * 2);
    }

    /// The rows in which something exists that no crash of this operation leaves. Doing anything there could remove
    /// what the user has put there.
    #[test]
    fn what_no_crash_leaves_is_reported() {
        use IntentStep::{
            InstallBegin, InstallPromote, Remove, RepairBegin, RepairPromote, Uninstall, UninstallInPlace,
            UpdateBegin, UpdateInPlace, UpdatePromote,
        };
        use Standing::{Folder, Nothing};
        let mut reported = 0;
        for (step, found) in every_state() {
            let Standings { staging, local, backup, .. } = found;
            let Some(step) = step else { continue };
            let must_report = match step {
                InstallBegin | UpdateBegin | RepairBegin | RepairPromote => backup != Nothing,
                InstallPromote => backup != Nothing || (staging == Folder && local != Nothing),
                UpdatePromote => {
                    (staging == Folder && local == Folder && backup == Folder)
                        || (staging == Nothing && local != Folder && backup == Folder)
                }
                UpdateInPlace => {
                    backup != Nothing || (staging == Folder && !matches!(local, Folder | Nothing))
                }
                Uninstall => staging != Nothing || (local != Nothing && backup != Nothing),
                UninstallInPlace | Remove => staging != Nothing || backup != Nothing,
            };
            if must_report {
                reported += 1;
                let action = decide(Some(step), found);
                assert!(matches!(action, RecoveryAction::Report { .. }), "{step:?} {found:?}: {action:?}");
            }
        }
        assert!(reported > 100, "{reported}");
    }
}
