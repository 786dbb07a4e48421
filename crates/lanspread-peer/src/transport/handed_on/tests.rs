use lanspread_proto::message::{CatalogMark, Hello, Refusal, RefusalCode};
use lanspread_types::checksum::ContentDigest;
use tokio::io::{DuplexStream, duplex};
use tokio::time::sleep;

use super::*;
use crate::testing::{answered, dialled};

const PART: u64 = limits::PART_BYTES as u64;

fn hello() -> Hello {
    let catalog = Some(CatalogMark { signer: [1; 32], version: 7 });
    Hello { name: "pc".parse().unwrap(), listen_port: None, instance: 1, catalog }
}

async fn pair() -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    let (near, far) = duplex(1 << 20);
    let (ours, theirs) = (hello(), hello());
    let (near, far) = tokio::join!(dialled(near, &ours), answered(far, &theirs));
    let (near, far) = (near.unwrap(), far.unwrap());
    assert_eq!(near.theirs, theirs, "what is said of a catalog arrives");
    (near, far)
}

/// Answers each request by its position.
async fn hand_on(mut far: Connection<DuplexStream>, wait: Duration, reply: impl Fn(u64) -> Reply) {
    while let Ok(Some(Request::Manifest { from, .. })) =
        far.receive("request", limits::REQUEST_IDLE_DEADLINE).await
    {
        sleep(wait).await;
        if far.send(&reply(from)).await.is_err() {
            return;
        }
    }
}

/// What arrives from a peer that answers so.
async fn fetch(expected: Expected, wait: Duration, reply: impl Fn(u64) -> Reply) -> Result<u64, WireError> {
    let (mut near, far) = pair().await;
    let fetching = async {
        let request = |from| Request::Manifest { digest: ContentDigest([9; 32]), from };
        let mut arriving = Arriving::new(&mut near, expected, request, limits::HANDED_ON_DEADLINE);
        let mut count = 0;
        while let Some(bytes) = arriving.next().await? {
            count += bytes.len() as u64;
        }
        Ok(count)
    };
    tokio::select! {
        () = hand_on(far, wait, reply) => unreachable!("the receiver ends"),
        fetched = fetching => fetched,
    }
}

fn part(total: u64, count: u64) -> Reply {
    Reply::Part { total, bytes: vec![7; usize::try_from(count).unwrap()] }
}

fn honest(total: u64) -> impl Fn(u64) -> Reply {
    move |from| part(total, (total - from).min(PART))
}

#[tokio::test(start_paused = true)]
async fn a_file_arrives_in_whole_parts_and_a_rest() {
    for total in [1, PART - 1, PART, PART + 1, 5 * PART + 3] {
        let fetched = fetch(Expected::Exactly(total), Duration::ZERO, honest(total)).await;
        assert_eq!(fetched.unwrap(), total);
        let fetched = fetch(Expected::AtMost(total), Duration::ZERO, honest(total)).await;
        assert_eq!(fetched.unwrap(), total);
    }
}

/// A slow link is no reason to leave a peer: what counts is the pace.
#[tokio::test(start_paused = true)]
async fn a_long_file_arrives_at_the_slowest_pace() {
    let total = 400 * PART;
    let wait = Duration::from_millis(PART * 1000 / limits::HANDED_ON_BYTES_PER_SECOND_MIN);
    assert_eq!(fetch(Expected::Exactly(total), wait, honest(total)).await.unwrap(), total);
}

type Answer = Box<dyn Fn(u64) -> Reply>;

#[tokio::test(start_paused = true)]
async fn a_wrong_length_ends_it_at_once() {
    let whole = 3 * PART;
    let longer_later = move |from| if from == 0 { part(whole, PART) } else { part(whole + 1, PART) };
    let lies: [(&str, Expected, Answer); 8] = [
        ("longer", Expected::Exactly(whole), Box::new(move |_| part(whole + 1, PART))),
        ("shorter", Expected::Exactly(whole), Box::new(move |_| part(whole - 1, PART))),
        ("too long", Expected::AtMost(whole), Box::new(move |_| part(u64::MAX, PART))),
        ("empty", Expected::AtMost(whole), Box::new(move |_| part(0, 0))),
        ("no bytes", Expected::Exactly(whole), Box::new(move |_| part(whole, 0))),
        ("drips", Expected::Exactly(whole), Box::new(move |_| part(whole, 1))),
        ("too large a part", Expected::Exactly(whole), Box::new(move |_| part(whole, PART + 1))),
        ("longer later", Expected::Exactly(whole), Box::new(longer_later)),
    ];
    for (lie, expected, reply) in lies {
        let ended = fetch(expected, Duration::ZERO, reply).await;
        assert!(matches!(ended, Err(WireError::Malformed(_))), "{lie}: {ended:?}");
    }
    let unexpected = fetch(Expected::AtMost(1), Duration::ZERO, |_| Reply::Unchanged).await;
    assert!(matches!(unexpected, Err(WireError::Unexpected { .. })));
    let refusal = Refusal::new(RefusalCode::NotOffered, "no");
    let refused = fetch(Expected::AtMost(1), Duration::ZERO, |_| Reply::Refused(refusal.clone())).await;
    assert!(matches!(refused, Err(WireError::Refused(_))));
}

/// Each part comes in time, and the whole does not.
#[tokio::test(start_paused = true)]
async fn a_file_that_comes_too_slowly_is_given_up() {
    let begun = Instant::now();
    let wait = limits::PART_DEADLINE.mul_f32(0.9);
    let ended = fetch(Expected::Exactly(100 * PART), wait, honest(100 * PART)).await;
    assert!(matches!(ended, Err(WireError::Timeout { .. })), "{ended:?}");
    let most =
        limits::HANDED_ON_DEADLINE + Duration::from_secs(100 * PART / limits::HANDED_ON_BYTES_PER_SECOND_MIN);
    assert!(begun.elapsed() <= most, "{:?}", begun.elapsed());
    let begun = Instant::now();
    let claimed = limits::PACKING_LIST_BYTES_MAX;
    let ended = fetch(Expected::AtMost(claimed), wait, honest(claimed)).await;
    assert!(matches!(ended, Err(WireError::Timeout { .. })), "{ended:?}");
    let most = limits::HANDED_ON_DEADLINE + Duration::from_secs(1);
    assert!(begun.elapsed() <= most, "a length that is claimed gives no time: {:?}", begun.elapsed());
    let ended = fetch(Expected::Exactly(PART), limits::PART_DEADLINE * 2, honest(PART)).await;
    assert!(matches!(ended, Err(WireError::Timeout { .. })), "{ended:?}");
}
