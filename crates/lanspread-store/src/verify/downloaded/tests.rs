//! Every difference of every file is reported once, and nothing else.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use lanspread_testing::machine::Machine;
use lanspread_testing::manifests::of_root_files;
use lanspread_types::checksum::Checksum;
use lanspread_types::content::{InstallTrust, RootFile};
use lanspread_types::ids::PeerId;
use lanspread_types::limits::CHUNK_BYTES;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::state::record::{Journal, RecordHead, Recorded};
use crate::verify::comparison::{Difference, VerifyObserver, compare};

/// A downloaded game of two chunks, an empty archive and a sentinel, with its receipt.
fn downloaded() -> (Machine, Arc<GamesDir>, GameId) {
    let machine = Machine::new();
    let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
    let game: GameId = "g".parse().unwrap();
    let root = machine.games_dir().join("g");
    fs::create_dir(&root).unwrap();
    let content = vec![7; usize::try_from(CHUNK_BYTES).unwrap() + 10];
    let named: [(&str, &[u8]); 3] = [("a.eti", &content), ("empty.eti", b""), ("version.ini", b"1")];
    let mut files = Vec::new();
    for (name, content) in named {
        fs::write(root.join(name), content).unwrap();
        files.push(RootFile { name: name.to_owned(), size: content.len() as u64 });
    }
    let mut journal =
        Journal::create(&games, &RecordHead::new(&game, &"1".parse().unwrap(), &files, true)).unwrap();
    for chunk in journal.record.chunks.all().to_vec() {
        let begin = usize::try_from(chunk.offset).unwrap();
        let bytes = &named[chunk.file].1[begin..begin + usize::try_from(chunk.length).unwrap()];
        let (peer, peer_id) = ("pc".parse().unwrap(), PeerId::random().unwrap());
        let recorded = Recorded { checksum: Checksum::of(bytes), peer, peer_id, fingerprint: 1 };
        journal.chunk(chunk.id, recorded).unwrap();
    }
    journal.complete().unwrap();
    (machine, games, game)
}

/// Every difference, in the order in which it was reported.
#[derive(Default)]
struct Heard(Vec<Difference>);

impl VerifyObserver for Heard {
    fn progress(&mut self, _: u64, _: u64) {}
    fn difference(&mut self, difference: Difference) {
        self.0.push(difference);
    }
}

#[test]
fn every_difference_is_reported_once() {
    type Case = (&'static str, &'static [(&'static str, &'static str)], fn(&std::path::Path));
    let table: [Case; 8] = [
        ("nothing", &[], |_| {}),
        ("another file beside them", &[], |root| fs::write(root.join("notes.txt"), "x").unwrap()),
        ("a byte in the first chunk", &[("a.eti", "content")], |root| change_byte(root, 5)),
        ("a byte in the last chunk", &[("a.eti", "content")], |root| change_byte(root, CHUNK_BYTES + 9)),
        ("shorter", &[("a.eti", "size")], |root| fs::write(root.join("a.eti"), "7").unwrap()),
        ("no longer empty", &[("empty.eti", "size")], |root| fs::write(root.join("empty.eti"), "7").unwrap()),
        ("a folder", &[("empty.eti", "missing")], |root| {
            fs::remove_file(root.join("empty.eti")).unwrap();
            fs::create_dir(root.join("empty.eti")).unwrap();
        }),
        ("all gone", &[("a.eti", "missing"), ("empty.eti", "missing"), ("version.ini", "missing")], |root| {
            fs::remove_dir_all(root).unwrap();
        }),
    ];
    for (name, expected, change) in table {
        let (machine, games, game) = downloaded();
        change(&machine.games_dir().join("g"));
        let parts = parts(&games, &game);
        let mut heard = Heard::default();
        let counts = compare(&parts, &mut heard, &CancellationToken::new()).unwrap();
        let told: Vec<(String, String)> = heard
            .0
            .into_iter()
            .map(|Difference { part, path, problem }| {
                assert_eq!(part, "download");
                (path, problem.code().to_owned())
            })
            .collect();
        let expected: Vec<(String, String)> =
            expected.iter().map(|(path, problem)| ((*path).to_owned(), (*problem).to_owned())).collect();
        assert_eq!(told, expected, "{name}");
        assert_eq!((counts.files, counts.differences), (3, expected.len() as u64), "{name}");
    }
}

fn parts(games: &Arc<GamesDir>, game: &GameId) -> Vec<Box<dyn VerifyPart>> {
    vec![Box::new(DownloadedFiles::find(games, game, None).unwrap().unwrap())]
}

fn change_byte(root: &std::path::Path, offset: u64) {
    let file = fs::OpenOptions::new().write(true).open(root.join("a.eti")).unwrap();
    file.write_all_at(b"\0", offset).unwrap();
}

#[test]
fn it_ends_if_cancelled_and_skips_games_that_lanspread_did_not_download() {
    let (_machine, games, game) = downloaded();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let result = compare(&parts(&games, &game), &mut Heard::default(), &cancel);
    assert!(matches!(result, Err(StoreError::Cancelled)));
    assert!(DownloadedFiles::find(&games, &"other".parse().unwrap(), None).unwrap().is_none());
}

/// With a manifest, what counts is the manifest: wrong bytes that were recorded as they came are found, and right ones make
/// the receipt a verified one. A manifest of another version says nothing.
#[test]
fn with_a_manifest_files_are_compared_with_what_it_lists() {
    let (machine, games, game) = downloaded();
    let root = machine.games_dir().join("g");
    let manifest = of_root_files(&root, "g", "1");
    let problems = |manifest| {
        let parts: Vec<Box<dyn VerifyPart>> =
            vec![Box::new(DownloadedFiles::find(&games, &game, Some(manifest)).unwrap().unwrap())];
        let mut heard = Heard::default();
        let counts = compare(&parts, &mut heard, &CancellationToken::new()).unwrap();
        assert_eq!((counts.files, counts.bytes), (3, parts[0].bytes()));
        heard.0.into_iter().map(|difference| difference.path).collect::<Vec<_>>()
    };
    let trust = || GameState::read(games.path(), &game).unwrap().unwrap().downloaded_trust;

    let other = tempfile::tempdir().unwrap();
    for name in ["a.eti", "empty.eti", "version.ini"] {
        fs::copy(root.join(name), other.path().join(name)).unwrap();
    }
    change_byte(other.path(), CHUNK_BYTES + 9);
    let lied = of_root_files(other.path(), "g", "1");
    let later = of_root_files(other.path(), "g", "2");
    assert_eq!(problems(&later), [""; 0], "it is about another version");
    assert_eq!(trust(), Some(InstallTrust::Unverified));
    assert_eq!(problems(&lied), ["a.eti"], "in the last byte of its last chunk");
    assert_eq!(trust(), Some(InstallTrust::Unverified));
    assert_eq!(problems(&manifest), [""; 0]);
    assert_eq!(trust(), Some(InstallTrust::Verified));

    // Files that lanspread did not download are compared too.
    fs::remove_file(machine.games_dir().join(".lanspread/downloads/g.jsonl")).unwrap();
    assert_eq!(problems(&manifest), [""; 0]);
    assert_eq!(problems(&lied), ["a.eti"]);
    assert_eq!(trust(), None);
}
