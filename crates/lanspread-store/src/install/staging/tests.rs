use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

use lanspread_trust::manifest::{EntryContent, ManifestEntries};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::entry_path::NameProblem;
use lanspread_types::ids::{GameId, PeerId};
use lanspread_types::limits::SMALL_FILE_BATCH_FILES;

use rustix::io::Errno;

use super::*;
use crate::state::disk_calls::script;
use crate::state::games_dir::GamesDir;
use crate::state::receipt::{FileStamp, ReceiptHead};

struct Fixture {
    folder: tempfile::TempDir,
    sink: StagingSink,
}

fn fixture() -> Fixture {
    fixture_with(None)
}

fn fixture_with(manifest: Option<Arc<Manifest>>) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let games = GamesDir::open(folder.path()).unwrap();
    games.dir().create_dir("staging").unwrap();
    let (game, version, name): (GameId, _, _) =
        ("g".parse().unwrap(), "1".parse().unwrap(), "pc".parse().unwrap());
    let digest = manifest.as_ref().map(|_| ContentDigest::of(b"manifest"));
    let head = ReceiptHead::new(&game, &version, &name, PeerId::random().unwrap(), digest);
    let receipt = ReceiptDraft::create(&games, &head).unwrap();
    let staging = games.dir().open_dir("staging").unwrap();
    let sink =
        StagingSink::new(staging, folder.path().join("staging"), NamePolicy::Portable, receipt, manifest);
    Fixture { folder, sink }
}

fn path(name: &str) -> EntryPath {
    EntryPath::parse(name, NamePolicy::Portable).unwrap()
}

fn file(name: &str, content: &[u8]) -> FileEntry {
    let checksum = Some(Checksum::of(content));
    FileEntry { path: path(name), size: content.len() as u64, checksum, modified: None, executable: false }
}

const LARGE_BYTES: usize = 70_000;
const _: () = assert!(LARGE_BYTES as u64 > SMALL_FILE_BYTES_MAX);
static LARGE: [u8; LARGE_BYTES] = [7; LARGE_BYTES];

/// A file that is written at once, with [`LARGE`] in it.
fn large(name: &str) -> FileEntry {
    file(name, &LARGE)
}

fn put(sink: &mut StagingSink, entry: &FileEntry, content: &[u8]) -> Result<(), SinkError> {
    sink.file_begin(entry.clone())?;
    if !content.is_empty() {
        sink.data(content)?;
    }
    sink.file_end(Checksum::of(content))
}

#[test]
fn files_folders_and_copies_become_a_tree() {
    let Fixture { folder, mut sink } = fixture();
    sink.directory(&DirectoryEntry { path: path("empty") }).unwrap();
    let entry = FileEntry { executable: true, modified: Some(1_700_000_000), ..file("a/b/run", b"code") };
    put(&mut sink, &entry, b"code").unwrap();
    put(&mut sink, &FileEntry { modified: Some(-5), ..file("a/zero", b"") }, b"").unwrap();
    let copy = CopyEntry {
        path: path("c/run2"),
        original: path("a/b/run"),
        size: 4,
        modified: Some(i64::MAX),
        executable: false,
    };
    sink.copy(&copy).unwrap();
    assert_eq!(sink.complete().unwrap(), Totals { files: 3, directories: 1, bytes: 8 });

    let root = folder.path().join("staging");
    let run = std::fs::metadata(root.join("a/b/run")).unwrap();
    assert_eq!(run.permissions().mode() & 0o7111, 0o111, "executable and nothing else");
    assert_eq!(run.mtime(), 1_700_000_000);
    assert_eq!(std::fs::read(root.join("c/run2")).unwrap(), b"code");
    assert_eq!(std::fs::metadata(root.join("c/run2")).unwrap().permissions().mode() & 0o7111, 0);
    assert_eq!(std::fs::metadata(root.join("a/zero")).unwrap().mtime(), 0, "clamped");
    assert_eq!(std::fs::metadata(root.join("c/run2")).unwrap().mtime(), i64::from(u32::MAX), "clamped");
    assert!(root.join("empty").is_dir());
    let receipt = std::fs::read_to_string(folder.path().join(".lanspread/receipts/g.draft")).unwrap();
    assert_eq!(receipt.lines().count(), 5);
    for path in ["a/b/run", "c/run2"] {
        let line = receipt.lines().find(|line| line.contains(path)).unwrap();
        assert!(line.contains(&format!("\"{}\"", Checksum::of(b"code"))), "the checksum of a copy: {line}");
    }
    assert!(receipt.ends_with("{\"files\":3,\"directories\":1,\"bytes\":8}\n"));
}

#[test]
fn content_is_compared_with_the_checksums_of_archive_and_source() {
    let Fixture { folder: _folder, mut sink } = fixture();
    let entry = file("a", b"good");
    sink.file_begin(entry).unwrap();
    sink.data(b"evil").unwrap();
    let error = sink.file_end(Checksum::of(b"evil")).unwrap_err();
    assert!(
        matches!(error, SinkError::Content(ContentError::Checksum { .. })),
        "the archive's CRC-32: {error}"
    );
    sink.file_begin(FileEntry { checksum: None, ..file("b", b"good") }).unwrap();
    sink.data(b"evil").unwrap();
    let error = sink.file_end(Checksum::of(b"good")).unwrap_err();
    assert!(
        matches!(error, SinkError::Content(ContentError::Checksum { .. })),
        "the source's CRC-32: {error}"
    );
}

#[test]
fn a_second_entry_never_replaces_the_first() {
    let Fixture { folder, mut sink } = fixture();
    put(&mut sink, &file("a", b"first"), b"first").unwrap();
    for (name, expected) in
        [("a", NameProblem::Duplicate), ("A", NameProblem::Collision), ("a/b", NameProblem::Duplicate)]
    {
        match put(&mut sink, &file(name, b"x"), b"x") {
            Err(SinkError::Content(ContentError::Name(error))) => {
                assert_eq!(error.problem, expected, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    sink.settle().unwrap();
    assert_eq!(std::fs::read(folder.path().join("staging/a")).unwrap(), b"first");
}

#[test]
fn a_copy_needs_an_earlier_file_of_its_size() {
    let Fixture { folder: _folder, mut sink } = fixture();
    put(&mut sink, &file("a", b"four"), b"four").unwrap();
    sink.directory(&DirectoryEntry { path: path("d") }).unwrap();
    for (name, original, size) in [("x", "missing", 4), ("y", "a", 5), ("z", "d", 0)] {
        let copy =
            CopyEntry { path: path(name), original: path(original), size, modified: None, executable: false };
        let error = sink.copy(&copy).unwrap_err();
        assert!(matches!(error, SinkError::Content(ContentError::UnknownOriginal { .. })), "{name}: {error}");
    }
}

/// A link that is planted in staging while it is filled is never written through.
#[test]
fn a_planted_link_leads_nowhere() {
    let Fixture { folder, mut sink } = fixture();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("staging/door")).unwrap();
    assert!(put(&mut sink, &file("door/x", b"x"), b"x").is_err());
    std::fs::write(outside.path().join("target"), "kept").unwrap();
    std::os::unix::fs::symlink(outside.path().join("target"), folder.path().join("staging/file")).unwrap();
    put(&mut sink, &file("file", b"x"), b"x").unwrap();
    let error = sink.settle().unwrap_err();
    assert!(error.to_string().contains("staging/file"), "{error}");
    assert!(put(&mut sink, &large("file2"), &LARGE).is_ok(), "a link elsewhere is no obstacle");
    std::os::unix::fs::symlink(outside.path().join("new"), folder.path().join("staging/large")).unwrap();
    assert!(put(&mut sink, &large("large"), &LARGE).is_err());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read(outside.path().join("target")).unwrap(), b"kept");
}

/// Folders on the way to files are counted, and bounded by what was announced: a source cannot have a hundred thousand
/// folders made for a thousand files.
#[test]
fn folders_on_the_way_are_bounded_by_what_was_announced() {
    assert_eq!(folders_max(Totals::default()), FOLDERS_ON_THE_WAY_MIN);
    assert_eq!(folders_max(Totals { files: 5000, directories: 7, bytes: 0 }), 5007);
    let Fixture { folder, mut sink } = fixture();
    let deep = |number: u64| format!("{number}/{}f", "d/".repeat(7));
    let fitting = FOLDERS_ON_THE_WAY_MIN / 8;
    for number in 0..fitting {
        put(&mut sink, &file(&deep(number), b""), b"").unwrap();
    }
    // In a folder that exists there is room for more files.
    put(&mut sink, &file("0/more", b""), b"").unwrap();
    let error = put(&mut sink, &file(&deep(fitting), b""), b"").unwrap_err();
    let expected = ContentError::TooManyFolders { limit: FOLDERS_ON_THE_WAY_MIN };
    assert!(matches!(&error, SinkError::Content(content) if *content == expected), "{error}");
    assert!(!folder.path().join("staging").join(fitting.to_string()).exists(), "nothing of it is created");
}

/// What is created is booked before it is created, also what was not announced.
#[test]
fn everything_that_is_written_is_within_the_booking() {
    let Fixture { folder, mut sink } = fixture();
    let games = Arc::new(GamesDir::open(folder.path()).unwrap());
    let announced = Totals { files: 1, directories: 0, bytes: 5 };
    sink.announce(announced, Booking::take(&games, &"g".parse().unwrap(), announced).unwrap());
    let booked = || -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(folder.path().join(".lanspread/bookings/g.json")).unwrap())
            .unwrap()
    };
    let before = booked()["needed_inodes"].as_u64().unwrap();
    put(&mut sink, &file(&format!("{}f", "d/".repeat(20)), b"12345"), b"12345").unwrap();
    let (needed, written) = (booked()["needed_inodes"].as_u64(), booked()["written_inodes"].as_u64());
    assert_eq!(written, Some(21), "twenty folders on the way and the file");
    assert!(needed.unwrap() > before, "{needed:?} {before}");
    sink.complete().unwrap();
    assert!(!folder.path().join(".lanspread/bookings").exists(), "released");
}

/// A disk on which times cannot be set: the files are whole, and one warning counts them.
#[test]
fn times_that_a_file_system_refuses_do_not_end_an_install() {
    for errno in [Errno::PERM, Errno::INVAL, Errno::NOSYS, Errno::NOTSUP] {
        let Fixture { folder, mut sink } = fixture();
        let timed = |name| FileEntry { modified: Some(7), ..file(name, b"x") };
        let copy =
            CopyEntry { path: path("c"), original: path("a"), size: 1, modified: Some(7), executable: false };
        let (done, _) = script::refusing("set-times", errno, || {
            put(&mut sink, &timed("a"), b"x")?;
            put(&mut sink, &timed("b"), b"x")?;
            sink.copy(&copy)
        });
        done.unwrap();
        assert_eq!(sink.times_refused.count, 3);
        assert!(sink.times_refused.first.as_ref().unwrap().to_string().contains("staging/a"));
        assert_eq!(sink.complete().unwrap().files, 3);
        assert_eq!(std::fs::read(folder.path().join("staging/c")).unwrap(), b"x");
    }
}

/// Enough files that the second thread writes most of them.
const MANY: usize = 8 * SMALL_FILE_BATCH_FILES;

fn name_of(number: usize) -> String {
    format!("{}/{}/{number}", number % 3, number % 7)
}

/// Both threads write, and what is on the disk and in the receipt is what one thread would have written, in any order.
#[test]
fn many_small_files_are_all_there_and_in_the_receipt() {
    let Fixture { folder, mut sink } = fixture();
    let content = |number: usize| vec![u8::try_from(number % 251).unwrap(); number * 97 % 4096];
    for number in 0..MANY {
        let entry = FileEntry { modified: Some(1_700_000_000), ..file(&name_of(number), &content(number)) };
        put(&mut sink, &entry, &content(number)).unwrap();
    }
    put(&mut sink, &large("large"), &LARGE).unwrap();
    let (original, size) = (path(&name_of(MANY - 1)), content(MANY - 1).len() as u64);
    let copy = CopyEntry { path: path("copy"), original, size, modified: None, executable: false };
    sink.copy(&copy).unwrap();
    for number in MANY..2 * MANY {
        put(&mut sink, &file(&name_of(number), &content(number)), &content(number)).unwrap();
    }
    sink.settle().unwrap();
    assert_eq!(sink.small.waiting(), Written::default());
    assert_eq!(sink.complete().unwrap().files, 2 * MANY as u64 + 2);
    let root = folder.path().join("staging");
    for number in 0..2 * MANY {
        let path = root.join(name_of(number));
        assert_eq!(std::fs::read(&path).unwrap(), content(number), "{number}");
        assert!(number >= MANY || std::fs::metadata(&path).unwrap().mtime() == 1_700_000_000, "{number}");
    }
    assert_eq!(std::fs::read(root.join("large")).unwrap(), LARGE);
    assert_eq!(std::fs::read(root.join("copy")).unwrap(), content(MANY - 1));
    let receipt = std::fs::read_to_string(folder.path().join(".lanspread/receipts/g.draft")).unwrap();
    let lines: std::collections::BTreeSet<&str> = receipt.lines().collect();
    assert_eq!(lines.len(), 2 * MANY + 4, "no line is there twice");
    for number in 0..2 * MANY {
        let (name, content) = (name_of(number), content(number));
        let (size, checksum) = (content.len(), Checksum::of(&content));
        let line = format!(r#"{{"path":"{name}","size":{size},"crc32":"{checksum}"}}"#);
        assert!(lines.contains(&*line), "{line}");
    }
}

/// A folder is replaced by a link while its files wait: nothing is written where the link leads.
#[test]
fn a_folder_that_becomes_a_link_is_not_followed() {
    let Fixture { folder, mut sink } = fixture();
    let (outside, staging) = (tempfile::tempdir().unwrap(), folder.path().join("staging"));
    put(&mut sink, &file("d/first", b"x"), b"x").unwrap();
    std::fs::rename(staging.join("d"), staging.join("moved")).unwrap();
    std::os::unix::fs::symlink(outside.path(), staging.join("d")).unwrap();
    let mut put_many = || -> Result<(), SinkError> {
        for number in 0..MANY {
            put(&mut sink, &file(&format!("d/{number}"), b"x"), b"x")?;
        }
        Ok(sink.settle()?)
    };
    let error = put_many().unwrap_err();
    assert!(error.to_string().contains("staging/d/"), "{error}");
    assert!(put(&mut sink, &large("d/large"), &LARGE).is_err());
    drop(sink);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// A file that the second thread cannot create ends the install, with its path and with the thread.
#[test]
fn an_error_of_the_second_thread_is_reported() {
    for bad in [0, MANY / 2, MANY - 1] {
        let Fixture { folder, mut sink } = fixture();
        for number in 0..3 * 7 {
            sink.directory(&DirectoryEntry { path: path(&format!("{}/{}", number % 3, number % 7)) })
                .unwrap();
        }
        std::fs::write(folder.path().join("staging").join(name_of(bad)), "in the way").unwrap();
        let shared = Arc::downgrade(&sink.files);
        let mut put_many = || -> Result<(), SinkError> {
            for number in 0..MANY {
                put(&mut sink, &file(&name_of(number), b"x"), b"x")?;
            }
            Ok(sink.settle()?)
        };
        let error = put_many().unwrap_err();
        assert!(error.to_string().contains(&format!("staging/{}:", name_of(bad))), "{bad}: {error}");
        drop(sink);
        assert!(shared.upgrade().is_none(), "the thread has ended");
    }
}

/// A cancelled install writes nothing more once its sink is gone, and waits for its thread.
#[test]
fn files_that_wait_when_the_sink_is_dropped_are_discarded() {
    let Fixture { folder, mut sink } = fixture();
    for number in 0..MANY {
        put(&mut sink, &file(&format!("{number}"), b"x"), b"x").unwrap();
    }
    put(&mut sink, &file("last", b"x"), b"x").unwrap();
    sink.small.discard();
    sink.settle().unwrap();
    let shared = Arc::downgrade(&sink.files);
    drop(sink);
    assert!(shared.upgrade().is_none(), "the thread has ended");
    assert!(!folder.path().join("staging/last").exists());
}

/// The receipt of a verified tree says by what each file can be known again: small ones, large ones and copies.
#[test]
fn files_of_a_verified_tree_are_recorded_with_digest_and_stamp() {
    let small: Vec<(String, Vec<u8>)> = (0..3 * SMALL_FILE_BATCH_FILES)
        .map(|number| (format!("small{number:05}"), number.to_string().into_bytes()))
        .collect();
    let mut listed: Vec<(String, Vec<u8>)> = small.clone();
    listed.extend([("copy".to_owned(), LARGE.to_vec()), ("large".to_owned(), LARGE.to_vec())]);
    listed.sort();
    let mut entries = ManifestEntries::default();
    for (name, content) in &listed {
        let (size, digest) = (content.len() as u64, ContentDigest::of(content));
        let listed = EntryContent::File { size, executable: false, digest: &digest, parts: &[] };
        entries.push(&path(name), listed).unwrap();
    }
    let (game, version) = ("g".parse().unwrap(), "1".parse().unwrap());
    let manifest = Manifest { game, version, root_files: Vec::new(), archives: Vec::new(), entries };
    let Fixture { folder, mut sink } = fixture_with(Some(Arc::new(manifest)));
    put(&mut sink, &FileEntry { modified: Some(7), ..large("large") }, &LARGE).unwrap();
    for (name, content) in &small {
        put(&mut sink, &FileEntry { modified: Some(7), ..file(name, content) }, content).unwrap();
    }
    let size = LARGE.len() as u64;
    let copy =
        CopyEntry { path: path("copy"), original: path("large"), size, modified: Some(7), executable: false };
    sink.copy(&copy).unwrap();
    sink.complete().unwrap();
    let receipt = std::fs::read_to_string(folder.path().join(".lanspread/receipts/g.draft")).unwrap();
    let lines: Vec<serde_json::Value> =
        receipt.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["schema"], &lines[0]["trust"]), (&2.into(), &"verified".into()));
    assert_eq!(lines.len(), listed.len() + 2);
    let staging = folder.path().join("staging");
    for line in &lines[1..lines.len() - 1] {
        let name = line["path"].as_str().unwrap();
        let (_, content) = listed.iter().find(|(listed, _)| listed == name).unwrap();
        assert_eq!(line["sha256"], ContentDigest::of(content).to_string(), "{name}");
        let now = FileStamp::of(&std::fs::metadata(staging.join(name)).unwrap());
        assert_eq!(line["stamp"], serde_json::to_value(now).unwrap(), "{name}");
    }
}
