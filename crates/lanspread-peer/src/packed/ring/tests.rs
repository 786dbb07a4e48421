use proptest::prelude::*;

use super::*;

fn peer(number: u8) -> PeerId {
    PeerId::of_key(&[number; 32])
}

fn chunk(number: u64) -> Bytes {
    Bytes::from(number.to_be_bytes().to_vec())
}

/// A ring of four chunks that was fed with the first `count` of twenty.
fn fed(count: u64, now: Instant) -> Ring {
    let mut ring = Ring::new(4, 20);
    for number in 0..count {
        ring.use_up_to(number.saturating_sub(3));
        assert!(number < ring.horizon(now));
        ring.ask(number);
        assert!(ring.push(number, chunk(number)));
    }
    ring
}

fn after(now: Instant, passed: Duration) -> Instant {
    now + passed
}

#[tokio::test(start_paused = true)]
async fn no_more_is_asked_than_there_is_room_for_beside_what_the_decoder_needs() {
    let now = Instant::now();
    let mut ring = Ring::new(4, 20);
    assert_eq!(ring.horizon(now), 4);
    for number in 0..4 {
        ring.ask(number);
        ring.push(number, chunk(number));
    }
    assert_eq!((ring.horizon(now), ring.is_slow()), (4, true));
    ring.use_up_to(2);
    assert_eq!((ring.horizon(now), ring.is_slow()), (6, false));
    assert_eq!(ring.get(0), HeldChunk::Here(chunk(0)), "what is used stays until its room is needed");
    ring.ask(4);
    ring.push(4, chunk(4));
    assert_eq!((ring.get(0), ring.len()), (HeldChunk::Gone(1), 4));
}

/// Then its window is empty, because it receives as slowly as it decodes.
#[tokio::test(start_paused = true)]
async fn a_machine_that_takes_chunks_more_slowly_than_they_arrive_is_slow_until_all_are_asked() {
    let now = Instant::now();
    let mut ring = fed(4, now);
    ring.use_up_to(4);
    assert!(!ring.is_slow());
    ring.note_backlog(true);
    assert!(ring.is_slow());
    ring.note_backlog(false);
    assert!(!ring.is_slow());
    ring.note_backlog(true);
    let session = ring.begin(peer(1), 0, None, now).unwrap();
    ring.wanted(session, 3);
    assert!(!ring.is_slow(), "what its follower waits for is here");
    ring.wanted(session, 4);
    assert!(ring.is_slow());
    ring.ask(19);
    assert!(!ring.is_slow(), "what is left is on its way");
}

/// So a single receiver loses no time, and those that come a little later find the first chunk.
#[tokio::test(start_paused = true)]
async fn while_others_may_come_no_more_is_asked_than_stays() {
    let now = Instant::now();
    let mut ring = Ring::new(20, 100);
    let until = after(now, limits::WAVE_GATHER);
    ring.gather(until);
    let asked = 20 - limits::PACKED_ASKED_MAX as u64 + 1;
    assert_eq!(ring.horizon(now), asked);
    for number in 0..asked {
        ring.ask(number);
        ring.push(number, chunk(number));
    }
    ring.use_up_to(asked);
    assert_eq!(ring.horizon(now), asked, "whatever the decoder needs");
    assert_eq!((ring.get(0), ring.next_change(now)), (HeldChunk::Here(chunk(0)), Some(until)));
    assert_eq!(ring.horizon(until), asked + 20);
}

#[tokio::test(start_paused = true)]
async fn chunks_may_come_in_any_order_and_only_once() {
    let now = Instant::now();
    let mut ring = Ring::new(4, 20);
    assert_eq!(ring.horizon(now), 4);
    assert!(ring.push(2, chunk(2)) && ring.push(0, chunk(0)));
    assert_eq!((ring.hi(), ring.get(1)), (1, HeldChunk::NotYet));
    assert!(!ring.push(2, chunk(2)), "twice");
    assert!(ring.push(1, chunk(1)));
    assert_eq!(ring.hi(), 3);
    assert!(!ring.push(1, chunk(1)) && !ring.push(20, chunk(20)), "behind us, and behind the end");
}

#[tokio::test(start_paused = true)]
async fn what_a_follower_has_not_taken_stays_until_its_patience_is_spent() {
    let now = Instant::now();
    let mut ring = fed(4, now);
    let session = ring.begin(peer(1), 0, None, now).unwrap();
    ring.use_up_to(4);
    assert_eq!(ring.horizon(now), 4, "it has taken nothing");
    ring.took(session, 1, now);
    assert_eq!(ring.horizon(now), 6);
    for number in 4..6 {
        ring.ask(number);
        ring.push(number, chunk(number));
    }
    let waiting = after(now, limits::FOLLOWER_PATIENCE.saturating_sub(Duration::from_millis(1)));
    assert_eq!(ring.horizon(now), 6, "it begins to be waited for");
    assert_eq!(ring.next_change(now), Some(now + limits::FOLLOWER_PATIENCE));
    assert_eq!(ring.horizon(waiting), 6);
    assert_eq!(ring.held_up(waiting), waiting - now);
    assert_eq!(ring.horizon(after(now, limits::FOLLOWER_PATIENCE)), 8, "now it is not waited for any more");
    assert_eq!(ring.held_up(after(now, 2 * limits::FOLLOWER_PATIENCE)), limits::FOLLOWER_PATIENCE);
}

/// A budget for each chunk would let a follower slow everybody down for ever.
#[tokio::test(start_paused = true)]
async fn patience_is_a_budget_of_the_follower_not_of_a_chunk() {
    let mut now = Instant::now();
    let mut ring = fed(4, now);
    let session = ring.begin(peer(1), 0, None, now).unwrap();
    let mut waited = Duration::ZERO;
    for number in 4..20 {
        ring.use_up_to(number);
        let step = Duration::from_secs(1);
        if ring.horizon(now) <= number {
            now += step;
            waited += step;
            ring.took(session, number - 4, now);
        }
        assert!(ring.horizon(now) > number);
        ring.ask(number);
        ring.push(number, chunk(number));
        assert!(waited <= limits::FOLLOWER_PATIENCE + step);
    }
    assert!(waited >= limits::FOLLOWER_PATIENCE);
}

/// A follower that comes again and again, as itself or as another one, that vanishes, or that says each time that it fetches
/// what is gone: no peer can keep a window from going on for ever.
#[tokio::test(start_paused = true)]
async fn followers_hold_a_window_up_for_a_bounded_time_in_all() {
    type Holds = fn(&mut Ring, u8, Instant);
    let comes_again: Holds = |ring, _, now| {
        ring.begin(peer(1), 0, None, now).unwrap();
    };
    let comes_as_another: Holds = |ring, number, now| {
        ring.begin(peer(number + 1), 0, Some(peer(number)), now).unwrap();
    };
    let vanishes: Holds = |ring, number, now| {
        let session = ring.begin(peer(number), 0, None, now).unwrap();
        ring.end(session, false, now);
    };
    let fetches_a_gap: Holds = |ring, _, now| {
        let session = ring.begin(peer(1), 20, None, now).unwrap();
        ring.pin(session, Duration::from_secs(20), now);
    };
    let rows = [
        ("comes again", comes_again),
        ("comes as another", comes_as_another),
        ("vanishes", vanishes),
        ("fetches a gap", fetches_a_gap),
    ];
    for (what, holds) in rows {
        let begun = Instant::now();
        let mut ring = fed(4, begun);
        ring.use_up_to(4);
        let mut now = begun;
        for number in 0..u8::MAX {
            holds(&mut ring, number, now);
            if ring.horizon(now) > 4 {
                break;
            }
            let next = ring.next_change(now).unwrap();
            now = next.min(after(now, Duration::from_secs(1)));
        }
        assert_eq!(now - begun, limits::FOLLOWERS_PATIENCE, "{what}");
        assert_eq!(ring.horizon(now), 8, "{what}");
    }
}

/// It would keep the place of a follower from one that needs it.
#[tokio::test(start_paused = true)]
async fn a_follower_that_says_it_has_more_than_the_window_gives_way() {
    let now = Instant::now();
    let mut ring = fed(4, now);
    ring.begin(peer(1), u64::MAX, None, now).unwrap();
    assert_eq!(ring.feeds(), Some((peer(1), 20)), "there are no more than 20 chunks");
    assert!(ring.begin(peer(2), 3, None, now).is_err());
    assert!(ring.begin(peer(2), 3, None, after(now, limits::FOLLOWER_STUCK)).is_ok());
}

/// A source sends the head of a wave more than the link to its follower carries. What the follower does not take in time, the
/// source would have to send twice.
#[tokio::test(start_paused = true)]
async fn a_head_waits_for_a_follower_that_takes_what_it_is_sent_and_others_do_not() {
    for (leads, asks, is_waited_for) in [(true, true, true), (true, false, false), (false, true, false)] {
        let mut now = Instant::now();
        let mut ring = Ring::new(4, 100);
        if leads {
            ring.lead();
        }
        let session = ring.begin(peer(1), 0, None, now).unwrap();
        let mut is_behind = false;
        // A chunk takes half a second to the head, and a second to its follower.
        let half = Duration::from_millis(500);
        for number in 0..60 {
            let new = ring.hi()..ring.horizon(now);
            new.clone().for_each(|next| ring.ask(next));
            ring.horizon(now);
            now += half;
            for next in new {
                ring.push(next, chunk(next));
                ring.use_up_to(next);
            }
            ring.horizon(now);
            now += half;
            if asks {
                ring.wanted(session, number + 2);
            } else {
                ring.wanted(session, number);
            }
            is_behind |= matches!(ring.get(number), HeldChunk::Gone(_));
            ring.took(session, number, now);
        }
        assert_eq!(!is_behind, is_waited_for, "leads {leads}, asks {asks}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_follower_vanishes_the_next_one_finds_what_it_had_not_taken() {
    let now = Instant::now();
    let mut ring = fed(4, now);
    let first = ring.begin(peer(1), 0, None, now).unwrap();
    ring.took(first, 0, now);
    ring.end(first, false, now);
    ring.use_up_to(4);
    let later = after(now, limits::TAKEOVER_WAIT.saturating_sub(Duration::from_millis(1)));
    assert_eq!((ring.horizon(later), ring.is_needed(later)), (5, true));
    assert!(ring.begin(peer(2), 1, None, later).is_ok());
    assert_eq!(ring.horizon(later), 5);
    let mut ring = fed(4, now);
    let first = ring.begin(peer(1), 0, None, now).unwrap();
    ring.end(first, true, now);
    ring.use_up_to(4);
    assert_eq!((ring.horizon(now), ring.is_needed(now)), (8, false), "one that has everything needs nothing");
}

#[tokio::test(start_paused = true)]
async fn a_window_feeds_one_follower_unless_it_vanished_is_stuck_or_was_left() {
    let now = Instant::now();
    let mut ring = fed(4, now);
    let first = ring.begin(peer(1), 0, None, now).unwrap();
    assert_eq!(ring.begin(peer(2), 0, None, now), Err(HasFollower));
    assert_eq!(ring.begin(peer(2), 0, Some(peer(3)), now), Err(HasFollower), "instead of another one");
    let second = ring.begin(peer(2), 0, Some(peer(1)), now).unwrap();
    assert!(ring.is_current(second) && !ring.is_current(first));
    ring.took(first, 3, now);
    assert_eq!(ring.feeds(), Some((peer(2), 0)), "the old session counts for nothing");
    assert!(ring.begin(peer(2), 0, None, now).is_ok(), "the same one again");
    let stuck = after(now, limits::FOLLOWER_STUCK);
    assert!(ring.begin(peer(3), 0, None, stuck).is_ok());
    let session = ring.begin(peer(4), 0, Some(peer(3)), stuck).unwrap();
    ring.took(session, 3, stuck);
    let idle = after(stuck, limits::FOLLOWER_STUCK * 2);
    assert_eq!(ring.begin(peer(5), 0, None, idle), Err(HasFollower), "it waits, and is not stuck");
}

/// What was asked needs room soon: a chunk that is still here may be gone before a new follower has asked for it.
#[tokio::test(start_paused = true)]
async fn a_new_follower_is_promised_only_what_will_stay() {
    let now = Instant::now();
    let mut ring = fed(4, now);
    ring.use_up_to(4);
    for number in 4..7 {
        assert!(number < ring.horizon(now));
        ring.ask(number);
    }
    assert_eq!((ring.lo(), ring.get(0)), (3, HeldChunk::Here(chunk(0))));
    ring.begin(peer(1), 0, None, now).unwrap();
    for number in 4..7 {
        assert!(ring.push(number, chunk(number)));
    }
    assert_eq!((ring.get(2), ring.get(3)), (HeldChunk::Gone(3), HeldChunk::Here(chunk(3))));
}

#[tokio::test(start_paused = true)]
async fn a_pin_keeps_what_is_here_while_a_gap_is_filled() {
    let now = Instant::now();
    let mut ring = fed(8, now);
    let session = ring.begin(peer(1), 0, None, now).unwrap();
    ring.pin(session, Duration::from_secs(20), now);
    ring.use_up_to(8);
    let lo = ring.lo();
    assert_eq!(ring.horizon(now), lo + 4);
    let spent = after(now, limits::FOLLOWER_PATIENCE);
    assert_eq!(ring.horizon(spent), lo + 4, "although its patience for the follower is spent");
    let unpinned = after(now, Duration::from_secs(20));
    assert_eq!(ring.horizon(unpinned), lo + 4, "the follower still has its patience");
    assert_eq!(ring.horizon(after(unpinned, limits::FOLLOWER_PATIENCE)), 12);
}

#[derive(Debug, Clone)]
enum Step {
    Ask,
    Push(usize),
    Use(u64),
    Begin(u8),
    Took,
    End(bool),
    Wait(u64),
    Pin,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        4 => (0_usize..4).prop_map(Step::Push),
        2 => (0_u64..3).prop_map(Step::Use),
        1 => (1_u8..4).prop_map(Step::Begin),
        3 => Just(Step::Took),
        1 => any::<bool>().prop_map(Step::End),
        2 => (0_u64..5000).prop_map(Step::Wait),
        1 => Just(Step::Pin),
    ]
}

proptest! {
    /// Whatever happens, a ring holds no more than it has room for, and everything that the decoder still needs.
    #[test]
    fn a_ring_is_bounded_and_keeps_what_is_needed(
        capacity in 1_u64..6,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut now = Instant::now();
        let mut ring = Ring::new(capacity, 40);
        let mut owed: Vec<u64> = Vec::new();
        let mut next = 0;
        let mut session = None;
        let mut here = std::collections::BTreeSet::new();
        for step in steps {
            match step {
                Step::Ask => if next < ring.horizon(now) {
                    ring.ask(next);
                    owed.push(next);
                    next += 1;
                },
                Step::Push(which) => if !owed.is_empty() {
                    let number = owed.remove(which % owed.len());
                    prop_assert!(ring.push(number, chunk(number)));
                    here.insert(number);
                },
                Step::Use(more) => ring.use_up_to((ring.used() + more).min(ring.hi())),
                Step::Begin(number) => session = ring.begin(peer(number), ring.used(), None, now).ok().or(session),
                Step::Took => if let (Some(session), Some((_, taken))) = (session, ring.feeds())
                    && taken < ring.hi()
                {
                    ring.took(session, taken, now);
                },
                Step::End(done) => if let Some(session) = session.take() {
                    ring.end(session, done, now);
                },
                Step::Wait(ms) => now += Duration::from_millis(ms),
                Step::Pin => if let Some(session) = session {
                    ring.pin(session, Duration::from_secs(3), now);
                },
            }
            prop_assert!(ring.len() as u64 <= capacity);
            for number in ring.used()..ring.hi() {
                prop_assert_eq!(ring.get(number), HeldChunk::Here(chunk(number)));
            }
            prop_assert!(here.iter().all(|number| *number < ring.hi() || ring.get(*number) == HeldChunk::Here(chunk(*number))));
        }
    }
}
