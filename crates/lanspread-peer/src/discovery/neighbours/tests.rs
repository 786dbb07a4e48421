//! Whole peers over loopback TCP: which peers know each other, and what they report when.

use std::time::Duration;

use lanspread_testing::machine::Machine;

use super::*;
use crate::peer::core::Peer;
use crate::report::channel::PeerEvents;
use crate::testing::machine::PeerOf;

/// Far above what a machine under load needs; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(30);

async fn until<T>(events: &mut PeerEvents, mut wanted: impl FnMut(&PeerEvent) -> Option<T>) -> T {
    let wait = async {
        loop {
            let event = events.next().await.expect("the peer lives");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    timeout(DEADLINE, wait).await.expect("the event is reported")
}

fn found(event: &PeerEvent) -> Option<(String, SocketAddr)> {
    if let PeerEvent::PeerFound { name, addr, .. } = event { Some((name.to_string(), *addr)) } else { None }
}

fn library(event: &PeerEvent) -> Option<(u64, u64)> {
    if let PeerEvent::PeerLibraryChanged { revision, games, .. } = event {
        Some((*revision, *games))
    } else {
        None
    }
}

fn lost(event: &PeerEvent) -> Option<String> {
    if let PeerEvent::PeerLost { name, .. } = event { Some(name.to_string()) } else { None }
}

async fn serve(machine: &Machine, name: &str, peers: &[SocketAddr]) -> (Peer, PeerEvents, SocketAddr) {
    let peers = peers.iter().map(|peer| PeerAddress::from(*peer)).collect();
    let peer = machine.describe(name).peers(peers).build().unwrap();
    let events = peer.events();
    let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    (peer, events, address)
}

fn add_game(machine: &Machine, game: &str) {
    let root = machine.games_dir().join(game);
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("a.eti"), "1").unwrap();
    std::fs::write(root.join("version.ini"), "1").unwrap();
}

async fn stop(peer: Peer) {
    peer.shutdown().await.unwrap();
    assert_eq!(peer.running_tasks(), 0);
}

/// One side names the other. Both know each other, once, and neither knows itself.
#[tokio::test]
async fn naming_a_peer_makes_both_sides_know_each_other() {
    let (one, other) = (Machine::new(), Machine::new());
    add_game(&one, "g");
    let (first, mut first_hears, address) = serve(&one, "first", &[]).await;
    let (second, mut second_hears, back) = serve(&other, "second", &[address]).await;
    assert_eq!(until(&mut second_hears, found).await, ("first".to_owned(), address));
    assert_eq!(until(&mut second_hears, library).await, (1, 1));
    assert_eq!(until(&mut first_hears, found).await, ("second".to_owned(), back));
    assert_eq!(until(&mut first_hears, library).await, (1, 0));
    for (peer, other) in [(&first, &second), (&second, &first)] {
        let known = peer.known_peers();
        assert_eq!(known.len(), 1);
        assert_eq!((known[0].id, known[0].duplicate), (other.id(), false));
    }
    stop(second).await;
    assert_eq!(until(&mut first_hears, lost).await, "second");
    assert!(first.known_peers().is_empty());
    stop(first).await;
}

/// The other side learns that a game appears on disk, or disappears, without any new request.
#[tokio::test]
async fn a_change_on_disk_reaches_the_neighbours() {
    let (one, other) = (Machine::new(), Machine::new());
    let (source, _, address) = serve(&one, "source", &[]).await;
    let (follower, mut hears, _) = serve(&other, "follower", &[address]).await;
    assert_eq!(until(&mut hears, library).await, (1, 0));
    add_game(&one, "g");
    while until(&mut hears, library).await.1 != 1 {}
    assert_eq!(follower.known_peers()[0].games[0].game.as_str(), "g");
    std::fs::remove_file(one.games_dir().join("g/version.ini")).unwrap();
    while until(&mut hears, library).await.1 != 0 {}
    stop(source).await;
    stop(follower).await;
}

/// A peer that restarts at another address with its identity is found there, after the old run is reported lost.
#[tokio::test]
async fn a_peer_that_restarts_at_another_address_is_not_a_duplicate() {
    let (one, other) = (Machine::new(), Machine::new());
    let (observer, mut hears, address) = serve(&one, "observer", &[]).await;
    let (before, _, old) = serve(&other, "mover", &[address]).await;
    assert_eq!(until(&mut hears, found).await.1, old);
    stop(before).await;
    let (after, _, new) = serve(&other, "mover", &[address]).await;
    assert_ne!(old, new);
    let mut order = Vec::new();
    while order.len() < 2 {
        let step = |event: &PeerEvent| match event {
            PeerEvent::PeerFound { addr, .. } => Some(format!("found {addr}")),
            PeerEvent::PeerLost { name, .. } => Some(format!("lost {name}")),
            PeerEvent::DuplicateIdentity { .. } => panic!("{event:?}"),
            _ => None,
        };
        order.push(until(&mut hears, step).await);
    }
    assert_eq!(order, ["lost mover".to_owned(), format!("found {new}")]);
    assert_eq!(observer.known_peers().len(), 1);
    stop(after).await;
    stop(observer).await;
}

/// Two machines have one copied state directory. A third peer reports it once and prefers neither, and the copy reports
/// it too.
#[tokio::test]
async fn a_copied_identity_is_reported_and_neither_is_preferred() {
    let (one, first, second) = (Machine::new(), Machine::new(), Machine::new());
    let state = |machine: &Machine| machine.games_dir().parent().unwrap().join("state");
    add_game(&first, "g");
    add_game(&second, "g");
    drop(first.peer("original"));
    std::fs::create_dir(state(&second)).unwrap();
    std::fs::copy(state(&first).join("peer-id"), state(&second).join("peer-id")).unwrap();
    let (original, _, at_first) = serve(&first, "original", &[]).await;
    let (copy, mut copy_hears, at_second) = serve(&second, "copy", &[at_first]).await;
    let duplicate = |event: &PeerEvent| match event {
        PeerEvent::DuplicateIdentity { names, addrs, .. } => Some((names.len(), addrs.clone())),
        _ => None,
    };
    assert_eq!(until(&mut copy_hears, duplicate).await, (2, vec![at_first]));
    let (observer, mut hears, _) = serve(&one, "observer", &[at_first, at_second]).await;
    let (names, mut addresses) = until(&mut hears, duplicate).await;
    addresses.sort();
    let mut expected = vec![at_first, at_second];
    expected.sort();
    assert_eq!((names, addresses), (2, expected));
    let known = observer.known_peers();
    assert!(known.len() == 2 && known.iter().all(|peer| peer.duplicate), "{known:?}");
    let options = crate::OperationOptions::default();
    let chosen = observer.choose(&"g".parse().unwrap(), &options, &CancellationToken::new()).await;
    match chosen {
        Err(crate::PeerError::NotOffered { peers, .. }) => {
            assert!(peers.len() == 2 && peers.iter().all(|peer| peer.reason.contains("same identity")));
        }
        other => panic!("{other:?}"),
    }
    stop(original).await;
    stop(copy).await;
    stop(observer).await;
}

/// A peer that is given its own address does not list itself and stops asking.
#[tokio::test]
async fn a_peer_that_is_given_its_own_address_ignores_it() {
    let machine = Machine::new();
    let (peer, _, address) = serve(&machine, "self", &[]).await;
    let before = peer.running_tasks();
    peer.neighbours().unwrap().keep(address.into(), HowKnown::Named);
    let ended = async {
        while peer.running_tasks() > before {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, ended).await.unwrap();
    assert!(peer.known_peers().is_empty());
    stop(peer).await;
}

#[test]
fn only_a_visitor_that_serves_is_a_hint_and_the_port_it_came_from_is_never_used() {
    let visitor = |from: &str, listen_port| Visitor {
        from: from.parse().unwrap(),
        hello: Hello {
            peer: lanspread_types::ids::PeerId::random().unwrap(),
            name: "pc".parse().unwrap(),
            listen_port,
            instance: 1,
        },
    };
    assert_eq!(visited(&visitor("10.0.0.1:5", None)), None);
    assert_eq!(visited(&visitor("10.0.0.1:5", Some(0))), None);
    for (from, expected) in [
        ("10.0.0.1:5", "10.0.0.1:4000"),
        ("[::ffff:10.0.0.1]:5", "10.0.0.1:4000"),
        ("[fe80::1%3]:5", "[fe80::1%3]:4000"),
    ] {
        match visited(&visitor(from, Some(4000))) {
            Some(Hint::Found { addresses, .. }) => assert_eq!(addresses, [expected.parse().unwrap()]),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn lost_peers_are_tried_soon_and_then_slowly() {
    let pauses: Vec<u128> = (0..6).map(|tries| pause(tries).as_millis()).collect();
    assert_eq!(pauses, [0, 0, 500, 1500, 15_000, 15_000]);
}
