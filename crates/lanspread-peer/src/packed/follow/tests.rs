//! Upstreams that lie, over pipes: each is left within a bounded time, with a code that says why.

use std::time::Duration;

use lanspread_proto::handshake::{Channel, Introduction};
use lanspread_proto::packed::{PackedGame, Place, SlowReceiver, WaveNews};
use lanspread_types::checksum::ContentDigest;
use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::testing::hello;
use crate::traffic::Meter;

/// What an upstream does once it was asked for the first chunk.
#[derive(Debug, Clone, Copy)]
enum Lie {
    /// It says that it is alive, again and again, and each time another receiver is the slowest.
    FloodsAlive,
    /// It sends half a chunk.
    HalfAFrame,
    /// It sends a byte of a chunk every two seconds.
    Trickles,
    /// It sends two chunks.
    OneTooMany,
    /// It says that it is gone, and sends the chunk.
    GoneAndSent,
}

fn follow_of(at: u64) -> Follow {
    let manifest = ContentDigest([1; 32]);
    let packed = PackedGame { game: "g".parse().unwrap(), version: "1".parse().unwrap(), manifest };
    Follow { packed, at, place: Place { wave: 1, position: 1 }, instead_of: None }
}

async fn connected() -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    let (near, far) = duplex(64 * 1024);
    let (dialled, answered) = Channel::of_pipe([1; 32], [2; 32]);
    let (ours, theirs) = (Introduction::open(hello("seat")), Introduction::open(hello("liar")));
    let opened =
        tokio::join!(Connection::open(near, &dialled, &ours), Connection::open(far, &answered, &theirs));
    (opened.0.unwrap(), opened.1.unwrap())
}

async fn lies(mut connection: Connection<DuplexStream>, lie: Lie) -> Result<(), WireError> {
    let asked: Option<Request> = connection.receive("request", limits::REPLY_DEADLINE).await?;
    assert!(matches!(asked, Some(Request::Follow(_))), "{asked:?}");
    connection.send(&Reply::Following { lo: 0, hi: 1 }).await?;
    let (mut incoming, mut outgoing) = connection.halves();
    incoming.begins().await?;
    incoming.message::<FollowMessage>("request for a chunk").await?;
    match lie {
        Lie::FloodsAlive => {
            for bytes_per_second in 0.. {
                let slowest = Some(SlowReceiver { name: "slow".parse().unwrap(), bytes_per_second });
                let wave = WaveNews { places: 2, slowest };
                outgoing.message(&UpstreamMessage::Alive { hi: 0, full: false, wave }).await?;
                outgoing.flush().await?;
                // So that time passes: a little more often than is allowed.
                tokio::time::sleep(limits::PACKED_ALIVE_INTERVAL_MIN / 2).await;
            }
        }
        Lie::OneTooMany => {
            outgoing.data(&[0; 10]).await?;
            outgoing.data(&[0; 10]).await?;
        }
        Lie::GoneAndSent => {
            outgoing.message(&UpstreamMessage::Gone { lo: u64::MAX }).await?;
            outgoing.data(&[0; 10]).await?;
        }
        Lie::HalfAFrame | Lie::Trickles => {
            let (mut frame, deadline) = (vec![0, 0, 3, 0xe8, 1], Instant::now() + Duration::from_hours(1));
            frame.resize(500, 0);
            if matches!(lie, Lie::HalfAFrame) {
                connection.write_some(&frame, deadline).await?;
            } else {
                for byte in frame {
                    connection.write_some(&[byte], deadline).await?;
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
            }
            return std::future::pending().await;
        }
    }
    outgoing.flush().await?;
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_lies_is_left_in_time_with_a_code() {
    let idle = limits::PACKED_IDLE;
    let rows = [
        (Lie::FloodsAlive, "protocol-violation", Duration::from_secs(10)),
        (Lie::HalfAFrame, "timeout", idle),
        (Lie::Trickles, "timeout", limits::FRAME_DEADLINE),
        (Lie::OneTooMany, "protocol-violation", Duration::ZERO),
        (Lie::GoneAndSent, "protocol-violation", Duration::ZERO),
    ];
    for (lie, code, within) in rows {
        let (mut near, far) = connected().await;
        let liar = tokio::spawn(lies(far, lie));
        let (orders, ordered) = mpsc::channel(4);
        let (says, mut said) = mpsc::channel(4);
        orders.send(Order::Ask(0)).await.unwrap();
        let begun = Instant::now();
        let listening = async { while said.recv().await.is_some() {} };
        let buffers = Arc::default();
        let following = follow(
            &mut near,
            follow_of(0),
            Tier::Relay,
            Backlog::new(1, || Ok(0)),
            (&buffers, Meter::unlimited()),
            ordered,
            says,
        );
        let (ended, ()) = tokio::join!(following, listening);
        let error = ended.unwrap_err();
        assert_eq!(error.code(), code, "{lie:?}: {error}");
        assert!(begun.elapsed() <= within + Duration::from_millis(100), "{lie:?}: {:?}", begun.elapsed());
        liar.abort();
    }
}
