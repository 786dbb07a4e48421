use std::time::{Duration, Instant};

use lanspread_testing::machine::Machine;
use lanspread_types::ids::GameId;
use lanspread_types::limits;

use crate::discovery::ask;
use crate::discovery::search::{AtHand, Search};
use crate::peer::client::PeerClient;
use crate::peer::core::Peer;
use crate::report::operation::{
    DiscoveryMode as HowFound, OperationKind, OperationOptions, OperationRequest,
};
use crate::testing::endpoint;
use crate::testing::machine::PeerOf;
use crate::{DiscoverySearch, PeerError};

/// A multicast DNS port that no other test in this run uses.
fn free_port() -> u16 {
    std::net::UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

fn offer(machine: &Machine, game: &str) {
    let root = machine.games_dir().join(game);
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("a.eti"), "1").unwrap();
    std::fs::write(root.join("version.ini"), "1").unwrap();
}

async fn announced(machine: &Machine, name: &str, port: u16) -> Peer {
    let peer = machine.describe(name).discovery(true).discovery_port(port).build().unwrap();
    peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    peer
}

fn client(machine: &Machine, port: u16) -> PeerClient {
    let state = machine.games_dir().parent().unwrap().join("state");
    PeerClient::new(Some(state), None).unwrap().on_discovery_port(port)
}

const LONG: HowFound = HowFound::On { timeout_ms: 20_000 };

#[tokio::test]
async fn a_list_finds_all_other_peers_and_names_each_game_once() {
    let (one, other, ours) = (Machine::new(), Machine::new(), Machine::new());
    let port = free_port();
    offer(&one, "both");
    offer(&one, "alone");
    offer(&other, "both");
    offer(&ours, "own");
    let peers = [
        announced(&one, "one", port).await,
        announced(&other, "other", port).await,
        announced(&ours, "ours", port).await,
    ];
    let begun = Instant::now();
    let found = client(&ours, port).discover(LONG, &[]).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "it did not wait for its whole timeout");
    let names: Vec<&str> = found.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["one", "other"]);
    let games = found.games();
    let listed: Vec<_> = games.iter().map(|game| (game.game.as_str(), game.peers.len())).collect();
    assert_eq!(listed, [("alone", 1), ("both", 2)]);
    let DiscoverySearch::Done { heard, interfaces, .. } = found.searched.discovery else { panic!() };
    assert_eq!(heard, 2);
    assert!(interfaces.contains(&"lo".to_owned()));
    for peer in peers {
        peer.shutdown().await.unwrap();
        assert_eq!(peer.running_tasks(), 0);
    }
}

#[tokio::test]
async fn a_named_peer_that_is_also_discovered_is_one_peer() {
    let (one, ours) = (Machine::new(), Machine::new());
    let port = free_port();
    let peer = announced(&one, "one", port).await;
    let address = peer.listening().unwrap();
    let found = client(&ours, port).discover(LONG, &[address.into()]).await.unwrap();
    assert_eq!((found.peers.len(), found.failed.len()), (1, 0));
    peer.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_search_without_result_is_explained() {
    let ours = Machine::new();
    let client = client(&ours, free_port());
    match client.discover(HowFound::Off, &[]).await {
        Err(PeerError::NoPeers { searched }) => assert_eq!(searched.discovery, DiscoverySearch::Off),
        other => panic!("{other:?}"),
    }
    let short = HowFound::On { timeout_ms: 300 };
    match client.discover(short, &[]).await {
        Err(PeerError::NoPeers { searched }) => match searched.discovery {
            DiscoverySearch::Done { waited_ms, interfaces, heard: 0, .. } => {
                assert!(waited_ms >= 300 && !interfaces.is_empty());
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    // A port without a listener: bound for a moment, so that it is free.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let game: GameId = "g".parse().unwrap();
    let options = OperationOptions { peers: vec![closed.into()], discovery: short, ..Default::default() };
    let peer = ours.describe("ours").discovery_port(free_port()).build().unwrap();
    let request = OperationRequest { kind: OperationKind::StreamInstall, game, options };
    match peer.plan(&request, &tokio_util::sync::CancellationToken::new()).await {
        Err(error @ PeerError::NotOffered { .. }) => {
            assert!(error.cause() == Some("no-answer"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

/// A discovered peer is asked while discovery still runs, and its offer ends the wait.
#[tokio::test]
async fn an_operation_continues_as_soon_as_the_game_is_found() {
    let (one, ours) = (Machine::new(), Machine::new());
    let port = free_port();
    offer(&one, "g");
    let source = announced(&one, "one", port).await;
    let begun = Instant::now();
    let asker = ours.describe("ours").discovery_port(port).build().unwrap();
    let options = OperationOptions { discovery: LONG, ..Default::default() };
    let cancel = tokio_util::sync::CancellationToken::new();
    let selection = asker.choose(&"g".parse().unwrap(), &options, &cancel).await.unwrap();
    assert_eq!(selection.sources[0].address, source.listening().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(15));
    source.shutdown().await.unwrap();
}

/// A peer that says hello and then answers nothing.
async fn mute() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            open.push(tokio::spawn(async move {
                let connection = endpoint("mute").answer(socket).await;
                std::future::pending::<()>().await;
                drop(connection);
            }));
        }
    });
    address
}

/// Peers that never answer are not awaited once the others suffice, although the user named them.
#[tokio::test]
async fn a_mute_peer_costs_nothing_once_the_others_suffice() {
    let machines = [Machine::new(), Machine::new(), Machine::new()];
    let mut sources = Vec::new();
    for machine in &machines {
        offer(machine, "g");
        let source = machine.peer("source");
        source.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        sources.push(source);
    }
    let mut peers = vec![mute().await.into(), mute().await.into()];
    peers.extend(sources.iter().map(|source| source.listening().unwrap().into()));
    let ours = Machine::new();
    let options = OperationOptions::default().with_peers(peers);
    let (game, cancel) = ("g".parse().unwrap(), tokio_util::sync::CancellationToken::new());
    let begun = Instant::now();
    let chosen = ours.peer("ours").choose(&game, &options, &cancel).await.unwrap();
    assert!(begun.elapsed() < limits::HINT_ANSWER_DEADLINE, "{:?}", begun.elapsed());
    assert_eq!(chosen.sources.len(), 3, "all that answer are sources");
    assert_eq!(chosen.dropped.len(), 2, "those that did not are named");
    for source in sources {
        source.shutdown().await.unwrap();
    }
}

/// A peer that knows its neighbours asks them first. If none of them offers the game, or none answers, it searches.
#[tokio::test]
async fn the_network_is_searched_if_the_peers_at_hand_do_not_offer_the_game() {
    let (one, other, ours) = (Machine::new(), Machine::new(), Machine::new());
    let port = free_port();
    offer(&one, "g");
    offer(&other, "h");
    let has_it = announced(&one, "has-it", port).await;
    let lacks_it = other.peer("lacks-it");
    lacks_it.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let asker = ours.peer("ours");
    let (endpoint, belief) = (asker.endpoint(), asker.belief_without_catalog());
    for at_hand in [lacks_it.listening().unwrap(), mute().await] {
        let at_hand = AtHand { peers: vec![at_hand.into()], ..AtHand::default() };
        let search = Search::for_game(LONG, port).after_those_at_hand();
        let game = "g".parse().unwrap();
        let answers = ask::details(&at_hand, &endpoint, &game, &belief, search).await;
        assert_eq!(answers.offers.len(), 1, "{:?}", answers.refusals);
        assert_eq!(answers.offers[0].name.as_str(), "has-it");
    }
    let at_hand = AtHand { peers: vec![lacks_it.listening().unwrap().into()], ..AtHand::default() };
    let search = Search::for_game(LONG, port).after_those_at_hand();
    let answers = ask::details(&at_hand, &endpoint, &"h".parse().unwrap(), &belief, search).await;
    assert_eq!((answers.offers.len(), answers.searched.discovery), (1, DiscoverySearch::Off));
    has_it.shutdown().await.unwrap();
    lacks_it.shutdown().await.unwrap();
}

/// If a game is misspelt, the message names the offered one.
#[tokio::test]
async fn a_misspelt_game_is_answered_with_the_one_that_is_offered() {
    let (one, ours) = (Machine::new(), Machine::new());
    offer(&one, "cnctw");
    offer(&one, "other-game");
    let source = one.peer("source");
    source.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let options = OperationOptions::default().with_peers(vec![source.listening().unwrap().into()]);
    let (peer, cancel) = (ours.peer("ours"), tokio_util::sync::CancellationToken::new());
    for (wanted, similar) in [("cnctv", Some("cnctw")), ("something-else", None)] {
        let error = peer.choose(&wanted.parse().unwrap(), &options, &cancel).await.unwrap_err();
        let PeerError::NotOffered { searched, .. } = &error else { panic!("{error}") };
        assert_eq!(searched.similar.as_ref().map(GameId::as_str), similar);
        assert_eq!(error.to_string().contains("`cnctw` is offered"), similar.is_some(), "{error}");
    }
    source.shutdown().await.unwrap();
}
