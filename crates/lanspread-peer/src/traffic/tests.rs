use std::time::Duration;

use lanspread_types::limits::{DATA_CHUNK_BYTES, LIMIT_RATE_MIN};
use tokio::time::{Instant, sleep, timeout};

use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const PIECE: u64 = DATA_CHUNK_BYTES as u64;

fn limit(bytes: u64) -> RateLimit {
    RateLimit::of_bytes_per_second(bytes).unwrap()
}

/// A peer that sends no more than so many bytes per second.
fn limited(up: RateLimit) -> Arc<Traffic> {
    let traffic = Arc::new(Traffic::default());
    traffic.set_limits(TrafficLimits { up, ..TrafficLimits::default() });
    traffic
}

fn guest(number: u8) -> IpAddr {
    [10, 0, 0, number].into()
}

/// Sends pieces of one size to a guest, one after the other, and counts them.
async fn send(meter: &Meter, piece: u64) {
    loop {
        meter.pass(piece).await;
        meter.count(piece);
    }
}

/// Bytes that were sent within a time.
async fn sent_within(time: Duration, traffic: &Traffic, sending: impl Future<Output = ()>) -> u64 {
    let counted = || traffic.up.bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum::<u64>();
    let before = counted();
    let _ = timeout(time, sending).await;
    counted() - before
}

fn is_within_5_percent(got: u64, expected: u64) -> bool {
    got.abs_diff(expected) * 20 <= expected
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_over_a_minute_whatever_the_size_of_the_pieces() {
    for (rate, piece) in [
        (20 << 20, PIECE),
        (20 << 20, 1 << 20),
        (12_500_000, 16 * 1024 - 7),
        (LIMIT_RATE_MIN, PIECE),
        // More pieces in a millisecond than a timer can tell apart.
        (1 << 30, PIECE),
    ] {
        let traffic = limited(limit(rate));
        let meter = traffic.sent_to(guest(1), TrafficKind::Stream);
        let sent = sent_within(MINUTE, &traffic, send(&meter, piece)).await;
        assert!(is_within_5_percent(sent, rate * 60), "{rate} {piece}: {sent}");
    }
}

/// What a guest sends that comes late begins when it comes: a line that was idle has saved nothing up.
#[tokio::test(start_paused = true)]
async fn an_idle_line_saves_nothing_up() {
    let traffic = limited(limit(1 << 20));
    let meter = traffic.sent_to(guest(1), TrafficKind::Stream);
    sleep(10 * MINUTE).await;
    let sent = sent_within(MINUTE, &traffic, send(&meter, PIECE)).await;
    assert!(is_within_5_percent(sent, 60 << 20), "{sent}");
}

/// One has ten connections, one sends large pieces, and one has nothing to send for every other moment.
#[tokio::test(start_paused = true)]
async fn three_receivers_have_a_third_each_whatever_they_ask() {
    let traffic = limited(limit(3 << 20));
    let meters: Vec<Meter> = [TrafficKind::Stream, TrafficKind::Download, TrafficKind::Packed]
        .into_iter()
        .zip(1..)
        .map(|(kind, number)| traffic.sent_to(guest(number), kind))
        .collect();
    let many = futures_of(10, || send(&meters[0], PIECE));
    let large = send(&meters[1], 4 * PIECE);
    let pausing = async {
        loop {
            meters[2].pass(16 * 1024).await;
            meters[2].count(16 * 1024);
            sleep(Duration::from_millis(1)).await;
        }
    };
    let all = async {
        tokio::join!(many, large, pausing);
    };
    sent_within(MINUTE, &traffic, all).await;
    for (kind, bytes) in traffic.up.bytes.iter().take(3).enumerate() {
        let bytes = bytes.load(Ordering::Relaxed);
        assert!(is_within_5_percent(bytes, 60 << 20), "kind {kind}: {bytes}");
    }
}

/// Runs so many of a future at once.
async fn futures_of<F: Future<Output = ()>>(count: usize, make: impl Fn() -> F) {
    let mut all: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    std::future::poll_fn(|context| {
        for one in &mut all {
            let _ = one.as_mut().poll(context);
        }
        std::task::Poll::<()>::Pending
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_limit_counts_for_what_waits_too() {
    let traffic = limited(limit(LIMIT_RATE_MIN));
    let meter = traffic.sent_to(guest(1), TrafficKind::Stream);
    let begun = Instant::now();
    // It would wait for 400 s.
    let pass = meter.pass(400 * LIMIT_RATE_MIN);
    let change = async {
        sleep(Duration::from_secs(10)).await;
        traffic.set_limits(TrafficLimits { up: limit(10 * LIMIT_RATE_MIN), ..TrafficLimits::default() });
    };
    tokio::join!(pass, change);
    let taken = begun.elapsed();
    assert!(taken.abs_diff(Duration::from_secs(40)) < Duration::from_secs(1), "{taken:?}");

    for (rate, expected) in [(8 << 20, 8 << 20), (2 << 20, 2 << 20)] {
        traffic.set_limits(TrafficLimits { up: limit(rate), ..TrafficLimits::default() });
        assert_eq!(traffic.limits().up, limit(rate));
        let sent = sent_within(MINUTE, &traffic, send(&meter, PIECE)).await;
        assert!(is_within_5_percent(sent, expected * 60), "{rate}: {sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nothing_waits_and_taking_it_away_frees_what_does() {
    let traffic = limited(limit(LIMIT_RATE_MIN));
    let meter = traffic.sent_to(guest(1), TrafficKind::Stream);
    let begun = Instant::now();
    let change = async {
        sleep(Duration::from_secs(1)).await;
        traffic.set_limits(TrafficLimits::default());
    };
    tokio::join!(meter.pass(u64::MAX), meter.pass(u64::MAX), change);
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    assert!(!meter.is_limited());
    for _ in 0..1000 {
        meter.pass(u64::MAX).await;
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
}

/// A receiver that is not looked after, because a message to it is being written, must not stop the others.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_look_holds_up_no_other() {
    let traffic = limited(limit(1 << 20));
    let busy = traffic.sent_to(guest(1), TrafficKind::Stream);
    let mut waits = Box::pin(busy.pass(PIECE));
    assert!(futures_once(waits.as_mut()).await, "it waits");
    let other = traffic.sent_to(guest(2), TrafficKind::Download);
    let sent = sent_within(MINUTE, &traffic, send(&other, PIECE)).await;
    assert!(is_within_5_percent(sent, 60 << 20), "{sent}");
    // What it waited for has passed meanwhile.
    let begun = Instant::now();
    waits.await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// Whether a future is not ready when it is polled once.
async fn futures_once(mut future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_costs_no_one_anything_and_is_forgotten() {
    let traffic = limited(limit(1 << 20));
    let meter = traffic.sent_to(guest(1), TrafficKind::Stream);
    for _ in 0..100 {
        assert!(timeout(Duration::from_millis(1), meter.pass(u64::MAX)).await.is_err());
    }
    let other = traffic.sent_to(guest(2), TrafficKind::Stream);
    let both = async {
        tokio::join!(send(&meter, PIECE), send(&other, PIECE));
    };
    let sent = sent_within(MINUTE, &traffic, both).await;
    assert!(is_within_5_percent(sent, 60 << 20), "{sent}");
    assert_eq!(traffic.up.limiter.known(), 0);
}

/// One atomic look: no lock is taken, nothing is remembered.
#[tokio::test(start_paused = true)]
async fn directions_have_limits_of_their_own() {
    let traffic = limited(limit(LIMIT_RATE_MIN));
    let down = traffic.downlink().meter(TrafficKind::Packed);
    assert!(!down.is_limited() && traffic.sent_to(guest(1), TrafficKind::Packed).is_limited());
    let begun = Instant::now();
    down.pass(u64::MAX).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    traffic.set_limits(TrafficLimits { down: limit(1 << 20), ..TrafficLimits::default() });
    down.pass(1 << 20).await;
    assert!(begun.elapsed() > Duration::from_millis(900));
    assert_eq!(traffic.limits(), TrafficLimits { up: RateLimit::NONE, down: limit(1 << 20) });
}
