use lanspread_testing::machine::Machine;
use lanspread_testing::small_game;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::report::metrics::tests::{Samples, read};
use crate::report::operation::{DecodeAt, OperationKind, OperationOptions, OperationRequest};
use crate::testing::machine::PeerOf;

async fn samples(peer: &Peer) -> Samples {
    let text = peer.metrics().await.unwrap().render();
    read(&text).unwrap_or_else(|why| panic!("{why}"))
}

/// What has changed between two looks.
fn moved(before: &Samples, after: &Samples) -> Vec<(String, u64)> {
    assert!(before.keys().eq(after.keys()), "every sample is there from the beginning");
    let moved = after.iter().filter(|(name, value)| before[*name] != **value);
    moved.map(|(name, value)| (name.clone(), *value)).filter(|(name, _)| !is_of_the_moment(name)).collect()
}

/// What may change at any time.
fn is_of_the_moment(name: &str) -> bool {
    ["lanspread_free_bytes", "lanspread_tasks", "lanspread_connections", "lanspread_peers"].contains(&name)
}

#[tokio::test]
async fn counters_move_with_what_happens_and_with_nothing_else() {
    let (far, near) = (Machine::new(), Machine::new());
    small_game::download(&far.games_dir());
    let source = far.peer("source");
    let address = source.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let receiver = near.peer("receiver");
    let (source_before, receiver_before) = (samples(&source).await, samples(&receiver).await);
    assert_eq!(source_before["lanspread_games{state=\"ready\"}"], 1);
    assert!(source_before["lanspread_free_bytes"] > 0);
    assert_eq!(
        samples(&source).await["lanspread_start_time_seconds"],
        source_before["lanspread_start_time_seconds"]
    );

    let options = OperationOptions {
        peers: vec![address.into()],
        decode_at: DecodeAt::Source,
        ..OperationOptions::default()
    };
    let (kind, game) = (OperationKind::StreamInstall, small_game::game());
    let request = OperationRequest { kind, game: game.clone(), options };
    let installed = receiver.submit(request.clone()).unwrap().outcome().await;
    installed.unwrap();
    // It is there already.
    assert!(receiver.submit(request).unwrap().outcome().await.is_err());

    let bytes = small_game::totals().bytes;
    assert_eq!(
        moved(&receiver_before, &samples(&receiver).await),
        [
            ("lanspread_games{state=\"local-only\"}".to_owned(), 1),
            ("lanspread_operations_total{kind=\"stream-install\",outcome=\"done\"}".to_owned(), 1),
            ("lanspread_operations_total{kind=\"stream-install\",outcome=\"failed\"}".to_owned(), 1),
            ("lanspread_received_bytes_total{kind=\"stream\"}".to_owned(), bytes),
        ]
    );
    let source_moved = moved(&source_before, &samples(&source).await);
    let of =
        |name: &str| source_moved.iter().find(|(moved, _)| moved.starts_with(name)).map(|(_, value)| *value);
    assert_eq!(of("lanspread_sent_bytes_total{kind=\"stream\"}"), Some(bytes), "{source_moved:?}");
    assert!(of("lanspread_handshakes_total{outcome=\"done\"}").is_some_and(|count| count >= 1));
    assert_eq!(source_moved.len(), 2, "{source_moved:?}");
    for peer in [receiver, source] {
        peer.shutdown().await.unwrap();
    }
}

/// Root files, asked for as they are: both ends count the same.
#[tokio::test]
async fn both_ends_of_a_download_count_the_same_bytes() {
    let (far, near) = (Machine::new(), Machine::new());
    small_game::download(&far.games_dir());
    let source = far.peer("source");
    let address = source.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let receiver = near.peer("receiver");
    let options = OperationOptions { peers: vec![address.into()], ..OperationOptions::default() };
    receiver.download_game(&small_game::game(), &options, CancellationToken::new()).await.unwrap();
    let whole = receiver.local_games().await.unwrap()[0].root_bytes();
    let sum = |samples: &Samples, name: &str| -> u64 {
        samples.iter().filter(|(sample, _)| sample.starts_with(name)).map(|(_, value)| value).sum()
    };
    assert_eq!(sum(&samples(&receiver).await, "lanspread_received_bytes_total"), whole);
    assert_eq!(sum(&samples(&source).await, "lanspread_sent_bytes_total"), whole);
    for peer in [receiver, source] {
        peer.shutdown().await.unwrap();
    }
}
