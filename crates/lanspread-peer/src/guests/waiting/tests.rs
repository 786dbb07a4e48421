use std::net::IpAddr;
use std::time::Duration;

use lanspread_types::limits::{QUEUE_MAX, QUEUE_PER_GUEST_MAX};

use super::*;
use crate::guests::shares::{Loss, Shares};

const IDLE_MAX: Duration = Duration::from_secs(5);

fn guest(last: u8) -> Guest {
    Guest::at(IpAddr::from([10, 0, 0, last]))
}

fn queued(places: usize, share: usize) -> QueuedPlaces {
    let shares = Shares { places, share, kept: 0, most: places, idle_max: IDLE_MAX };
    let bounds = QueueBounds { total: QUEUE_MAX, per_guest: QUEUE_PER_GUEST_MAX };
    QueuedPlaces::new(Places::new(shares), bounds)
}

/// A place that is used.
fn place(turn: Option<Turn>) -> HeldPlace {
    match turn {
        Some(Turn::Place(place)) => {
            place.set_loss(Loss::large(0));
            place
        }
        other => panic!("{other:?}"),
    }
}

fn join(queued: &QueuedPlaces, last: u8) -> Waiter {
    queued.join(guest(last)).unwrap()
}

/// Waiting for `turn` while `other` happens.
async fn while_waiting(waiter: &mut Waiter, other: impl FnOnce()) -> Turn {
    let other = async {
        tokio::task::yield_now().await;
        other();
    };
    tokio::join!(waiter.turn(), other).0
}

#[tokio::test]
async fn a_place_that_becomes_free_wakes_the_first_that_waits() {
    let queued = queued(1, 1);
    let held = place(join(&queued, 1).now());
    let (mut second, mut third) = (join(&queued, 2), join(&queued, 3));
    assert!(second.now().is_none() && third.now().is_none());
    assert_eq!((second.position().ahead, third.position().ahead, queued.waiting()), (0, 1, 2));
    let turn = while_waiting(&mut second, || drop(held)).await;
    assert!(third.now().is_none());
    assert_eq!((third.position().ahead, queued.waiting()), (0, 1));
    let held = place(Some(turn));
    place(Some(while_waiting(&mut third, || drop(held)).await));
}

/// One that is busy telling its receiver something misses no place: another one that waits gives it to it.
#[tokio::test]
async fn a_place_is_kept_for_one_that_is_not_listening() {
    let queued = queued(1, 1);
    let held = place(join(&queued, 1).now());
    let (mut deaf, mut other) = (join(&queued, 2), join(&queued, 3));
    drop(held);
    assert!(other.now().is_none(), "it is not its turn");
    place(deaf.now());
}

/// One that leaves gives up what it was given and not taken.
#[tokio::test]
async fn one_that_leaves_frees_its_place_in_the_queue_and_the_one_it_was_given() {
    let queued = queued(1, 1);
    let held = place(join(&queued, 1).now());
    let (first, second, mut third) = (join(&queued, 2), join(&queued, 3), join(&queued, 4));
    drop(first);
    assert_eq!((third.position().ahead, queued.waiting()), (1, 2));
    drop(held);
    assert!(third.now().is_none());
    assert_eq!(queued.places.held(), 1, "the second has a place and has not taken it");
    place(Some(while_waiting(&mut third, || drop(second)).await));
    assert_eq!((queued.places.held(), queued.waiting()), (0, 1 - 1));
    assert!(queued.lock().wake.is_empty(), "nothing is left of those that waited");
}

/// Two hundred of one address: a few dozen of them wait, and another guest is next but one.
#[tokio::test]
async fn a_crowd_of_one_address_keeps_no_other_guest_out() {
    let queued = queued(2, 1);
    let held: Vec<_> = (0..2).map(|_| place(join(&queued, 66).now())).collect();
    let crowd: Vec<_> = (0..200).filter_map(|_| queued.join(guest(66))).collect();
    assert_eq!(crowd.len(), QUEUE_PER_GUEST_MAX);
    let mut other = join(&queued, 1);
    let own = place(other.now());
    assert_eq!(held.iter().filter(|place| place.taken.is_cancelled()).count(), 1, "a lent place is its own");
    let mut third = join(&queued, 2);
    assert!(third.now().is_none(), "both guests are within their share");
    assert_eq!(third.position().ahead, 2, "two of the crowd, which came first, one for each round");
    drop(own);
    place(third.now());
}

/// A full queue makes room for a guest of which fewer wait, and the last of a crowd hears of it.
#[tokio::test]
async fn the_last_of_a_crowd_makes_room_in_a_full_queue() {
    let queued = queued(1, 1);
    let _held = place(join(&queued, 1).now());
    let mut crowds: Vec<Waiter> = (10..14)
        .flat_map(|last| std::iter::repeat_n(last, QUEUE_PER_GUEST_MAX))
        .map(|last| join(&queued, last))
        .collect();
    assert_eq!((crowds.len(), queued.waiting()), (QUEUE_MAX, QUEUE_MAX));
    let late = join(&queued, 20);
    assert_eq!(queued.waiting(), QUEUE_MAX);
    assert_eq!(late.position().ahead, 4, "it waits for one of each crowd");
    let displaced: Vec<_> = crowds.iter_mut().filter_map(Waiter::now).collect();
    assert!(matches!(&displaced[..], [Turn::Displaced]), "{displaced:?}");
    assert!(queued.join(guest(13)).is_none(), "it may not do the same to the others");
    assert!(queued.join(guest(21)).is_some());
}

/// A place that is idle for long is given to one that waits; one that was just given is not.
#[tokio::test(start_paused = true)]
async fn an_idle_place_gives_way_to_one_that_waits_but_not_at_once() {
    let queued = queued(1, 1);
    let Some(Turn::Place(idle)) = join(&queued, 1).now() else { panic!("a free place") };
    let mut next = join(&queued, 2);
    assert!(next.now().is_none(), "it has just begun");
    tokio::time::advance(IDLE_MAX).await;
    place(next.now());
    assert!(idle.taken.is_cancelled());
}

/// What is sent, and how much there is, says when a turn comes.
#[tokio::test(start_paused = true)]
async fn the_rate_of_what_runs_says_when_a_turn_comes() {
    let queued = queued(1, 1);
    let held = place(join(&queued, 1).now());
    let (next, second) = (join(&queued, 2), join(&queued, 3));
    held.expected().are(100);
    assert_eq!(next.position().in_ms, None, "nothing was sent yet");
    tokio::time::advance(Duration::from_secs(10)).await;
    held.sent(25);
    assert_eq!((next.position().in_ms, second.position().in_ms), (Some(30_000), Some(70_000)));
}
