use super::*;

const CHUNK: Duration = Duration::from_millis(10);

fn game(name: &str) -> PackedGame {
    let manifest = lanspread_types::checksum::ContentDigest([7; 32]);
    PackedGame { game: name.parse().unwrap(), version: "1".parse().unwrap(), manifest }
}

fn ours(id: u64) -> FedWave {
    FedWave { id, is_ours: true }
}

/// A source that sends one chunk after the other; receivers that take as much as they get.
struct Sending {
    order: UplinkOrder,
    now: Instant,
    /// What the uplink takes for a chunk, and a receiver at most.
    per_chunk: Duration,
    slowest: Duration,
    free_at: Instant,
    receivers: Vec<Receiver>,
}

struct Receiver {
    id: FedId,
    next: u64,
    /// Whether a chunk is read that will be sent after the one that is.
    is_ahead: bool,
    /// When the chunk that is being sent was begun, and when it will have been sent.
    sending: Option<(Instant, Instant)>,
    sent: u64,
}

impl Sending {
    fn new(per_chunk: Duration, slowest: Duration) -> Self {
        let now = Instant::now();
        Self { order: UplinkOrder::default(), now, per_chunk, slowest, free_at: now, receivers: Vec::new() }
    }

    fn add(&mut self, name: &str, at: u64) -> usize {
        self.add_to(1, name, at)
    }

    fn add_to(&mut self, wave: u64, name: &str, at: u64) -> usize {
        let id = self.order.begins(game(name), ours(wave), at, self.now);
        self.receivers.push(Receiver { id, next: at, is_ahead: false, sending: None, sent: 0 });
        self.receivers.len() - 1
    }

    /// Sends for so long, and returns what each receiver got meanwhile.
    fn run(&mut self, time: Duration) -> Vec<u64> {
        let before: Vec<u64> = self.receivers.iter().map(|receiver| receiver.sent).collect();
        let until = self.now + time;
        while self.now < until {
            let mut next = until;
            for receiver in &mut self.receivers {
                while receiver.sending.is_none() || !receiver.is_ahead {
                    if !receiver.is_ahead {
                        match self.order.turn(receiver.id, receiver.next, self.now) {
                            UplinkTurn::Now => receiver.is_ahead = true,
                            UplinkTurn::At(at) => next = next.min(at),
                        }
                        receiver.next += u64::from(receiver.is_ahead);
                    }
                    if receiver.sending.is_some() || !receiver.is_ahead {
                        break;
                    }
                    self.free_at = self.free_at.max(self.now) + self.per_chunk;
                    receiver.sending = Some((self.now, self.free_at.max(self.now + self.slowest)));
                    receiver.is_ahead = false;
                }
                if let Some((_, sent_at)) = receiver.sending {
                    next = next.min(sent_at);
                }
            }
            self.now = next;
            for receiver in &mut self.receivers {
                if let Some((begun, _)) = receiver.sending.filter(|(_, sent_at)| *sent_at <= next) {
                    self.order.sent(receiver.id, next - begun, next);
                    receiver.sending = None;
                    receiver.sent += 1;
                }
            }
        }
        self.receivers.iter().zip(before).map(|(receiver, before)| receiver.sent - before).collect()
    }
}

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn a_full_uplink_is_left_to_the_one_that_is_furthest_but_for_a_part() {
    let mut sending = Sending::new(CHUNK, Duration::ZERO);
    sending.add("g", 0);
    sending.add("g", 1000);
    let got = sending.run(MINUTE);
    assert!(got[1] * 100 >= 6000 * 86, "the leader gets seven eighths: {got:?}");
    assert!(got[0] * 100 >= 6000 * 10, "the one behind is not forgotten: {got:?}");
}

#[test]
fn those_behind_take_turns() {
    let mut sending = Sending::new(CHUNK, Duration::ZERO);
    for at in [1000, 0, 1, 2] {
        sending.add("g", at);
    }
    let got = sending.run(MINUTE);
    assert!(got[0] * 100 >= 6000 * 85, "the leader loses no more to three than to one: {got:?}");
    let (least, most) = (got[1..].iter().min().unwrap(), got[1..].iter().max().unwrap());
    assert!(most - least <= limits::UPLINK_FIRST_CHUNKS, "{got:?}");
}

/// It would end no sooner for more.
#[test]
fn another_wave_costs_a_full_uplink_a_thirtieth() {
    let mut sending = Sending::new(CHUNK, Duration::ZERO);
    sending.add_to(1, "g", 1000);
    sending.run(CHUNK * 100);
    sending.add_to(2, "g", 0);
    let first = sending.run(CHUNK * 100);
    assert!(first[0] >= 100 - 9, "what it takes until it is known that there is no room: {first:?}");
    let got = sending.run(MINUTE);
    assert!(got[0] * 100 >= 6000 * 96, "{got:?}");
    assert!(got[1] * 100 >= 6000 * 2, "it would notice if there were room: {got:?}");
    sending.per_chunk = CHUNK / 4;
    sending.slowest = CHUNK;
    sending.run(Duration::from_secs(10));
    let got = sending.run(Duration::from_secs(10));
    assert!(got[1] * 100 >= 1000 * 90, "now there is: {got:?}");
}

#[test]
fn another_wave_has_what_it_likes_at_once_if_the_uplink_has_room() {
    let mut sending = Sending::new(CHUNK, CHUNK * 2);
    sending.add_to(1, "g", 1000);
    sending.run(CHUNK * 200);
    sending.add_to(2, "g", 0);
    let got = sending.run(CHUNK * 200);
    assert!(got[0] >= 98 && got[1] >= 96, "both at their pace: {got:?}");
}

/// The slow one of the first wave needs its part for as long as it decodes.
#[test]
fn another_wave_takes_nothing_from_one_that_was_cut_off() {
    let mut sending = Sending::new(CHUNK, Duration::ZERO);
    for (wave, at) in [(1, 1000), (1, 500), (2, 0), (2, 1)] {
        sending.add_to(wave, "g", at);
    }
    sending.run(CHUNK * 100);
    let got = sending.run(MINUTE);
    assert!(got[0] * 100 >= 6000 * 82, "the leader loses an eighth and a thirtieth: {got:?}");
    assert!(got[1] * 100 >= 6000 * 10, "{got:?}");
    assert!((100..=250).contains(&(got[2] + got[3])), "both share their part: {got:?}");
}

/// One that comes late waits only if it is known that it would slow down the others.
#[test]
fn an_uplink_may_have_room_until_it_is_measured_that_it_has_none() {
    let mut sending = Sending::new(CHUNK, Duration::ZERO);
    let may_have_room = |sending: &Sending| sending.order.may_have_room(&game("g"), sending.now);
    assert!(may_have_room(&sending), "nothing is sent");
    sending.add_to(1, "g", 1000);
    sending.run(CHUNK * 100);
    assert!(may_have_room(&sending), "all of it is used by one, whose own link may be what is full");
    sending.add_to(2, "g", 0);
    sending.run(CHUNK * 100);
    assert!(!may_have_room(&sending), "one is slower beside the other");
    assert!(sending.order.may_have_room(&game("h"), sending.now), "another game");
    let late = sending.receivers.pop().unwrap();
    sending.order.ends(late.id, sending.now);
    sending.run(limits::UPLINK_SPAN * 14 / 15);
    assert!(!may_have_room(&sending), "it was so lately");
    sending.run(limits::UPLINK_SPAN * 2 / 15);
    assert!(may_have_room(&sending), "it was so long ago");
}

/// On a slow link, so many chunks would take longer than the receivers of the other wave believe their relays.
#[test]
fn another_wave_is_sent_something_before_its_receivers_doubt_their_relays() {
    let mut sending = Sending::new(CHUNK * 50, Duration::ZERO);
    sending.add_to(1, "g", 1000);
    sending.run(MINUTE);
    sending.add_to(2, "g", 0);
    sending.run(MINUTE);
    for _ in 0..10 {
        let got = sending.run(limits::RELAY_DOUBT);
        assert!(got[1] > 0, "{got:?}");
    }
}

#[test]
fn nothing_waits_longer_than_it_may() {
    // A chunk a minute, and many that are behind.
    let (mut order, now) = (UplinkOrder::default(), Instant::now());
    let leader = order.begins(game("g"), ours(1), 1000, now);
    let behind = [order.begins(game("g"), ours(1), 0, now), order.begins(game("g"), ours(1), 1, now)];
    for id in behind {
        for chunk in 0..limits::UPLINK_FIRST_CHUNKS {
            order.turn(id, chunk, now);
            order.sent(id, MINUTE, now);
        }
    }
    assert_eq!(order.turn(leader, 1000, now), UplinkTurn::Now);
    for id in behind {
        assert_eq!(order.turn(id, 8, now), UplinkTurn::At(now + limits::UPLINK_WAIT_MAX));
    }
    for id in behind {
        assert_eq!(order.turn(id, 8, now + limits::UPLINK_WAIT_MAX), UplinkTurn::Now);
    }
}

#[test]
fn an_uplink_with_room_is_used() {
    // Each receiver takes twice as long for a chunk as the uplink.
    let mut sending = Sending::new(CHUNK, CHUNK * 2);
    sending.add("g", 0);
    sending.add("g", 1000);
    sending.run(MINUTE);
    let got = sending.run(MINUTE);
    assert!(got[1] * 100 >= 3000 * 97 && got[0] * 100 >= 3000 * 90, "both at their pace: {got:?}");
    // The room is gone, and comes back.
    sending.per_chunk = CHUNK * 2;
    sending.run(MINUTE);
    let got = sending.run(MINUTE);
    assert!(got[1] * 100 >= 3000 * 85, "the leader goes first: {got:?}");
    sending.per_chunk = CHUNK;
    sending.run(MINUTE);
    let got = sending.run(MINUTE);
    assert!(got[0] * 100 >= 3000 * 90, "room is noticed: {got:?}");
}

#[test]
fn the_first_chunks_wait_for_nothing() {
    let (mut order, now) = (UplinkOrder::default(), Instant::now());
    let (leader, behind) =
        (order.begins(game("g"), ours(1), 1000, now), order.begins(game("g"), ours(1), 0, now));
    assert_eq!(order.turn(leader, 1000, now), UplinkTurn::Now);
    for chunk in 0..limits::UPLINK_FIRST_CHUNKS {
        assert_eq!(order.turn(behind, chunk, now), UplinkTurn::Now);
        order.sent(behind, CHUNK, now);
    }
    let next = order.turn(behind, limits::UPLINK_FIRST_CHUNKS, now);
    assert_eq!(next, UplinkTurn::At(now + CHUNK * limits::UPLINK_SPARES * 2), "a leader that takes nothing");
    for _ in 0..limits::UPLINK_SPARES {
        order.sent(leader, CHUNK, now);
        assert_eq!(order.turn(leader, 1000, now), UplinkTurn::Now);
    }
    assert_eq!(order.turn(behind, limits::UPLINK_FIRST_CHUNKS, now), UplinkTurn::Now);
}

#[test]
fn nothing_waits_for_one_that_needs_nothing_ended_or_has_another_game() {
    let (mut order, now) = (UplinkOrder::default(), Instant::now());
    let (leader, behind) =
        (order.begins(game("g"), ours(1), 1000, now), order.begins(game("g"), ours(1), 0, now));
    let other = order.begins(game("h"), ours(1), 0, now);
    let many = || (0..).map(|chunk| (chunk, now + CHUNK * chunk)).take(50);
    let all_at_once = |order: &mut UplinkOrder, id| {
        many().all(|(chunk, now)| {
            let turn = order.turn(id, chunk.into(), now);
            order.sent(id, CHUNK, now);
            turn == UplinkTurn::Now
        })
    };
    assert!(all_at_once(&mut order, behind), "the leader wants nothing yet");
    assert_eq!(order.turn(leader, 1000, now), UplinkTurn::Now);
    assert!(!all_at_once(&mut order, behind), "a chunk is on its way to the leader");
    assert!(all_at_once(&mut order, other), "another game");
    order.ends(leader, now);
    assert!(all_at_once(&mut order, behind), "the leader ended");
}

/// Its receivers wait for it as those of this source do for theirs. If it began earlier, or comes from a source that is gone, the
/// one that is further goes first.
#[test]
fn a_wave_of_another_source_that_began_together_with_one_of_this_shares_the_uplink() {
    for (later, at, shares) in [(1, 0, true), (10, 0, false), (1, 500, false)] {
        let mut sending = Sending::new(CHUNK, CHUNK);
        let id = sending.order.begins(game("g"), FedWave { id: 2, is_ours: false }, at, sending.now);
        sending.receivers.push(Receiver { id, next: at, is_ahead: false, sending: None, sent: 0 });
        sending.run(Duration::from_secs(later));
        sending.add_to(1, "g", 0);
        let sent = sending.run(CHUNK * 1000);
        assert_eq!(sent[0].abs_diff(sent[1]) < 20, shares, "{later} s later, from chunk {at}: {sent:?}");
    }
}
