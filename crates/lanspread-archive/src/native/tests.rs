//! The native provider on the fixtures: refusals, and the ways to interrupt a decoder. `tests/archives.rs` of
//! `lanspread-peer` compares the trees with those of the real `unrar`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use lanspread_types::content::EntryStep;
use lanspread_types::layout::is_archive_name;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::{ArchiveError, SinkError};
use crate::list::list;
use crate::native::NativeProvider;
use crate::provider::{ArchiveListing, ArchiveProvider, EntrySink};
use crate::set::ArchiveSet;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn archive(folder: &Path) -> ArchiveSet {
    let names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| is_archive_name(name))
        .collect();
    ArchiveSet::group(folder, names.iter().map(String::as_str)).unwrap().remove(0)
}

fn provider() -> NativeProvider {
    NativeProvider::new(limits::DICTIONARY_BYTES_DEFAULT)
}

fn inspect(archive: &ArchiveSet) -> Result<ArchiveListing, ArchiveError> {
    let open = provider().open(archive, &CancellationToken::new())?;
    Ok(ArchiveListing::clone(open.listing()))
}

/// Counts what arrives and refuses at a chosen chunk.
#[derive(Default)]
struct CountingSink {
    files: u64,
    copies: u64,
    directories: u64,
    bytes: u64,
    chunks: u64,
    refuse_at_chunk: Option<u64>,
    cancel_at_chunk: Option<(u64, CancellationToken)>,
}

impl EntrySink for CountingSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        match step {
            EntryStep::ArchiveBegin(_) | EntryStep::FileBegin(_) | EntryStep::ArchiveEnd => {}
            EntryStep::Directory(_) => self.directories += 1,
            EntryStep::FileEnd(_) => self.files += 1,
            EntryStep::Copy(copy) => {
                self.copies += 1;
                self.bytes += copy.size;
            }
            EntryStep::Data(bytes) => return self.chunk(bytes),
        }
        Ok(())
    }
}

impl CountingSink {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        assert!(!bytes.is_empty());
        self.bytes += bytes.len() as u64;
        self.chunks += 1;
        if let Some((at, cancel)) = &self.cancel_at_chunk
            && self.chunks == *at
        {
            cancel.cancel();
        }
        if self.refuse_at_chunk == Some(self.chunks) { Err(SinkError::Closed) } else { Ok(()) }
    }
}

fn extract(archive: &ArchiveSet, sink: CountingSink) -> (CountingSink, Result<(), ArchiveError>) {
    let cancel =
        sink.cancel_at_chunk.as_ref().map_or_else(CancellationToken::new, |(_, cancel)| cancel.clone());
    let open = provider().open(archive, &cancel).unwrap();
    let shared = Rc::new(RefCell::new(sink));
    let result = open.extract(shared.clone(), &cancel);
    let sink = Rc::into_inner(shared).expect("the provider keeps no handle").into_inner();
    (sink, result)
}

#[test]
fn every_good_fixture_yields_exactly_what_it_lists() {
    let mut seen = 0;
    for fixture in std::fs::read_dir(fixtures()).unwrap() {
        let fixture = fixture.unwrap().path();
        let name = fixture.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("fixture-") || name.contains("encrypted") || name.contains("hostile") {
            continue;
        }
        for game in std::fs::read_dir(&fixture).unwrap() {
            let archive = archive(&game.unwrap().path());
            let totals = inspect(&archive).unwrap().summary.totals;
            let (sink, result) = extract(&archive, CountingSink::default());
            result.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                (sink.files + sink.copies, sink.directories, sink.bytes),
                (totals.files, totals.directories, totals.bytes),
                "{name}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 15, "only {seen} fixtures found");
}

#[test]
fn what_must_not_be_installed_is_refused_while_listing() {
    for (game, expected) in [
        ("fixture-encrypted/encrypted-data", "encrypted"),
        ("fixture-encrypted/encrypted-headers", "encrypted"),
        ("fixture-hostile/hostile-symlink", "symbolic link"),
        ("fixture-hostile/hostile-parent", "`.` or `..`"),
        ("fixture-hostile/hostile-parent-inside", "`.` or `..`"),
        ("fixture-hostile/hostile-absolute", "absolute"),
    ] {
        let error = inspect(&archive(&fixtures().join(game))).unwrap_err().to_string();
        assert!(error.contains(expected), "{game}: {error}");
    }
}

/// A damaged copy of the solid fixture.
fn damaged(damage: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, ArchiveSet) {
    let folder = tempfile::tempdir().unwrap();
    let original = archive(&fixtures().join("fixture-solid/cnctw"));
    let mut bytes = std::fs::read(original.first_path()).unwrap();
    damage(&mut bytes);
    std::fs::write(folder.path().join("x.eti"), bytes).unwrap();
    let set = ArchiveSet::single(folder.path(), "x.eti");
    (folder, set)
}

/// The error of listing, or else of decoding.
fn failure(archive: &ArchiveSet) -> ArchiveError {
    match inspect(archive) {
        Err(error) => error,
        Ok(_) => extract(archive, CountingSink::default()).1.expect_err("damage goes unnoticed"),
    }
}

#[test]
fn damage_anywhere_is_noticed() {
    let length = std::fs::read(archive(&fixtures().join("fixture-solid/cnctw")).first_path()).unwrap().len();
    for at in [length / 3, length / 2, length * 9 / 10] {
        let (_folder, archive) = damaged(|bytes| bytes[at] ^= 0x10);
        let error = failure(&archive);
        assert!(
            matches!(
                error,
                ArchiveError::Corrupt { .. } | ArchiveError::Checksum { .. } | ArchiveError::Size { .. }
            ),
            "flip at {at}: {error}"
        );
    }
    for cut in [7, 8, 20, length / 2, length - 1000, length - 8, length - 1] {
        let (_folder, archive) = damaged(|bytes| bytes.truncate(cut));
        failure(&archive);
    }
    let (_folder, archive) = damaged(Vec::clear);
    assert!(matches!(failure(&archive), ArchiveError::NotAnArchive { .. }));
}

#[test]
fn a_set_without_all_its_volumes_is_refused() {
    let folder = fixtures().join("fixture-volumes/volumes-many");
    for keep in [1, 2, 5, 10] {
        let names: Vec<String> = (1..=keep)
            .map(|n| {
                let first = archive(&folder);
                first.name().replace("part1", &format!("part{n}"))
            })
            .collect();
        let set = ArchiveSet::group(&folder, names.iter().map(String::as_str)).unwrap().remove(0);
        let error = inspect(&set).unwrap_err();
        assert!(matches!(error, ArchiveError::VolumeMissing { .. }), "first {keep} volumes: {error}");
    }
}

#[test]
fn a_sink_that_refuses_stops_the_decoder() {
    let archive = archive(&fixtures().join("fixture-solid/cnctw"));
    let (sink, result) = extract(&archive, CountingSink { refuse_at_chunk: Some(3), ..Default::default() });
    assert!(matches!(result, Err(ArchiveError::Sink(SinkError::Closed))), "{result:?}");
    assert_eq!(sink.chunks, 3);
}

#[test]
fn cancelling_stops_the_decoder() {
    let archive = archive(&fixtures().join("fixture-solid/cnctw"));
    let cancel = CancellationToken::new();
    let (sink, result) =
        extract(&archive, CountingSink { cancel_at_chunk: Some((2, cancel)), ..Default::default() });
    assert!(matches!(result, Err(ArchiveError::Cancelled)), "{result:?}");
    assert_eq!(sink.chunks, 2);
}

/// A listed archive that is overwritten in place yields an error, whether it stayed open or is opened again.
#[test]
fn an_archive_that_changed_since_it_was_listed_is_refused() {
    let (folder, archive) = damaged(|_| {});
    let other = super::tests::archive(&fixtures().join("fixture-alpha/alpha-arena"));
    let cancel = CancellationToken::new();
    // Enough small ones that the last one does not stay open.
    let small = (1..limits::VOLUMES_KEPT_OPEN).map(|number| {
        let name = format!("small-{number}.eti");
        let mut small = rars::Builder::new(rars::ArchiveVersion::Rar50);
        small.add_bytes(format!("small/{number}").into(), b"small".to_vec(), None, None).unwrap();
        small.write_to_path(&folder.path().join(&name), None).unwrap();
        ArchiveSet::single(folder.path(), &name)
    });
    let last = ArchiveSet::single(folder.path(), "last.eti");
    let bravo = super::tests::archive(&fixtures().join("fixture-bravo/bravo-blocks"));
    std::fs::copy(bravo.first_path(), last.first_path()).unwrap();
    let many: Vec<_> = std::iter::once(archive.clone()).chain(small).chain([last.clone()]).collect();
    let (mut listed, _) = list(&provider(), &many, &cancel).unwrap();
    for changed in [&archive, &last] {
        std::fs::copy(other.first_path(), changed.first_path()).unwrap();
    }
    let closed = listed.pop().unwrap();
    let sink = Rc::new(RefCell::new(CountingSink::default()));
    let error = closed.extract(&provider(), sink.clone(), &cancel).unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
    assert_eq!(sink.borrow().chunks, 0);
    let open = listed.remove(0);
    let error = open.extract(&provider(), sink, &cancel).unwrap_err();
    assert_eq!(error.code(), "archive-damaged", "{error}");
}

/// `fixture-tail`: the first file ends with a block of tables for the second one, which `rars` never reads.
#[test]
fn a_file_that_ends_with_the_tables_of_the_next_is_decoded() {
    let archive = archive(&fixtures().join("fixture-tail/tail-tables"));
    let (sink, result) = extract(&archive, CountingSink::default());
    result.unwrap();
    assert_eq!((sink.files, sink.bytes), (2, 18_059 + 300));
}

/// `rars` is a second opinion about RAR 5: the bytes of every good fixture, end to end.
#[test]
fn rars_decodes_the_same_bytes() {
    for game in [
        "fixture-solid/cnctw",
        "fixture-alpha/alpha-racer",
        "fixture-edge/edge-cases",
        "fixture-blake2/blake2-plain",
    ] {
        let archive = archive(&fixtures().join(game));
        let shared = Rc::new(RefCell::new(ContentSink::default()));
        let cancel = CancellationToken::new();
        provider().open(&archive, &cancel).unwrap().extract(shared.clone(), &cancel).unwrap();
        let oracle = Rc::new(RefCell::new(ContentSink::default()));
        let open = |_: &rars::ExtractedEntryMeta| -> rars::Result<Box<dyn std::io::Write>> {
            Ok(Box::new(Shared(Rc::clone(&oracle))))
        };
        let options = rars::ArchiveReadOptions::new().with_max_total_output_bytes(limits::GAME_BYTES_MAX);
        let parsed = rars::ArchiveReader::read_path(archive.first_path()).unwrap();
        parsed.extract_with_links(options, open, |_, _| Ok(())).unwrap();
        assert!(!shared.borrow().0.is_empty());
        assert!(shared.borrow().0 == oracle.borrow().0, "{game}");
    }
}

/// All bytes of all files.
#[derive(Default)]
struct ContentSink(Vec<u8>);

impl EntrySink for ContentSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        if let EntryStep::Data(bytes) = step {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }
}

/// A writer into a sink that others write into as well.
struct Shared(Rc<RefCell<ContentSink>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
