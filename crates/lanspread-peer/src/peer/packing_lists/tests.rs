use std::os::unix::fs::symlink;
use std::path::Path;

use lanspread_store::packing::packing_list;
use lanspread_store::state::file_stamps::FileStamps;
use lanspread_store::state::game_state::GameState;
use lanspread_testing::hostile::host::{HostileHost, Manner};
use lanspread_testing::machine::Machine;
use lanspread_testing::story;
use lanspread_types::ids::PeerId;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::report::channel::EventSender;
use crate::report::operation::OperationOptions;
use crate::testing::machine::PeerOf;

const GAME: &str = "volumes-few";

/// A machine that offers a game of several volumes, whose files have been on the disk for a while.
fn machine() -> Machine {
    let machine = Machine::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fixture-volumes").join(GAME);
    symlink(fixture.canonicalize().unwrap(), machine.games_dir().join(GAME)).unwrap();
    machine
}

async fn serving(machine: &Machine, name: &str) -> Peer {
    let peer = machine.peer(name);
    peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    peer
}

fn operation(sources: &[&Peer]) -> OperationContext {
    let peers = sources.iter().map(|source| source.listening().unwrap().into()).collect();
    OperationContext {
        game: GAME.parse().unwrap(),
        options: OperationOptions { peers, ..OperationOptions::default() },
        events: EventSender::new(),
        cancel: CancellationToken::new(),
    }
}

/// Chooses until the sources agree on a list.
async fn agreed(receiver: &Peer, operation: &OperationContext) -> (Selection, ContentDigest) {
    let OperationContext { game, options, cancel, .. } = operation;
    loop {
        let selection = receiver.choose_by(None, game, options, cancel).await.unwrap();
        if let AgreedList::Agreed(digest) = selection.list {
            return (selection, digest);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_the_majority_is_fetched_and_nothing_is_stored() {
    let (one, other, ours) = (machine(), machine(), Machine::new());
    let (source, second) = (serving(&one, "one").await, serving(&other, "other").await);
    let receiver = ours.peer("ours");
    let operation = operation(&[&source, &second]);
    let (selection, digest) = agreed(&receiver, &operation).await;
    let before = std::fs::read_dir(ours.state_dir()).unwrap().count();
    let list = receiver.packing_list(&operation, &selection).await.unwrap().unwrap();
    assert_eq!((list.digest(), list.manifest().has_tree()), (digest, false));
    let expected = GameState::read(&one.games_dir(), &operation.game).unwrap().unwrap();
    assert_eq!(list.manifest().root_files, expected.root_files);
    assert_eq!(std::fs::read_dir(ours.state_dir()).unwrap().count(), before);
    assert!(std::fs::read_dir(ours.games_dir()).unwrap().next().is_none());

    // The first one that names it has it no more.
    let mut selection = selection;
    selection.sources[0].address = ([127, 0, 0, 1], 1).into();
    assert!(receiver.packing_list(&operation, &selection).await.unwrap().is_some());
    // It trickles.
    let (offered, steps) = story::steps_of_game_root(&one.games_dir().join(GAME)).await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    selection.sources[0].address = listener.local_addr().unwrap();
    let mut hostile = JoinSet::new();
    hostile.spawn(HostileHost::new(Manner::Trickle, offered, steps, 1).serve(listener));
    let begun = Instant::now();
    assert!(receiver.packing_list(&operation, &selection).await.unwrap().is_some());
    assert!(begun.elapsed() < limits::HANDED_ON_DEADLINE / 2, "{:?}", begun.elapsed());
    for source in &mut selection.sources {
        source.manifest = None;
    }
    assert!(receiver.packing_list(&operation, &selection).await.unwrap().is_none(), "none names it");
    for peer in [source, second] {
        peer.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_about_something_else_is_refused_although_it_has_the_digest() {
    let (one, ours) = (machine(), Machine::new());
    let source = serving(&one, "one").await;
    let receiver = ours.peer("ours");
    let operation = operation(&[&source]);
    let (selection, _) = agreed(&receiver, &operation).await;
    let changes: [fn(&mut Selection); 3] = [
        |selection| selection.version = "other".parse().unwrap(),
        |selection| selection.sources[0].files[0].size += 1,
        |selection| _ = selection.sources[0].files.pop(),
    ];
    for change in changes {
        let mut other = selection.clone();
        change(&mut other);
        assert!(receiver.packing_list(&operation, &other).await.unwrap().is_none());
    }
    source.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_wait_gets_its_selection_at_once_and_a_cancelled_one_an_error() {
    let (one, ours) = (machine(), Machine::new());
    let source = serving(&one, "one").await;
    let receiver = ours.peer("ours");
    let operation = operation(&[&source]);
    let (mut selection, digest) = agreed(&receiver, &operation).await;
    // The source has it by now: the first question finds that out.
    selection.sources[0].files[0].size = 1 << 40;
    selection.list = AgreedList::InMaking { in_ms: 0 };
    let late = LateOffers::none;
    let (waited, _) = receiver.await_packing_list(&operation, selection.clone(), late()).await.unwrap();
    assert_eq!(waited.list, AgreedList::Agreed(digest));
    selection.list = AgreedList::InMaking { in_ms: u32::MAX };
    let (decoded, _) = receiver.await_packing_list(&operation, selection.clone(), late()).await.unwrap();
    assert_eq!(decoded.list, selection.list, "it is streamed decoded");
    selection.list = AgreedList::InMaking { in_ms: 5000 };
    let mut heard = operation.events.subscribe();
    operation.cancel.cancel();
    let cancelled = receiver.await_packing_list(&operation, selection, late()).await;
    assert!(matches!(cancelled, Err(PeerError::Cancelled)));
    assert!(
        matches!(heard.try_next(), Some(PeerEvent::PackingListAwaited(_))),
        "more than a second is reported"
    );
    source.shutdown().await.unwrap();
}

#[test]
fn a_list_must_be_about_what_is_offered() {
    let one = machine();
    let state = GameState::read(&one.games_dir(), &GAME.parse().unwrap()).unwrap().unwrap();
    let stamps = FileStamps::read(&state.root, &state.root_files).unwrap();
    let (list, _) = packing_list(&state, &stamps, &mut |_| (), &CancellationToken::new()).unwrap();
    let selection = Selection {
        version: list.version.clone(),
        sources: Vec::new(),
        dropped: Vec::new(),
        copies: Vec::new(),
        list: AgreedList::None,
    };
    let judge = |list: &Manifest| disagreement(list, &state.game, &selection, &state.root_files);
    assert_eq!(judge(&list), None);
    let mut other = list.clone();
    other.game = PeerId::from([1; 16]).to_string().parse().unwrap();
    assert!(judge(&other).unwrap().contains("it is about"));
    let mut other = list.clone();
    other.archives[0].files.swap(0, 1);
    assert!(judge(&other).unwrap().contains("other volumes"));
    let mut other = list;
    other.root_files[0].size += 1;
    assert!(judge(&other).unwrap().contains("its root files"));
}
