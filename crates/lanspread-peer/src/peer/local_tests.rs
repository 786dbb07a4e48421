//! Installs from archives, uninstalls, removals and comparisons on one machine. The tests compare every file on it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use lanspread_archive::ArchiveError;
use lanspread_store::error::StoreError;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::lock::GameLock;
use lanspread_testing::lying_source::LyingSource;
use lanspread_testing::machine::{Machine, Node, Tree};
use lanspread_testing::small_game;
use lanspread_testing::step::Step;
use lanspread_types::content::Availability;
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::ids::GameId;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::channel::PeerEvents;
use crate::report::event::PeerEvent;
use crate::report::failure::ErrorCategory;
use crate::report::operation::{AdmissionRules, DecodeAt, OperationOptions, RelayChoice};
use crate::report::repair::VerifyFinished;
use crate::report::wanted::{GameForm, WantedVersion};
use crate::testing::machine::PeerOf;

const FORCE: OperationOptions = OperationOptions {
    peers: Vec::new(),
    servers: Vec::new(),
    discovery: crate::report::operation::DiscoveryMode::Off,
    names: NamePolicy::Portable,
    force: true,
    accept_unverified: false,
    admission: AdmissionRules { allow: BTreeSet::new(), deny: BTreeSet::new(), only_trusted: false },
    only_from: BTreeSet::new(),
    wait: crate::report::operation::Wait::Always,
    decode_at: DecodeAt::Receiver,
    relay: RelayChoice::Off,
    window_mib: None,
    version: WantedVersion::Current,
    form: GameForm::AsHere,
    verify: false,
};

fn polite() -> OperationOptions {
    OperationOptions::default()
}

async fn install(peer: &Peer, options: &OperationOptions, replace: bool) -> Result<(), PeerError> {
    let cancel = CancellationToken::new();
    let game = small_game::game();
    let installing = peer.operate(&game, options, &cancel, |peer, context| async move {
        peer.install_from_archives(&context, replace).await
    });
    installing.await
}

async fn uninstall(peer: &Peer, options: &OperationOptions) -> Result<(), PeerError> {
    peer.uninstall_game(&small_game::game(), options, CancellationToken::new()).await
}

async fn remove(peer: &Peer) -> Result<(), PeerError> {
    peer.remove_game(&small_game::game(), &polite(), CancellationToken::new()).await
}

async fn verify(peer: &Peer) -> Result<(), PeerError> {
    peer.verify_game(&small_game::game(), &polite(), CancellationToken::new()).await
}

/// A machine that has the small game's archive, and its peer.
fn downloaded() -> (Machine, Peer) {
    let machine = Machine::new();
    small_game::download(&machine.games_dir());
    let peer = machine.peer("here");
    (machine, peer)
}

async fn installed() -> (Machine, Peer) {
    let (machine, peer) = downloaded();
    install(&peer, &polite(), false).await.unwrap();
    (machine, peer)
}

fn root(machine: &Machine) -> std::path::PathBuf {
    machine.games_dir().join(small_game::game().as_str())
}

fn local(machine: &Machine) -> std::path::PathBuf {
    root(machine).join("local")
}

fn installed_tree(machine: &Machine) -> Tree {
    lanspread_testing::machine::tree(&local(machine))
}

fn archive(path: &Path, files: &[(&str, &[u8])]) {
    let mut archive = rars::Builder::new(rars::ArchiveVersion::Rar50);
    for (name, content) in files {
        archive.add_bytes((*name).into(), content.to_vec(), Some(0), Some(0o100_644)).unwrap();
    }
    archive.write_to_path(path, None).unwrap();
}

/// The events of a peer from now on, as short strings.
struct Told(PeerEvents);

impl Told {
    fn by(peer: &Peer) -> Self {
        Self(peer.events())
    }

    fn all(mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(event) = self.0.try_next() {
            told.push(match event {
                PeerEvent::InstallBegin { version, bytes_total, replaces, .. } => {
                    format!("begin {version} {bytes_total} {replaces}")
                }
                // The number of progress events in between depends on timing.
                PeerEvent::InstallProgress { bytes, bytes_total, .. } if bytes != bytes_total => continue,
                PeerEvent::InstallProgress { bytes, .. } => format!("all bytes {bytes}"),
                PeerEvent::Finishing { bytes, .. } => format!("finishing {bytes}"),
                PeerEvent::ArchiveBegin { name, .. } => format!("archive {name}"),
                PeerEvent::InstallFinished { version, files, bytes, .. } => {
                    format!("finished {version} {files} {bytes}")
                }
                PeerEvent::InstallFailed { code, .. } => format!("failed {code}"),
                PeerEvent::UninstallFinished { .. } => "uninstalled".to_owned(),
                PeerEvent::RemoveFinished { files, bytes, .. } => format!("removed {files} {bytes}"),
                PeerEvent::VerifyDifference { part, path, problem, .. } => format!("{part} {path} {problem}"),
                PeerEvent::VerifyFinished(VerifyFinished { files, bytes, differences, added, .. }) => {
                    format!("compared {files} {bytes} {differences} {added}")
                }
                other => format!("{other:?}"),
            });
        }
        told
    }
}

#[tokio::test]
async fn an_install_from_archives_leaves_the_tree_the_receipt_and_the_archives() {
    let (machine, peer) = downloaded();
    let before = machine.everything();
    let told = Told::by(&peer);
    install(&peer, &polite(), false).await.unwrap();
    assert_eq!(installed_tree(&machine), small_game::tree());
    let mut rest = machine.everything();
    rest.retain(|path, _| !path.starts_with("small/local") && !path.starts_with(".lanspread"));
    assert_eq!(rest, before);
    let totals = small_game::totals();
    let expected = [
        format!("begin 20250101 {} false", totals.bytes),
        "archive small.eti".to_owned(),
        format!("all bytes {}", totals.bytes),
        format!("finishing {}", totals.bytes),
        format!("finished 20250101 {} {}", totals.files, totals.bytes),
    ];
    assert_eq!(told.all(), expected);
    let state = &peer.local_games().await.unwrap()[0];
    assert_eq!(state.availability(), Availability::Ready);
    assert_eq!(state.installed_version, Some(small_game::version()));
    assert_eq!(peer.running_tasks(), 0);
    verify(&peer).await.unwrap();
}

#[tokio::test]
async fn a_game_that_is_not_downloaded_or_already_installed_is_refused() {
    let machine = Machine::new();
    let peer = machine.peer("here");
    assert!(matches!(
        install(&peer, &polite(), false).await,
        Err(PeerError::Store(StoreError::NotDownloaded { .. }))
    ));
    assert_eq!(machine.everything(), Tree::new());
    fs::create_dir(root(&machine)).unwrap();
    archive(&root(&machine).join("a.eti"), &[("a", b"1")]);
    let told = Told::by(&peer);
    assert!(
        matches!(
            install(&peer, &polite(), false).await,
            Err(PeerError::Store(StoreError::NotDownloaded { .. }))
        ),
        "an archive without a sentinel"
    );
    assert_eq!(told.all(), ["failed not-downloaded"]);

    let (machine, peer) = installed().await;
    let before = machine.everything();
    let error = install(&peer, &FORCE, false).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::AlreadyInstalled { .. })), "{error:?}");
    fs::remove_file(root(&machine).join("version.ini")).unwrap();
    assert!(matches!(
        install(&peer, &FORCE, true).await,
        Err(PeerError::Store(StoreError::NotDownloaded { .. }))
    ));
    fs::write(root(&machine).join("version.ini"), small_game::version().as_str()).unwrap();
    assert_eq!(machine.everything(), before);
}

#[tokio::test]
async fn several_archives_are_installed_in_byte_order_of_their_names() {
    let (machine, peer) = downloaded();
    archive(&root(&machine).join("b.eti"), &[("b", b"22")]);
    archive(&root(&machine).join("Z.eti"), &[("z/last", b"")]);
    let told = Told::by(&peer);
    install(&peer, &polite(), false).await.unwrap();
    let archives: Vec<String> = told.all().into_iter().filter(|event| event.starts_with("archive")).collect();
    assert_eq!(archives, ["archive Z.eti", "archive b.eti", "archive small.eti"]);
    assert_eq!(fs::read(local(&machine).join("b")).unwrap(), b"22");
    assert!(local(&machine).join("z/last").is_file());
}

/// A game of folders is no game: nothing could be played, and every install of it would be a success.
#[tokio::test]
async fn a_game_without_files_is_refused() {
    let (machine, peer) = downloaded();
    let mut folders = rars::Builder::new(rars::ArchiveVersion::Rar50);
    folders.add_directory(b"saves".into(), None, Some(0o40755)).unwrap();
    fs::remove_file(root(&machine).join("small.eti")).unwrap();
    folders.write_to_path(&root(&machine).join("small.eti"), None).unwrap();
    let before = machine.everything();
    let error = install(&peer, &polite(), false).await.unwrap_err();
    assert_eq!((error.code(), error.category()), ("no-files", ErrorCategory::Content), "{error}");
    assert_eq!(machine.everything(), before);
}

/// What the listings show to be wrong is refused before anything is written or announced.
#[tokio::test]
async fn names_that_cannot_be_installed_are_refused_before_anything_is_written() {
    for (files, native_is_fine) in [
        (&[("aux.txt", &b"1"[..])][..], true),
        (&[("one", &b"1"[..]), ("ONE", b"2")][..], true),
        // The same name as in the other archive.
        (&[(small_game::LAST_FILE, &b"other"[..])][..], false),
    ] {
        let (machine, peer) = downloaded();
        archive(&root(&machine).join("more.eti"), files);
        let before = machine.everything();
        let told = Told::by(&peer);
        let error = install(&peer, &polite(), false).await.unwrap_err();
        let PeerError::Store(StoreError::Archive { source, .. }) = &error else { panic!("{error:?}") };
        let names_the_archive = match source {
            ArchiveError::Name { archive, .. } => native_is_fine && !archive.is_empty(),
            ArchiveError::Clash { first, second, .. } => !native_is_fine && first != second,
            _ => false,
        };
        assert!(names_the_archive, "{error:?}");
        assert_eq!(error.category(), ErrorCategory::Content);
        assert_eq!(machine.everything(), before);
        assert_eq!(told.all(), ["failed archive-refused"]);
        let native = OperationOptions { names: NamePolicy::Native, ..polite() };
        assert_eq!(install(&peer, &native, false).await.is_ok(), native_is_fine, "{files:?}");
    }
}

#[tokio::test]
async fn a_damaged_archive_leaves_the_machine_as_it_was() {
    let (machine, peer) = downloaded();
    let path = root(&machine).join("small.eti");
    let mut bytes = fs::read(&path).unwrap();
    let content = bytes.windows(8).position(|window| window == &small_game::FIRST_CONTENT[..8]);
    bytes[content.expect("stored, not packed")] ^= 1;
    fs::write(&path, bytes).unwrap();
    let before = machine.everything();
    let error = install(&peer, &polite(), false).await.unwrap_err();
    assert_eq!((error.code(), error.category()), ("archive-damaged", ErrorCategory::Content), "{error}");
    assert_eq!(machine.everything(), before);

    fs::rename(&path, root(&machine).join("small.part2.eti")).unwrap();
    let error = install(&peer, &polite(), false).await.unwrap_err();
    assert!(error.to_string().contains("volume 1"), "{error}");
}

#[tokio::test]
async fn an_update_replaces_the_whole_tree() {
    let (machine, peer) = installed().await;
    archive(&root(&machine).join("small.eti"), &[("new", b"content")]);
    fs::write(root(&machine).join("version.ini"), "20260101").unwrap();
    let told = Told::by(&peer);
    install(&peer, &polite(), true).await.unwrap();
    assert_eq!(
        installed_tree(&machine),
        Tree::from([("new".to_owned(), Node::File(b"content".to_vec(), false))])
    );
    assert_eq!(told.all()[0], "begin 20260101 7 true");
    let state = &peer.local_games().await.unwrap()[0];
    assert_eq!(state.installed_version.as_ref().unwrap().as_str(), "20260101");
    let names: Vec<String> = machine.everything().into_keys().collect();
    let expected = [
        ".lanspread",
        ".lanspread/receipts",
        ".lanspread/receipts/small.jsonl",
        "small",
        "small/local",
        "small/local/new",
        "small/small.eti",
        "small/version.ini",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn no_file_of_the_user_is_lost_without_force() {
    let (machine, peer) = installed().await;
    fs::write(local(&machine).join("saves/slot1"), "mine").unwrap();
    fs::write(local(&machine).join(small_game::LAST_FILE), "changed").unwrap();
    let before = machine.everything();
    for error in
        [install(&peer, &polite(), true).await.unwrap_err(), uninstall(&peer, &polite()).await.unwrap_err()]
    {
        match &error {
            PeerError::Store(StoreError::UserFiles { count, files, .. }) => {
                assert_eq!(
                    (*count, &files[..]),
                    (2, &[small_game::LAST_FILE.to_owned(), "saves/slot1".to_owned()][..])
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(machine.everything(), before);
    }
    install(&peer, &FORCE, true).await.unwrap();
    assert_eq!(installed_tree(&machine), small_game::tree());
    fs::write(local(&machine).join("saves/slot1"), "mine").unwrap();
    uninstall(&peer, &FORCE).await.unwrap();
    assert!(!local(&machine).exists());
}

/// A streamed install replaces a tree in the same way, and asks no peer if the user would lose files.
#[tokio::test]
async fn a_streamed_update_replaces_the_tree_and_keeps_the_user_s_files() {
    let source = Machine::new();
    small_game::download(&source.games_dir());
    let serving = source.peer("source");
    let address = serving.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let (machine, peer) = downloaded();
    archive(&root(&machine).join("small.eti"), &[("old", b"content")]);
    install(&peer, &polite(), false).await.unwrap();
    fs::write(local(&machine).join("save"), "mine").unwrap();
    let stream = async |options: &OperationOptions| {
        let options = OperationOptions { peers: vec![address.into()], ..options.clone() };
        let cancel = CancellationToken::new();
        let game = small_game::game();
        let update = peer.operate(&game, &options, &cancel, |peer, context| async move {
            Box::pin(peer.stream_install(&context, true)).await.map(|_| ())
        });
        update.await
    };
    let before = machine.everything();
    let error = stream(&polite()).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::UserFiles { .. })), "{error:?}");
    assert_eq!(machine.everything(), before);
    stream(&FORCE).await.unwrap();
    assert_eq!(installed_tree(&machine), small_game::tree());
    verify(&peer).await.unwrap();
    stream(&polite()).await.unwrap();
    assert_eq!(installed_tree(&machine), small_game::tree());
    serving.shutdown().await.unwrap();
}

/// A file that the user saves while the stream runs is found before the old tree is removed, and no other source is
/// tried.
#[tokio::test]
async fn a_file_saved_during_a_streamed_update_is_not_lost() {
    let (machine, peer) = installed().await;
    let barrier = Arc::new(Barrier::new(2));
    let mut stream = small_game::stream();
    let meeting = [Step::Meet(Arc::clone(&barrier)), Step::Meet(Arc::clone(&barrier))];
    stream.splice(small_game::frame::LAST_FILE_BEGIN..small_game::frame::LAST_FILE_BEGIN, meeting);
    let first = LyingSource::new("a", Vec::new(), stream).listen().await;
    let second = LyingSource::new("b", Vec::new(), small_game::stream()).listen().await;
    let peers = vec![first.address.into(), second.address.into()];
    let (game, options) = (small_game::game(), OperationOptions { peers, ..polite() });
    let cancel = CancellationToken::new();
    let before = machine.everything();
    let saved = local(&machine).join("saves/slot1");
    let playing = async {
        barrier.wait().await;
        fs::write(&saved, "mine").unwrap();
        barrier.wait().await;
    };
    let update = peer.operate(&game, &options, &cancel, |peer, context| async move {
        Box::pin(peer.stream_install(&context, true)).await
    });
    let (updated, ()) = tokio::join!(update, playing);
    let error = updated.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::UserFiles { count: 1, .. })), "{error:?}");
    assert_eq!(second.connections(), 1, "asked for its details and never tried");
    assert_eq!(fs::read(&saved).unwrap(), b"mine");
    fs::remove_file(&saved).unwrap();
    assert_eq!(machine.everything(), before);
}

#[tokio::test]
async fn an_uninstall_leaves_the_downloaded_files_and_can_be_installed_again() {
    let (machine, peer) = downloaded();
    let before = machine.everything();
    let error = uninstall(&peer, &polite()).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::NotInstalled { .. })), "{error:?}");
    for _ in 0..2 {
        install(&peer, &polite(), false).await.unwrap();
        let told = Told::by(&peer);
        uninstall(&peer, &polite()).await.unwrap();
        assert_eq!(told.all(), ["uninstalled"]);
        assert_eq!(machine.everything(), before, "the receipt is gone too");
    }
}

#[tokio::test]
async fn a_tree_without_a_record_belongs_to_the_user() {
    let (machine, peer) = installed().await;
    fs::remove_dir_all(machine.games_dir().join(".lanspread")).unwrap();
    let error = uninstall(&peer, &polite()).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::NoReceipt { count: 4, .. })), "{error:?}");
    let error = verify(&peer).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::NotVerifiable { .. })), "{error:?}");
    let state = &peer.local_games().await.unwrap()[0];
    assert_eq!((state.installed, &state.installed_version), (true, &None));
    uninstall(&peer, &FORCE).await.unwrap();
    assert!(!local(&machine).exists());
}

#[tokio::test]
async fn removing_leaves_the_installed_tree_only() {
    let (machine, peer) = installed().await;
    let bytes: u64 = ["small.eti", "version.ini"]
        .iter()
        .map(|name| fs::metadata(root(&machine).join(name)).unwrap().len())
        .sum();
    let told = Told::by(&peer);
    remove(&peer).await.unwrap();
    assert_eq!(told.all(), [format!("removed 2 {bytes}")]);
    let state = &peer.local_games().await.unwrap()[0];
    assert_eq!(state.availability(), Availability::LocalOnly);
    assert_eq!(state.installed_version, Some(small_game::version()));
    assert_eq!(fs::read_dir(root(&machine)).unwrap().count(), 1);
    assert_eq!(installed_tree(&machine), small_game::tree());
    let error = remove(&peer).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::NotDownloaded { .. })), "{error:?}");
    uninstall(&peer, &polite()).await.unwrap();
    assert_eq!(machine.everything(), Tree::new());
    assert!(matches!(remove(&peer).await, Err(PeerError::Store(StoreError::NotDownloaded { .. }))));
    assert!(matches!(verify(&peer).await, Err(PeerError::Store(StoreError::NotInstalled { .. }))));
}

/// Archives may be links: the links are removed, their targets are not. No sentinel is needed, so the rest of a broken
/// download can be removed as well.
#[tokio::test]
async fn removing_a_linked_archive_keeps_its_target() {
    let (machine, peer) = downloaded();
    let elsewhere = tempfile::tempdir().unwrap();
    let kept = elsewhere.path().join("kept");
    fs::remove_file(root(&machine).join("version.ini")).unwrap();
    fs::write(&kept, "12345").unwrap();
    symlink(&kept, root(&machine).join("linked.eti")).unwrap();
    fs::create_dir(root(&machine).join("folder.eti")).unwrap();
    remove(&peer).await.unwrap();
    assert_eq!(fs::read(&kept).unwrap(), b"12345");
    let left: Vec<_> =
        fs::read_dir(root(&machine)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["folder.eti"]);
}

/// Files are removed only when no transfer reads them any more, and no new transfer begins to read them meanwhile.
#[tokio::test]
async fn a_removal_waits_for_the_transfers_that_read_the_game() {
    let (machine, peer) = downloaded();
    let game = small_game::game();
    let readers = &peer.inner.source.readers;
    let reader = readers.register(&game).unwrap();
    let before = machine.everything();
    let ending = async {
        // New readers are refused as soon as the removal waits.
        while readers.register(&game).is_some() {
            tokio::task::yield_now().await;
        }
        let mut now = machine.everything();
        now.retain(|path, _| !path.starts_with(".lanspread"));
        assert_eq!(now, before);
        drop(reader);
    };
    let (removed, ()) = tokio::join!(remove(&peer), ending);
    removed.unwrap();
    assert_eq!(machine.everything(), Tree::new());
    assert!(readers.register(&game).is_some());
}

#[tokio::test]
async fn a_removal_that_is_cancelled_while_it_waits_removes_nothing() {
    let (machine, peer) = downloaded();
    let game = small_game::game();
    let readers = &peer.inner.source.readers;
    let _reader = readers.register(&game).unwrap();
    let before = machine.everything();
    let cancel = CancellationToken::new();
    let cancelling = async {
        while readers.register(&game).is_some() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let options = polite();
    let removing = peer.remove_game(&game, &options, cancel.clone());
    let (removed, ()) = tokio::join!(removing, cancelling);
    assert!(matches!(removed, Err(PeerError::Cancelled)), "{removed:?}");
    assert_eq!(machine.everything(), before);
    assert!(readers.register(&game).is_some(), "the game can be read again");
}

#[tokio::test]
async fn a_comparison_names_every_difference() {
    let (machine, peer) = installed().await;
    let told = Told::by(&peer);
    verify(&peer).await.unwrap();
    let totals = small_game::totals();
    assert_eq!(told.all(), [format!("compared {} {} 0 0", totals.files, totals.bytes)]);

    let tree = local(&machine);
    let mut content = small_game::FIRST_CONTENT.to_vec();
    content[7] ^= 0x20;
    fs::write(tree.join(small_game::FIRST_FILE), content).unwrap();
    fs::write(tree.join(small_game::EMPTY_FILE), "longer").unwrap();
    fs::remove_file(tree.join(small_game::COPY)).unwrap();
    symlink("one.bin", tree.join(small_game::COPY)).unwrap();
    fs::write(tree.join("saves/slot1"), "mine").unwrap();
    let before = machine.everything();
    let told = Told::by(&peer);
    let error = verify(&peer).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::Differences { differences: 3, .. })), "{error:?}");
    assert_eq!(error.category(), ErrorCategory::Content);
    let bytes = small_game::FIRST_CONTENT.len() + small_game::LAST_CONTENT.len();
    let expected = [
        "local data/one.bin content",
        "local data/two.bin added",
        "local data/zero size",
        "local saves/slot1 added",
        "local data/two.bin missing",
        &format!("compared 4 {bytes} 3 2"),
    ];
    assert_eq!(told.all(), expected);
    assert_eq!(machine.everything(), before, "nothing is repaired");
}

#[tokio::test]
async fn added_files_are_not_differences() {
    let (machine, peer) = installed().await;
    fs::write(local(&machine).join("saves/slot1"), "mine").unwrap();
    verify(&peer).await.unwrap();
}

#[tokio::test]
async fn a_torn_receipt_cannot_be_compared_with() {
    let (machine, peer) = installed().await;
    let receipt = machine.games_dir().join(".lanspread/receipts/small.jsonl");
    let whole = fs::read(&receipt).unwrap();
    fs::write(&receipt, &whole[..whole.len() - 5]).unwrap();
    let error = verify(&peer).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::NotVerifiable { .. })), "{error:?}");
    assert!(error.to_string().contains("line 6"), "{error}");
}

#[tokio::test]
async fn a_cancelled_operation_changes_nothing() {
    let (machine, peer) = installed().await;
    let before = machine.everything();
    let (game, options, cancel) = (small_game::game(), polite(), CancellationToken::new());
    cancel.cancel();
    let results = [
        peer.verify_game(&game, &options, cancel.clone()).await,
        peer.uninstall_game(&game, &options, cancel.clone()).await,
        peer.operate(&game, &options, &cancel, |peer, context| async move {
            peer.install_from_archives(&context, true).await
        })
        .await,
    ];
    for result in results {
        assert!(matches!(result, Err(PeerError::Cancelled)), "{result:?}");
    }
    assert_eq!(machine.everything(), before);
}

#[tokio::test]
async fn every_operation_on_a_locked_game_is_refused() {
    let (machine, peer) = installed().await;
    let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
    let game: GameId = small_game::game();
    let _held = GameLock::acquire(&games, &game).unwrap();
    for result in [
        install(&peer, &FORCE, true).await,
        uninstall(&peer, &FORCE).await,
        remove(&peer).await,
        verify(&peer).await,
    ] {
        assert!(matches!(result, Err(PeerError::Store(StoreError::InProgress { .. }))), "{result:?}");
    }
}
