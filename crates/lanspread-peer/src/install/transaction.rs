//! From an intent to an installed tree, or back to nothing.
//!
//! Invariant: killed between any two steps, the next [`super::recovery::recover`] leads to exactly the old state or
//! exactly the new one. The order that makes it so:
//!
//! 1. intent *begin*, durable; game root; staging                        — nothing is ours without an intent
//! 2. content into staging, verified; receipt draft
//! 3. everything synced, then intent *promote*, durable                   — a promoted intent means a durable tree
//! 4. staging renamed to `local/`, never replacing; game root synced      — from here on the install has succeeded
//! 5. receipt published; intent cleared                                   — failures are left to recovery
//!
//! A rename alone is not durable: an unsynced staging folder and its rename have been seen to vanish together.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::RenameFlags;

use super::games_dir::{GamesDir, sync_file_system, sync_folder};
use super::intent::{self, Intent};
use super::receipt::{self, ReceiptDraft};
use super::staging::StagingSink;
use crate::archive::entry::NamePolicy;
use crate::fault::LocalError;
use crate::game::{GameId, GameVersion, PeerId, PeerName};
use crate::library::layout::{LOCAL_DIR, STAGING_DIR};

/// An attempt that has begun on disk. It ends with [`Self::commit`] or [`Self::roll_back`]; one that is merely dropped
/// is rolled back by the next recovery.
#[derive(Debug)]
pub(crate) struct Transaction {
    games: Arc<GamesDir>,
    game: GameId,
    intent: Intent,
}

/// What is installed, and from whom.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) version: GameVersion,
    pub(crate) source: PeerName,
    pub(crate) source_id: PeerId,
}

impl Transaction {
    /// Records the intent and makes the staging folder. On an error nothing is left.
    pub(crate) fn begin(
        games: &Arc<GamesDir>,
        game: &GameId,
        origin: &Origin,
        policy: NamePolicy,
    ) -> Result<(Self, StagingSink), LocalError> {
        let created_root = !games.dir().exists(game.as_str());
        let intent = Intent::begin(created_root, &origin.version, &origin.source, origin.source_id);
        intent::write(games, game, &intent).inspect_err(|_| clear_quietly(games, game))?;
        let transaction = Self { games: Arc::clone(games), game: game.clone(), intent };
        match transaction.prepare(origin, policy) {
            Ok(sink) => Ok((transaction, sink)),
            Err(error) => {
                transaction.roll_back_or_log();
                Err(error)
            }
        }
    }

    fn prepare(&self, origin: &Origin, policy: NamePolicy) -> Result<StagingSink, LocalError> {
        let (games, game) = (&self.games, &self.game);
        let shown = games.root_path(game);
        if self.intent.created_root {
            games.dir().create_dir(game.as_str()).map_err(LocalError::io("create", &shown))?;
        }
        let root = open_root(games, game)?;
        let shown = shown.join(STAGING_DIR);
        root.create_dir(STAGING_DIR).map_err(LocalError::io("create", &shown))?;
        let staging = root.open_dir(STAGING_DIR).map_err(LocalError::io("open", &shown))?;
        let receipt = ReceiptDraft::create(games, game, &origin.version, &origin.source, origin.source_id)?;
        Ok(StagingSink::new(staging, shown, policy, receipt))
    }

    /// Promotes a complete staging folder, or rolls everything back. After the rename it succeeds whatever happens
    /// behind it.
    pub(crate) fn commit(&self) -> Result<(), LocalError> {
        for step in COMMIT_STEPS {
            if let Err(error) = step(self) {
                self.withdraw();
                return Err(error);
            }
        }
        if let Err(error) = finish(&self.games, &self.game) {
            tracing::warn!("{} is installed, but its records are not in order yet: {error}", self.game);
        }
        Ok(())
    }

    /// Rolls back a commit that failed. The promotion is taken back first: killed in the middle of the removal,
    /// recovery must not take the rest for a complete tree. Where that cannot be recorded the tree stays, and
    /// recovery promotes it.
    fn withdraw(&self) {
        match intent::write(&self.games, &self.game, &self.intent) {
            Ok(()) => self.roll_back_or_log(),
            Err(error) => tracing::error!("{}: the commit is left to the next command: {error}", self.game),
        }
    }

    fn sync_content(&self) -> Result<(), LocalError> {
        // One syncfs stands for an fsync of every file and folder of the tree, and of the receipt's draft.
        let root = open_root(&self.games, &self.game)?;
        sync_file_system(&root, &self.games.root_path(&self.game))
    }

    fn record_promotion(&self) -> Result<(), LocalError> {
        intent::write(&self.games, &self.game, &self.intent.clone().promote())
    }

    fn promote(&self) -> Result<(), LocalError> {
        promote(&self.games, &self.game)
    }

    /// Removes everything the attempt made.
    pub(crate) fn roll_back(&self) -> Result<(), LocalError> {
        roll_back(&self.games, &self.game, self.intent.created_root)
    }

    /// Rolls back where another error is being reported already.
    pub(crate) fn roll_back_or_log(&self) {
        if let Err(error) = self.roll_back() {
            tracing::error!("{}: the roll-back is left to the next command: {error}", self.game);
        }
    }
}

type CommitStep = fn(&Transaction) -> Result<(), LocalError>;

/// The steps between a complete staging folder and an installed tree, one change of state each.
const COMMIT_STEPS: [CommitStep; 3] =
    [Transaction::sync_content, Transaction::record_promotion, Transaction::promote];

fn open_root(games: &GamesDir, game: &GameId) -> Result<Dir, LocalError> {
    games.dir().open_dir(game.as_str()).map_err(LocalError::io("open", games.root_path(game)))
}

/// Renames staging to `local/`, durably, never replacing anything.
pub(crate) fn promote(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let root = open_root(games, game)?;
    let shown = games.root_path(game).join(LOCAL_DIR);
    let renamed = rustix::fs::renameat_with(&root, STAGING_DIR, &root, LOCAL_DIR, RenameFlags::NOREPLACE);
    match renamed {
        // Some file systems cannot promise not to replace; the game is locked, so looking first is enough for us.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if root.symlink_metadata(LOCAL_DIR).is_ok() {
                return Err(LocalError::io("create", &shown)(io::ErrorKind::AlreadyExists.into()));
            }
            root.rename(STAGING_DIR, &root, LOCAL_DIR).map_err(LocalError::io("create", &shown))?;
        }
        other => other.map_err(|error| LocalError::io("create", &shown)(error.into()))?,
    }
    if let Err(error) = sync_folder(&root, &shown).and_then(|()| sync_folder(games.dir(), games.path())) {
        // The rename is done and cannot be undone safely; the promoted intent stays until it is durable.
        tracing::warn!("{game} is installed, but not yet durably: {error}");
    }
    Ok(())
}

/// Behind the promotion: publishes the receipt and clears the intent.
pub(crate) fn finish(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    receipt::publish(games, game)?;
    intent::clear(games, game)
}

/// Removes staging, the receipt's draft, a game root that the operation made, and last the intent.
pub(crate) fn roll_back(games: &GamesDir, game: &GameId, created_root: bool) -> Result<(), LocalError> {
    let staging = Path::new(game.as_str()).join(STAGING_DIR);
    let shown: PathBuf = games.path().join(&staging);
    absent_is_fine(games.dir().remove_dir_all(&staging)).map_err(LocalError::io("remove", &shown))?;
    receipt::discard(games, game)?;
    if created_root {
        // Not empty means that somebody else put something there.
        match games.dir().remove_dir(game.as_str()) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            other => absent_is_fine(other).map_err(LocalError::io("remove", games.root_path(game)))?,
        }
    }
    intent::clear(games, game)
}

fn clear_quietly(games: &GamesDir, game: &GameId) {
    if let Err(error) = intent::clear(games, game) {
        tracing::debug!("{game}: {error}");
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::archive::entry::EntryPath;
    use crate::archive::provider::{EntrySink, FileEntry};
    use crate::error::PeerError;
    use crate::install::recovery::recover;

    fn origin() -> Origin {
        Origin {
            version: "1".parse().unwrap(),
            source: "pc".parse().unwrap(),
            source_id: PeerId::random().unwrap(),
        }
    }

    struct Fixture {
        folder: tempfile::TempDir,
        games: Arc<GamesDir>,
        game: GameId,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let games = Arc::new(GamesDir::open(folder.path()).unwrap());
        Fixture { folder, games, game: "g".parse().unwrap() }
    }

    impl Fixture {
        fn begin(&self) -> (Transaction, StagingSink) {
            Transaction::begin(&self.games, &self.game, &origin(), NamePolicy::Portable).unwrap()
        }

        fn fill(&self) -> Transaction {
            let (transaction, mut sink) = self.begin();
            let path = EntryPath::parse("data/file", NamePolicy::Portable).unwrap();
            let entry = FileEntry { path, size: 3, crc32: None, modified: None, executable: false };
            sink.file_begin(&entry).unwrap();
            sink.chunk(b"abc").unwrap();
            sink.file_end(crc32fast::hash(b"abc")).unwrap();
            sink.complete().unwrap();
            transaction
        }

        fn everything(&self) -> Vec<String> {
            fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
                for entry in fs::read_dir(folder).unwrap() {
                    let entry = entry.unwrap();
                    let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                    if entry.file_type().unwrap().is_dir() {
                        walk(&entry.path(), &format!("{name}/"), found);
                    } else {
                        found.push(name);
                    }
                }
            }
            let mut found = Vec::new();
            walk(self.folder.path(), "", &mut found);
            found.sort();
            found
        }
    }

    #[test]
    fn a_commit_leaves_the_tree_and_its_receipt_and_nothing_else() {
        let fixture = fixture();
        fixture.fill().commit().unwrap();
        assert_eq!(fixture.everything(), [".lanspread/receipts/g.jsonl", "g/local/data/file"]);
    }

    #[test]
    fn a_roll_back_leaves_the_machine_as_it_was() {
        for root_was_there in [false, true] {
            let fixture = fixture();
            if root_was_there {
                fs::create_dir(fixture.folder.path().join("g")).unwrap();
                fs::write(fixture.folder.path().join("g/notes.txt"), "mine").unwrap();
            }
            let before = fixture.everything();
            fixture.fill().roll_back().unwrap();
            assert_eq!(fixture.everything(), before);
            assert_eq!(fixture.folder.path().join("g").exists(), root_was_there);
        }
    }

    /// Killed after any number of steps, and in recovery once more, it is the old state or the new one.
    #[test]
    fn killed_between_any_two_steps_recovery_gives_old_or_new() {
        const NEW: [&str; 2] = [".lanspread/receipts/g.jsonl", "g/local/data/file"];
        // 0: killed while receiving; 1..=3: after that many commit steps; 4: after the receipt as well.
        for steps in 0..=4 {
            let fixture = fixture();
            if steps == 0 {
                let (transaction, mut sink) = fixture.begin();
                let path = EntryPath::parse("half", NamePolicy::Portable).unwrap();
                let entry = FileEntry { path, size: 9, crc32: None, modified: None, executable: false };
                sink.file_begin(&entry).unwrap();
                sink.chunk(b"abc").unwrap();
                drop((transaction, sink));
            } else {
                let transaction = fixture.fill();
                for step in COMMIT_STEPS.iter().take(steps) {
                    step(&transaction).unwrap();
                }
                if steps == 4 {
                    receipt::publish(&fixture.games, &fixture.game).unwrap();
                }
            }
            let done = recover(&fixture.games, &fixture.game).unwrap();
            // The promotion is recorded by the second step: from there on the new state, before it the old one.
            let expected: &[&str] = if steps >= 2 { &NEW } else { &[] };
            assert_eq!(fixture.everything(), expected, "killed after {steps} steps, recovery said {done:?}");
            assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), None, "recovery is idempotent");
        }
    }

    #[test]
    fn a_local_folder_made_meanwhile_is_never_replaced() {
        let fixture = fixture();
        let transaction = fixture.fill();
        fs::create_dir(fixture.folder.path().join("g/local")).unwrap();
        let error = transaction.commit().unwrap_err();
        assert!(error.to_string().contains("local"), "{error}");
        assert!(fixture.folder.path().join("g/local").is_dir());
        assert_eq!(fixture.everything(), [""; 0], "rolled back");
    }

    #[test]
    fn what_is_not_ours_is_reported_and_left_alone() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("precious"), "kept").unwrap();
        for (kind, with_intent) in [("folder", false), ("file", false), ("link", false), ("link", true)] {
            let fixture = fixture();
            let root = fixture.folder.path().join("g");
            fs::create_dir(&root).unwrap();
            if with_intent {
                let origin = origin();
                let intent = Intent::begin(false, &origin.version, &origin.source, origin.source_id);
                intent::write(&fixture.games, &fixture.game, &intent).unwrap();
            }
            let staging = root.join(STAGING_DIR);
            match kind {
                "folder" => fs::create_dir(&staging).unwrap(),
                "file" => fs::write(&staging, "").unwrap(),
                _ => std::os::unix::fs::symlink(outside.path(), &staging).unwrap(),
            }
            let result = recover(&fixture.games, &fixture.game);
            assert!(matches!(result, Err(PeerError::ForeignState { .. })), "{kind}: {result:?}");
            assert!(staging.symlink_metadata().is_ok(), "{kind} is still there");
        }
        assert!(outside.path().join("precious").exists());
    }

    #[test]
    fn a_link_planted_at_staging_is_not_removed_through() {
        let fixture = fixture();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("precious"), "kept").unwrap();
        let (transaction, _sink) = fixture.begin();
        let staging = fixture.folder.path().join("g").join(STAGING_DIR);
        fs::remove_dir_all(&staging).unwrap();
        std::os::unix::fs::symlink(outside.path(), &staging).unwrap();
        let _ = transaction.roll_back();
        assert!(outside.path().join("precious").exists());
    }
}
