//! The rules of the plan, one by one; `any_order` has them under any order of events.

use lanspread_types::content::RootFile;

use super::*;

mod any_order;

const SECOND: Duration = Duration::from_secs(1);

fn chunks(count: u64) -> Chunks {
    Chunks::of(&[RootFile { name: "a.eti".to_owned(), size: 10 * count }], 10)
}

fn plan(chunk_count: u64, sources: usize) -> Plan {
    Plan::new(&chunks(chunk_count), |_| false, sources, limits::DOWNLOAD_SOURCES_MAX)
}

fn open_all(plan: &mut Plan) -> Vec<SourceId> {
    let opening: Vec<_> = std::iter::from_fn(|| plan.open_next()).collect();
    for source in &opening {
        plan.opened(*source, &[]);
    }
    opening
}

fn assign_all(plan: &mut Plan) -> Vec<(SourceId, usize)> {
    std::iter::from_fn(|| plan.assign()).map(|(source, chunk)| (source, chunk.id)).collect()
}

#[test]
fn two_equal_sources_get_two_of_four_chunks_each_no_matter_which_answers_first() {
    for first in [0, 1] {
        let mut plan = plan(4, 2);
        assert_eq!([plan.open_next(), plan.open_next()], [Some(0), Some(1)]);
        plan.opened(first, &[]);
        assert_eq!(assign_all(&mut plan), [(first, 0), (first, 1)]);
        // The first source is done with both chunks before the other one has opened.
        assert!(plan.finished(first, 0) && plan.finished(first, 1));
        assert_eq!(assign_all(&mut plan), []);
        assert_eq!(plan.close_next(), None, "chunks are waiting, so it may still be needed");
        plan.opened(1 - first, &[]);
        // Both are open now, and the source with fewer chunks gets the next one.
        assert_eq!(plan.assign().map(|(source, chunk)| (source, chunk.id)), Some((1 - first, 2)));
    }
    let mut plan = plan(4, 2);
    open_all(&mut plan);
    assert_eq!(assign_all(&mut plan), [(0, 0), (1, 1), (0, 2), (1, 3)]);
}

#[test]
fn when_an_awaited_source_fails_the_other_takes_its_share() {
    let mut plan = plan(4, 2);
    while plan.open_next().is_some() {}
    plan.opened(0, &[]);
    assign_all(&mut plan);
    assert!(plan.finished(0, 0) && plan.finished(0, 1));
    plan.ended(1, Ending::Failed);
    assert_eq!(assign_all(&mut plan), [(0, 2), (0, 3)]);
}

#[test]
fn a_late_source_is_not_waited_for_but_still_used() {
    let mut plan = plan(6, 2);
    while plan.open_next().is_some() {}
    plan.opened(0, &[]);
    for expected in [[(0, 0), (0, 1)].as_slice(), &[(0, 2)], &[]] {
        assert_eq!(assign_all(&mut plan), expected, "no more than its share");
        let _ = expected.first().map(|(source, chunk)| plan.finished(*source, *chunk));
    }
    plan.late(1);
    assert_eq!(assign_all(&mut plan).len(), 1, "as many as it may owe");
    plan.opened(1, &[]);
    assert_eq!(assign_all(&mut plan), [(1, 4), (1, 5)]);
}

#[test]
fn sources_that_do_not_answer_keep_no_places() {
    let mute = limits::DOWNLOAD_SOURCES_MAX;
    for chunk_count in [1, 100] {
        let mut plan = plan(chunk_count, mute + 1);
        let opening: Vec<_> = std::iter::from_fn(|| plan.open_next()).collect();
        assert!(!opening.contains(&mute));
        for (late, source) in opening.iter().enumerate() {
            assert_eq!(plan.open_next(), None, "all places are taken");
            plan.late(*source);
            assert_eq!(plan.open_next(), Some(opening.len() + late), "another one in its place");
            if opening.len() + late == mute {
                break;
            }
        }
    }
    let mut plan = plan(1000, 1000);
    let mut opening = BTreeSet::new();
    while let Some(source) = plan.open_next() {
        opening.insert(source);
        plan.late(source);
    }
    assert_eq!(opening.len(), limits::LATE_SOURCES_MAX, "but not without end");
    plan.ended(0, Ending::Failed);
    assert!(plan.open_next().is_some());
    // A late source that answers after all is one like the others.
    plan.opened(1, &[]);
    assert_eq!(plan.assign().map(|(source, _)| source), Some(1));
}

#[test]
fn a_failed_source_returns_its_chunks_and_is_tried_a_limited_number_of_times() {
    let mut plan = plan(3, 2);
    open_all(&mut plan);
    assert_eq!(assign_all(&mut plan), [(0, 0), (1, 1), (0, 2)]);
    plan.ended(0, Ending::Failed);
    assert_eq!(assign_all(&mut plan), [(1, 0)]);
    for _ in 1..limits::SOURCE_FAILURES_MAX {
        assert!(plan.is_waiting(0));
        plan.wake(0);
        assert_eq!(plan.open_next(), Some(0));
        plan.ended(0, Ending::Failed);
    }
    assert!(!plan.is_waiting(0));
    assert_eq!(plan.open_next(), None);
    assert!(!plan.is_hopeless());
    plan.ended(1, Ending::Hopeless);
    assert!(plan.is_hopeless());
}

#[test]
fn a_source_that_delivers_a_chunk_between_failures_is_not_given_up() {
    let mut plan = plan(20, 1);
    for round in 0..10 {
        plan.wake(0);
        assert_eq!(open_all(&mut plan), [0]);
        assign_all(&mut plan);
        assert!(plan.finished(0, round));
        plan.ended(0, Ending::Failed);
        assert!(!plan.is_hopeless(), "round {round}");
    }
}

#[test]
fn no_more_sources_are_opened_than_there_are_chunks_or_places() {
    assert_eq!(open_all(&mut plan(2, 5)).len(), 2);
    assert_eq!(open_all(&mut plan(1000, 100)).len(), limits::DOWNLOAD_SOURCES_MAX);
    assert_eq!(open_all(&mut plan(0, 3)).len(), 0);
    assert!(plan(0, 3).is_complete());
}

#[test]
fn chunks_from_a_changed_source_are_fetched_again() {
    let mut plan = plan(2, 2);
    open_all(&mut plan);
    assign_all(&mut plan);
    assert!(plan.finished(0, 0));
    plan.ended(0, Ending::Failed);
    plan.wake(0);
    // The other one owes the last chunk, and one source is enough for one chunk.
    assert_eq!(plan.open_next(), None);
    plan.opened(0, &[0, 1]);
    assert_eq!(plan.here_bytes(), 0);
    assert_eq!(assign_all(&mut plan), [(1, 0)], "a chunk that is not done is not dropped");
}

/// Two sources that owe the same, one of them slow.
fn slow_and_idle(fast_rate: u64, slow_rate: u64) -> Plan {
    let mut plan =
        Plan::new(&Chunks::of(&[RootFile { name: String::new(), size: 2000 }], 1000), |_| false, 2, 8);
    open_all(&mut plan);
    assign_all(&mut plan);
    plan.measured(0, fast_rate, SECOND);
    plan.measured(1, slow_rate, SECOND);
    assert!(plan.finished(0, 0));
    assert_eq!(plan.close_next(), Some(0));
    plan.ended(0, Ending::Asked);
    plan
}

#[test]
fn an_idle_source_takes_over_from_a_much_slower_one_once() {
    let mut plan = slow_and_idle(50_000, 100);
    assert_eq!(plan.take_over(), Some(1));
    assert_eq!(plan.take_over(), None, "it is being interrupted already");
    assert!(assign_all(&mut plan).is_empty(), "not before the slow one has stopped writing");
    plan.ended(1, Ending::Asked);
    assert_eq!(plan.open_next(), Some(0), "not the one it was taken from");
    assert_eq!(plan.open_next(), None);
    plan.opened(0, &[]);
    assert_eq!(assign_all(&mut plan), [(0, 1)]);
    // By now the first source would be the faster one again.
    (0..100).for_each(|_| plan.measured(0, 0, SECOND));
    assert_eq!(plan.take_over(), None, "a chunk is taken over once");
    plan.ended(0, Ending::Hopeless);
    assert_eq!(open_all(&mut plan), [1], "it is the last source left");
    assert_eq!(assign_all(&mut plan), [(1, 1)]);
}

#[test]
fn a_chunk_that_was_complete_before_its_source_stopped_is_done() {
    let mut plan = slow_and_idle(500, 10);
    assert_eq!(plan.take_over(), Some(1));
    assert!(plan.finished(1, 1));
    plan.ended(1, Ending::Asked);
    assert!(plan.is_complete());
    assert!(!plan.finished(1, 1), "and only once");
}

/// The rule at its limits: bytes to fetch again, rate of the idle source, bytes left, rate of the slow source.
#[test]
fn taking_over_pays_only_when_it_takes_less_than_half_the_time() {
    for (all, fast, left, slow, expected) in [
        (1000, 100, 1000, 49, true),
        (1000, 100, 1000, 50, false),
        (1000, 100, 1000, 100, false),
        (1000, 100, 1000, 0, true),
        (1000, 0, 1000, 0, false),
        // Nearly done: little is left.
        (1000, 100, 400, 20, false),
        (1000, 100, 401, 20, true),
        (1000, 1_000_000, 0, 0, false),
        // Less than two seconds are not worth it.
        (1000, 1_000_000, 1000, 500, false),
        (1000, 1_000_000, 1001, 500, true),
        (u64::MAX, u64::MAX, u64::MAX, 1, true),
    ] {
        assert_eq!(is_worth_taking(all, fast, left, slow), expected, "{all} {fast} {left} {slow}");
    }
    for (fast, slow, expected) in [(500, 10, Some(1)), (19, 10, None)] {
        assert_eq!(slow_and_idle(fast, slow).take_over(), expected);
    }
    // A source that was never measured is assumed to be as fast as the best rate so far.
    let files = [RootFile { name: String::new(), size: 2000 }];
    let mut plan = Plan::new(&Chunks::of(&files, 1000), |_| false, 2, 8);
    open_all(&mut plan);
    assign_all(&mut plan);
    assert!(plan.finished(0, 0));
    plan.measured(1, 400, SECOND);
    assert_eq!(plan.take_over(), None);
    (0..10).for_each(|_| plan.measured(1, 0, SECOND));
    assert_eq!(plan.take_over(), Some(1));
}

#[test]
fn a_rate_forgets_a_short_pause_and_not_a_long_one() {
    let mut rate = blend(None, 800, SECOND);
    assert_eq!(rate, 800);
    rate = blend(Some(rate), 0, SECOND);
    assert_eq!(rate, 700);
    for _ in 0..20 {
        rate = blend(Some(rate), 0, SECOND);
    }
    assert!(rate < 100, "{rate}");
}

#[test]
fn bytes_that_arrived_count_while_their_source_owes_them() {
    let mut plan = plan(2, 1);
    open_all(&mut plan);
    assert!(!plan.is_busy(0));
    assert_eq!(assign_all(&mut plan), [(0, 0), (0, 1)]);
    assert!(plan.is_busy(0));
    plan.arrived(0, 6);
    plan.arrived(0, 7);
    assert_eq!(plan.here_bytes(), 13);
    assert!(plan.finished(0, 0));
    assert_eq!(plan.here_bytes(), 13, "the whole chunk, and three bytes of the next one");
    plan.arrived(0, 100);
    assert_eq!(plan.here_bytes(), 20, "no more than it owes");
    plan.ended(0, Ending::Failed);
    assert_eq!((plan.here_bytes(), plan.is_busy(0)), (10, false), "an incomplete chunk begins again");
}

#[test]
fn a_chunk_that_returned_is_owed_by_no_source_until_it_is_assigned_again() {
    let mut plan = plan(2, 2);
    open_all(&mut plan);
    assert_eq!(assign_all(&mut plan), [(0, 0), (1, 1)]);
    plan.ended(0, Ending::Failed);
    assert!(!plan.finished(0, 0), "its source has ended");
    assert!(!plan.finished(1, 0), "no source was asked for it");
    assert_eq!(assign_all(&mut plan), [(1, 0)]);
    assert!(plan.finished(1, 0) && plan.finished(1, 1));
    assert!(plan.is_complete());
}

#[test]
fn a_chunk_does_not_return_to_the_source_it_was_taken_from() {
    let mut plan = plan(2, 2);
    open_all(&mut plan);
    assert_eq!(assign_all(&mut plan), [(0, 0), (1, 1)]);
    plan.measured(0, 0, SECOND);
    plan.measured(1, 500, SECOND);
    assert!(plan.finished(1, 1));
    assert_eq!(plan.take_over(), Some(0));
    plan.ended(0, Ending::Asked);
    plan.ended(1, Ending::Asked);
    assert_eq!(plan.open_next(), Some(1));
    // The other chunk must be fetched again, so that there is work for both.
    plan.opened(1, &[1]);
    assert_eq!(open_all(&mut plan), [0]);
    assert_eq!(
        assign_all(&mut plan),
        [(0, 1), (1, 0)],
        "the first waiting chunk was taken from the first source"
    );
    assert!(plan.finished(0, 1));
    assert_eq!(plan.close_next(), Some(0), "there is nothing that it may have");
}

#[test]
fn nothing_is_taken_over_while_chunks_wait_or_no_source_is_idle() {
    let mut plan = plan(5, 2);
    open_all(&mut plan);
    assert_eq!(assign_all(&mut plan).len(), 4);
    (0..2).for_each(|source| plan.measured(source, [500, 0][source], SECOND));
    assert!(plan.finished(0, 0) && plan.finished(0, 2));
    assert_eq!(plan.take_over(), None, "the idle source has work");
    assert_eq!(assign_all(&mut plan), [(0, 4)]);
    assert_eq!(plan.take_over(), None, "no source is idle");
    assert!(plan.finished(0, 4));
    assert_eq!(plan.take_over(), Some(1));
    assert_eq!(plan.take_over(), None, "it is being interrupted already");
}

/// `slow` sources that trickle and owe one of as many chunks each, and one more source that was never open.
fn trickling(slow: usize) -> Plan {
    let mut plan = plan(slow as u64, slow + 1);
    assert_eq!(open_all(&mut plan).len(), slow);
    assert_eq!(assign_all(&mut plan).len(), slow);
    // Their rate is also the best rate so far, so nothing is gained by rates alone.
    (0..slow).for_each(|source| plan.measured(source, 1, SECOND));
    assert_eq!(plan.take_over(), None);
    plan
}

#[test]
fn trickling_sources_hold_neither_the_last_chunk_nor_all_places() {
    for slow in 1..=limits::DOWNLOAD_SOURCES_MAX {
        let mut plan = trickling(slow);
        for source in 0..slow {
            assert!(!plan.judged(source, Speed::Enough));
            assert!(plan.judged(source, Speed::TooSlow), "another source has nothing to do");
            assert!(!plan.judged(source, Speed::TooSlow), "it is being interrupted already");
            plan.ended(source, Ending::Asked);
        }
        assert_eq!(open_all(&mut plan), [slow], "a slow source is not opened again");
        for chunk in 0..slow {
            assert!(assign_all(&mut plan).iter().all(|(source, _)| *source == slow));
            assert!(plan.finished(slow, chunk));
        }
        assert!(plan.is_complete());
    }
}

#[test]
fn a_slow_source_continues_unless_a_better_one_is_idle() {
    // Alone.
    let mut alone = plan(2, 1);
    open_all(&mut alone);
    assign_all(&mut alone);
    assert!(!alone.judged(0, Speed::TooSlow));
    assert!(alone.is_busy(0));

    // The others are slow too, busy, or gone.
    let mut plan = plan(2, 3);
    open_all(&mut plan);
    assert_eq!(assign_all(&mut plan), [(0, 0), (1, 1)]);
    plan.ended(2, Ending::Hopeless);
    assert_eq!(plan.others_left(0), 1);
    assert!(!plan.judged(0, Speed::TooSlow), "the only other one that is left is busy");
    assert!(!plan.judged(1, Speed::TooSlow));
    assert!(plan.is_busy(0) && plan.is_busy(1));
    // One of them is faster again, and then has nothing to do.
    assert!(!plan.judged(1, Speed::Enough));
    assert!(plan.finished(1, 1));
    assert!(plan.judged(0, Speed::TooSlow));
    plan.ended(0, Ending::Asked);
    assert_eq!(assign_all(&mut plan), [(1, 0)]);
    // When that one is gone, the slow one is all there is.
    plan.ended(1, Ending::Hopeless);
    assert_eq!(open_all(&mut plan), [0]);
    assert_eq!(assign_all(&mut plan), [(0, 0)]);
    assert!(!plan.judged(0, Speed::TooSlow));
}

/// A source without a place keeps neither work nor a place of this download from another one. Only if no other source is
/// left, or will be tried again, does the download wait.
#[test]
fn a_source_without_a_place_is_waited_for_only_if_no_other_is_left() {
    let mut plan = Plan::new(&chunks(4), |_| false, 3, 1);
    assert_eq!((plan.open_next(), plan.open_next()), (Some(0), None));
    plan.queued(0);
    assert_eq!(plan.open_next(), Some(1), "in its place");
    assert!(!plan.only_waits(), "it may have a place");
    plan.queued(1);
    assert_eq!(plan.open_next(), Some(2));
    plan.ended(2, Ending::Failed);
    assert!(!plan.only_waits(), "it is tried again");
    plan.wake(2);
    assert_eq!(plan.open_next(), Some(2));
    plan.opened(2, &[]);
    assert!(!plan.only_waits());
    assert_eq!(assign_all(&mut plan).len(), limits::CHUNKS_AHEAD);
    plan.ended(2, Ending::Hopeless);
    assert!(plan.only_waits() && !plan.is_hopeless());
    plan.opened(0, &[]);
    assert!(!plan.only_waits() && plan.is_queued(1) && !plan.is_queued(0));
    plan.ended(0, Ending::Hopeless);
    plan.ended(1, Ending::Hopeless);
    assert!(!plan.only_waits() && plan.is_hopeless());
}

/// Small chunks are owed several at a time: as many as may be asked for, and no more bytes than a whole chunk has.
#[test]
fn a_source_owes_more_chunks_if_they_are_small() {
    let sizes = [10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 9, 9];
    let files: Vec<_> = sizes.iter().map(|size| RootFile { name: String::new(), size: *size }).collect();
    let mut plan = Plan::new(&Chunks::of(&files, 10), |_| false, 1, 1);
    open_all(&mut plan);
    assert_eq!(assign_all(&mut plan), [(0, 0), (0, 1)], "with a whole one, as ever");
    assert!(plan.finished(0, 0));
    let more: Vec<_> = (2..=limits::CHUNK_REQUESTS_MAX).map(|chunk| (0, chunk)).collect();
    assert_eq!(assign_all(&mut plan), more, "no source reads more requests");
    assert!((1..=limits::CHUNK_REQUESTS_MAX).all(|chunk| plan.finished(0, chunk)));
    assert_eq!(assign_all(&mut plan), [(0, 9), (0, 10)], "together one whole chunk");
}

/// A slow source does not take what an idle one could bring.
#[test]
fn small_chunks_that_others_could_bring_are_left_to_them() {
    let files = vec![RootFile { name: String::new(), size: 1 }; 6];
    let mut plan = Plan::new(&Chunks::of(&files, 10), |_| false, 2, 2);
    open_all(&mut plan);
    assert_eq!(assign_all(&mut plan), [(0, 0), (1, 1), (0, 2), (1, 3)]);
    assert!(plan.finished(1, 1) && plan.finished(1, 3));
    assert_eq!(assign_all(&mut plan), [(1, 4), (1, 5)]);
}
