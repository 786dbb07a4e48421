//! An operation takes a game's files away: its streams are ended and new ones are refused.

use super::*;

/// A stream that outlives the deadline is ended with a reason, and has ended when the game is quiet.
#[tokio::test]
async fn a_stream_is_ended_before_its_game_is_quiet() {
    let (orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(64 * 1024).await;
    orders.send(Order::Push(limits::DATA_CHUNK_BYTES)).unwrap();
    read_until_data(&mut connection).await;
    let game = small_game::game();
    let quiesce = serving.source.readers.quiesce(&game, Duration::ZERO);
    let (quiet, (last, _)) = tokio::join!(quiesce, read_to_end(&mut connection));
    match last {
        Some(StreamItem::Control(StreamMessage::Failed(refusal))) => {
            assert_eq!(refusal.code, RefusalCode::Stopping);
        }
        other => panic!("{other:?}"),
    }
    serving.assert_ends(served, "its game is quiet").await;
    assert!(!serving.stop.is_cancelled(), "nothing else is stopped");

    // New streams are refused, although the game is downloaded and no intent is recorded yet.
    let (mut connection, served) = serving.small_stream(64 * 1024).await;
    match read_to_end(&mut connection).await.0 {
        Some(StreamItem::Control(StreamMessage::Failed(refusal))) => {
            assert_eq!(refusal.code, RefusalCode::NotOffered);
            assert!(refusal.message.contains("in progress"), "{}", refusal.message);
        }
        other => panic!("{other:?}"),
    }
    serving.assert_ends(served, "refused").await;
    drop(quiet);

    let (mut connection, served) = serving.small_stream(64 * 1024).await;
    orders.send(Order::Push(limits::DATA_CHUNK_BYTES)).unwrap();
    read_until_data(&mut connection).await;
    drop(connection);
    serving.assert_ends(served, "served again").await;
    serving.assert_quiet("after the operation");
}
