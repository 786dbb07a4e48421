//! From an intent to an installed tree, or back to the state before.
//!
//! Invariant: if the process is killed between any two steps, the next `recovery::recover` restores
//! exactly the old state or completes exactly the new one. The order of the steps ensures this:
//!
//! 1. intent *begin*, durable; game root; staging. Without an intent nothing is ours.
//! 2. content into staging, verified; draft of the receipt
//! 3. everything synced, then intent *promote*, durable. A promoted intent means a durable tree.
//! 4. an old `local/` renamed to the backup, staging renamed to `local/`, never replacing. The install has succeeded.
//! 5. game root synced; receipt published; backup removed; intent cleared. Failures are reported as
//!    [`LocalError::Unfinished`] and left to recovery.
//!
//! A rename alone is not durable: an unsynced staging folder and its rename have been seen to vanish together.

use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use lanspread_types::layout::{BACKUP_DIR, LOCAL_DIR, STAGING_DIR};

use crate::error::StoreError;
use crate::install::staging::StagingSink;
use crate::install::steps;
use crate::install::steps::DiskStep;
use crate::install::tree_repair::TreeRepair;
use crate::state::games_dir::{GamesDir, create_folder, open_root, sync_file_system};
use crate::state::intent;
use crate::state::intent::{Intent, IntentStep};
use crate::state::receipt::{ReceiptDraft, ReceiptHead};
use crate::state::standing::{Standing, standing};
use crate::state::tree::open_local;

/// An install that has begun on disk. It ends with [`Self::commit`] or [`Self::roll_back_or_log`]. If it is only dropped, the
/// next recovery rolls it back.
#[derive(Debug)]
pub struct Transaction {
    games: Arc<GamesDir>,
    game: GameId,
    intent: Intent,
}

/// What is installed, and from whom.
#[derive(Debug, Clone)]
pub struct InstallOrigin {
    /// The version.
    pub version: GameVersion,
    /// Name of the peer it came from.
    pub source: PeerName,
    /// Identity of that peer.
    pub source_id: PeerId,
    /// The manifest with which everything is compared before it is staged, which makes the tree *verified*.
    pub manifest: Option<Arc<ManifestFile>>,
}

impl Transaction {
    /// Records the intent and creates the staging folder. `replace` means that the new tree replaces an installed one.
    /// On an error, everything is rolled back.
    pub fn begin(
        games: &Arc<GamesDir>,
        game: &GameId,
        origin: &InstallOrigin,
        policy: NamePolicy,
        replace: bool,
    ) -> Result<(Self, StagingSink), LocalError> {
        if standing(games, game, STAGING_DIR)? != Standing::Nothing {
            // Recovery has just found nothing there, and only what begins after the intent is ours.
            let shown = games.root_path(game).join(STAGING_DIR);
            return Err(LocalError::io("create", shown)(io::ErrorKind::AlreadyExists.into()));
        }
        let step = if replace { IntentStep::UpdateBegin } else { IntentStep::InstallBegin };
        let mut intent = Intent::new(step);
        intent.created_root = !games.dir().exists(game.as_str());
        intent::write(games, game, &intent).inspect_err(|_| clear_quietly(games, game))?;
        let transaction = Self { games: Arc::clone(games), game: game.clone(), intent };
        match transaction.create_staging() {
            Ok(staging) => match transaction.draft(origin) {
                Ok(receipt) => {
                    let shown = games.root_path(game).join(STAGING_DIR);
                    let manifest = origin.manifest.as_ref().map(|manifest| manifest.shared());
                    Ok((transaction, StagingSink::new(staging, shown, policy, receipt, manifest)))
                }
                Err(error) => {
                    transaction.roll_back_or_log();
                    Err(error)
                }
            },
            Err(error) => {
                // What is in the place of staging is not ours.
                transaction.run_or_log(transaction.abandoning());
                Err(error)
            }
        }
    }

    /// Records the intent of a repair of the installed tree, and creates the staging folder. The sink takes only what the
    /// repair wants. On an error, everything is rolled back.
    ///
    /// # Errors
    /// [`StoreError::NotInstalled`] if the tree is gone; [`StoreError::Foreign`]; failures of this machine's disk.
    pub fn begin_repair(
        games: &Arc<GamesDir>,
        game: &GameId,
        repair: &Arc<TreeRepair>,
        policy: NamePolicy,
    ) -> Result<(Self, StagingSink), StoreError> {
        let shown = games.root_path(game).join(STAGING_DIR);
        if standing(games, game, STAGING_DIR)? != Standing::Nothing {
            return Err(LocalError::io("create", shown)(io::ErrorKind::AlreadyExists.into()).into());
        }
        let path = games.root_path(game).join(LOCAL_DIR);
        let gone = || StoreError::NotInstalled { game: game.clone(), path };
        let local = open_local(games, game)?.ok_or_else(gone)?;
        let intent = Intent::new(IntentStep::RepairBegin);
        intent::write(games, game, &intent).inspect_err(|_| clear_quietly(games, game))?;
        let transaction = Self { games: Arc::clone(games), game: game.clone(), intent };
        let staging = transaction.create_staging().inspect_err(|_| {
            // What is in the place of staging is not ours.
            transaction.run_or_log(transaction.abandoning());
        })?;
        let draft = repair.draft(games, game).inspect_err(|_| transaction.roll_back_or_log())?;
        Ok((transaction, StagingSink::for_repair(staging, shown, policy, draft, repair, local)))
    }

    fn create_staging(&self) -> Result<Dir, LocalError> {
        let (games, game) = (&self.games, &self.game);
        let shown = games.root_path(game);
        if self.intent.created_root {
            create_folder(games.dir(), game.as_str()).map_err(LocalError::io("create", &shown))?;
        }
        let root = open_root(games, game)?;
        let shown = shown.join(STAGING_DIR);
        create_folder(&root, STAGING_DIR).map_err(LocalError::io("create", &shown))?;
        root.open_dir(STAGING_DIR).map_err(LocalError::io("open", &shown))
    }

    fn draft(&self, origin: &InstallOrigin) -> Result<ReceiptDraft, LocalError> {
        let InstallOrigin { version, source, source_id, manifest } = origin;
        let manifest = manifest.as_ref().map(|manifest| manifest.digest());
        let head = ReceiptHead::new(&self.game, version, source, *source_id, manifest);
        ReceiptDraft::create(&self.games, &head)
    }

    fn abandoning(&self) -> &'static [DiskStep] {
        if self.intent.created_root { steps::ABANDON_INSTALL_WITH_ROOT } else { steps::ABANDON_INSTALL }
    }

    /// Promotes a complete staging folder, or rolls everything back. After the renames it has succeeded, and what fails
    /// then is reported and left to recovery.
    ///
    /// # Errors
    /// If syncing, recording the promotion or a rename failed: everything is as it was. [`LocalError::Unfinished`] if
    /// the new tree is in its place and something failed after that.
    pub fn commit(&self) -> Result<(), LocalError> {
        let (renames, behind) = self.promotion();
        let promoted = self
            .sync_content()
            .and_then(|()| self.record_promotion())
            .and_then(|()| steps::run(renames, &self.games, &self.game));
        let tree = self.games.root_path(&self.game).join(LOCAL_DIR);
        if let Err(error) = promoted {
            return Err(match self.withdraw() {
                Withdrawn::AsItWas => error,
                Withdrawn::LeftToRecovery => error.after(tree, "being replaced"),
            });
        }
        let done = match self.intent.step {
            IntentStep::RepairBegin => "repaired",
            IntentStep::UpdateBegin => "updated",
            _ => "installed",
        };
        steps::run(behind, &self.games, &self.game).map_err(|error| error.after(tree, done))
    }

    /// The steps that can be undone, and those after them.
    fn promotion(&self) -> (&'static [DiskStep], &'static [DiskStep]) {
        match self.intent.step {
            IntentStep::RepairBegin => steps::REPAIR.split_at(steps::REPAIR_RENAMES),
            IntentStep::UpdateBegin => steps::UPDATE.split_at(steps::UPDATE_RENAMES),
            _ => steps::INSTALL.split_at(steps::INSTALL_RENAMES),
        }
    }

    fn replaces(&self) -> bool {
        self.intent.step == IntentStep::UpdateBegin
    }

    /// Rolls back a commit that failed. First the old tree is put back and the promotion is withdrawn: if the process
    /// is killed in the middle of the removal, recovery must not take the rest for a complete tree. If that cannot be
    /// done or recorded, or if the old tree is already being removed, the new tree stays, and recovery promotes it.
    fn withdraw(&self) -> Withdrawn {
        match self.put_back().and_then(|()| self.withdraw_promotion()) {
            Ok(true) => {
                self.roll_back_or_log();
                Withdrawn::AsItWas
            }
            Ok(false) => Withdrawn::LeftToRecovery,
            Err(error) => {
                tracing::error!("{}: the commit is left to recovery: {error}", self.game);
                Withdrawn::LeftToRecovery
            }
        }
    }

    /// Whether the intent on disk is that of an operation that has not been promoted, or is now.
    fn withdraw_promotion(&self) -> Result<bool, LocalError> {
        match intent::read(&self.games, &self.game) {
            // Writing it again would need space that a full disk does not have.
            Ok(Some(recorded)) if recorded == self.intent => Ok(true),
            Ok(Some(recorded)) if recorded.is_in_place() => Ok(false),
            _ => intent::write(&self.games, &self.game, &self.intent).map(|()| true),
        }
    }

    fn put_back(&self) -> Result<(), LocalError> {
        let (games, game) = (&self.games, &self.game);
        let was_set_aside = standing(games, game, BACKUP_DIR)? == Standing::Folder
            && standing(games, game, LOCAL_DIR)? == Standing::Nothing;
        if self.replaces() && was_set_aside {
            steps::put_back(games, game)?;
            // Durable before the intent says that nothing was set aside.
            steps::sync_root(games, game)?;
        }
        Ok(())
    }

    fn sync_content(&self) -> Result<(), LocalError> {
        // One syncfs replaces an fsync of every file and folder of the tree and of the receipt's draft.
        let root = open_root(&self.games, &self.game)?;
        sync_file_system(&root, &self.games.root_path(&self.game))
    }

    fn record_promotion(&self) -> Result<(), LocalError> {
        let step = match self.intent.step {
            IntentStep::RepairBegin => IntentStep::RepairPromote,
            IntentStep::UpdateBegin => IntentStep::UpdatePromote,
            _ => IntentStep::InstallPromote,
        };
        intent::write(&self.games, &self.game, &self.intent.at(step))
    }

    /// Goes no further than a process that is killed before or after the promotion is recorded.
    #[cfg(test)]
    pub(crate) fn stop_before_promotion(&self, records: bool) {
        self.sync_content().unwrap();
        if records {
            self.record_promotion().unwrap();
        }
    }

    /// Removes everything that this install created.
    #[cfg(test)]
    fn roll_back(&self) -> Result<(), LocalError> {
        steps::run(self.rolling_back(), &self.games, &self.game)
    }

    fn rolling_back(&self) -> &'static [DiskStep] {
        if self.intent.created_root { steps::ROLL_BACK_WITH_ROOT } else { steps::ROLL_BACK }
    }

    /// Rolls back while another error is already being reported; a failure is only logged.
    pub fn roll_back_or_log(&self) {
        self.run_or_log(self.rolling_back());
    }

    fn run_or_log(&self, steps: &[DiskStep]) {
        if let Err(error) = steps::run(steps, &self.games, &self.game) {
            tracing::error!("{}: the roll-back is left to recovery: {error}", self.game);
        }
    }
}

/// What became of a commit that failed.
enum Withdrawn {
    /// Nothing of it is left.
    AsItWas,
    /// Recovery completes it.
    LeftToRecovery,
}

/// Runs an operation that needs no staging: the intent, then its steps. Until the first step is done, the operation can
/// be abandoned. After it there is no return, and what fails is reported and left to recovery. `done` says, as a
/// participle, what the first step makes of the game.
///
/// # Errors
/// If the intent or the first step failed: everything is as it was. [`LocalError::Unfinished`] if something failed
/// after that.
pub fn run_without_return(
    games: &GamesDir,
    game: &GameId,
    intent: IntentStep,
    steps: &[DiskStep],
    done: &'static str,
) -> Result<(), LocalError> {
    let (first, rest) = steps.split_at(1);
    let begun =
        intent::write(games, game, &Intent::new(intent)).and_then(|()| steps::run(first, games, game));
    if let Err(error) = begun {
        if intent::removes_in_place(games.path(), game) {
            return Err(error.after(games.root_path(game), done));
        }
        clear_quietly(games, game);
        return Err(error);
    }
    steps::run(rest, games, game).map_err(|error| error.after(games.root_path(game), done))
}

fn clear_quietly(games: &GamesDir, game: &GameId) {
    if let Err(error) = intent::clear(games, game) {
        tracing::debug!("{game}: {error}");
    }
}

#[cfg(test)]
mod disk_fault_tests;
#[cfg(test)]
mod tests;
