//! A record is read as it was written, whatever a crash cut off, and a record that is not ours is reported.

use super::*;
use crate::state::disk_calls::script;

fn game() -> GameId {
    "g".parse().unwrap()
}

fn files() -> Vec<RootFile> {
    let file = |name: &str, size| RootFile { name: name.to_owned(), size };
    vec![file("a.eti", 2 * limits::CHUNK_BYTES + 1), file("empty.eti", 0), file("version.ini", 3)]
}

fn head() -> RecordHead {
    RecordHead::new(&game(), &"1".parse().unwrap(), &files(), true)
}

fn recorded(crc32: u32, peer_id: PeerId, fingerprint: u64) -> Recorded {
    Recorded { checksum: Checksum::from_crc32(crc32), peer: "pc".parse().unwrap(), peer_id, fingerprint }
}

fn machine() -> (tempfile::TempDir, GamesDir) {
    let folder = tempfile::tempdir().unwrap();
    let games = GamesDir::open(folder.path()).unwrap();
    (folder, games)
}

fn read(games: &GamesDir) -> Option<Record> {
    Record::read(games, &game(), RecordKind::Journal).unwrap()
}

/// A journal with one of each kind of line.
fn journal(games: &GamesDir) -> Journal {
    let mut journal = Journal::create(games, &head()).unwrap();
    let peer = PeerId::random().unwrap();
    for id in 0..4 {
        journal.chunk(id, recorded(u32::MAX, peer, u64::MAX)).unwrap();
    }
    journal.drop_chunk(1).unwrap();
    journal.checked().unwrap();
    journal.promote().unwrap();
    journal
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let (folder, games) = machine();
    assert_eq!(read(&games), None);
    let mut journal = journal(&games);
    let found = read(&games).unwrap();
    assert_eq!((&found.head, &found.here), (&journal.record.head, &journal.record.here));
    assert_eq!(found.progress, RecordProgress::Promoting);
    assert_eq!(found.here.iter().flatten().count(), 3);
    assert_eq!(found.here_bytes(), limits::CHUNK_BYTES + 1 + 3);
    assert!(found.is_of_this_boot());
    assert_eq!(begun(&games).unwrap(), [game()]);

    journal.complete().unwrap();
    assert_eq!(read(&games), None, "it is a receipt now");
    assert!(begun(&games).unwrap().is_empty());
    let receipt = Record::read(&games, &game(), RecordKind::Receipt).unwrap().unwrap();
    assert_eq!(receipt.progress, RecordProgress::Complete);
    remove(&games, &game(), RecordKind::Receipt).unwrap();
    remove(&games, &game(), RecordKind::Receipt).unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join(".lanspread/downloads")).unwrap().count(), 0);
}

/// A record that is cut at any byte is the record of an earlier moment, and can be continued.
#[test]
fn a_torn_line_does_not_count() {
    let (folder, games) = machine();
    drop(journal(&games));
    let path = folder.path().join(".lanspread/downloads/g.draft");
    let whole = std::fs::read(&path).unwrap();
    let mut seen = Vec::new();
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let Some(record) = read(&games) else {
            assert!(!whole[..cut].contains(&b'\n'), "cut at {cut}");
            continue;
        };
        let count = record.here.iter().flatten().count();
        if seen.last() != Some(&count) {
            seen.push(count);
        }
        let mut journal = Journal::resume(&games, &game(), record).unwrap();
        journal.chunk(1, recorded(7, PeerId::random().unwrap(), 7)).unwrap();
        let resumed = read(&games).unwrap();
        assert_eq!(resumed.here[1].as_ref().unwrap().checksum, Checksum::from_crc32(7), "cut at {cut}");
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 3]);
}

/// A file system may leave zeros after the last line when the power fails.
#[test]
fn what_a_power_failure_leaves_after_the_last_line_does_not_count() {
    let (folder, games) = machine();
    let journal = journal(&games);
    let path = folder.path().join(".lanspread/downloads/g.draft");
    let whole = std::fs::read(&path).unwrap();
    for tail in [&[0; 700][..], b"\0\0\0\n", b"{\"chunk\":{\"file\":0\n"] {
        std::fs::write(&path, [&whole[..], tail].concat()).unwrap();
        let record = read(&games).unwrap();
        assert_eq!((record.here, record.whole_bytes), (journal.record.here.clone(), whole.len() as u64));
    }
}

/// What a removal forgets stays forgotten after a power failure, and so does a journal that begins.
#[test]
fn records_are_begun_and_removed_durably() {
    let (_folder, games) = machine();
    let (_, calls) = script::watched(|| Journal::create(&games, &head()).unwrap());
    assert_eq!(calls, ["sync-file g.draft", "sync-folder g.draft"]);
    let ((), calls) = script::watched(|| remove(&games, &game(), RecordKind::Journal).unwrap());
    assert_eq!(calls, ["sync-folder g.draft"]);
    let ((), calls) = script::watched(|| remove(&games, &game(), RecordKind::Journal).unwrap());
    assert!(calls.is_empty(), "there was nothing to remove");
}

/// None of these is read, and none is written through.
#[test]
fn what_is_not_a_file_of_ours_under_the_name_of_a_record_is_reported() {
    let (folder, games) = machine();
    let record = journal(&games).record;
    let path = folder.path().join(".lanspread/downloads/g.draft");
    let kept = folder.path().join("kept");
    std::fs::rename(&path, &kept).unwrap();
    let whole = std::fs::read(&kept).unwrap();
    let refused = |what: &str, reads: bool| {
        let read = Record::read(&games, &game(), RecordKind::Journal);
        assert_eq!(read.is_ok(), reads, "{what}: {read:?}");
        let resumed = Journal::resume(&games, &game(), record.clone());
        assert!(matches!(resumed, Err(LocalError::Foreign(_))), "{what}: {resumed:?}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(std::fs::read(&kept).unwrap(), whole, "{what}");
    };
    std::os::unix::fs::symlink(&kept, &path).unwrap();
    refused("link", false);
    std::fs::hard_link(&kept, &path).unwrap();
    refused("second name", true);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    refused("pipe", false);
    // A new journal takes the place of either.
    std::fs::hard_link(&kept, &path).unwrap();
    drop(Journal::create(&games, &head()).unwrap());
    assert_eq!(std::fs::read(&kept).unwrap(), whole);
}

#[test]
fn a_record_that_is_too_large_is_not_read() {
    let (folder, games) = machine();
    drop(journal(&games));
    let path = folder.path().join(".lanspread/downloads/g.draft");
    let whole = std::fs::read(&path).unwrap();
    // A line that is as long as the bound and has no end yet.
    let long = [whole.clone(), vec![b'x'; usize::try_from(limits::RECORD_LINE_BYTES_MAX).unwrap()]].concat();
    std::fs::write(&path, long).unwrap();
    let error = Record::read(&games, &game(), RecordKind::Journal).unwrap_err().to_string();
    assert!(error.contains("a line that is too long"), "{error}");
    std::fs::write(&path, &whole).unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(limits::RECORD_BYTES_MAX + 1)
        .unwrap();
    let error = Record::read(&games, &game(), RecordKind::Journal).unwrap_err().to_string();
    assert!(error.contains("is larger than 1073741824 bytes"), "{error}");
}

/// What the journal knows in memory is what it has written, so that a promotion that is asked twice ends once.
#[test]
fn the_journal_knows_its_own_progress() {
    let (_folder, games) = machine();
    let mut journal = Journal::create(&games, &head()).unwrap();
    assert_eq!(journal.record.progress, RecordProgress::Fetching);
    journal.promote().unwrap();
    assert_eq!(journal.record.progress, RecordProgress::Promoting);
    journal.complete().unwrap();
    assert_eq!(journal.record.progress, RecordProgress::Complete);
    let receipt = Record::read(&games, &game(), RecordKind::Receipt).unwrap().unwrap();
    assert_eq!(receipt.progress, RecordProgress::Complete);
    // Completed again after a restart, it gets no second line.
    let length = receipt.whole_bytes;
    std::fs::rename(games.state_path(DOWNLOADS_DIR, "g.jsonl"), games.state_path(DOWNLOADS_DIR, "g.draft"))
        .unwrap();
    Journal::resume(&games, &game(), receipt).unwrap().complete().unwrap();
    let receipt = Record::read(&games, &game(), RecordKind::Receipt).unwrap().unwrap();
    assert_eq!(receipt.whole_bytes, length);
}

#[test]
fn what_is_not_ours_is_reported_with_what_to_do() {
    let (folder, games) = machine();
    drop(journal(&games));
    let path = folder.path().join(".lanspread/downloads/g.draft");
    let whole = std::fs::read_to_string(&path).unwrap();
    let many = format!("\"size\":{}", limits::GAME_BYTES_MAX * 64);
    for (name, text) in [
        ("another schema", whole.replace("\"schema\":1", "\"schema\":2")),
        ("another game", whole.replace("\"game\":\"g\"", "\"game\":\"h\"")),
        ("no record", "hello\n".to_owned()),
        ("more than any game", whole.replace("\"size\":3", &many)),
        ("a chunk of no file", whole.replacen("\"file\":0", "\"file\":9", 1)),
        ("a chunk past the end", whole.replacen("\"chunk\":1,", "\"chunk\":9,", 1)),
        ("an unknown line", whole.replacen("{\"dropped\"", "{\"shuffled\"", 1)),
        ("a malformed number", whole.replacen("\"crc32\":\"ffffffff\"", "\"crc32\":\"xyz\"", 1)),
        ("a malformed identity", whole.replacen("\"peer_id\":\"", "\"peer_id\":\"z", 1)),
    ] {
        assert_ne!(text, whole, "{name}");
        std::fs::write(&path, text).unwrap();
        let error = Record::read(&games, &game(), RecordKind::Journal).unwrap_err();
        assert!(matches!(&error, StoreError::Foreign(_)), "{name}: {error}");
        assert!(error.to_string().contains("remove it"), "{name}: {error}");
    }
}

/// Before version 2 of the protocol, an identity was written as 32 hexadecimal digits.
#[test]
fn a_record_of_an_earlier_version_is_read() {
    let (folder, games) = machine();
    let peer = PeerId::from([7; 16]);
    drop(Journal::create(&games, &head()).unwrap().chunk(0, recorded(1, peer, 1)));
    let path = folder.path().join(".lanspread/downloads/g.draft");
    let whole = std::fs::read_to_string(&path).unwrap();
    let earlier = whole.replace(&peer.to_string(), &"07".repeat(16));
    assert_ne!(earlier, whole);
    std::fs::write(&path, earlier).unwrap();
    assert_eq!(read(&games).unwrap().here[0].as_ref().unwrap().peer_id, peer);
}

#[test]
fn chunks_of_a_file_that_changed_are_dropped_and_nothing_else() {
    let (_folder, games) = machine();
    let mut journal = Journal::create(&games, &head()).unwrap();
    let (one, other) = (PeerId::random().unwrap(), PeerId::random().unwrap());
    journal.chunk(0, recorded(1, one, 10)).unwrap();
    journal.chunk(1, recorded(1, other, 20)).unwrap();
    journal.chunk(2, recorded(1, one, 10)).unwrap();
    journal.chunk(3, recorded(1, one, 30)).unwrap();
    assert_eq!(journal.drop_changed(one, &[10, 0, 30]).unwrap(), [0; 0]);
    assert_eq!(journal.drop_changed(one, &[11, 0, 30]).unwrap(), [0, 2]);
    let left: Vec<bool> = read(&games).unwrap().here.iter().map(Option::is_some).collect();
    assert_eq!(left, [false, true, false, true], "and it is on the disk");
}

#[test]
fn a_record_of_another_boot_is_not_trusted_until_it_was_checked() {
    let (folder, games) = machine();
    drop(Journal::create(&games, &head()).unwrap());
    let path = folder.path().join(".lanspread/downloads/g.draft");
    let whole = std::fs::read_to_string(&path).unwrap();
    let this_boot = boot_id().unwrap();
    for other in [whole.replace(&this_boot, "another"), whole.replace(&format!("\"{this_boot}\""), "null")] {
        assert_ne!(other, whole);
        std::fs::write(&path, other).unwrap();
        let record = read(&games).unwrap();
        assert!(!record.is_of_this_boot());
        Journal::resume(&games, &game(), record).unwrap().checked().unwrap();
        assert!(read(&games).unwrap().is_of_this_boot());
    }
}

/// A journal on a full disk: writing a line fails as a fault of the disk, and all earlier lines are still there.
#[test]
fn a_full_disk_loses_nothing_that_was_recorded() {
    let (_folder, games) = machine();
    let mut journal = journal(&games);
    let whole_bytes = read(&games).unwrap().whole_bytes;
    journal.file = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = journal.chunk(1, recorded(1, PeerId::random().unwrap(), 1)).unwrap_err();
    assert_eq!(error.code(), "disk-full");
    assert!(journal.record.here[1].is_none(), "a chunk that is not recorded does not count");
    assert_eq!(read(&games).unwrap().whole_bytes, whole_bytes);
}
