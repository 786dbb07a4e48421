use std::time::Duration;

use lanspread_proto::message::{Refusal, RefusalCode};
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use super::*;
use crate::testing::{answered, dialled, hello, offers};

async fn pair() -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    let (near, far) = duplex(1 << 20);
    let (ours, theirs) = (hello("ours"), hello("theirs"));
    let (near, far) = tokio::join!(dialled(near, &ours), answered(far, &theirs));
    (near.unwrap(), far.unwrap())
}

fn files(from: usize, count: usize, more: bool) -> Reply {
    let file = |index| RootFile { name: format!("{index}.eti"), size: 1 };
    Reply::Details {
        version: "1".parse().unwrap(),
        files: (from..from + count).map(file).collect(),
        more,
        manifest: None,
        manifest_in_ms: None,
    }
}

fn games(count: usize, revision: u64, more: bool) -> Reply {
    Reply::Games { revision, games: offers(count), more }
}

/// Sends these replies, each after a wait; then keeps the connection open and says nothing more.
async fn tell(mut peer: Connection<DuplexStream>, wait: Duration, replies: impl IntoIterator<Item = Reply>) {
    for reply in replies {
        sleep(wait).await;
        if peer.send(&reply).await.is_err() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

async fn ask_details(
    wait: Duration,
    replies: impl IntoIterator<Item = Reply>,
) -> (Result<ReportedDetails, WireError>, Duration) {
    let (mut near, far) = pair().await;
    let begun = Instant::now();
    let game = "g".parse().unwrap();
    tokio::select! {
        () = tell(far, wait, replies) => unreachable!(),
        answer = details(&mut near, &game) => (answer, begun.elapsed()),
    }
}

async fn ask_library(
    known: Option<u64>,
    wait: Duration,
    replies: impl IntoIterator<Item = Reply>,
) -> (Result<Option<ReportedLibrary>, WireError>, Duration) {
    let (mut near, far) = pair().await;
    let begun = Instant::now();
    tokio::select! {
        () = tell(far, wait, replies) => unreachable!(),
        answer = news(&mut near, known, None, |_| true) => (answer.map(listed), begun.elapsed()),
    }
}

fn listed(news: News) -> Option<ReportedLibrary> {
    match news {
        News::Library(library) => Some(library),
        News::Unchanged => None,
        News::Activity(_) => panic!("no library: {news:?}"),
    }
}

fn is_malformed<T: std::fmt::Debug>(answer: &Result<T, WireError>) -> bool {
    matches!(answer, Err(WireError::Malformed(_)))
}

#[tokio::test(start_paused = true)]
async fn a_list_in_parts_is_put_together() {
    let (answer, _) = ask_details(Duration::ZERO, [files(0, 192, true), files(192, 3, false)]).await;
    assert_eq!(answer.unwrap().files.len(), 195);
    let (answer, _) = ask_library(None, Duration::ZERO, [games(256, 7, true), games(4, 7, false)]).await;
    let library = answer.unwrap().unwrap();
    assert_eq!((library.revision, library.games.unwrap().len()), (7, 260));
    let (answer, _) = ask_library(None, Duration::ZERO, [games(0, 1, false)]).await;
    assert_eq!(answer.unwrap().unwrap().games, Some(Vec::new()), "a peer may offer nothing");
    let (answer, _) = ask_library(Some(1), Duration::ZERO, [Reply::Unchanged]).await;
    assert_eq!(answer.unwrap(), None);
}

/// A part that adds nothing is refused at once, so that a list ends.
#[tokio::test(start_paused = true)]
async fn an_empty_part_with_more_to_come_is_refused_at_once() {
    let endless = || std::iter::repeat_with(|| files(0, 0, true));
    let (answer, took) = ask_details(Duration::from_secs(1), endless()).await;
    assert!(is_malformed(&answer) && took.as_secs() == 1, "{answer:?} after {took:?}");
    let endless = || std::iter::repeat_with(|| games(0, 1, true));
    for known in [None, Some(0)] {
        let (answer, took) = ask_library(known, Duration::from_secs(1), endless()).await;
        assert!(is_malformed(&answer) && took.as_secs() == 1, "{answer:?} after {took:?}");
    }
}

/// However steadily the parts arrive, the whole list has one deadline.
#[tokio::test(start_paused = true)]
async fn a_list_that_drips_ends_at_one_deadline() {
    let deadline = limits::LISTING_DEADLINE.as_secs();
    let dripping = (0..).map(|index| files(index, 1, true));
    let (answer, took) = ask_details(Duration::from_millis(900), dripping).await;
    assert!(matches!(answer, Err(WireError::Timeout { what: "whole answer", .. })), "{answer:?}");
    assert_eq!(took.as_secs(), deadline);
    let dripping = || std::iter::repeat_with(|| games(1, 1, true));
    let (answer, took) = ask_library(None, Duration::from_millis(900), dripping()).await;
    assert!(matches!(answer, Err(WireError::Timeout { .. })), "{answer:?}");
    assert_eq!(took.as_secs(), deadline);
    // The wait for a change does not count: the list begins after it.
    let (answer, took) = ask_library(Some(0), Duration::from_secs(6), dripping()).await;
    assert!(matches!(answer, Err(WireError::Timeout { .. })), "{answer:?}");
    assert_eq!(took.as_secs(), 6 + deadline);
    let (answer, took) = ask_details(Duration::from_hours(1), [files(0, 1, false)]).await;
    assert!(matches!(answer, Err(WireError::Timeout { .. })) && took.as_secs() == deadline, "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_is_bounded_and_of_one_revision_or_version() {
    let too_long = (0..).map(|index| files(index * 1000, 1000, true));
    assert!(is_malformed(&ask_details(Duration::ZERO, too_long).await.0));
    let too_long = std::iter::repeat_with(|| games(256, 1, true));
    assert!(is_malformed(&ask_library(None, Duration::ZERO, too_long).await.0));
    let (answer, _) = ask_library(None, Duration::ZERO, [games(1, 1, true), games(1, 2, false)]).await;
    assert!(is_malformed(&answer));
    let other = Reply::Details {
        version: "2".parse().unwrap(),
        files: Vec::new(),
        more: false,
        manifest: None,
        manifest_in_ms: None,
    };
    assert!(is_malformed(&ask_details(Duration::ZERO, [files(0, 1, true), other]).await.0));
    let refusal = || Reply::Refused(Refusal::new(RefusalCode::NotOffered, "no"));
    let (answer, _) = ask_details(Duration::ZERO, [files(0, 1, true), refusal()]).await;
    assert!(matches!(answer, Err(WireError::Refused(_))));
    let (answer, _) = ask_library(None, Duration::ZERO, [Reply::Unchanged]).await;
    assert!(matches!(answer, Err(WireError::Unexpected { .. })), "nothing was known: {answer:?}");
}

/// A list for which there is no room is read to its end, so that the connection can go on, and nothing of it is kept.
#[tokio::test(start_paused = true)]
async fn a_list_without_room_is_read_and_not_kept() {
    let (mut near, far) = pair().await;
    let replies = [games(2, 1, true), games(2, 1, true), games(2, 1, false), Reply::Unchanged];
    let mut asked = 0;
    let ask = async {
        let told = news(&mut near, None, None, |_| {
            asked += 1;
            asked < 2
        });
        let told = listed(told.await.unwrap());
        assert_eq!(told, Some(ReportedLibrary { revision: 1, games: None }));
        assert_eq!(listed(news(&mut near, Some(1), None, |_| true).await.unwrap()), None);
    };
    tokio::select! {
        () = tell(far, Duration::ZERO, replies) => unreachable!(),
        () = ask => {}
    }
    assert_eq!(asked, 2, "what follows is not asked for");
}
