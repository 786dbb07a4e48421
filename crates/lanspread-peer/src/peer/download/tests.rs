//! Whole downloads between peers over TCP: what is on the disk afterwards, what is reported, and what is refused.

use std::fs;
use std::net::SocketAddr;

use lanspread_store::state::lock::GameLock;
use lanspread_testing::machine::{Machine, Node, Tree};
use lanspread_testing::small_game;

use super::*;
use crate::report::channel::PeerEvents;
use crate::report::download::DownloadBegin;
use crate::testing::machine::PeerOf;

mod listed;
mod waves;

async fn source(name: &str) -> (Machine, Peer, SocketAddr) {
    let machine = Machine::new();
    small_game::download(&machine.games_dir());
    let peer = machine.peer(name);
    let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    (machine, peer, address)
}

fn options(addresses: &[SocketAddr]) -> OperationOptions {
    OperationOptions {
        peers: addresses.iter().map(|address| (*address).into()).collect(),
        ..Default::default()
    }
}

async fn download(peer: &Peer, addresses: &[SocketAddr]) -> Result<(), PeerError> {
    peer.download_game(&small_game::game(), &options(addresses), CancellationToken::new()).await
}

fn drain(events: &mut PeerEvents) -> Vec<PeerEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

/// The tree in the game root.
fn root(machine: &Machine) -> Tree {
    let tree = machine.everything().into_iter();
    tree.filter_map(|(path, node)| path.strip_prefix("small/").map(|path| (path.to_owned(), node))).collect()
}

fn assert_only_the_receipt_is_left(machine: &Machine) {
    let ours: Vec<String> = machine
        .everything()
        .into_iter()
        .filter(|(path, node)| path.starts_with(".lanspread") && *node != Node::Folder)
        .map(|(path, _)| path)
        .collect();
    assert_eq!(ours, [".lanspread/downloads/small.jsonl"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_equals_the_source_and_can_be_served_to_others() {
    let (source_machine, _source, address) = source("source").await;
    let machine = Machine::new();
    let receiver = machine.peer("receiver");
    let mut events = receiver.events();
    let onward = receiver.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    download(&receiver, &[address]).await.unwrap();
    assert_eq!(root(&machine), root(&source_machine));
    assert_only_the_receipt_is_left(&machine);
    let heard = drain(&mut events);
    let bytes_total = small_game::root_files(&machine.games_dir()).iter().map(|file| file.size).sum::<u64>();
    let begun = heard.iter().find_map(|event| match event {
        PeerEvent::DownloadBegin(DownloadBegin { files, bytes_total, bytes_kept, .. }) => {
            Some((*files, *bytes_total, *bytes_kept))
        }
        _ => None,
    });
    assert_eq!(begun, Some((2, bytes_total, 0)));
    let finished = heard.iter().find_map(|event| match event {
        PeerEvent::DownloadFinished(DownloadFinished { bytes, bytes_fetched, sources, .. }) => {
            Some((*bytes, *bytes_fetched, sources.len()))
        }
        _ => None,
    });
    assert_eq!(finished, Some((bytes_total, bytes_total, 1)));

    let third_machine = Machine::new();
    download(&third_machine.peer("third"), &[onward]).await.unwrap();
    assert_eq!(root(&third_machine), root(&source_machine));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_already_downloaded_is_refused_without_blaming_a_source() {
    let (_source_machine, _source, address) = source("source").await;
    let machine = Machine::new();
    let receiver = machine.peer("receiver");
    download(&receiver, &[address]).await.unwrap();
    let before = machine.everything();
    match download(&receiver, &[address]).await {
        Err(PeerError::Store(StoreError::AlreadyDownloaded { version, .. })) => {
            assert_eq!(version, small_game::version());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(machine.everything(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_replaces_the_old_one_and_no_file_of_the_user() {
    let (source_machine, _source, address) = source("source").await;
    let machine = Machine::new();
    let there = machine.games_dir().join("small");
    fs::create_dir_all(there.join("local")).unwrap();
    for (path, content) in
        [("version.ini", "1"), ("old.eti", "old"), ("small.eti", "old"), ("local/save", "x"), ("n.txt", "x")]
    {
        fs::write(there.join(path), content).unwrap();
    }
    download(&machine.peer("receiver"), &[address]).await.unwrap();
    let mut expected = root(&source_machine);
    expected.insert("local".to_owned(), Node::Folder);
    expected.insert("local/save".to_owned(), Node::File(b"x".to_vec(), false));
    expected.insert("n.txt".to_owned(), Node::File(b"x".to_vec(), false));
    assert_eq!(root(&machine), expected);
    assert_only_the_receipt_is_left(&machine);
}

/// A download that fails before any chunk has arrived leaves the machine as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_fetched_nothing_leaves_nothing() {
    let (_source_machine, _source, address) = source("source").await;
    let machine = Machine::new();
    let receiver = machine.peer("receiver");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let cancelled = receiver.download_game(&small_game::game(), &options(&[address]), cancel).await;
    assert!(matches!(cancelled, Err(PeerError::Cancelled)), "{cancelled:?}");
    let nobody = download(&receiver, &[([127, 0, 0, 1], 1).into()]).await;
    assert!(matches!(nobody, Err(PeerError::NotOffered { .. })), "{nobody:?}");
    let unnamed = download(&receiver, &[]).await;
    assert!(matches!(unnamed, Err(PeerError::NoPeers { .. })), "{unnamed:?}");
    assert_eq!(machine.everything(), Tree::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_another_operation_has_locked_is_refused() {
    let (_source_machine, _source, address) = source("source").await;
    let machine = Machine::new();
    let receiver = machine.peer("receiver");
    let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
    let held = GameLock::acquire(&games, &small_game::game()).unwrap();
    assert!(matches!(
        download(&receiver, &[address]).await,
        Err(PeerError::Store(StoreError::InProgress { .. }))
    ));
    drop(held);
    download(&receiver, &[address]).await.unwrap();
}

/// The next command repairs a crash in the middle of a promotion, and so does the next start.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_was_killed_is_finished_by_the_next_command_or_start() {
    for by_starting in [false, true] {
        let (source_machine, _source, address) = source("source").await;
        let machine = Machine::new();
        download(&machine.peer("receiver"), &[address]).await.unwrap();
        // The state after the promotion was recorded and before its first rename.
        let (games_dir, game) = (machine.games_dir(), small_game::game());
        let downloading = games_dir.join("small/.downloading");
        fs::create_dir(&downloading).unwrap();
        for name in ["small.eti", "version.ini"] {
            fs::rename(games_dir.join("small").join(name), downloading.join(name)).unwrap();
        }
        let downloads = games_dir.join(".lanspread/downloads");
        let receipt = fs::read_to_string(downloads.join("small.jsonl")).unwrap();
        let lines: Vec<&str> = receipt.lines().filter(|line| !line.contains("complete")).collect();
        fs::write(downloads.join("small.draft"), lines.join("\n") + "\n").unwrap();
        fs::remove_file(downloads.join("small.jsonl")).unwrap();

        let peer = machine.peer("receiver");
        let mut events = peer.events();
        if by_starting {
            peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        } else {
            let refused = peer.download_game(&game, &options(&[address]), CancellationToken::new()).await;
            assert!(
                matches!(refused, Err(PeerError::Store(StoreError::AlreadyDownloaded { .. }))),
                "{refused:?}"
            );
        }
        let recovered = drain(&mut events).into_iter().any(
            |event| matches!(event, PeerEvent::GameRecovered { action, .. } if action == "download-promoted"),
        );
        assert!(recovered);
        assert_eq!(root(&machine), root(&source_machine));
        assert_only_the_receipt_is_left(&machine);
    }
}

/// If the validated peers agree on a list of files that no game can have, no byte is fetched.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_files_that_no_game_can_have_is_refused() {
    use lanspread_testing::lying_source::LyingSource;
    let evil = vec![
        RootFile { name: "../evil.eti".to_owned(), size: 1 },
        RootFile { name: "version.ini".to_owned(), size: 8 },
    ];
    let liar = LyingSource::new("liar", evil, Vec::new()).listen().await;
    let machine = Machine::new();
    match download(&machine.peer("receiver"), &[liar.address]).await {
        Err(PeerError::AllSourcesFailed { attempts, .. }) => {
            assert_eq!(attempts[0].code, "entry-name-refused");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(machine.everything(), Tree::new());
}
