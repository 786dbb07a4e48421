//! Packed installs of real peers on sockets whose first source is no good: it lies or says nothing, and the other one is
//! found late.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lanspread_testing::hostile::host::{HostileHost, Manner};
use lanspread_testing::machine::{Machine, tree};
use lanspread_testing::{small_game, story};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::peer::core::Peer;
use crate::peer::stream_install::StreamInstallReport;
use crate::report::channel::PeerEvents;
use crate::report::event::PeerEvent;
use crate::report::operation::OperationOptions;
use crate::report::packed_stream::UpstreamBegin;
use crate::testing::link::{Fate, Link};
use crate::testing::machine::PeerOf;
use crate::testing::organiser::build_catalog;

/// Two sources of the small game, of which the first one has a wrong byte, and a receiver that knows the manifest.
struct Room {
    liar: Peer,
    honest: Peer,
    seat: Machine,
    receiver: Peer,
    /// Of the two sources.
    machines: [Machine; 2],
}

impl Room {
    async fn new() -> Self {
        let (bad, good, seat) = (Machine::new(), Machine::new(), Machine::new());
        for machine in [&bad, &good] {
            small_game::download(&machine.games_dir());
        }
        let archive = bad.games_dir().join("small/small.eti");
        let mut bytes = std::fs::read(&archive).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&archive, bytes).unwrap();
        let catalog = build_catalog(&good, &good.state_dir());
        let (liar, honest) = (bad.peer("a-liar"), good.peer("b-honest"));
        for peer in [&liar, &honest] {
            peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        }
        let receiver = seat.describe("seat").catalog(catalog).build().unwrap();
        Self { liar, honest, seat, receiver, machines: [bad, good] }
    }

    async fn install(&self, from: &[SocketAddr]) -> StreamInstallReport {
        let peers = from.iter().map(|address| (*address).into()).collect();
        let options = OperationOptions::default().with_peers(peers);
        let (game, cancel) = (small_game::game(), CancellationToken::new());
        let installing = self.receiver.stream_install_game(&game, &options, cancel);
        let report = installing.await.unwrap();
        assert_eq!(tree(&self.seat.games_dir().join("small/local")), small_game::tree());
        assert_eq!(report.attempts, [], "one attempt");
        report
    }
}

/// The upstreams that it began with, and the peers that it calls liars.
fn told(events: &mut PeerEvents) -> (Vec<String>, Vec<String>) {
    let (mut begun, mut liars) = (Vec::new(), Vec::new());
    while let Some(event) = events.try_next() {
        match event {
            PeerEvent::UpstreamBegin(UpstreamBegin { upstream, .. }) => begun.push(upstream),
            PeerEvent::PeerLied(lie) => liars.push(lie.peer.to_string()),
            _ => {}
        }
    }
    (begun, liars)
}

/// One fitting answer settles the choice; the source behind a full link answers when the stream runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_answers_after_the_choice_is_an_upstream() {
    let room = Room::new().await;
    let link = Link::to(room.honest.listening().unwrap(), 0, Fate::Held).await;
    let (mut events, mut seen) = (room.receiver.events(), room.receiver.events());
    let opening = async {
        while let Some(event) = seen.next().await {
            match event {
                PeerEvent::StreamInstallBegin { sources, .. } => {
                    assert_eq!(sources.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a-liar"]);
                }
                PeerEvent::PeerLied(_) => {
                    link.opened.notify_one();
                    return;
                }
                _ => {}
            }
        }
    };
    let from = [room.liar.listening().unwrap(), link.address];
    tokio::join!(room.install(&from), opening);
    let (begun, liars) = told(&mut events);
    assert_eq!((begun, liars), (vec!["a-liar".into(), "b-honest".into()], vec!["a-liar".into()]));
}

/// It could not be reached when the choice was made. No upstream is left, so the peers are asked once more.
#[tokio::test(flavor = "multi_thread")]
async fn peers_are_asked_once_more_before_a_stream_fails() {
    let room = Room::new().await;
    let link = Link::to(room.honest.listening().unwrap(), 0, Fate::Refused).await;
    let mut events = room.receiver.events();
    room.install(&[room.liar.listening().unwrap(), link.address]).await;
    let (begun, liars) = told(&mut events);
    assert_eq!((begun, liars), (vec!["a-liar".into(), "b-honest".into()], vec!["a-liar".into()]));
}

/// It offers the game as an honest source does, and then answers no request for a place.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_says_nothing_delays_an_install_by_seconds_only() {
    let room = Room::new().await;
    let games = room.machines[1].games_dir();
    let (offered, steps) = story::steps_of_game_root(&games.join("small")).await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut hostile = JoinSet::new();
    hostile.spawn(HostileHost::new(Manner::Trickle, offered, steps, address.port()).serve(listener));
    let begun = Instant::now();
    let report = room.install(&[address, room.honest.listening().unwrap()]).await;
    assert_eq!(report.source.name.as_str(), "b-honest");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
