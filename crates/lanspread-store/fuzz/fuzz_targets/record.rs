//! Records of downloads, as journal and as receipt: what they say is within the files, and reading one twice says the
//! same.
#![no_main]

use std::fs;
use std::sync::{Arc, LazyLock};

use lanspread_store::download::partials;
use lanspread_store::error::StoreError;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::verify;
use lanspread_types::content::RootFile;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use libfuzzer_sys::fuzz_target;
use tokio_util::sync::CancellationToken;

struct Machine {
    folder: tempfile::TempDir,
    games: Arc<GamesDir>,
    game: GameId,
    version: GameVersion,
    files: Vec<RootFile>,
}

static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let games = Arc::new(GamesDir::open(folder.path()).expect("a games directory"));
    // Small, so that what is read again is read in no time.
    let file = |name: &str, size| RootFile { name: name.to_owned(), size };
    let files = vec![file("a.eti", 5000), file("version.ini", 3)];
    let (game, version) = ("g".parse().expect("a game id"), "1".parse().expect("a version"));
    Machine { folder, games, game, version, files }
});

fn fuzz(input: &[u8]) {
    as_receipt(input);
    as_journal(input);
}

fn write(name: &str, input: &[u8]) {
    let downloads = MACHINE.folder.path().join(".lanspread/downloads");
    // What an earlier input left.
    let _ = fs::remove_dir_all(MACHINE.folder.path().join("g"));
    let _ = fs::remove_dir_all(&downloads);
    fs::create_dir_all(&downloads).expect("a folder");
    fs::write(downloads.join(name), input).expect("a record");
}

fn as_receipt(input: &[u8]) {
    write("g.jsonl", input);
    let machine = &*MACHINE;
    match verify::parts(&machine.games, &machine.game, None) {
        Ok(parts) => {
            let whole = parts.iter().map(|part| part.bytes()).sum::<u64>();
            assert!(input.contains(&b'\n'), "its first line is whole");
            // A line that was torn never happened.
            write("g.jsonl", &[input, b"\n{\"chunk"].concat());
            if input.ends_with(b"\n") {
                write("g.jsonl", &[input, b"{\"chunk"].concat());
                let parts = verify::parts(&machine.games, &machine.game, None).expect("a torn line is left out");
                assert_eq!(parts.iter().map(|part| part.bytes()).sum::<u64>(), whole);
            }
        }
        Err(StoreError::Foreign(_) | StoreError::NotInstalled { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

fn as_journal(input: &[u8]) {
    write("g.draft", input);
    let Machine { games, game, version, files, .. } = &*MACHINE;
    let prepare = || partials::prepare(games, game, version, files, None, &CancellationToken::new());
    let first = match prepare() {
        Ok((_, journal)) => journal.record,
        Err(StoreError::Foreign(_)) => return,
        Err(error) => panic!("{error}"),
    };
    // Whatever the record said: one place for each chunk, and no more bytes than the files have.
    assert_eq!(first.here.len(), first.chunks.all().len());
    let bytes: u64 = first.chunks.all().iter().map(|chunk| chunk.length).sum();
    assert_eq!(bytes, files.iter().map(|file| file.size).sum::<u64>());
    assert!(first.chunks.all().iter().all(|chunk| (1..=limits::CHUNK_BYTES).contains(&chunk.length)));
    assert!(first.here_bytes() <= bytes);
    // The files were not there, so nothing can be here.
    assert_eq!(first.here_bytes(), 0);
    let (_, second) = prepare().expect("our own record");
    assert_eq!(second.record.here, first.here);
    assert_eq!(second.record.chunks, first.chunks);
}

fuzz_target!(|input: &[u8]| fuzz(input));
