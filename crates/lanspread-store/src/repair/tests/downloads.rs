//! Downloaded files: which parts of them are wrong, and how they get into their places.

use std::os::unix::fs::FileExt;

use lanspread_types::checksum::Checksum;
use lanspread_types::content::InstallTrust;

use super::*;
use crate::download::partials::{Partials, prepare, prepare_repair};
use crate::download::{commit, partials};
use crate::state::listed_chunks::ListedChunks;
use crate::state::record::{Journal, Record, RecordKind, Recorded};

/// Bytes of a listed chunk of a small game.
const CHUNK: usize = lanspread_types::limits::MANIFEST_SMALL_CHUNK_BYTES as usize;
const FILES: [&str; 3] = ["a.eti", "b.eti", "version.ini"];

fn content(file: usize) -> Vec<u8> {
    let size = [3 * CHUNK + 100, CHUNK / 2, 1][file];
    if file == 2 {
        b"1".to_vec()
    } else {
        (0..size).map(|at| u8::try_from((at * 31 + at / 251 + file) % 256).unwrap()).collect()
    }
}

/// The content of a chunk.
fn bytes_of(chunk: &crate::state::chunks::Chunk) -> Vec<u8> {
    let begin = usize::try_from(chunk.offset).unwrap();
    content(chunk.file)[begin..begin + usize::try_from(chunk.length).unwrap()].to_vec()
}

struct Download {
    machine: Machine,
    games: Arc<GamesDir>,
    game: GameId,
    manifest: Option<Arc<ManifestFile>>,
}

fn recorded(checksum: Checksum) -> Recorded {
    let (peer, peer_id) = ("pc".parse().unwrap(), [7; 16].into());
    Recorded { checksum, peer, peer_id, fingerprint: 1 }
}

impl Download {
    fn new(is_listed: bool) -> Self {
        let machine = Machine::new();
        let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
        let game: GameId = "g".parse().unwrap();
        let files: Vec<_> = (0..3)
            .map(|file| lanspread_types::content::RootFile {
                name: FILES[file].to_owned(),
                size: content(file).len() as u64,
            })
            .collect();
        let cancel = CancellationToken::new();
        let (partials, mut journal) =
            prepare(&games, &game, &"1".parse().unwrap(), &files, None, &cancel).unwrap();
        fetch(&partials, &mut journal);
        commit::begin(&games, &game, &mut journal).unwrap();
        commit::promote(&games, &game, &journal.record).unwrap();
        commit::finish(&games, &game, &mut journal).unwrap();
        let root = machine.games_dir().join("g");
        let manifest = is_listed.then(|| manifests::of_root_files(&root, "g", "1"));
        Self { machine, games, game, manifest }
    }

    fn path(&self, file: usize) -> std::path::PathBuf {
        self.machine.games_dir().join("g").join(FILES[file])
    }

    fn damage(&self, file: usize, offset: usize) {
        let opened = fs::File::options().write(true).open(self.path(file)).unwrap();
        opened.write_all_at(b"damage", offset as u64).unwrap();
    }

    fn examine(&self) -> Option<RootRepair> {
        let (mut seen, cancel) = (Seen::default(), CancellationToken::new());
        examine(&self.games, &self.game, self.manifest.as_ref(), Recording::On, &mut seen, &cancel)
            .unwrap()
            .root
    }

    fn listed(&self) -> Option<ListedChunks> {
        self.manifest.clone().map(ListedChunks::new)
    }

    /// Everything is fetched, and nothing put in its place.
    fn fetched(&self, root: &RootRepair) -> (Partials, Journal) {
        let (parts, cancel) = (root.parts(), CancellationToken::new());
        let prepared = prepare_repair(&self.games, &self.game, &parts, self.listed().as_ref(), &cancel);
        let (partials, mut journal) = prepared.unwrap();
        fetch(&partials, &mut journal);
        (partials, journal)
    }

    fn is_whole(&self) -> bool {
        (0..3).all(|file| fs::read(self.path(file)).is_ok_and(|here| here == content(file)))
    }

    fn assert_repaired(&self, why: &str) {
        assert!(self.is_whole(), "{why}");
        assert!(self.examine().is_none(), "{why}");
        assert!(!self.machine.games_dir().join("g/.downloading").exists(), "{why}");
        assert_eq!(Record::read(&self.games, &self.game, RecordKind::Journal).unwrap(), None, "{why}");
        let receipt = Record::read(&self.games, &self.game, RecordKind::Receipt).unwrap().unwrap();
        for chunk in receipt.chunks.all() {
            let bytes = &bytes_of(chunk);
            let here = receipt.here[chunk.id].as_ref().unwrap();
            assert_eq!(here.checksum, Checksum::of(bytes), "{why}");
        }
        let state = GameState::read(self.games.path(), &self.game).unwrap().unwrap();
        let is_verified = state.downloaded_trust == Some(InstallTrust::Verified);
        assert_eq!(is_verified, self.manifest.is_some(), "{why}");
    }
}

/// Brings what is missing.
fn fetch(partials: &Partials, journal: &mut Journal) {
    for chunk in journal.record.chunks.all().to_vec() {
        if journal.record.is_missing(chunk.id) {
            let bytes = &bytes_of(&chunk);
            partials.put(chunk.file, chunk.offset, bytes).unwrap();
            journal.chunk(chunk.id, recorded(Checksum::of(bytes))).unwrap();
        }
    }
}

type Damage = fn(&Download);

/// Every way in which files can be wrong, and how many bytes bring them back.
#[test]
fn only_the_parts_that_differ_are_fetched_and_written() {
    let all = |file: usize| content(file).len();
    let table: [(Damage, usize, usize); 7] = [
        (|download| download.damage(0, CHUNK + 5), CHUNK, all(0)),
        (|download| download.damage(0, 2 * CHUNK - 3), 2 * CHUNK, all(0)),
        (|download| fs::remove_file(download.path(0)).unwrap(), all(0), all(0)),
        (|download| fs::remove_file(download.path(2)).unwrap(), 1, 1),
        (
            |download| {
                fs::File::options()
                    .write(true)
                    .open(download.path(0))
                    .unwrap()
                    .set_len(CHUNK as u64 * 2)
                    .unwrap();
            },
            CHUNK + 100,
            all(0),
        ),
        (
            |download| {
                fs::File::options()
                    .write(true)
                    .open(download.path(1))
                    .unwrap()
                    .set_len(CHUNK as u64)
                    .unwrap();
            },
            0,
            0,
        ),
        (
            |download| {
                let elsewhere = download.machine.games_dir().join("g/elsewhere");
                fs::rename(download.path(1), &elsewhere).unwrap();
                std::os::unix::fs::symlink("elsewhere", download.path(1)).unwrap();
                fs::File::options().write(true).open(elsewhere).unwrap().write_all_at(b"x", 9).unwrap();
            },
            CHUNK / 2,
            CHUNK / 2,
        ),
    ];
    for (number, (damage, listed_bytes, recorded_bytes)) in table.into_iter().enumerate() {
        for is_listed in [true, false] {
            let why = format!("damage {number}, listed: {is_listed}");
            let download = Download::new(is_listed);
            damage(&download);
            let inode = fs::metadata(download.path(0)).ok().map(|found| found.ino());
            let root = download.examine().unwrap_or_else(|| panic!("{why}: nothing was found"));
            let expected = if is_listed { listed_bytes } else { recorded_bytes };
            let bytes = usize::try_from(root.parts().bytes()).unwrap();
            // A file that is only too long has no wrong part.
            assert!(bytes == expected || number == 5, "{why}: {bytes}");
            let (partials, mut journal) = download.fetched(&root);
            root.check_fetched(&download.game, &partials, &journal.record, &CancellationToken::new())
                .unwrap();
            commit::begin(&download.games, &download.game, &mut journal).unwrap();
            commit::promote(&download.games, &download.game, &journal.record).unwrap();
            commit::finish(&download.games, &download.game, &mut journal).unwrap();
            download.assert_repaired(&why);
            if number == 0 && is_listed {
                let now = fs::metadata(download.path(0)).ok().map(|found| found.ino());
                assert_eq!(now, inode, "{why}: changed where it is");
            }
        }
    }
}

/// The record says little, and a list of the sources more.
#[test]
fn a_list_tells_which_part_of_a_large_chunk_is_wrong() {
    let download = Download::new(false);
    download.damage(0, CHUNK + 5);
    let mut root = download.examine().unwrap();
    assert_eq!(usize::try_from(root.parts().bytes()).unwrap(), content(0).len());
    let sources = Download::new(true);
    let listed = ListedChunks::unsigned(sources.manifest.clone().unwrap());
    root.refine(&listed, &CancellationToken::new()).unwrap();
    assert_eq!(usize::try_from(root.parts().bytes()).unwrap(), CHUNK);
}

/// Sources without a manifest have other files of the same version.
#[test]
fn other_bytes_than_were_downloaded_do_not_come_in() {
    let download = Download::new(false);
    download.damage(1, 3);
    let root = download.examine().unwrap();
    let (partials, mut journal) = download.fetched(&root);
    let chunk = journal.record.chunks.of_file(1)[0];
    partials.put(1, 7, b"other").unwrap();
    journal.chunk(chunk.id, recorded(Checksum::of(b"whatever it is"))).unwrap();
    let cancel = CancellationToken::new();
    let error = root.check_fetched(&download.game, &partials, &journal.record, &cancel).unwrap_err();
    assert_eq!(error.code(), "other-files-offered");
}

/// Makes the change of this number that putting the parts in makes; false if there is none.
fn step(download: &Download, number: usize, journal: &mut Journal) -> bool {
    let (games, game) = (&download.games, &download.game);
    let downloading = download.machine.games_dir().join("g/.downloading");
    match number {
        0 => journal.promote().unwrap(),
        // Half of a part is written.
        1 => download.damage(0, CHUNK + 1),
        2 => commit::promote(games, game, &journal.record).unwrap(),
        3 => fs::remove_dir_all(downloading).unwrap(),
        4 => commit::finish(games, game, journal).unwrap(),
        _ => return false,
    }
    true
}

#[test]
fn killed_between_any_two_steps_the_files_are_repaired_or_as_damaged_as_before() {
    for is_listed in [true, false] {
        for steps in 0..=5 {
            let download = Download::new(is_listed);
            download.damage(0, CHUNK + 5);
            fs::remove_file(download.path(1)).unwrap();
            let damaged = fs::read(download.path(0)).unwrap();
            let root = download.examine().unwrap();
            let (partials, mut journal) = download.fetched(&root);
            drop(partials);
            for number in 0..steps {
                step(&download, number, &mut journal);
            }
            drop(journal);
            let why = format!("listed {is_listed}: killed after {steps} steps");
            crate::download::commit::recover(&download.games, &download.game)
                .unwrap_or_else(|error| panic!("{why}: {error}"));
            if steps > 0 {
                download.assert_repaired(&why);
            } else {
                assert_eq!(fs::read(download.path(0)).unwrap(), damaged, "{why}");
                let root = download.examine().unwrap();
                let (parts, cancel) = (root.parts(), CancellationToken::new());
                let listed = download.listed();
                let again = prepare_repair(&download.games, &download.game, &parts, listed.as_ref(), &cancel);
                assert_eq!(again.unwrap().1.record.missing_bytes(), 0, "{why}: what was fetched is kept");
            }
        }
    }
}

/// The user removes the damaged file while its parts are being put in.
#[test]
fn parts_of_a_file_that_is_gone_are_given_up() {
    let download = Download::new(true);
    download.damage(0, CHUNK + 5);
    let root = download.examine().unwrap();
    let (_partials, mut journal) = download.fetched(&root);
    journal.promote().unwrap();
    fs::remove_file(download.path(0)).unwrap();
    let recovered = commit::recover(&download.games, &download.game).unwrap();
    assert_eq!(recovered, Some("download-discarded"));
    assert!(download.examine().is_some(), "it is still to be repaired");
}

/// A download of another version takes the place of what a repair has left.
#[test]
fn a_download_discards_what_a_repair_left() {
    let download = Download::new(true);
    download.damage(0, CHUNK + 5);
    let root = download.examine().unwrap();
    let (_partials, journal) = download.fetched(&root);
    let files = journal.record.head.files.clone();
    drop(journal);
    let (version, cancel) = ("1".parse().unwrap(), CancellationToken::new());
    let (_, journal) =
        partials::prepare(&download.games, &download.game, &version, &files, None, &cancel).unwrap();
    assert_eq!(journal.record.here_bytes(), 0);
}
