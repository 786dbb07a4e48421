//! Installs from the archives of the game root: lists, checks, stages and promotes, or leaves everything as it was.
//!
//! Whatever can be refused without unpacking is refused before anything is written: missing volumes, bad names, too
//! little space, and the loss of the user's files in an old tree.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::error::StoreError;
use lanspread_archive::list::{ListedArchive, list, listings};
use lanspread_archive::provider::{ArchiveProvider, EntrySink};
use lanspread_archive::set::ArchiveSet;
use lanspread_archive::{ArchiveError, SinkError, names};
use lanspread_trust::manifest::{Deviation, ManifestCheck, ManifestFile};
use lanspread_types::content::{ArchiveSummary, EntryStep, InstallTrust, Totals};
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::install::replace::{Replace, permit, refuse_user_files};
use crate::install::staging::StagingSink;
use crate::install::transaction::{InstallOrigin, Transaction};
use crate::state::booking::Booking;
use crate::state::game_state::GameState;
use crate::state::games_dir::GamesDir;

/// Receives the progress of an install from archives.
pub trait UnpackObserver {
    /// Nothing was refused beforehand; unpacking begins.
    fn begun(&mut self, version: &GameVersion, totals: Totals, replaces: bool);
    /// An archive begins.
    fn archive(&mut self, archive: &ArchiveSummary);
    /// `bytes` of `bytes_total` were written. Called at most every [`limits::PROGRESS_INTERVAL`], and for the last
    /// byte.
    fn progress(&mut self, bytes: u64, bytes_total: u64);
}

/// One install of a locked game from its archives on this machine.
pub struct Unpack {
    /// The games directory.
    pub games: Arc<GamesDir>,
    /// Which game.
    pub game: GameId,
    /// Which names are accepted.
    pub policy: NamePolicy,
    /// What is done about an installed tree. A verified one may be replaced if the new one will be verified.
    pub replace: Replace,
    /// The manifest of the game. It counts if it is of the version that is downloaded.
    pub manifest: Option<Arc<ManifestFile>>,
    /// Name of this peer, which the receipt gives as the source.
    pub name: PeerName,
    /// Identity of this peer.
    pub id: PeerId,
    /// Decodes the archives.
    pub provider: Arc<dyn ArchiveProvider>,
    /// Cancels the install, which then returns soon and leaves everything as it was.
    pub cancel: CancellationToken,
}

/// An install that is in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The version.
    pub version: GameVersion,
    /// What was written.
    pub totals: Totals,
    /// Whether each byte was compared with the manifest.
    pub trust: InstallTrust,
}

/// A game with its archives.
struct Downloaded {
    version: GameVersion,
    archives: Vec<ArchiveSet>,
}

/// Installs the game and returns what was installed. Runs on a blocking thread.
///
/// # Errors
/// [`StoreError::NotDownloaded`], [`StoreError::Archive`], [`StoreError::NotAsListed`], [`StoreError::Cancelled`], what
/// [`permit`] refuses, and failures of this machine's disk. Everything is then as it was.
pub fn unpack(install: &Unpack, mut observer: impl UnpackObserver + 'static) -> Result<Unpacked, StoreError> {
    let Unpack { games, game, policy, .. } = install;
    let Downloaded { version, archives } = downloaded(games, game)?;
    let manifest = install.manifest.clone().filter(|manifest| manifest.manifest().version == version);
    let over_verified = install.replace.over_verified || manifest.is_some();
    let replaces = permit(games, game, Replace { over_verified, ..install.replace })?;
    let (listed, totals, needed) =
        list_all(games, game, &archives, *policy, install.provider.as_ref(), &install.cancel)?;
    let mut check = manifest.as_ref().map(|manifest| ManifestCheck::new(manifest.shared()));
    if let Some(check) = &mut check {
        check.announced(totals).map_err(|deviation| install.not_as_listed(deviation))?;
    }
    let booking = Booking::take(games, game, needed)?;
    observer.begun(&version, totals, replaces);
    let trust = if manifest.is_some() { InstallTrust::Verified } else { InstallTrust::Unverified };
    let origin = InstallOrigin {
        version: version.clone(),
        source: install.name.clone(),
        source_id: install.id,
        manifest,
    };
    let (transaction, mut staging) = Transaction::begin(games, game, &origin, *policy, replaces)?;
    staging.announce(needed, booking);
    let bytes_total = totals.bytes;
    let sink =
        ObservedSink { staging, check, deviation: None, observer, bytes: 0, bytes_total, reported: None };
    match install.unpack(listed, sink, replaces) {
        Ok(totals) => {
            transaction.commit()?;
            Ok(Unpacked { version, totals, trust })
        }
        Err(error) => {
            transaction.roll_back_or_log();
            Err(error)
        }
    }
}

/// The version of the archives on this machine and what they would install. They are listed and not unpacked.
///
/// # Errors
/// [`StoreError::NotDownloaded`], [`StoreError::Archive`] and [`StoreError::NoFiles`]; failures of this machine's disk.
pub fn would_install(
    games: &GamesDir,
    game: &GameId,
    policy: NamePolicy,
    provider: &dyn ArchiveProvider,
    cancel: &CancellationToken,
) -> Result<(GameVersion, Totals), StoreError> {
    let Downloaded { version, archives } = downloaded(games, game)?;
    let (_, _, needed) = list_all(games, game, &archives, policy, provider, cancel)?;
    Ok((version, needed))
}

/// Lists archives and checks their names. Returns what they say is in them, and the same with all folders, those on the way
/// to files included.
fn list_all(
    games: &GamesDir,
    game: &GameId,
    archives: &[ArchiveSet],
    policy: NamePolicy,
    provider: &dyn ArchiveProvider,
    cancel: &CancellationToken,
) -> Result<(Vec<ListedArchive>, Totals, Totals), StoreError> {
    let (listed, totals) = list(provider, archives, cancel).map_err(|error| failed(game, error))?;
    if totals.files == 0 {
        return Err(StoreError::NoFiles { game: game.clone(), path: games.root_path(game) });
    }
    let folders = names::check(&listings(&listed), policy).map_err(|error| failed(game, error))?;
    Ok((listed, totals, Totals { directories: folders, ..totals }))
}

fn downloaded(games: &GamesDir, game: &GameId) -> Result<Downloaded, StoreError> {
    let not_downloaded = || StoreError::NotDownloaded { game: game.clone(), path: games.root_path(game) };
    let state = GameState::read(games.path(), game)?.ok_or_else(not_downloaded)?;
    let archives = state.archives().map_err(|gap| {
        let archive = gap.found.first().unwrap_or(&gap.set).clone();
        failed(game, ArchiveError::VolumeMissing { archive, reason: gap.to_string() })
    })?;
    match state.version {
        Some(version) if !archives.is_empty() => Ok(Downloaded { version, archives }),
        _ => Err(not_downloaded()),
    }
}

/// Tells faults of the archive from those of this machine's disk and from a cancellation.
fn failed(game: &GameId, error: ArchiveError) -> StoreError {
    match error {
        ArchiveError::Cancelled => StoreError::Cancelled,
        ArchiveError::Sink(SinkError::Local(error)) => error.into(),
        source => StoreError::Archive { game: game.clone(), source },
    }
}

impl Unpack {
    /// Decodes every archive into staging. Then checks the user's files once more, as late as possible.
    fn unpack(
        &self,
        archives: Vec<ListedArchive>,
        sink: ObservedSink<impl UnpackObserver + 'static>,
        replaces: bool,
    ) -> Result<Totals, StoreError> {
        let sink = Rc::new(RefCell::new(sink));
        for archive in archives {
            let shared = Rc::clone(&sink);
            archive.extract(self.provider.as_ref(), shared, &self.cancel).map_err(|error| {
                // The sink has stopped the decoder for this reason.
                match sink.borrow_mut().deviation.take() {
                    Some(deviation) => self.not_as_listed(deviation),
                    None => failed(&self.game, error),
                }
            })?;
        }
        let Some(sink) = Rc::into_inner(sink).map(RefCell::into_inner) else {
            return Err(StoreError::Internal("the decoder kept the staging folder".to_owned()));
        };
        if let Some(check) = &sink.check {
            check.complete().map_err(|deviation| self.not_as_listed(deviation))?;
        }
        let installed = sink.staging.complete()?;
        if replaces && !self.replace.force {
            refuse_user_files(&self.games, &self.game)?;
        }
        if self.cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        Ok(installed)
    }

    fn not_as_listed(&self, deviation: Deviation) -> StoreError {
        StoreError::NotAsListed { game: self.game.clone(), deviation: Box::new(deviation) }
    }
}

/// The staging sink, with reports of its progress.
struct ObservedSink<O> {
    staging: StagingSink,
    /// Judges everything before it is staged.
    check: Option<ManifestCheck>,
    /// Why the sink takes nothing more.
    deviation: Option<Deviation>,
    observer: O,
    bytes: u64,
    bytes_total: u64,
    reported: Option<Instant>,
}

impl<O: UnpackObserver> ObservedSink<O> {
    /// Counts bytes. Reports them if the last report is long enough ago, or if they are the last.
    fn advance(&mut self, bytes: u64) {
        self.bytes += bytes;
        let due = self.reported.is_none_or(|at| at.elapsed() >= limits::PROGRESS_INTERVAL);
        if due || self.bytes == self.bytes_total {
            self.reported = Some(Instant::now());
            self.observer.progress(self.bytes, self.bytes_total);
        }
    }
}

impl<O: UnpackObserver> EntrySink for ObservedSink<O> {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        let bytes = match &step {
            EntryStep::ArchiveBegin(archive) => {
                self.observer.archive(archive);
                0
            }
            EntryStep::Data(bytes) => bytes.len() as u64,
            EntryStep::Copy(copy) => copy.size,
            _ => 0,
        };
        if let Some(check) = &mut self.check
            && let Err(deviation) = check.take(&step, |bytes| bytes)
        {
            self.deviation = Some(deviation);
            return Err(SinkError::Closed);
        }
        self.staging.take(step)?;
        if bytes > 0 {
            self.advance(bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::Mutex;

    use lanspread_archive::provider::OpenArchive;
    use lanspread_testing::fake_archive::FakeArchive;
    use lanspread_testing::machine::{Machine, Tree, tree};
    use lanspread_testing::small_game;
    use lanspread_types::content::FileEntry;
    use lanspread_types::entry_path::EntryPath;

    use super::*;

    const CONTENT: &[u8] = b"four";

    /// Ignores all reports.
    struct Unheard;

    impl UnpackObserver for Unheard {
        fn begun(&mut self, _: &GameVersion, _: Totals, _: bool) {}
        fn archive(&mut self, _: &ArchiveSummary) {}
        fn progress(&mut self, _: u64, _: u64) {}
    }

    /// Unpacks one file, and calls a function in the middle of it.
    struct Meddling<F>(Mutex<F>);

    fn file() -> FileEntry {
        let path = EntryPath::parse("file", NamePolicy::Portable).unwrap();
        FileEntry { path, size: CONTENT.len() as u64, checksum: None, modified: None, executable: false }
    }

    impl<F: FnMut() -> Result<(), ArchiveError> + Send + Clone + 'static> ArchiveProvider for Meddling<F> {
        fn open(
            &self,
            set: &ArchiveSet,
            _: &CancellationToken,
        ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
            let mut meddle = self.0.lock().unwrap().clone();
            Ok(FakeArchive::of_file(set.name(), file(), move |push, _| {
                push(EntryStep::Data(&CONTENT[..2]))?;
                meddle()?;
                Ok(push(EntryStep::Data(&CONTENT[2..]))?)
            }))
        }
    }

    struct Fixture {
        machine: Machine,
        cancel: CancellationToken,
    }

    impl Fixture {
        fn new() -> Self {
            let machine = Machine::new();
            small_game::download(&machine.games_dir());
            Self { machine, cancel: CancellationToken::new() }
        }

        fn install(
            &self,
            replace: Replace,
            meddle: impl FnMut() -> Result<(), ArchiveError> + Send + Clone + 'static,
        ) -> Result<Unpacked, StoreError> {
            let install = Unpack {
                games: Arc::new(GamesDir::open(&self.machine.games_dir()).unwrap()),
                game: small_game::game(),
                policy: NamePolicy::Portable,
                replace,
                manifest: None,
                name: "here".parse().unwrap(),
                id: PeerId::random().unwrap(),
                provider: Arc::new(Meddling(Mutex::new(meddle))),
                cancel: self.cancel.clone(),
            };
            unpack(&install, Unheard)
        }

        fn local(&self) -> PathBuf {
            self.machine.games_dir().join("small/local")
        }

        fn everything(&self) -> Tree {
            let mut everything = self.machine.everything();
            // The lock of an operation removes empty folders of our state; this test has no lock.
            everything.remove(".lanspread/intents");
            everything
        }
    }

    const NEW: Replace = Replace { allowed: false, force: false, over_verified: false };
    const UPDATE: Replace = Replace { allowed: true, ..NEW };

    /// The user keeps playing while an update is unpacked.
    #[test]
    fn a_file_that_the_user_saves_during_an_update_is_not_lost() {
        let fixture = Fixture::new();
        fixture.install(NEW, || Ok(())).unwrap();
        let saved = fixture.local().join("save");
        let meddle = move || {
            fs::write(&saved, "mine").unwrap();
            Ok(())
        };
        let before = fixture.everything();
        let error = fixture.install(UPDATE, meddle.clone()).unwrap_err();
        assert!(matches!(error, StoreError::UserFiles { .. }), "{error:?}");
        let mut behind = fixture.everything();
        assert!(behind.remove("small/local/save").is_some());
        assert_eq!(behind, before, "with the old receipt");
        fixture.install(Replace { force: true, ..UPDATE }, meddle).unwrap();
        assert_eq!(tree(&fixture.local()).into_keys().collect::<Vec<_>>(), ["file"]);
    }

    /// Cancelled or failed in the middle of a file, with and without an installed tree.
    #[test]
    fn a_failure_in_the_middle_leaves_everything_as_it_was() {
        let fixture = Fixture::new();
        for replace in [NEW, UPDATE] {
            let before = fixture.everything();
            let error = fixture.install(replace, || Err(ArchiveError::Cancelled)).unwrap_err();
            assert!(matches!(error, StoreError::Cancelled), "{error:?}");
            let damaged = || {
                let (archive, reason) = ("small.eti".to_owned(), "broken".to_owned());
                Err(ArchiveError::Corrupt { archive, entry: None, reason })
            };
            let error = fixture.install(replace, damaged).unwrap_err();
            assert_eq!(error.code(), "archive-damaged");
            let mut behind = fixture.everything();
            behind.retain(|path, _| before.contains_key(path) || !path.starts_with(".lanspread"));
            assert_eq!(behind, before);
            if replace == NEW {
                fixture.install(NEW, || Ok(())).unwrap();
            }
        }
    }

    /// A cancellation after the last byte counts too: nothing is promoted.
    #[test]
    fn cancelled_before_the_commit_nothing_is_installed() {
        let fixture = Fixture::new();
        let cancel = fixture.cancel.clone();
        let error = fixture
            .install(NEW, move || {
                cancel.cancel();
                Ok(())
            })
            .unwrap_err();
        assert!(matches!(error, StoreError::Cancelled), "{error:?}");
        assert!(!fixture.local().exists());
    }
}
