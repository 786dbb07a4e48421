use super::*;

struct Receiver {
    plan: FeedPlan,
    here: std::collections::BTreeSet<u64>,
    horizon: u64,
    /// Whether the decoder waits, and for how long it has.
    is_starving: bool,
    starved: Duration,
    now: Instant,
}

impl Receiver {
    fn new(tiers: &[Tier]) -> Self {
        let now = Instant::now();
        let plan = FeedPlan::new(tiers.iter().copied(), 0, now);
        Self {
            plan,
            here: std::collections::BTreeSet::new(),
            horizon: 16,
            is_starving: false,
            starved: Duration::ZERO,
            now,
        }
    }

    fn progress(&self) -> FeedProgress {
        let next = (0..=self.horizon).find(|chunk| !self.here.contains(chunk)).unwrap_or(self.horizon);
        FeedProgress { next, horizon: self.horizon, starved: self.starved, now: self.now }
    }

    /// Opens what the plan wants to open, and returns it.
    fn open(&mut self) -> Vec<UpstreamId> {
        let mut opened = Vec::new();
        while let Some((id, _)) = self.plan.open_next(self.progress()) {
            self.plan.opened(id, 0, self.now);
            opened.push(id);
        }
        opened
    }

    /// Asks all that the plan wants to ask, and returns it.
    fn ask(&mut self) -> Vec<(UpstreamId, u64)> {
        let mut asked = Vec::new();
        let (progress, here) = (self.progress(), self.here.clone());
        while let Some(next) = self.plan.ask_next(progress, |chunk| !here.contains(&chunk)) {
            asked.push(next);
        }
        asked
    }

    fn bring(&mut self, id: UpstreamId, chunk: u64) {
        assert!(self.plan.brought(id, chunk, self.now), "{id} does not owe {chunk} next");
        self.here.insert(chunk);
    }

    fn wait(&mut self, passed: Duration) {
        self.now += passed;
        self.starved += if self.is_starving { passed } else { Duration::ZERO };
    }

    fn tick_for(&mut self, passed: Duration) -> Option<(UpstreamId, Left)> {
        let until = self.now + passed;
        while self.now < until {
            self.wait(Duration::from_millis(100));
            if let Some(left) = self.plan.tick(self.progress()) {
                return Some(left);
            }
        }
        None
    }
}

const RELAYED: [Tier; 3] = [Tier::Relay, Tier::Relay, Tier::Source];

#[test]
fn one_relay_is_used_at_a_time_and_no_source_beside_it() {
    let mut receiver = Receiver::new(&RELAYED);
    assert_eq!(receiver.open(), [0]);
    assert_eq!(receiver.ask(), [(0, 0), (0, 1), (0, 2), (0, 3)], "ahead, and no further");
    receiver.bring(0, 0);
    assert_eq!(receiver.ask(), [(0, 4)]);
}

#[test]
fn what_a_lost_upstream_owed_is_asked_from_the_next_one_at_once() {
    let mut receiver = Receiver::new(&RELAYED);
    receiver.open();
    receiver.ask();
    receiver.bring(0, 0);
    receiver.plan.ended(0, UpstreamEnding::MayPass(None), receiver.now);
    assert_eq!(receiver.plan.open_next(receiver.progress()), Some((1, Some(0))), "instead of the lost one");
    receiver.plan.opened(1, 0, receiver.now);
    assert_eq!(receiver.ask(), [(1, 1), (1, 2), (1, 3), (1, 4)]);
    receiver.plan.ended(1, UpstreamEnding::Final, receiver.now);
    assert_eq!(receiver.plan.open_next(receiver.progress()), Some((2, None)));
    receiver.plan.opened(2, 0, receiver.now);
    assert_eq!(receiver.ask()[0], (2, 1));
}

#[test]
fn without_a_relay_several_sources_share_the_chunks() {
    let mut receiver = Receiver::new(&[Tier::Source, Tier::Source, Tier::Http]);
    assert_eq!(receiver.open(), [0, 1], "peers before servers");
    let asked = receiver.ask();
    assert_eq!(asked.len(), 2 * limits::PACKED_AHEAD);
    let chunks: std::collections::BTreeSet<u64> = asked.iter().map(|(_, chunk)| *chunk).collect();
    assert_eq!(chunks, (0..8).collect(), "each chunk from one of them");
    receiver.plan.ended(0, UpstreamEnding::Final, receiver.now);
    receiver.plan.ended(1, UpstreamEnding::Final, receiver.now);
    assert_eq!(receiver.open(), [2]);
}

/// It may say so for ever. What else there is, is used meanwhile, also in its place.
#[test]
fn a_source_that_has_no_place_keeps_no_other_one_from_being_used() {
    let mut receiver = Receiver::new(&[Tier::Source, Tier::Source, Tier::Source, Tier::Http]);
    let says_queued = |receiver: &mut Receiver, expected| {
        let (id, _) = receiver.plan.open_next(receiver.progress()).unwrap();
        assert_eq!(id, expected);
        receiver.plan.queued(id);
    };
    (0..3).for_each(|id| says_queued(&mut receiver, id));
    assert_eq!(receiver.open(), [3], "a server, if no peer has a place");
    assert_eq!(receiver.ask().len(), limits::PACKED_AHEAD);
    receiver.plan.opened(1, 0, receiver.now);
    assert!(receiver.ask().iter().all(|(id, _)| *id == 1), "it has a place now");
    receiver.plan.ended(3, UpstreamEnding::Final, receiver.now);
    receiver.plan.ended(1, UpstreamEnding::Final, receiver.now);
    assert!(!receiver.plan.is_hopeless(), "its turn in the queues of the others may come");
}

/// Relays that were left, and a gap, do not wait for the turn of a source.
#[test]
fn a_queue_is_not_what_a_receiver_waits_for_if_a_relay_is_left() {
    let mut receiver = Receiver::new(&[Tier::Relay, Tier::Source]);
    assert_eq!(receiver.open(), [0]);
    receiver.plan.ended(0, UpstreamEnding::MayPass(None), receiver.now);
    assert_eq!(receiver.plan.open_next(receiver.progress()), Some((1, None)));
    receiver.plan.queued(1);
    assert_eq!(receiver.tick_for(Duration::from_secs(1)), None);
    assert_eq!(receiver.open(), [0], "the relay is tried again");
}

#[test]
fn a_source_at_a_tenth_of_the_pace_holds_nothing_up() {
    let mut receiver = Receiver::new(&[Tier::Source, Tier::Source]);
    receiver.horizon = 1000;
    receiver.open();
    let (mut fast_busy, mut slow_busy) = (0, 0);
    let mut rounds = 0;
    while receiver.here.len() < 200 {
        receiver.ask();
        receiver.wait(Duration::from_millis(50));
        (fast_busy, slow_busy) = (fast_busy + 1, slow_busy + 1);
        rounds += 1;
        if fast_busy >= 2
            && let Some(chunk) = receiver.plan.owes(0).first().copied()
        {
            receiver.bring(0, chunk);
            fast_busy = 0;
        }
        if slow_busy >= 20
            && let Some(chunk) = receiver.plan.owes(1).first().copied()
        {
            receiver.bring(1, chunk);
            slow_busy = 0;
        }
        assert!(rounds < 10_000);
    }
    // Alone, the fast one takes 400 rounds for 200 chunks.
    assert!(rounds <= 420, "{rounds}");
    assert!(receiver.plan.asked_twice() <= 4, "{}", receiver.plan.asked_twice());
}

#[test]
fn a_gap_is_filled_by_a_source_while_the_relay_waits() {
    let mut receiver = Receiver::new(&RELAYED);
    receiver.open();
    receiver.ask();
    assert!(receiver.plan.gone(0, 6, receiver.now));
    assert!(receiver.plan.is_worth_filling(0, receiver.progress()));
    assert_eq!(receiver.open(), [2]);
    let mut asked = receiver.ask();
    asked.sort_unstable();
    assert_eq!(asked, [(0, 6), (0, 7), (0, 8), (0, 9), (2, 0), (2, 1), (2, 2), (2, 3)]);
    for chunk in 0..4 {
        receiver.bring(2, chunk);
    }
    assert_eq!(receiver.ask(), [(2, 4), (2, 5)], "what the relay has, it brings");
    receiver.bring(2, 4);
    receiver.bring(2, 5);
    assert_eq!(receiver.plan.close_next(receiver.progress()), Some(2), "the source is no longer needed");
    receiver.plan.ended(2, UpstreamEnding::Asked, receiver.now);
    assert_eq!(receiver.open(), [] as [UpstreamId; 0]);
}

/// What was asked behind what is gone is void: it must not be waited for.
#[test]
fn what_was_asked_behind_a_gap_is_asked_again() {
    let mut receiver = Receiver::new(&RELAYED);
    receiver.open();
    receiver.ask();
    receiver.bring(0, 0);
    assert!(receiver.plan.gone(0, 3, receiver.now));
    assert_eq!(receiver.plan.owes(0), [] as [u64; 0]);
    assert!(!receiver.plan.brought(0, 1, receiver.now), "an answer to what is void is none");
    receiver.open();
    let asked = receiver.ask();
    assert!(asked.contains(&(2, 1)) && asked.contains(&(2, 2)) && asked.contains(&(0, 3)));
}

#[test]
fn a_relay_cannot_have_lost_what_it_was_not_asked_for() {
    let mut receiver = Receiver::new(&RELAYED);
    receiver.open();
    assert!(!receiver.plan.gone(0, 5, receiver.now));
    receiver.ask();
    assert!(!receiver.plan.gone(0, 0, receiver.now), "it has it, as it says");
    assert!(receiver.plan.gone(0, 500, receiver.now));
    assert!(!receiver.plan.is_worth_filling(0, receiver.progress()), "it is too far away");
}

#[test]
fn a_relay_that_is_alive_is_left_only_if_its_own_decoder_is_slow() {
    let mut receiver = Receiver::new(&RELAYED);
    receiver.open();
    receiver.ask();
    receiver.is_starving = true;
    assert_eq!(receiver.tick_for(limits::RELAY_SLOW_SPAN * 3), None, "what is before it may be slow");
    receiver.plan.alive(0, true);
    assert_eq!(receiver.tick_for(limits::RELAY_SLOW_SPAN * 2), Some((0, Left::Slow)));
    let mut receiver = Receiver::new(&[Tier::Relay]);
    receiver.open();
    receiver.ask();
    receiver.is_starving = true;
    receiver.plan.alive(0, true);
    assert_eq!(receiver.tick_for(limits::RELAY_SLOW_SPAN * 3), None, "there is no better one");
    assert_eq!(receiver.tick_for(limits::STREAM_STALL_DEADLINE), Some((0, Left::Stalled)));
}

/// It may wait for one before it, as its follower does. What a source has and the relay lacks shows that it does not.
#[test]
fn a_relay_that_only_says_that_it_is_alive_is_left_once_a_source_has_what_it_owes() {
    let mut receiver = Receiver::new(&RELAYED);
    assert_eq!(receiver.open(), [0]);
    receiver.ask();
    assert_eq!(receiver.tick_for(limits::RELAY_DOUBT * 9 / 10), None);
    assert!(receiver.open().is_empty(), "it is believed for a while");
    assert_eq!(receiver.tick_for(limits::RELAY_DOUBT / 10), None);
    assert_eq!(receiver.open(), [2], "a source beside it, not the next relay");
    assert_eq!(
        receiver.ask(),
        [(2, 0), (2, 4), (2, 5), (2, 6)],
        "first what the relay owes, and only the next chunk of it"
    );
    for chunk in [0, 4, 5, 6] {
        receiver.bring(2, chunk);
    }
    assert_eq!(receiver.ask()[0], (2, 1));
    assert_eq!(receiver.tick_for(limits::RELAY_DOUBT), Some((0, Left::Stalled)));
}

/// What is alive for ever must not hold a receiver up for ever.
#[test]
fn a_source_that_stalls_twice_in_a_row_is_given_up() {
    let mut receiver = Receiver::new(&[Tier::Source]);
    receiver.open();
    receiver.ask();
    receiver.bring(0, 0);
    for is_hopeless in [false, true] {
        receiver.ask();
        assert_eq!(receiver.tick_for(limits::STREAM_STALL_DEADLINE), Some((0, Left::Stalled)));
        receiver.plan.ended(0, UpstreamEnding::Stalled, receiver.now);
        assert_eq!(receiver.plan.is_hopeless(), is_hopeless);
        receiver.tick_for(RETRY_INTERVAL * 16);
        assert_eq!(receiver.open().is_empty(), is_hopeless);
    }
}

#[test]
fn a_relay_that_goes_on_is_no_longer_doubted() {
    let mut receiver = Receiver::new(&RELAYED);
    receiver.open();
    receiver.ask();
    receiver.tick_for(limits::RELAY_DOUBT);
    assert_eq!(receiver.open(), [2]);
    assert_eq!(receiver.ask()[0], (2, 0));
    receiver.bring(0, 0);
    for chunk in receiver.plan.owes(2) {
        receiver.bring(2, chunk);
    }
    assert_eq!(receiver.plan.close_next(receiver.progress()), Some(2), "the source is done");
    assert_eq!(receiver.tick_for(limits::RELAY_DOUBT), None, "no chunk of it came from elsewhere since");
}

/// Slower than two thirds of the pace is slow; a pause now and then is not.
#[test]
fn a_relay_that_holds_up_a_quarter_of_the_time_is_not_left() {
    let mut receiver = Receiver::new(&RELAYED);
    receiver.open();
    receiver.ask();
    receiver.plan.alive(0, true);
    for _ in 0..40 {
        receiver.is_starving = true;
        assert_eq!(receiver.tick_for(Duration::from_secs(1)), None);
        receiver.is_starving = false;
        assert_eq!(receiver.tick_for(Duration::from_secs(3)), None);
    }
}

#[test]
fn a_source_that_failed_is_tried_again_later_and_a_liar_never() {
    let mut receiver = Receiver::new(&[Tier::Source]);
    receiver.open();
    receiver.ask();
    receiver.bring(0, 0);
    receiver.plan.ended(0, UpstreamEnding::MayPass(None), receiver.now);
    assert_eq!(receiver.open(), [] as [UpstreamId; 0]);
    assert_eq!(receiver.tick_for(Duration::from_secs(1)), None);
    assert_eq!(receiver.open(), [0]);
    receiver.plan.ended(0, UpstreamEnding::Final, receiver.now);
    assert!(receiver.plan.is_hopeless());
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    let mut receiver = Receiver::new(&[Tier::Http]);
    receiver.open();
    receiver.ask();
    receiver.bring(0, 0);
    receiver.plan.ended(0, UpstreamEnding::MayPass(Some(Duration::from_secs(5))), receiver.now);
    receiver.tick_for(Duration::from_millis(4900));
    assert_eq!(receiver.open(), [] as [UpstreamId; 0]);
    receiver.tick_for(Duration::from_millis(100));
    assert_eq!(receiver.open(), [0]);
}

#[test]
fn a_stream_that_has_begun_is_kept_for_a_while_although_all_upstreams_are_gone() {
    let mut receiver = Receiver::new(&RELAYED);
    receiver.open();
    receiver.ask();
    receiver.bring(0, 0);
    receiver.plan.ended(0, UpstreamEnding::MayPass(None), receiver.now);
    let mut tried = [0; 3];
    let begun_at = receiver.now;
    while !receiver.plan.is_hopeless() {
        receiver.tick_for(Duration::from_millis(100));
        while let Some((id, _)) = receiver.plan.open_next(receiver.progress()) {
            tried[id] += 1;
            receiver.plan.ended(id, UpstreamEnding::MayPass(None), receiver.now);
        }
    }
    let waited = receiver.now - begun_at;
    assert!(waited > Duration::from_secs(30) && waited < Duration::from_secs(90), "{waited:?}");
    assert!(tried.iter().all(|tries| *tries > 3), "{tried:?}");
}

#[test]
fn a_stream_that_has_not_begun_ends_after_two_tries() {
    let mut receiver = Receiver::new(&[Tier::Source]);
    let mut tried = 0;
    while !receiver.plan.is_hopeless() {
        receiver.tick_for(Duration::from_millis(100));
        while let Some((id, _)) = receiver.plan.open_next(receiver.progress()) {
            tried += 1;
            receiver.plan.ended(id, UpstreamEnding::MayPass(None), receiver.now);
        }
    }
    assert_eq!(tried, 2);
}

#[test]
fn a_chunk_that_everything_waits_for_is_asked_from_a_second_source_and_no_third() {
    let mut receiver = Receiver::new(&[Tier::Source, Tier::Source, Tier::Source]);
    receiver.horizon = 12;
    receiver.open();
    let asked = receiver.ask();
    assert_eq!(asked.len(), 12);
    let (silent, first) = asked.iter().find(|(_, chunk)| *chunk == 0).copied().unwrap();
    for (id, chunk) in asked {
        receiver.wait(Duration::from_millis(20));
        if id != silent {
            receiver.bring(id, chunk);
        }
    }
    receiver.wait(Duration::from_secs(1));
    let again = receiver.ask();
    assert_eq!(again.iter().filter(|(_, chunk)| *chunk == first).count(), 1);
    assert!(again.iter().all(|(id, _)| *id != silent));
    receiver.wait(Duration::from_secs(5));
    assert!(receiver.ask().is_empty());
}

/// A relay that feeds another receiver is alive: the relay before it must go on feeding it.
#[test]
fn the_next_relay_is_told_to_replace_only_a_relay_that_was_lost() {
    let mut receiver = Receiver::new(&[Tier::Relay, Tier::Relay, Tier::Relay, Tier::Source]);
    assert_eq!(receiver.plan.open_next(receiver.progress()), Some((0, None)));
    receiver.plan.ended(0, UpstreamEnding::Occupied, receiver.now);
    assert_eq!(receiver.plan.open_next(receiver.progress()), Some((1, None)));
    receiver.plan.ended(1, UpstreamEnding::MayPass(None), receiver.now);
    assert_eq!(receiver.plan.open_next(receiver.progress()), Some((2, Some(1))));
    receiver.plan.ended(2, UpstreamEnding::Occupied, receiver.now);
    assert_eq!(receiver.plan.open_next(receiver.progress()), Some((3, None)));
}

/// The gap can never be filled, however long the relay says that it is alive.
#[test]
fn a_relay_behind_a_gap_that_no_source_can_fill_is_left() {
    let mut receiver = Receiver::new(&RELAYED);
    receiver.open();
    receiver.ask();
    assert!(receiver.plan.gone(0, 6, receiver.now));
    receiver.open();
    receiver.plan.ended(2, UpstreamEnding::Final, receiver.now);
    assert_eq!(receiver.tick_for(Duration::from_secs(1)), Some((0, Left::Stalled)));
}
