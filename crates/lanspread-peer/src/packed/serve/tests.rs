//! A follower is served over a pipe, by one that has a limit.

use std::sync::Arc;

use lanspread_proto::handshake::{Channel, Introduction};
use lanspread_proto::message::{Reply, Request};
use lanspread_proto::packed::{Follow, PackedGame, Place};
use lanspread_types::checksum::ContentDigest;
use tokio::io::duplex;

use super::*;
use crate::packed::backlog::Backlog;
use crate::packed::feed::{Order, Said};
use crate::packed::follow::follow;
use crate::packed::plan::Tier;
use crate::testing::hello;
use crate::traffic::{Traffic, TrafficKind};

/// One that has every chunk.
struct HasAll(Meter);

impl ServeChunks for HasAll {
    async fn chunk(&self, _: u64) -> ChunkAnswer {
        ChunkAnswer::Chunk(Bytes::from_static(&[7; 1000]))
    }

    fn meter(&self) -> &Meter {
        &self.0
    }

    fn alive(&self) -> (u64, bool) {
        (u64::MAX, false)
    }
}

/// Follows one with this meter until a chunk has come, and says how often it heard that its upstream is alive, and how often
/// that the upstream holds it up.
async fn heard_before_a_chunk(up: Meter, down: Meter) -> (u64, u64, u64) {
    let (near, far) = duplex(64 * 1024);
    let (dialled, answered) = Channel::of_pipe([1; 32], [2; 32]);
    let (ours, theirs) = (Introduction::open(hello("seat")), Introduction::open(hello("relay")));
    let opened =
        tokio::join!(Connection::open(near, &dialled, &ours), Connection::open(far, &answered, &theirs));
    let (mut near, mut far) = (opened.0.unwrap(), opened.1.unwrap());
    let (orders, ordered) = mpsc::channel(4);
    let (says, mut said) = mpsc::channel(4);
    orders.send(Order::Ask(0)).await.unwrap();
    let serving = async {
        let asked: Option<Request> = far.receive("request", limits::REPLY_DEADLINE).await.unwrap();
        assert!(matches!(asked, Some(Request::Follow(_))), "{asked:?}");
        far.send(&Reply::Following { lo: 0, hi: 1 }).await.unwrap();
        serve(&mut far, &HasAll(up), &CancellationToken::new()).await
    };
    let listening = async {
        let (mut alive, mut full, mut behind) = (0, 0, 0);
        loop {
            match said.recv().await.expect("the upstream is not left") {
                Said::Alive { full: is_full, .. } => {
                    alive += 1;
                    full += u64::from(is_full);
                }
                Said::Behind(is_behind) => behind += u64::from(is_behind),
                Said::Chunk(..) => return (alive, full, behind),
                _ => {}
            }
        }
    };
    let manifest = ContentDigest([1; 32]);
    let packed = PackedGame { game: "g".parse().unwrap(), version: "1".parse().unwrap(), manifest };
    let wanted = Follow { packed, at: 0, place: Place { wave: 1, position: 1 }, instead_of: None };
    let (buffers, backlog) = (Arc::default(), Backlog::new(u64::MAX, || Ok(0)));
    let following = follow(&mut near, wanted, Tier::Relay, backlog, (&buffers, down), ordered, says);
    tokio::select! {
        ended = following => panic!("{ended:?}"),
        served = serving => panic!("{served:?}"),
        heard = listening => heard,
    }
}

/// A chunk that waits for ten times as long as an upstream may be silent.
#[tokio::test(start_paused = true)]
async fn a_limited_upstream_says_that_it_is_alive_and_holds_its_follower_up() {
    let waiting = 10 * limits::PACKED_IDLE;
    let up = Traffic::occupied(waiting).sent_to([10, 0, 0, 1].into(), TrafficKind::Packed);
    let (alive, full, behind) = heard_before_a_chunk(up, Meter::unlimited()).await;
    let expected = waiting.as_secs() / limits::PACKED_ALIVE_INTERVAL.as_secs();
    assert!(alive.abs_diff(expected) <= 1 && full == alive, "{full} of {alive}, not {expected}");
    assert_eq!(behind, 0);
}

/// The same of a chunk that has come: the receiver knows that it is what holds everything up, and says so to its follower.
#[tokio::test(start_paused = true)]
async fn a_limited_follower_is_behind_what_arrives_and_does_not_leave() {
    let down = Traffic::occupied(10 * limits::PACKED_IDLE).downlink().meter(TrafficKind::Packed);
    let (_, full, behind) = heard_before_a_chunk(Meter::unlimited(), down).await;
    assert_eq!((full, behind), (0, 1));
}
