//! What an earlier download left is used as far as it can be trusted, and no further.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use lanspread_testing::machine::Machine;
use lanspread_testing::manifests::of_root_files;
use lanspread_types::checksum::Checksum;
use lanspread_types::ids::PeerId;

use super::*;
use crate::state::disk_calls::script;
use crate::state::record::Recorded;

const CHUNK: u64 = lanspread_types::limits::CHUNK_BYTES;

struct Fixture {
    machine: Machine,
    games: Arc<GamesDir>,
    game: GameId,
}

fn fixture() -> Fixture {
    let machine = Machine::new();
    let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
    Fixture { machine, games, game: "g".parse().unwrap() }
}

fn files() -> Vec<RootFile> {
    let file = |name: &str, size| RootFile { name: name.to_owned(), size };
    vec![file("a.eti", CHUNK + 3), file("version.ini", 1)]
}

impl Fixture {
    fn prepare_as(&self, version: &str, files: &[RootFile]) -> Result<(Partials, Journal), StoreError> {
        let cancel = CancellationToken::new();
        prepare(&self.games, &self.game, &version.parse().unwrap(), files, None, &cancel)
    }

    fn prepare_listed(&self, listed: &ListedChunks) -> (Partials, Journal) {
        let cancel = CancellationToken::new();
        prepare(&self.games, &self.game, &"1".parse().unwrap(), &files(), Some(listed), &cancel).unwrap()
    }

    /// What a manifest lists about files with this content from the second chunk of the archive on.
    fn listed(&self, content: &[u8]) -> ListedChunks {
        let root = tempfile::tempdir().unwrap();
        let archive = fs::File::create(root.path().join("a.eti")).unwrap();
        archive.set_len(CHUNK + 3).unwrap();
        archive.write_all_at(content, CHUNK).unwrap();
        fs::write(root.path().join("version.ini"), "1").unwrap();
        ListedChunks::new(of_root_files(root.path(), self.game.as_str(), "1"))
    }

    fn prepare(&self) -> (Partials, Journal) {
        self.prepare_as("1", &files()).unwrap()
    }

    /// An earlier download that fetched the second chunk of the archive, and the sentinel.
    fn leave_some(&self) {
        let (partials, mut journal) = self.prepare();
        for (id, content) in [(1, &b"abc"[..]), (2, b"1")] {
            let chunk = journal.record.chunks.all()[id];
            partials.open(chunk.file).unwrap().write_all_at(content, chunk.offset).unwrap();
            let checksum = Checksum::of(content);
            let (peer, peer_id) = ("pc".parse().unwrap(), PeerId::random().unwrap());
            journal.chunk(id, Recorded { checksum, peer, peer_id, fingerprint: 1 }).unwrap();
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.machine.games_dir().join(path)
    }

    /// The record as it would be after the power failed.
    fn restart_machine(&self) {
        let path = self.path(".lanspread/downloads/g.draft");
        let text = fs::read_to_string(&path).unwrap();
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        fs::write(&path, text.replace(boot_id.trim(), "another")).unwrap();
    }
}

fn here(journal: &Journal) -> Vec<bool> {
    journal.record.here.iter().map(Option::is_some).collect()
}

#[test]
fn what_has_arrived_is_kept_and_only_the_rest_is_fetched() {
    let fixture = fixture();
    assert_eq!(here(&fixture.prepare().1), [false; 3]);
    fixture.leave_some();
    let (partials, journal) = fixture.prepare();
    assert_eq!(here(&journal), [false, true, true]);
    assert_eq!(checksum_of(&mut partials.open(0).unwrap(), CHUNK, 3).unwrap(), Some(Checksum::of(b"abc")));
}

#[test]
fn another_version_or_list_of_files_starts_over_and_leaves_nothing_of_the_old() {
    let more = [files(), vec![RootFile { name: "z.eti".to_owned(), size: 1 }]].concat();
    for (version, files) in [("2", files()), ("1", more)] {
        let fixture = fixture();
        fixture.leave_some();
        fs::write(fixture.path("g/.downloading/odd"), "").unwrap();
        let (_, journal) = fixture.prepare_as(version, &files).unwrap();
        assert!(here(&journal).iter().all(|here| !here));
        assert!(journal.record.head.created_root, "the game root is the new download's");
        assert!(!fixture.path("g/.downloading/odd").exists());
    }
}

/// After a power failure the record is only a claim: chunks that match it are kept, and the others are fetched again.
#[test]
fn on_another_boot_every_recorded_chunk_is_read_again() {
    let fixture = fixture();
    fixture.leave_some();
    fixture.restart_machine();
    assert_eq!(here(&fixture.prepare().1), [false, true, true]);
    fixture.restart_machine();
    let file = fs::OpenOptions::new().write(true).open(fixture.path("g/.downloading/a.eti")).unwrap();
    file.write_all_at(b"\0", CHUNK + 1).unwrap();
    assert_eq!(here(&fixture.prepare().1), [false, false, true]);
    assert_eq!(here(&fixture.prepare().1), [false, false, true], "it is on the disk");
}

#[test]
fn on_the_same_boot_nothing_is_read_again() {
    let fixture = fixture();
    fixture.leave_some();
    let file = fs::OpenOptions::new().write(true).open(fixture.path("g/.downloading/a.eti")).unwrap();
    file.write_all_at(b"\0", CHUNK + 1).unwrap();
    assert_eq!(here(&fixture.prepare().1), [false, true, true], "this test would notice if it were read");
}

#[test]
fn a_cancelled_check_ends_and_trusts_nothing() {
    let fixture = fixture();
    fixture.leave_some();
    fixture.restart_machine();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let result = prepare(&fixture.games, &fixture.game, &"1".parse().unwrap(), &files(), None, &cancel);
    assert!(matches!(result, Err(StoreError::Cancelled)));
    let record = Record::read(&fixture.games, &fixture.game, RecordKind::Journal).unwrap().unwrap();
    assert!(!record.is_of_this_boot());
}

/// A file that has a second name is not written to: the other name may be anyone's.
#[test]
fn a_file_with_a_second_name_is_not_written_to() {
    let fixture = fixture();
    let (partials, _) = fixture.prepare();
    fs::hard_link(fixture.path("g/.downloading/a.eti"), fixture.path("other")).unwrap();
    let refused = partials.open(0);
    assert!(matches!(refused, Err(LocalError::Foreign(_))), "{refused:?}");
}

#[test]
fn a_file_that_is_gone_or_has_another_size_is_fetched_again_whole() {
    for change in [
        (|path| fs::remove_file(path).unwrap()) as fn(PathBuf),
        |path| fs::write(path, "short").unwrap(),
        |path| {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        },
    ] {
        let fixture = fixture();
        fixture.leave_some();
        change(fixture.path("g/.downloading/a.eti"));
        assert_eq!(here(&fixture.prepare().1), [false, false, true]);
        assert_eq!(fs::symlink_metadata(fixture.path("g/.downloading/a.eti")).unwrap().len(), CHUNK + 3);
    }
}

#[test]
fn discarding_leaves_the_machine_as_it_was() {
    for root_was_there in [false, true] {
        let fixture = fixture();
        if root_was_there {
            fs::create_dir(fixture.path("g")).unwrap();
            fs::write(fixture.path("g/notes.txt"), "mine").unwrap();
        }
        let before = fixture.machine.everything();
        fixture.leave_some();
        discard(&fixture.games, &fixture.game).unwrap();
        fixture.games.remove_empty_state_folders();
        assert_eq!(fixture.machine.everything(), before);
    }
}

#[test]
fn a_folder_that_is_not_ours_is_never_used() {
    for with_link in [false, true] {
        let fixture = fixture();
        fs::create_dir_all(fixture.path("g/there")).unwrap();
        if with_link {
            std::os::unix::fs::symlink("there", fixture.path("g/.downloading")).unwrap();
        } else {
            fs::create_dir(fixture.path("g/.downloading")).unwrap();
        }
        let result = fixture.prepare_as("1", &files());
        assert!(matches!(result, Err(StoreError::Foreign(_))), "{with_link}");
        assert_eq!(fs::read_dir(fixture.path("g/there")).unwrap().count(), 0);
    }
}

/// A system that does not know the advice loses nothing but time: no error, and the bytes are where they were written.
#[test]
fn write_back_begins_where_the_system_can_and_costs_nothing_where_it_cannot() {
    let fixture = fixture();
    let (partials, _journal) = fixture.prepare();
    let opened = partials.open(0).unwrap();
    opened.write_all_at(b"abc", 1).unwrap();
    let begin = |length| partials.begin_write_back(0, &opened, 1, length);
    let ((), calls) = script::watched(|| begin(0));
    assert_eq!((calls, partials.begun_bytes()), (Vec::new(), 0), "a length of 0 would mean the whole file");
    let ((), calls) = script::watched(|| begin(3));
    assert_eq!((calls.as_slice(), partials.begun_bytes()), (&["begin-write-back a.eti".to_owned()][..], 3));
    let ((), calls) = script::refusing("begin-write-back", rustix::io::Errno::INVAL, || begin(3));
    assert_eq!((calls.len(), partials.begun_bytes()), (1, 3), "refused");
    let mut found = [0; 5];
    opened.read_exact_at(&mut found, 0).unwrap();
    assert_eq!(&found, b"\0abc\0");
}

/// What arrived without a manifest is compared with it before it counts, and what is right is not fetched again.
#[test]
fn what_arrived_without_a_manifest_is_compared_with_it_and_kept_if_right() {
    for (content, kept) in [(b"abc", [false, true, true]), (b"abd", [false, false, true])] {
        let fixture = fixture();
        fixture.leave_some();
        let listed = fixture.listed(content);
        let (_, journal) = fixture.prepare_listed(&listed);
        assert_eq!(here(&journal), kept, "{content:?}");
        assert_eq!(journal.record.manifest, Some(listed.manifest()));
        drop(journal);
        let (_, journal) = fixture.prepare();
        assert_eq!((here(&journal), journal.record.manifest), (kept.to_vec(), None), "it is on the disk");
    }
}

/// What was compared with this manifest in this boot is not read again; with another manifest, or after a reboot, it is.
#[test]
fn proved_chunks_are_read_again_only_for_another_manifest_or_boot() {
    let fixture = fixture();
    fixture.leave_some();
    let (listed, other) = (fixture.listed(b"abc"), fixture.listed(b"abd"));
    drop(fixture.prepare_listed(&listed));
    let archive = fs::OpenOptions::new().write(true).open(fixture.path("g/.downloading/a.eti")).unwrap();
    archive.write_all_at(b"abd", CHUNK).unwrap();
    assert_eq!(here(&fixture.prepare_listed(&listed).1), [false, true, true], "it would notice if it read");
    assert_eq!(
        here(&fixture.prepare_listed(&other).1),
        [false, true, true],
        "it is as the other one lists it"
    );
    fixture.restart_machine();
    assert_eq!(here(&fixture.prepare_listed(&other).1), [false, true, true]);
    archive.write_all_at(b"abx", CHUNK).unwrap();
    assert_eq!(here(&fixture.prepare_listed(&other).1), [false, true, true], "checked in this boot");
    fixture.restart_machine();
    assert_eq!(here(&fixture.prepare_listed(&other).1), [false, false, true]);
}
