//! Totals are listed once for each state of the archives, and again after every change.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use lanspread_archive::provider::OpenArchive;
use lanspread_proto::message::RefusalCode;
use lanspread_testing::fake_archive::FakeArchive;
use lanspread_types::content::FileEntry;
use lanspread_types::entry_path::{EntryPath, NamePolicy};

use super::*;

/// Counts how often it lists, and lists a file of as many bytes; or fails, or changes the archive meanwhile.
#[derive(Default)]
struct CountingProvider {
    listed: AtomicUsize,
    error: Option<fn() -> ArchiveError>,
    changes: bool,
}

impl ArchiveProvider for CountingProvider {
    fn open(
        &self,
        archive: &ArchiveSet,
        _: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        let size = self.listed.fetch_add(1, Ordering::Relaxed) as u64;
        if self.changes {
            fs::write(archive.first_path(), vec![1; self.listed.load(Ordering::Relaxed)]).unwrap();
        }
        if let Some(error) = self.error {
            return Err(error());
        }
        let path = EntryPath::parse("f", NamePolicy::Portable).unwrap();
        let file = FileEntry { path, size, checksum: None, modified: None, executable: false };
        Ok(FakeArchive::of_file(archive.name(), file, |_, _| Ok(())))
    }
}

struct Asking {
    folder: tempfile::TempDir,
    provider: CountingProvider,
    memory: TotalsMemory,
}

impl Asking {
    fn new(provider: CountingProvider) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.eti"), "archive").unwrap();
        Self { folder, provider, memory: TotalsMemory::default() }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn archives(&self) -> Vec<ArchiveSet> {
        vec![ArchiveSet::single(self.root(), "a.eti")]
    }

    /// Asks once; the answer, and how often the archives were listed for it.
    fn ask(&self, game: &str) -> (Result<Reply, Refusal>, usize) {
        let before = self.provider.listed.load(Ordering::Relaxed);
        let (game, cancel) = (game.parse().unwrap(), CancellationToken::new());
        let answer = self.memory.find_out(&self.provider, &game, &self.archives(), &cancel);
        (answer, self.provider.listed.load(Ordering::Relaxed) - before)
    }
}

#[test]
fn the_second_answer_costs_no_listing_and_a_change_costs_one() {
    let asking = Asking::new(CountingProvider::default());
    assert!(asking.memory.known(&"g".parse().unwrap(), &asking.archives()).is_none());
    let (first, listings) = asking.ask("g");
    assert_eq!(listings, 1);
    assert_eq!(asking.ask("g"), (first.clone(), 0));
    assert_eq!(asking.memory.known(&"g".parse().unwrap(), &asking.archives()), Some(first.clone()));
    let path = asking.root().join("a.eti");
    let same_size = || {
        let beside = asking.root().join("new");
        fs::write(&beside, "ARCHIVE").unwrap();
        fs::rename(&beside, &path).unwrap();
    };
    let changes: [&dyn Fn(); 3] =
        [&|| fs::write(&path, "longer than before").unwrap(), &|| fs::write(&path, "").unwrap(), &same_size];
    for (number, change) in changes.iter().enumerate() {
        change();
        let (other, listings) = asking.ask("g");
        assert_eq!(listings, 1, "change {number}");
        assert_ne!(other, first, "change {number}");
        assert_eq!(asking.ask("g"), (other, 0), "change {number}");
    }
}

#[test]
fn damage_is_remembered_and_what_may_pass_is_not() {
    let errors: [(fn() -> ArchiveError, usize); 3] = [
        (|| ArchiveError::NotAnArchive { archive: "a".to_owned(), reason: "x".to_owned() }, 0),
        (|| ArchiveError::Cancelled, 1),
        (|| ArchiveError::Read { path: "/a".into(), source: std::io::Error::other("x") }, 1),
    ];
    for (error, listings) in errors {
        let asking = Asking::new(CountingProvider { error: Some(error), ..CountingProvider::default() });
        let first = asking.ask("g").0;
        assert!(first.is_err());
        assert_eq!(asking.ask("g"), (first, listings));
    }
}

#[test]
fn an_archive_that_changes_while_it_is_listed_is_not_remembered() {
    let asking = Asking::new(CountingProvider { changes: true, ..CountingProvider::default() });
    for _ in 0..3 {
        assert_eq!(asking.ask("g").1, 1);
    }
}

/// An archive that is gone is never answered from memory.
#[test]
fn a_missing_archive_is_not_known() {
    let asking = Asking::new(CountingProvider::default());
    asking.ask("g").0.unwrap();
    fs::remove_file(asking.root().join("a.eti")).unwrap();
    assert!(asking.memory.known(&"g".parse().unwrap(), &asking.archives()).is_none());
    let missing = CountingProvider {
        error: Some(|| ArchiveError::NotAnArchive { archive: "a".to_owned(), reason: "x".to_owned() }),
        ..CountingProvider::default()
    };
    let asking = Asking { provider: missing, ..asking };
    assert!(matches!(asking.ask("g").0, Err(refusal) if refusal.code == RefusalCode::ArchiveDamaged));
}

#[test]
fn the_memory_is_bounded_and_forgets_what_was_used_least_lately() {
    let asking = Asking::new(CountingProvider::default());
    for number in 0..TOTALS_REMEMBERED_MAX {
        asking.ask(&format!("g{number}")).0.unwrap();
    }
    assert_eq!(asking.ask("g0").1, 0);
    assert_eq!(asking.ask("one-more").1, 1);
    assert_eq!(asking.memory.0.lock().unwrap().by_game.len(), TOTALS_REMEMBERED_MAX);
    assert_eq!(asking.ask("g0").1, 0, "used lately");
    assert_eq!(asking.ask("g1").1, 1, "forgotten");
}
