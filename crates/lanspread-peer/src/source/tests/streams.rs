//! Streams that end early, and stopping in the middle of them.

use super::*;

/// The receiver disappears while the decoder is blocked on a full channel, while it pushes, and while it is silent.
/// Each time, the stream and the decoder end and no count is left.
#[tokio::test]
async fn when_the_receiver_disappears_the_decoder_ends() {
    for (name, order, buffer_bytes) in [
        ("blocked on a small pipe", Some(Order::Flood), 1024),
        ("blocked on a large pipe", Some(Order::Flood), 4 * limits::DATA_CHUNK_BYTES),
        ("a few bytes wait", Some(Order::Push(10)), 4096),
        ("silent", None, 4096),
    ] {
        let (orders, provider) = told();
        let serving = Serving::new(provider);
        let mut events = serving.source.events.subscribe();
        let (mut connection, served) = serving.small_stream(buffer_bytes).await;
        read_until_file(&mut connection).await;
        let flooded = matches!(order, Some(Order::Flood));
        if let Some(order) = order {
            orders.send(order).unwrap();
        }
        if flooded {
            read_until_data(&mut connection).await;
        }
        assert_eq!(serving.source.active_transfers(), 1, "{name}");
        drop(connection);
        serving.assert_ends(served, name).await;
        serving.assert_quiet(name);
        // One begin and one end were reported.
        assert!(matches!(events.next().await, Some(PeerEvent::TransferBegin { .. })), "{name}");
        match events.next().await {
            Some(PeerEvent::TransferEnd { outcome, .. }) => {
                assert!(matches!(&*outcome, "receiver-gone" | "connection-lost"), "{name}: {outcome}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A stream that was delivered whole is reported as complete, however soon its receiver closes the connection after the
/// last frame.
#[tokio::test]
async fn a_delivered_stream_is_complete() {
    let serving = Serving::with(lanspread_archive::provider(&ProviderChoice::Native), None, 1);
    for round in 0..300 {
        let mut events = serving.source.events.subscribe();
        let (mut connection, served) = serving.small_stream(4096).await;
        while connection.receive_item().await.unwrap() != StreamItem::Control(StreamMessage::Complete) {}
        drop(connection);
        serving.assert_ends(served, "complete").await;
        serving.assert_quiet("complete");
        assert!(matches!(events.next().await, Some(PeerEvent::TransferBegin { .. })));
        match events.next().await {
            Some(PeerEvent::TransferEnd { outcome, bytes, .. }) => {
                assert_eq!((&*outcome, bytes), ("complete", small_game::totals().bytes), "round {round}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A receiver that sends while it receives breaks the protocol and loses the stream.
#[tokio::test]
async fn a_receiver_that_sends_during_its_stream_loses_it() {
    let (_orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(4096).await;
    read_until_file(&mut connection).await;
    connection.send(&Request::Status).await.unwrap();
    serving.assert_ends(served, "spoke").await;
    serving.assert_quiet("spoke");
}

/// The source gives up a receiver that stays connected but stops reading, when one frame cannot be written for too
/// long.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_read_is_given_up() {
    let (orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(1024).await;
    read_until_file_while_paused(&mut connection).await;
    orders.send(Order::Flood).unwrap();
    read_into_a_frame(&mut connection).await;
    // Paused time advances by itself only while no thread works, and the decoder's thread does.
    let begun = Instant::now();
    while !served.is_finished() && begun.elapsed() < 3 * limits::FRAME_WRITE_DEADLINE {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    serving.assert_ends(served, "does not read").await;
    serving.assert_quiet("does not read");
    assert!(begun.elapsed() >= limits::FRAME_WRITE_DEADLINE);
}

/// A decoder that panics costs its own stream, whose receiver learns of it, and nothing else.
#[tokio::test]
async fn a_panicking_decoder_costs_one_stream() {
    let (orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(4096).await;
    read_until_file(&mut connection).await;
    orders.send(Order::Panic).unwrap();
    match read_to_end(&mut connection).await {
        (Some(StreamItem::Control(StreamMessage::Failed(refusal))), WireError::Closed) => {
            assert_eq!(refusal.code, RefusalCode::Internal);
        }
        other => panic!("{other:?}"),
    }
    serving.assert_ends(served, "panic").await;
    serving.assert_quiet("panic");
    assert!(matches!(serving.ask(&Request::Status).await, Ok(Reply::Status(_))), "it still serves");
}

/// While a decoder is silent, the source sends one keep-alive per interval.
#[tokio::test(start_paused = true)]
async fn a_slow_decoder_is_covered_by_keep_alives() {
    let (orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(4096).await;
    read_until_file_while_paused(&mut connection).await;
    let begun = Instant::now();
    for round in 1..=60 {
        // Paused time does not advance by itself while the decoder's thread waits.
        tokio::time::advance(limits::KEEP_ALIVE_INTERVAL).await;
        let item = at_this_moment(connection.receive_item()).await;
        let item = item.unwrap_or_else(|| panic!("round {round}: the source sends nothing")).unwrap();
        assert_eq!(item, StreamItem::Control(StreamMessage::KeepAlive), "round {round}");
        assert_eq!(begun.elapsed(), round * limits::KEEP_ALIVE_INTERVAL, "one per interval");
    }
    assert!(begun.elapsed() > 5 * limits::STREAM_IDLE_DEADLINE, "far beyond what a receiver would wait");
    // Then the stream continues where it was.
    orders.send(Order::Push(limits::DATA_CHUNK_BYTES)).unwrap();
    assert!(matches!(connection.receive_item().await.unwrap(), StreamItem::Data(_)));
    drop(connection);
    serving.assert_ends(served, "keep-alives").await;
    serving.assert_quiet("keep-alives");
}

/// The source stops while its decoder is silent or has filled the pipe. The receiver reads only whole frames, and the
/// last one says why the stream ends.
#[tokio::test]
async fn a_stopping_source_tells_its_receivers() {
    for flood in [false, true] {
        let (orders, provider) = told();
        let serving = Serving::new(provider);
        // Less than a frame: when the pipe is full, the source is in the middle of one.
        let (mut connection, served) = serving.small_stream(1024).await;
        read_until_file(&mut connection).await;
        if flood {
            orders.send(Order::Flood).unwrap();
            read_into_a_frame(&mut connection).await;
        }
        serving.stop.cancel();
        let (last, error) = read_to_end(&mut connection).await;
        match last {
            Some(StreamItem::Control(StreamMessage::Failed(refusal))) => {
                assert_eq!(refusal.code, RefusalCode::Stopping, "flood: {flood}");
            }
            other => {
                let kind = other.map(|item| std::mem::discriminant(&item));
                panic!("flood: {flood}: the receiver is cut off without a reason: {error} after {kind:?}");
            }
        }
        serving.assert_ends(served, "stopping").await;
        serving.assert_quiet("stopping");
    }
}

/// A receiver that does not read cannot hold up a stopping source.
#[tokio::test]
async fn a_receiver_that_does_not_read_cannot_hold_up_a_stop() {
    let (orders, provider) = told();
    let serving = Serving::new(provider);
    let (mut connection, served) = serving.small_stream(1024).await;
    read_until_file(&mut connection).await;
    orders.send(Order::Flood).unwrap();
    read_into_a_frame(&mut connection).await;
    serving.stop.cancel();
    let ended = timeout(limits::SHUTDOWN_DEADLINE, served).await;
    assert!(ended.is_ok(), "still there after {} s", limits::SHUTDOWN_DEADLINE.as_secs());
    serving.assert_quiet("stopping");
    drop(connection);
}

/// Neither can a peer that does not read the answer to its request.
#[tokio::test]
async fn a_peer_that_does_not_read_its_answer_cannot_hold_up_a_stop() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    for index in 0..200 {
        let root = serving.root(&format!("game-{index}"));
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("version.ini"), "a-version-of-some-length").unwrap();
    }
    let (mut near, served) = serving.connect(256);
    let question = control_frame(&codec::encode(&Request::News { library: None, activity: None }).unwrap());
    near.write_all(&[introduction(), question].concat()).await.unwrap();
    // Its hello is as long as ours. One more byte means that the answer is being sent.
    near.read_exact(&mut vec![0; introduction().len() + 1]).await.unwrap();
    serving.stop.cancel();
    let ended = timeout(limits::SHUTDOWN_DEADLINE, served).await;
    assert!(ended.is_ok(), "still there after {} s", limits::SHUTDOWN_DEADLINE.as_secs());
    serving.assert_quiet("stopping");
}
