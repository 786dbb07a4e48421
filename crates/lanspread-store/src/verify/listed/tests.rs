use std::fs;
use std::fs::FileTimes;
use std::os::unix::fs::PermissionsExt;
use std::time::UNIX_EPOCH;

use lanspread_testing::machine::{Machine, Node, Tree, tree};
use lanspread_testing::{manifests, small_game};
use lanspread_types::checksum::Checksum;
use lanspread_types::content::{InstallTrust, Totals};
use lanspread_types::ids::PeerId;

use super::*;
use crate::state::receipt::{ChecksumText, ReceiptHead};
use crate::state::receipt_reader;
use crate::verify::comparison::{Counts, Difference, VerifyObserver, compare};
use crate::verify::parts;

/// Collects the differences.
#[derive(Default)]
struct Seen {
    differences: Vec<(String, Problem)>,
}

impl VerifyObserver for Seen {
    fn progress(&mut self, _: u64, _: u64) {}

    fn difference(&mut self, Difference { part, path, problem }: Difference) {
        assert_eq!(part, INSTALLED);
        self.differences.push((path, problem));
    }
}

/// A machine with an installed tree and a receipt that is not verified.
struct Fixture {
    machine: Machine,
    games: Arc<GamesDir>,
    manifest: Arc<ManifestFile>,
}

impl Fixture {
    fn new() -> Self {
        Self::of(&small_game::tree(), &[])
    }

    /// With this tree, whose receipt also names more files.
    fn of(installed: &Tree, also_installed: &[&str]) -> Self {
        let machine = Machine::new();
        let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
        let (game, version) = (small_game::game(), small_game::version());
        let local = machine.games_dir().join("small/local");
        fs::create_dir_all(&local).unwrap();
        let head =
            ReceiptHead::new(&game, &version, &"den".parse().unwrap(), PeerId::random().unwrap(), None);
        let mut draft = ReceiptDraft::create(&games, &head).unwrap();
        let mut totals = Totals { directories: 1, ..Totals::default() };
        let mut record = |path: &str, content: &[u8]| {
            let (size, crc32) = (content.len() as u64, Some(ChecksumText(Checksum::of(content))));
            totals = totals.checked_add(Totals { files: 1, directories: 0, bytes: size }).unwrap();
            draft.file(&FileLine { path, size, crc32, sha256: None, stamp: None }).unwrap();
        };
        for (path, node) in installed {
            match node {
                Node::Folder => fs::create_dir_all(local.join(path)).unwrap(),
                Node::File(content, executable) => {
                    let path_of_file = local.join(path);
                    fs::create_dir_all(path_of_file.parent().unwrap()).unwrap();
                    fs::write(&path_of_file, content).unwrap();
                    let mode = if *executable { 0o755 } else { 0o644 };
                    fs::set_permissions(&path_of_file, fs::Permissions::from_mode(mode)).unwrap();
                    record(path, content);
                }
                Node::Other => {}
            }
        }
        for path in also_installed {
            fs::write(local.join(path), "x").unwrap();
            record(path, b"x");
        }
        draft.complete(totals).unwrap();
        receipt::publish(&games, &game).unwrap();
        let listed = small_game::EMPTY_FOLDER;
        let manifest = Arc::new(manifests::of_tree(&game, &version, installed, &[listed]));
        Self { machine, games, manifest }
    }

    fn local(&self) -> PathBuf {
        self.machine.games_dir().join("small/local")
    }

    fn verify_with(&self, seen: &mut Seen, cancel: &CancellationToken) -> Result<Counts, StoreError> {
        compare(&parts(&self.games, &small_game::game(), Some(&self.manifest))?, seen, cancel)
    }

    /// The differences, in the order of their paths.
    fn verify(&self) -> Vec<(String, Problem)> {
        let mut seen = Seen::default();
        self.verify_with(&mut seen, &CancellationToken::new()).unwrap();
        seen.differences.sort_by(|one, other| one.0.cmp(&other.0));
        seen.differences
    }

    fn trust(&self) -> InstallTrust {
        receipt_reader::head(&self.games, &small_game::game()).unwrap().unwrap().trust
    }
}

#[test]
fn an_old_receipt_becomes_verified_and_no_byte_is_moved() {
    let fixture = Fixture::new();
    assert_eq!(fixture.trust(), InstallTrust::Unverified);
    let before = tree(&fixture.local());
    // Added by the user: reported, and in no receipt.
    fs::write(fixture.local().join("saves/one"), "mine").unwrap();
    assert_eq!(fixture.verify(), [("saves/one".to_owned(), Problem::Added)]);
    assert_eq!(fixture.trust(), InstallTrust::Verified);
    let game = small_game::game();
    let receipt = receipt_reader::read(&fixture.games, &game).unwrap().unwrap();
    assert_eq!(receipt.head.manifest, Some(fixture.manifest.digest()));
    assert_eq!(receipt.head.source.as_str(), "den", "where it came from is kept");
    assert_eq!(receipt.totals, small_game::totals());
    assert!(!receipt.files.contains_key("saves/one"));
    fs::remove_file(fixture.local().join("saves/one")).unwrap();
    assert_eq!(tree(&fixture.local()), before);
    assert!(!fixture.machine.everything().contains_key(".lanspread/receipts/small.draft"));
    // The new receipt is enough, without a manifest too.
    let mut seen = Seen::default();
    let parts = parts(&fixture.games, &game, None).unwrap();
    let counts = compare(&parts, &mut seen, &CancellationToken::new()).unwrap();
    assert_eq!((counts.files, counts.differences), (4, 0));
    fs::write(fixture.local().join(small_game::LAST_FILE), b"#!/bin/sh\nexec ./gane\n").unwrap();
    let counts = compare(&parts, &mut seen, &CancellationToken::new()).unwrap();
    assert_eq!(counts.differences, 1, "by its digest");
}

/// What a lying source installed is named, and does not become verified.
#[test]
fn every_difference_is_named_and_nothing_is_lifted() {
    type Change = fn(&Path);
    let table: [(Change, &str, Problem); 7] = [
        (|local| fs::remove_file(local.join("data/zero")).unwrap(), "data/zero", Problem::Missing),
        (|local| fs::remove_dir(local.join("saves")).unwrap(), "saves", Problem::Missing),
        (|local| fs::write(local.join("data/zero"), "1").unwrap(), "data/zero", Problem::Size),
        (
            |local| {
                let path = local.join(small_game::FIRST_FILE);
                let times = FileTimes::new().set_modified(UNIX_EPOCH);
                let mut content = fs::read(&path).unwrap();
                content[3] ^= 1;
                fs::write(&path, content).unwrap();
                File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
            },
            small_game::FIRST_FILE,
            Problem::Content,
        ),
        (
            |local| {
                let mode = fs::Permissions::from_mode(0o644);
                fs::set_permissions(local.join(small_game::LAST_FILE), mode).unwrap();
            },
            small_game::LAST_FILE,
            Problem::Executable,
        ),
        (
            |local| {
                fs::remove_file(local.join("data/zero")).unwrap();
                std::os::unix::fs::symlink("one.bin", local.join("data/zero")).unwrap();
            },
            "data/zero",
            Problem::Missing,
        ),
        (|_| {}, "extra.dll", Problem::Unlisted),
    ];
    for (change, path, problem) in table {
        let extra: &[&str] = if problem == Problem::Unlisted { &["extra.dll"] } else { &[] };
        let fixture = Fixture::of(&small_game::tree(), extra);
        change(&fixture.local());
        let mut found = fixture.verify();
        // A link is there, and is not the file.
        found.retain(|(_, problem)| *problem != Problem::Added);
        assert_eq!(found, [(path.to_owned(), problem)]);
        assert_eq!(fixture.trust(), InstallTrust::Unverified, "{path}");
        assert!(!fixture.machine.everything().contains_key(".lanspread/receipts/small.draft"), "{path}");
    }
}

/// Several threads read one file, and a wrong byte in any part is found.
#[test]
fn a_large_file_is_compared_part_by_part() {
    let part = usize::try_from(limits::MANIFEST_PART_BYTES).unwrap();
    let content = vec![5; 2 * part + 9];
    let mut tree = small_game::tree();
    tree.insert("big".to_owned(), Node::File(content.clone(), false));
    let fixture = Fixture::of(&tree, &[]);
    let file = File::options().write(true).open(fixture.local().join("big")).unwrap();
    for wrong in [part - 1, part, content.len() - 1] {
        file.write_at(b"x", wrong as u64).unwrap();
        assert_eq!(fixture.verify(), [("big".to_owned(), Problem::Content)], "byte {wrong}");
        file.write_at(&content[..1], wrong as u64).unwrap();
    }
    let mut seen = Seen::default();
    let counts = fixture.verify_with(&mut seen, &CancellationToken::new()).unwrap();
    let bytes = small_game::totals().bytes + content.len() as u64;
    assert_eq!((counts.files, counts.bytes, counts.differences), (5, bytes, 0));
    assert_eq!(fixture.trust(), InstallTrust::Verified);
}

#[test]
fn a_cancelled_comparison_ends_and_lifts_nothing() {
    let mut tree = small_game::tree();
    for number in 0..300 {
        tree.insert(format!("many{number:03}"), Node::File(vec![0; 1000], false));
    }
    let fixture = Fixture::of(&tree, &[]);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let ended = fixture.verify_with(&mut Seen::default(), &cancel);
    assert!(matches!(ended, Err(StoreError::Cancelled)), "{ended:?}");
    assert_eq!(fixture.trust(), InstallTrust::Unverified);
    assert!(!fixture.machine.everything().contains_key(".lanspread/receipts/small.draft"));
}

/// A manifest of another version says nothing about this tree.
#[test]
fn a_manifest_of_another_version_is_not_compared_with() {
    let fixture = Fixture::new();
    let version = "20990101".parse().unwrap();
    let other = manifests::of_tree(
        &small_game::game(),
        &version,
        &Tree::from([("other".to_owned(), Node::File(b"x".to_vec(), false))]),
        &[],
    );
    let fixture = Fixture { manifest: Arc::new(other), ..fixture };
    assert_eq!(fixture.verify(), []);
    assert_eq!(fixture.trust(), InstallTrust::Unverified);
}
