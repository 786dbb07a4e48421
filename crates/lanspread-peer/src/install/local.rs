//! Installs from the archives of the game root: list, check, stage, promote — or leave everything as it was.
//!
//! Everything that can be refused without unpacking is refused before anything is written: volumes, names, space, and
//! the user's files in an old tree.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use lanspread_archive::list::{ListedArchive, list};
use lanspread_archive::provider::{ArchiveProvider, EntrySink, ListedEntry};
use lanspread_archive::set::ArchiveSet;
use lanspread_archive::{ArchiveError, SinkError};
use lanspread_types::content::{ArchiveSummary, EntryStep, Totals};
use lanspread_types::entry_path::{EntryKind, EntryPath, NameError, NamePolicy, PathIndex};
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use lanspread_types::limits;
use lanspread_types::text::printable;
use tokio_util::sync::CancellationToken;

use super::games_dir::GamesDir;
use super::replace::{Replace, permit, refuse_user_files};
use super::space::{self, Booking};
use super::staging::StagingSink;
use super::transaction::{Origin, Transaction};
use crate::error::PeerError;
use crate::event::{EventSender, PeerEvent};
use crate::library::state::GameState;

/// One install from archives that are here, of a game that is locked.
pub(crate) struct LocalInstall {
    pub(crate) games: Arc<GamesDir>,
    pub(crate) game: GameId,
    pub(crate) policy: NamePolicy,
    pub(crate) replace: Replace,
    /// This peer, the origin of what it unpacks.
    pub(crate) name: PeerName,
    pub(crate) id: PeerId,
    pub(crate) provider: Arc<dyn ArchiveProvider>,
    pub(crate) events: EventSender,
    pub(crate) cancel: CancellationToken,
}

/// A game whose archives are here.
struct Downloaded {
    version: GameVersion,
    archives: Vec<ArchiveSet>,
}

/// Installs the game. Runs on a blocking thread; cancelling makes it return soon.
pub(crate) fn install(install: &LocalInstall) -> Result<(GameVersion, Totals), PeerError> {
    let LocalInstall { games, game, policy, replace, .. } = install;
    let Downloaded { version, archives } = install.downloaded()?;
    let replaces = permit(games, game, *replace)?;
    let (listed, totals) =
        list(install.provider.as_ref(), &archives, &install.cancel).map_err(|error| install.failed(error))?;
    check_names(&listed, *policy).map_err(|error| install.failed(error))?;
    let booking = Booking::take(games, game, space::needed_bytes(totals))?;
    install.events.report(PeerEvent::InstallBegin {
        game: game.clone(),
        version: version.clone(),
        bytes_total: totals.bytes,
        replaces,
    });
    let origin = Origin { version: version.clone(), source: install.name.clone(), source_id: install.id };
    let (transaction, sink) = Transaction::begin(games, game, &origin, *policy, replaces)?;
    let sink = LocalSink::new(install, sink, totals, booking);
    match install.unpack(listed, sink, replaces) {
        Ok(installed) => {
            transaction.commit()?;
            Ok((version, installed))
        }
        Err(error) => {
            transaction.roll_back_or_log();
            Err(error)
        }
    }
}

impl LocalInstall {
    fn downloaded(&self) -> Result<Downloaded, PeerError> {
        let not_downloaded =
            || PeerError::NotDownloaded { game: self.game.clone(), path: self.games.root_path(&self.game) };
        let state = GameState::read(self.games.path(), &self.game)?.ok_or_else(not_downloaded)?;
        let archives = state.archives().map_err(|gap| {
            let archive = gap.found.first().unwrap_or(&gap.set).clone();
            self.failed(ArchiveError::VolumeMissing { archive, reason: gap.to_string() })
        })?;
        match state.version {
            Some(version) if !archives.is_empty() => Ok(Downloaded { version, archives }),
            _ => Err(not_downloaded()),
        }
    }

    /// Decodes every archive into staging; the last look at the user's files comes behind it, as late as can be.
    fn unpack(
        &self,
        archives: Vec<ListedArchive>,
        sink: LocalSink,
        replaces: bool,
    ) -> Result<Totals, PeerError> {
        let sink = Rc::new(RefCell::new(sink));
        for archive in archives {
            let shared = Rc::clone(&sink);
            archive
                .extract(self.provider.as_ref(), shared, &self.cancel)
                .map_err(|error| self.failed(error))?;
        }
        let Some(sink) = Rc::into_inner(sink).map(RefCell::into_inner) else {
            return Err(PeerError::Internal("the decoder kept the staging folder".to_owned()));
        };
        let installed = sink.staging.complete()?;
        if replaces && !self.replace.force {
            refuse_user_files(&self.games, &self.game)?;
        }
        if self.cancel.is_cancelled() {
            return Err(PeerError::Cancelled);
        }
        Ok(installed)
    }

    /// Sorts a failure of the archive layer: this machine's disk and a cancellation are no fault of the archive.
    fn failed(&self, error: ArchiveError) -> PeerError {
        match error {
            ArchiveError::Cancelled => PeerError::Cancelled,
            ArchiveError::Sink(SinkError::Local(error)) => error.into(),
            source => PeerError::Archive { game: self.game.clone(), source },
        }
    }
}

/// Judges every name of a game under a policy, before anything is written.
fn check_names(archives: &[ListedArchive], policy: NamePolicy) -> Result<(), ArchiveError> {
    let mut paths = PathIndex::new(policy);
    for listing in archives.iter().map(ListedArchive::listing) {
        let refused =
            |source: NameError| ArchiveError::Name { archive: listing.summary.name.clone(), source };
        for entry in &listing.entries {
            let (path, kind) = match entry {
                ListedEntry::Directory(directory) => (&directory.path, EntryKind::Directory),
                ListedEntry::File(file) => (&file.path, EntryKind::File),
                ListedEntry::Copy(copy) => (&copy.path, EntryKind::File),
            };
            // Listed under the provider's own policy, which is only about safety.
            EntryPath::parse(path.as_str(), policy).map_err(refused)?;
            paths.insert(path, kind).map_err(refused)?;
        }
    }
    Ok(())
}

/// The staging sink, and what is told about its progress.
struct LocalSink {
    staging: StagingSink,
    booking: Booking,
    game: GameId,
    peer: PeerName,
    events: EventSender,
    bytes: u64,
    bytes_total: u64,
    reported: Option<Instant>,
}

impl LocalSink {
    fn new(install: &LocalInstall, staging: StagingSink, totals: Totals, booking: Booking) -> Self {
        Self {
            staging,
            booking,
            game: install.game.clone(),
            peer: install.name.clone(),
            events: install.events.clone(),
            bytes: 0,
            bytes_total: totals.bytes,
            reported: None,
        }
    }

    fn tell_archive(&self, archive: &ArchiveSummary) {
        self.events.report(PeerEvent::ArchiveBegin {
            game: self.game.clone(),
            peer: self.peer.clone(),
            name: printable(&archive.name, limits::COMPONENT_BYTES_MAX),
            format: archive.format,
            solid: archive.solid,
            files: archive.totals.files,
            bytes: archive.totals.bytes,
        });
    }

    /// Counts bytes, and tells of them not too often and when they are the last.
    fn advance(&mut self, bytes: u64) {
        self.bytes += bytes;
        let due = self.reported.is_none_or(|at| at.elapsed() >= limits::PROGRESS_INTERVAL);
        if due || self.bytes == self.bytes_total {
            self.reported = Some(Instant::now());
            self.booking.note_written(self.bytes);
            self.events.report(PeerEvent::InstallProgress {
                game: self.game.clone(),
                bytes: self.bytes,
                bytes_total: self.bytes_total,
            });
        }
    }
}

impl EntrySink for LocalSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        let bytes = match &step {
            EntryStep::ArchiveBegin(archive) => {
                self.tell_archive(archive);
                0
            }
            EntryStep::Data(bytes) => bytes.len() as u64,
            EntryStep::Copy(copy) => copy.size,
            _ => 0,
        };
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
    use lanspread_types::content::FileEntry;

    use super::*;
    use crate::testing::machine::{Machine, Tree, tree};
    use crate::testing::small_game;

    const CONTENT: &[u8] = b"four";

    /// Unpacks one file, and does something in the middle of it.
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
        ) -> Result<(GameVersion, Totals), PeerError> {
            install(&LocalInstall {
                games: Arc::new(GamesDir::open(&self.machine.games_dir()).unwrap()),
                game: small_game::game(),
                policy: NamePolicy::Portable,
                replace,
                name: "here".parse().unwrap(),
                id: PeerId::random().unwrap(),
                provider: Arc::new(Meddling(Mutex::new(meddle))),
                events: EventSender::new(),
                cancel: self.cancel.clone(),
            })
        }

        fn local(&self) -> PathBuf {
            self.machine.games_dir().join("small/local")
        }

        fn everything(&self) -> Tree {
            let mut everything = self.machine.everything();
            // The lock of an operation tidies up empty folders of our state; there is none here.
            everything.remove(".lanspread/intents");
            everything
        }
    }

    const NEW: Replace = Replace { allowed: false, force: false };
    const UPDATE: Replace = Replace { allowed: true, force: false };

    /// The user goes on playing while an update is unpacked.
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
        assert!(matches!(error, PeerError::UserFiles { .. }), "{error:?}");
        let mut behind = fixture.everything();
        assert!(behind.remove("small/local/save").is_some());
        assert_eq!(behind, before, "with the old receipt");
        fixture.install(Replace { force: true, ..UPDATE }, meddle).unwrap();
        assert_eq!(tree(&fixture.local()).into_keys().collect::<Vec<_>>(), ["file"]);
    }

    /// Cancelled or failed in the middle of a file, whether or not a tree stands there.
    #[test]
    fn a_failure_in_the_middle_leaves_everything_as_it_was() {
        let fixture = Fixture::new();
        for replace in [NEW, UPDATE] {
            let before = fixture.everything();
            let error = fixture.install(replace, || Err(ArchiveError::Cancelled)).unwrap_err();
            assert!(matches!(error, PeerError::Cancelled), "{error:?}");
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

    /// A cancellation that comes behind the last byte is one too: nothing is promoted.
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
        assert!(matches!(error, PeerError::Cancelled), "{error:?}");
        assert!(!fixture.local().exists());
    }
}
