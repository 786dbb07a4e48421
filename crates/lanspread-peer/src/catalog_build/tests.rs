use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use lanspread_archive::ArchiveError;
use lanspread_archive::header_map::HeaderMap;
use lanspread_archive::provider::OpenArchive;
use lanspread_archive::set::ArchiveSet;
use lanspread_store::packing::packing_list;
use lanspread_store::state::file_stamps::FileStamps;
use lanspread_trust::catalog::open_manifest;
use lanspread_trust::manifest::{Blocks, EntryContent, encode};

use super::*;
use crate::report::built_manifest::BuiltManifest;

/// Counts the archives that are opened.
struct Counting {
    inner: Arc<dyn ArchiveProvider>,
    opened: AtomicUsize,
}

impl ArchiveProvider for Counting {
    fn open(
        &self,
        archive: &ArchiveSet,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.inner.open(archive, cancel)
    }
}

#[derive(Default)]
struct Heard {
    events: Mutex<Vec<PeerEvent>>,
    /// Cancelled at the first progress.
    cancels: Option<CancellationToken>,
}

impl BuildObserver for Heard {
    fn event(&self, event: PeerEvent) {
        if let (PeerEvent::CatalogBuildProgress { .. }, Some(cancel)) = (&event, &self.cancels) {
            cancel.cancel();
        }
        self.events.lock().unwrap().push(event);
    }

    fn failed(&self, _game: &GameId, _error: &PeerError) {}
}

fn fixtures(fixture: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(fixture)
}

/// Builds, and says how many archives were opened and which games were read.
fn run(
    games_dir: &Path,
    out: &Path,
    cancels: Option<CancellationToken>,
) -> (Result<CatalogBuilt, PeerError>, usize, Vec<bool>) {
    let cancel = cancels.clone().unwrap_or_default();
    let request = CatalogBuild {
        games_dir: games_dir.to_owned(),
        out: out.to_owned(),
        name: None,
        sources: Vec::new(),
        games: Vec::new(),
        jobs: 3,
        provider: ProviderChoice::Native,
        dictionary_bytes_max: limits::DICTIONARY_BYTES_DEFAULT,
    };
    let inner = provider_with_dictionary(&request.provider, request.dictionary_bytes_max);
    let counting = Arc::new(Counting { inner, opened: AtomicUsize::new(0) });
    let heard = Arc::new(Heard { cancels, ..Heard::default() });
    let observer: Arc<dyn BuildObserver> = heard.clone();
    let built = request.run_with(counting.as_ref(), &observer, &cancel);
    let events = heard.events.lock().unwrap();
    let read = events.iter().filter_map(|event| match event {
        PeerEvent::CatalogGameBuilt(BuiltManifest { read, .. }) => Some(*read),
        _ => None,
    });
    (built, counting.opened.load(Ordering::Relaxed), read.collect())
}

fn catalog(out: &Path) -> CatalogContent {
    let text = std::fs::read_to_string(out.join(CATALOG_FILE)).unwrap();
    lanspread_trust::catalog::parse(&text).unwrap()
}

/// The fixtures have been on the disk for longer than the grain of its times.
#[test]
fn a_game_whose_files_are_as_they_were_is_not_read_again() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let games = fixtures("fixture-alpha");
    let (built, opened, read) = run(&games, one.path(), None);
    let built = built.unwrap();
    assert_eq!((built.version, built.games, built.written, built.failed.len()), (1, 3, true, 0));
    assert_eq!((opened, &read[..]), (3, &[true; 3][..]));
    let (again, opened, read) = run(&games, one.path(), None);
    let again = again.unwrap();
    assert_eq!((again.version, again.written), (1, false));
    assert_eq!((opened, &read[..]), (0, &[false; 3][..]));

    // Another organiser with the same archives makes the same manifests.
    run(&games, two.path(), None).0.unwrap();
    assert_eq!(catalog(one.path()).games, catalog(two.path()).games);

    // A manifest that is gone or damaged is made again.
    let game: GameId = "alpha-racer".parse().unwrap();
    let manifest = catalog(one.path()).games[&game].manifest.unwrap();
    let path = one.path().join(format!("manifests/{}.lsm", manifest.digest));
    let bytes = std::fs::read(&path).unwrap();
    for damaged in [&bytes[..bytes.len() - 1], b""] {
        std::fs::write(&path, damaged).unwrap();
        let (built, opened, _) = run(&games, one.path(), None);
        assert_eq!((built.unwrap().version, opened), (1, 1));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

/// Each digest is that of the bytes on the disk, and of what a decoder of another kind unpacks: the sums of the fixtures.
#[test]
fn a_manifest_says_what_is_in_the_archives() {
    let out = tempfile::tempdir().unwrap();
    let games = fixtures("fixture-solid");
    run(&games, out.path(), None).0.unwrap();
    let (game, known) = catalog(out.path()).games.into_iter().next().unwrap();
    let opened = open_manifest(out.path(), &game, &known).unwrap().unwrap();
    let manifest = opened.manifest();
    for (index, file) in manifest.root_files.iter().enumerate() {
        let bytes = std::fs::read(games.join(game.as_str()).join(&file.name)).unwrap();
        assert_eq!(bytes.len() as u64, file.size);
        for (number, chunk) in (0..).zip(bytes.chunks(manifest.chunk_bytes() as usize)) {
            assert_eq!(
                opened.chunk(index, number).unwrap(),
                ContentDigest::of(chunk),
                "{} {number}",
                file.name
            );
        }
    }
    let unpacked = unpacked_by_unrar(&games.join(game.as_str()));
    assert_eq!(manifest.entries.totals().files, unpacked.len() as u64);
    for (path, (size, digest)) in unpacked {
        let EntryContent::File { size: got, digest: got_digest, .. } =
            manifest.entries.find(&path).unwrap().content
        else {
            panic!("{path}")
        };
        assert_eq!((got, *got_digest), (size, digest), "{path}");
    }
}

/// From the manifest alone: of two archives, of volumes, solid, with service records, of RAR 4.
#[test]
fn archives_can_be_listed_from_the_manifest_before_they_arrive() {
    let cancel = CancellationToken::new();
    let mut archives = 0;
    for fixture in ["fixture-multi", "fixture-volumes", "fixture-edge", "fixture-rar4", "fixture-references"]
    {
        let (games, out) = (fixtures(fixture), tempfile::tempdir().unwrap());
        run(&games, out.path(), None).0.unwrap();
        for (game, known) in catalog(out.path()).games {
            let opened = open_manifest(out.path(), &game, &known).unwrap().unwrap();
            let manifest = opened.manifest();
            for (index, archive) in manifest.archives.iter().enumerate() {
                let mut bytes = Vec::new();
                opened.write_headers(index, &mut bytes).unwrap();
                let map = HeaderMap::new(archive.headers.clone(), bytes).unwrap();
                let files = archive.files.iter().map(|file| &manifest.root_files[*file]);
                let (names, sizes): (Vec<&str>, Vec<u64>) =
                    files.map(|file| (file.name.as_str(), file.size)).unzip();
                let group = |root: &Path| ArchiveSet::group(root, names.iter().copied()).unwrap().remove(0);
                let dictionary = limits::DICTIONARY_BYTES_DEFAULT;
                let listed = map.list(&group(Path::new("/nowhere")), &sizes, dictionary, &cancel).unwrap();
                let provider = provider_with_dictionary(&ProviderChoice::Native, dictionary);
                let on_disk = provider.open(&group(&games.join(game.as_str())), &cancel).unwrap();
                assert_eq!(&listed, on_disk.listing(), "{game}: {names:?}");
                archives += 1;
            }
        }
    }
    assert_eq!(archives, 10);
}

/// So a source with the catalog and one without it name the same digest, whichever decoder the organiser had.
#[test]
fn a_packing_list_that_is_made_by_reading_is_that_of_the_manifest() {
    let cancel = CancellationToken::new();
    let mut lists = 0;
    for fixture in ["fixture-multi", "fixture-volumes", "fixture-edge", "fixture-rar4", "fixture-references"]
    {
        for provider in [ProviderChoice::Native, ProviderChoice::Unrar(unrar())] {
            let (games, out) = (fixtures(fixture), tempfile::tempdir().unwrap());
            let request = CatalogBuild {
                games_dir: games.clone(),
                out: out.path().to_owned(),
                sources: Vec::new(),
                name: None,
                games: Vec::new(),
                jobs: 2,
                provider,
                dictionary_bytes_max: limits::DICTIONARY_BYTES_DEFAULT,
            };
            let observer: Arc<dyn BuildObserver> = Arc::new(Heard::default());
            request.run(&observer, &cancel).unwrap();
            for (game, known) in catalog(out.path()).games {
                let state = GameState::read(&games, &game).unwrap().unwrap();
                let stamps = FileStamps::read(&state.root, &state.root_files).unwrap();
                let (list, packed) = packing_list(&state, &stamps, &mut |_| (), &cancel).unwrap();
                let (mut made, mut derived) = (Vec::new(), Vec::new());
                encode(&list, &packed, &mut made).unwrap();
                let opened = open_manifest(out.path(), &game, &known).unwrap().unwrap();
                assert!(opened.write_packing_list(&mut derived).unwrap());
                assert!(made == derived, "{game}, {:?}", request.provider);
                lists += 1;
            }
        }
    }
    assert_eq!(lists, 18);
}

/// The real `unrar`.
fn unrar() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let unrar = target.join("tools/bin/unrar");
    assert!(unrar.is_file(), "{} is missing: run scripts/fetch_tools.sh", unrar.display());
    unrar
}

/// What the real `unrar` unpacks.
fn unpacked_by_unrar(root: &Path) -> BTreeMap<String, (u64, ContentDigest)> {
    let unrar = unrar();
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(root).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "eti") {
            let mut unpack = std::process::Command::new(&unrar);
            unpack.args(["x", "-idq", "-cfg-"]).arg(&path).arg(format!("{}/", folder.path().display()));
            assert!(unpack.status().unwrap().success());
        }
    }
    let mut sums = BTreeMap::new();
    let mut waiting = vec![folder.path().to_owned()];
    while let Some(current) = waiting.pop() {
        for entry in std::fs::read_dir(&current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                let name = path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
                sums.insert(name, (bytes.len() as u64, ContentDigest::of(&bytes)));
            }
        }
    }
    sums
}

/// In the middle of the first game.
#[test]
fn a_cancelled_build_leaves_no_catalog_and_nothing_half_written() {
    let out = tempfile::tempdir().unwrap();
    let (built, ..) = run(&fixtures("fixture-alpha"), out.path(), Some(CancellationToken::new()));
    assert!(matches!(built, Err(PeerError::Cancelled)));
    assert!(!out.path().join(CATALOG_FILE).exists());
    assert_eq!(std::fs::read_dir(out.path().join(MANIFESTS_DIR)).unwrap().count(), 0);
    let names = std::fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().ends_with(".draft")));
    assert_eq!(run(&fixtures("fixture-alpha"), out.path(), None).0.unwrap().games, 3);
}

/// Copies of a file have its digest; archives with links and passwords are refused, and the others are built.
#[test]
fn games_that_are_refused_do_not_stop_the_others() {
    let (games, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for fixture in ["fixture-references", "fixture-encrypted", "fixture-volumes", "fixture-rar4"] {
        for folder in std::fs::read_dir(fixtures(fixture)).unwrap() {
            let folder = folder.unwrap();
            let name = folder.file_name();
            if folder.path().is_dir() {
                std::os::unix::fs::symlink(folder.path().canonicalize().unwrap(), games.path().join(name))
                    .unwrap();
            }
        }
    }
    let (built, _, read) = run(games.path(), out.path(), None);
    let built = built.unwrap();
    assert!(!read.is_empty() && !built.failed.is_empty(), "{built:?}");
    assert_eq!(built.games, read.len() as u64);
    let failed: Vec<&str> = built.failed.iter().map(|(game, _)| game.as_str()).collect();
    assert!(failed.contains(&"encrypted-data"), "{failed:?}");
    for (game, known) in &catalog(out.path()).games {
        let opened = open_manifest(out.path(), game, known).unwrap().unwrap();
        assert_eq!(Some(opened.manifest().entries.totals().bytes), known.unpacked_bytes);
    }
}

/// A program that is being started holds the lock of a build that has ended, until it runs.
#[test]
fn a_lock_that_is_free_in_a_moment_is_waited_for_and_another_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let open = || std::fs::File::open(folder.path()).unwrap();
    let (held, ours) = (open(), open());
    rustix::fs::flock(&held, FlockOperation::LockExclusive).unwrap();
    assert_eq!(lock_alone(&ours), Err(Errno::WOULDBLOCK));
    let freed = std::thread::spawn(move || drop(held));
    assert_eq!(lock_alone(&ours), Ok(()));
    freed.join().unwrap();
}
