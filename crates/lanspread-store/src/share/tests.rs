use std::fs;
use std::fs::{FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use lanspread_testing::machine::{Machine, Node, Tree};
use lanspread_testing::{manifests, small_game};
use lanspread_trust::manifest::ManifestArchive;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{ArchiveFormat, RootFile};
use lanspread_types::ids::PeerId;

use super::*;
use crate::state::receipt;
use crate::state::receipt::{FileLine, ReceiptDraft, ReceiptHead};

/// A machine with an installed tree that was verified.
struct Installed {
    machine: Machine,
    manifest: Arc<ManifestFile>,
    tree: Tree,
}

impl Installed {
    fn new() -> Self {
        let mut tree = small_game::tree();
        // More than one piece.
        let large = vec![b'l'; limits::DATA_CHUNK_BYTES * 2 + 1];
        tree.insert("data/large.bin".to_owned(), Node::File(large, false));
        let (game, version) = (small_game::game(), small_game::version());
        let manifest = manifests::of_tree(&game, &version, &tree, &[small_game::EMPTY_FOLDER]);
        let installed = Self { machine: Machine::new(), manifest: Arc::new(manifest), tree };
        for (path, node) in &installed.tree {
            let path = installed.path(path);
            match node {
                Node::File(content, executable) => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(&path, content).unwrap();
                    let mode = if *executable { 0o755 } else { 0o644 };
                    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
                }
                _ => fs::create_dir_all(&path).unwrap(),
            }
        }
        installed.record(Some(installed.manifest.digest()));
        installed
    }

    fn path(&self, path: &str) -> PathBuf {
        self.machine.games_dir().join("small/local").join(path)
    }

    /// Writes the receipt of what is there: the stamps are those of the files, the digests those of the manifest.
    fn record(&self, manifest: Option<ContentDigest>) {
        let games = GamesDir::open(&self.machine.games_dir()).unwrap();
        let (game, version, source) = (small_game::game(), small_game::version(), "den".parse().unwrap());
        let head = ReceiptHead::new(&game, &version, &source, PeerId::random().unwrap(), manifest);
        let mut draft = ReceiptDraft::create(&games, &head).unwrap();
        let mut totals = Totals::default();
        for (path, node) in &self.tree {
            let Node::File(content, _) = node else { continue };
            let stamp = fs::metadata(self.path(path)).ok().map(|metadata| FileStamp::of(&metadata));
            let sha256 = manifest.map(|_| ContentDigest::of(content));
            let (size, crc32) =
                (content.len() as u64, Some(lanspread_types::checksum::Checksum::of(content)));
            draft
                .file(&FileLine { path, size, crc32: crc32.map(receipt::ChecksumText), sha256, stamp })
                .unwrap();
            totals = totals.checked_add(Totals { files: 1, directories: 0, bytes: size }).unwrap();
        }
        draft.complete(totals).unwrap();
        receipt::publish(&games, &game).unwrap();
    }

    fn open(&self) -> Result<SharedTree, ShareError> {
        SharedTree::open(&self.machine.games_dir(), &small_game::game(), Arc::clone(&self.manifest))
    }

    fn check(&self) -> Result<(), ShareError> {
        self.open().unwrap().check(&CancellationToken::new())
    }

    /// Pushes everything; returns what was pushed, and how it ended.
    fn push(&self, from_path: Option<&str>) -> (Recorder, Result<(), ShareError>) {
        let mut recorder = Recorder::default();
        let pushed = self.open().unwrap().push(from_path, &mut recorder, &CancellationToken::new());
        (recorder, pushed)
    }

    fn files(&self) -> Vec<(&str, &[u8])> {
        let files = self.tree.iter().filter_map(|(path, node)| match node {
            Node::File(content, _) => Some((path.as_str(), content.as_slice())),
            _ => None,
        });
        files.collect()
    }

    /// A file that is in a folder and has content.
    fn deep_file(&self) -> String {
        let files = self.files();
        let deep = files.iter().find(|(path, content)| path.contains('/') && content.len() > 1);
        deep.unwrap().0.to_owned()
    }
}

/// What was pushed.
#[derive(Default)]
struct Recorder {
    archives: Vec<ArchiveSummary>,
    folders: Vec<String>,
    begun: Vec<FileEntry>,
    ended: Vec<(String, Vec<u8>)>,
    content: Vec<u8>,
    /// Called at the first bytes.
    at_data: Option<Box<dyn FnOnce()>>,
}

impl EntrySink for Recorder {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        match step {
            EntryStep::ArchiveBegin(summary) => self.archives.push(summary),
            EntryStep::Directory(directory) => self.folders.push(directory.path.to_string()),
            EntryStep::FileBegin(file) => self.begun.push(file),
            EntryStep::Data(bytes) => {
                self.content.extend_from_slice(bytes);
                if let Some(act) = self.at_data.take() {
                    act();
                }
            }
            EntryStep::FileEnd(checksum) => {
                let content = std::mem::take(&mut self.content);
                assert_eq!(checksum, lanspread_types::checksum::Checksum::of(&content));
                self.ended.push((self.begun.last().unwrap().path.to_string(), content));
            }
            EntryStep::Copy(_) => panic!("a tree has no copies"),
            EntryStep::ArchiveEnd => {}
        }
        Ok(())
    }
}

#[test]
fn exactly_what_the_manifest_lists_is_pushed_in_its_order() {
    let installed = Installed::new();
    fs::write(installed.path("saves/slot"), "of the user").unwrap();
    installed.check().unwrap();
    let (recorder, pushed) = installed.push(None);
    pushed.unwrap();
    let ended: Vec<(&str, &[u8])> =
        recorder.ended.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
    let mut expected = installed.files();
    expected.sort_unstable();
    assert_eq!(ended, expected);
    assert_eq!(recorder.folders, [small_game::EMPTY_FOLDER]);
    for file in &recorder.begun {
        let metadata = fs::metadata(installed.path(file.path.as_str())).unwrap();
        assert_eq!(file.executable, metadata.mode() & 0o111 != 0, "{}", file.path);
        assert_eq!((file.size, file.modified), (metadata.len(), Some(metadata.mtime())), "{}", file.path);
    }
    assert_eq!(recorder.archives.len(), 1);
    assert_eq!(recorder.archives[0].totals, installed.manifest.manifest().entries.totals());
    assert_eq!(recorder.archives[0].totals, installed.open().unwrap().totals(None));
}

#[test]
fn a_push_can_begin_at_a_path() {
    let installed = Installed::new();
    let mut all = installed.files();
    all.sort_unstable();
    for from in [all[1].0, &format!("{}x", all[0].0)] {
        let (recorder, pushed) = installed.push(Some(from));
        pushed.unwrap();
        let got: Vec<&str> = recorder.ended.iter().map(|(path, _)| path.as_str()).collect();
        let expected: Vec<&str> = all.iter().map(|(path, _)| *path).filter(|path| *path >= from).collect();
        assert_eq!(got, expected, "from {from}");
        let totals = installed.open().unwrap().totals(Some(from));
        assert_eq!((totals.files, recorder.archives[0].totals), (expected.len() as u64, totals));
    }
}

/// Of several archives, the first one has everything, and the others are there.
#[test]
fn every_archive_is_announced() {
    let mut installed = Installed::new();
    let mut manifest = installed.manifest.manifest().clone();
    manifest.root_files.insert(1, RootFile { name: "small2.eti".to_owned(), size: 1 });
    let archive = |file| ManifestArchive {
        files: vec![file],
        format: ArchiveFormat::Rar4,
        solid: true,
        dictionary_bytes: 0,
        headers: Vec::new(),
    };
    manifest.archives = vec![archive(0), archive(1)];
    installed.manifest = Arc::new(manifests::stored(&manifest));
    installed.record(Some(installed.manifest.digest()));
    let (recorder, pushed) = installed.push(None);
    pushed.unwrap();
    let names: Vec<&str> = recorder.archives.iter().map(|archive| archive.name.as_str()).collect();
    assert_eq!(names, ["small.eti", "small2.eti"]);
    assert_eq!(recorder.archives[1].totals, Totals::default());
    assert!(recorder.archives.iter().all(|archive| archive.solid && archive.format == ArchiveFormat::Rar4));
    assert_eq!(recorder.ended.len(), installed.files().len());
}

/// However a file is changed, it is not begun, and what comes before it is as it was.
#[test]
fn a_file_that_was_changed_behind_its_back_is_never_begun() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 11] = [
        ("written to", |path| {
            fs::write(path, vec![b'x'; usize::try_from(fs::metadata(path).unwrap().len()).unwrap()]).unwrap();
        }),
        ("written to, with its old time", |path| {
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            let bytes = vec![b'x'; usize::try_from(fs::metadata(path).unwrap().len()).unwrap()];
            fs::write(path, bytes).unwrap();
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_times(FileTimes::new().set_modified(modified)).unwrap();
        }),
        ("longer", |path| fs::write(path, [fs::read(path).unwrap(), b"x".to_vec()].concat()).unwrap()),
        ("shorter", |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1).unwrap()),
        ("replaced by an equal one", |path| {
            let other = path.with_extension("other");
            fs::copy(path, &other).unwrap();
            fs::rename(other, path).unwrap();
        }),
        ("of another mode", |path| fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap()),
        ("gone", |path| fs::remove_file(path).unwrap()),
        ("a folder", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("a link to itself elsewhere", |path| {
            let other = path.with_extension("other");
            fs::rename(path, &other).unwrap();
            symlink(other, path).unwrap();
        }),
        ("below a link to its folder", |path| {
            let folder = path.parent().unwrap();
            let other = folder.with_extension("other");
            fs::rename(folder, &other).unwrap();
            symlink(other, folder).unwrap();
        }),
        ("a pipe", |path| {
            fs::remove_file(path).unwrap();
            let status = std::process::Command::new("mkfifo").arg(path).status().unwrap();
            assert!(status.success());
        }),
    ];
    for (how, change) in changes {
        let installed = Installed::new();
        let deep = installed.deep_file();
        change(&installed.path(&deep));
        let error = installed.check().unwrap_err();
        let folder = deep.rsplit_once('/').unwrap().0;
        assert!(
            matches!(&error, ShareError::Changed { path, .. } if path.starts_with(folder)),
            "{how}: {error}"
        );
        let (recorder, pushed) = installed.push(None);
        assert!(matches!(pushed, Err(ShareError::Changed { .. })), "{how}: {pushed:?}");
        assert!(recorder.begun.iter().all(|file| file.path.as_str() < deep.as_str()), "{how}");
        for (path, content) in &recorder.ended {
            let Node::File(expected, _) = &installed.tree[path] else { panic!("{path}") };
            assert_eq!(content, expected, "{how}: {path}");
        }
    }
}

/// Neither size nor times tell, as after a fault of the disk: the digest does, before the end of the file is pushed.
#[test]
fn a_file_that_was_changed_without_a_trace_is_never_ended() {
    let installed = Installed::new();
    let deep = installed.deep_file();
    let mut bytes = fs::read(installed.path(&deep)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(installed.path(&deep), bytes).unwrap();
    // The receipt has the stamp of the changed file, and the digest of the right one.
    installed.record(Some(installed.manifest.digest()));
    installed.check().unwrap();
    let (recorder, pushed) = installed.push(None);
    match pushed {
        Err(ShareError::Changed { path, what }) => {
            assert!(path == deep && what.contains("SHA-256"), "{path}: {what}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(recorder.begun.last().unwrap().path.as_str(), deep);
    assert!(recorder.ended.iter().all(|(path, _)| *path != deep));
}

#[test]
fn a_file_that_is_cut_while_it_is_pushed_ends_the_push() {
    let installed = Installed::new();
    let largest =
        installed.files().into_iter().max_by_key(|(_, content)| content.len()).unwrap().0.to_owned();
    assert!(installed.files().iter().any(|(_, content)| content.len() > limits::DATA_CHUNK_BYTES), "pieces");
    let path = installed.path(&largest);
    let cut = move || fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1).unwrap();
    let mut recorder = Recorder { at_data: Some(Box::new(cut)), ..Recorder::default() };
    let pushed = installed.open().unwrap().push(Some(&largest), &mut recorder, &CancellationToken::new());
    assert!(matches!(pushed, Err(ShareError::Changed { .. })), "{pushed:?}");
    assert!(recorder.ended.is_empty());
}

#[test]
fn a_tree_that_no_manifest_or_another_one_verified_is_not_opened() {
    let installed = Installed::new();
    installed.open().unwrap();
    installed.record(None);
    assert!(matches!(installed.open(), Err(ShareError::NotVerified)));
    installed.record(Some(ContentDigest([7; 32])));
    assert!(matches!(installed.open(), Err(ShareError::NotVerified)));
    let receipt = installed.machine.games_dir().join(".lanspread/receipts/small.jsonl");
    fs::remove_file(&receipt).unwrap();
    assert!(matches!(installed.open(), Err(ShareError::NotVerified)));
    installed.record(Some(installed.manifest.digest()));
    let elsewhere = installed.machine.games_dir().join("elsewhere");
    fs::rename(installed.path(""), &elsewhere).unwrap();
    assert!(matches!(installed.open(), Err(ShareError::NotVerified)));
    symlink(&elsewhere, installed.machine.games_dir().join("small/local")).unwrap();
    assert!(matches!(installed.open(), Err(ShareError::Store(StoreError::Foreign(_)))));
}

/// A receipt that names another size or digest than its own manifest is no proof of anything.
#[test]
fn a_receipt_that_contradicts_its_manifest_is_refused() {
    let mut installed = Installed::new();
    let digest = installed.manifest.digest();
    let (path, _) = installed.files()[0];
    let path = path.to_owned();
    installed.tree.insert(path, Node::File(b"something else".to_vec(), false));
    installed.record(Some(digest));
    assert!(matches!(installed.open(), Err(ShareError::Store(_))));
}

#[test]
fn a_cancelled_push_ends() {
    let installed = Installed::new();
    let cancel = CancellationToken::new();
    let mut recorder = Recorder::default();
    let cancels = cancel.clone();
    recorder.at_data = Some(Box::new(move || cancels.cancel()));
    let pushed = installed.open().unwrap().push(None, &mut recorder, &cancel);
    assert!(matches!(pushed, Err(ShareError::Cancelled)), "{pushed:?}");
    assert!(matches!(installed.open().unwrap().check(&cancel), Err(ShareError::Cancelled)));
}
