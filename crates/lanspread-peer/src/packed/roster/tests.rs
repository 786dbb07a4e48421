use super::*;

fn packed() -> PackedGame {
    let manifest = lanspread_types::checksum::ContentDigest([1; 32]);
    PackedGame { game: "g".parse().unwrap(), version: "1".parse().unwrap(), manifest }
}

fn peer(number: u8) -> PeerId {
    PeerId::of_key(&[number; 32])
}

fn newcomer(number: u8) -> Newcomer {
    Newcomer {
        peer: peer(number),
        name: format!("seat-{number}").parse().unwrap(),
        ip: [10, 0, 0, number].into(),
        relay_port: Some(4107),
        window: 16,
    }
}

struct Room {
    roster: Roster,
    now: Instant,
    waves: u64,
    total: u64,
    expects_others: bool,
}

impl Room {
    fn new(total: u64) -> Self {
        Self { roster: Roster::default(), now: Instant::now(), waves: 0, total, expects_others: true }
    }

    fn join(&mut self, newcomer: Newcomer, may_have_room: bool) -> JoinOutcome {
        self.waves += 1;
        let source = SourceState { may_have_room, expects_others: self.expects_others };
        self.roster.join(&packed(), newcomer, self.total, source, self.waves, self.now)
    }

    fn placed(&mut self, newcomer: Newcomer) -> Placement {
        match self.join(newcomer, true) {
            JoinOutcome::Placed(placement) => placement,
            wait @ JoinOutcome::Wait { .. } => panic!("{wait:?}"),
        }
    }
}

fn positions(placement: &Placement) -> Vec<u32> {
    placement.relays.iter().map(|relay| relay.position).collect()
}

#[test]
fn receivers_that_come_together_form_a_chain() {
    let mut room = Room::new(100);
    let first = room.placed(newcomer(1));
    assert_eq!((first.place.position, first.relays.len()), (0, 0));
    assert_eq!(first.starts_in_ms, 1000, "others may come");
    let second = room.placed(newcomer(2));
    assert_eq!((second.place, positions(&second)), (Place { position: 1, ..first.place }, vec![0]));
    for number in 3..9 {
        room.placed(newcomer(number));
    }
    let ninth = room.placed(newcomer(9));
    assert_eq!(positions(&ninth), [7, 6, 5, 4], "the nearest first, and not all");
    assert_eq!(ninth.relays[0].address, "10.0.0.8:4107".parse().unwrap());
    assert_eq!(room.roster.places(&packed(), first.place.wave), 9);
    room.placed(newcomer(9));
    assert_eq!(room.roster.places(&packed(), first.place.wave), 10, "a place is given once");
    assert_eq!(room.roster.places(&packed(), first.place.wave + 1), 0, "the wave of another source");
}

/// What the head may fetch while it gathers is what `Ring::gather` leaves.
#[test]
fn a_wave_is_joined_while_its_head_gathers() {
    let mut room = Room::new(100);
    let first = room.placed(newcomer(1));
    room.roster.begins_fed(&packed(), first.place.wave, 0, room.total, room.now);
    room.roster.reached(&packed(), first.place.wave, 16 - limits::PACKED_ASKED_MAX as u64, room.now);
    let JoinOutcome::Placed(second) = room.join(Newcomer { window: 9, ..newcomer(2) }, false) else {
        panic!()
    };
    assert_eq!(
        second.place,
        Place { position: 1, ..first.place },
        "a small window of its own does not matter"
    );
    let JoinOutcome::Wait { .. } = room.join(newcomer(3), false) else {
        panic!("its followers would be too late")
    };
}

#[test]
fn a_game_that_fits_into_the_windows_does_not_wait_for_others() {
    let mut room = Room::new(16);
    let first = room.placed(newcomer(1));
    assert_eq!(first.starts_in_ms, 0);
    room.roster.reached(&packed(), first.place.wave, 15, room.now);
    let late = room.placed(newcomer(2));
    assert_eq!(late.place, Place { position: 1, ..first.place }, "all of them still have everything");
}

#[test]
fn a_receiver_of_which_no_other_one_is_heard_does_not_wait() {
    let mut room = Room { expects_others: false, ..Room::new(100) };
    assert_eq!(room.placed(newcomer(1)).starts_in_ms, 0);
}

#[test]
fn a_latecomer_begins_a_wave_of_its_own_or_waits() {
    let mut room = Room::new(100);
    let first = room.placed(newcomer(1));
    room.roster.begins_fed(&packed(), first.place.wave, 0, 100, room.now);
    room.roster.reached(&packed(), first.place.wave, 8, room.now);
    assert_eq!(room.placed(newcomer(2)).place.wave, first.place.wave, "the first chunk is still there");
    room.now += Duration::from_secs(11);
    room.roster.reached(&packed(), first.place.wave, 50, room.now);
    let JoinOutcome::Wait { in_time } = room.join(newcomer(3), false) else { panic!() };
    assert_eq!(in_time.unwrap().as_secs(), 10, "at the pace of the head");
    let own = room.placed(newcomer(3));
    assert_eq!(own.starts_in_ms, 1000, "others may come late too");
    assert_eq!((own.place.position, own.relays.len()), (0, 0));
    assert_ne!(own.place.wave, first.place.wave);
    let with_it = room.placed(newcomer(4));
    assert_eq!(with_it.place, Place { position: 1, ..own.place }, "the newest wave is joined");
    room.roster.is_over(&packed(), own.place.wave);
    room.roster.is_over(&packed(), first.place.wave);
    let JoinOutcome::Placed(next) = room.join(newcomer(5), false) else { panic!("nothing is under way") };
    assert_eq!(next.place.position, 0);
}

#[test]
fn a_receiver_that_relays_nothing_stands_last() {
    let mut room = Room::new(100);
    room.placed(newcomer(1));
    let tail = room.placed(Newcomer { relay_port: None, ..newcomer(2) });
    assert_eq!(positions(&tail), [0]);
    let third = room.placed(newcomer(3));
    assert_eq!(positions(&third), [0]);
    assert_eq!(
        third.relays[0].instead_of,
        Some(peer(2)),
        "it takes the place of the one that relays nothing"
    );
    let again = room.placed(Newcomer { relay_port: None, ..newcomer(2) });
    assert_eq!(positions(&again), [2, 0], "which then follows it");
    assert_eq!(again.relays[0].instead_of, None);
}

#[test]
fn no_receiver_is_given_a_relay_behind_itself() {
    let mut room = Room::new(100);
    for number in 1..5 {
        room.placed(newcomer(number));
    }
    let moved = room.placed(newcomer(2));
    assert_eq!(
        (moved.place.position, positions(&moved)),
        (4, vec![3, 2, 0]),
        "its old place is not given again"
    );
    assert!(moved.relays.iter().all(|relay| relay.position < moved.place.position));
}

#[test]
fn a_relay_that_cannot_be_reached_is_not_given_again() {
    let mut room = Room::new(100);
    let place = room.placed(newcomer(1)).place;
    room.placed(newcomer(2));
    room.placed(newcomer(3));
    room.roster.cannot_reach(place.wave, peer(2), peer(3));
    assert_eq!(positions(&room.placed(newcomer(4))), [2, 0]);
    room.roster.cannot_reach(place.wave, peer(3), peer(1));
    room.roster.cannot_reach(place.wave, peer(3), peer(9));
    assert_eq!(positions(&room.placed(newcomer(5))), [3, 2, 0], "only receivers behind it can say so");
}

/// Its head may have turned to another source, or all of it may be gone.
#[test]
fn a_wave_that_is_not_fed_for_a_while_is_not_waited_for() {
    let mut room = Room::new(100);
    let first = room.placed(newcomer(1));
    room.roster.begins_fed(&packed(), first.place.wave, 0, 100, room.now);
    room.now += Duration::from_mins(1);
    room.roster.reached(&packed(), first.place.wave, 50, room.now);
    assert!(matches!(room.join(newcomer(2), false), JoinOutcome::Wait { .. }));
    room.roster.ends_fed(&packed(), first.place.wave, room.now);
    assert!(matches!(room.join(newcomer(2), false), JoinOutcome::Wait { .. }), "the next one may take over");
    room.now += limits::WAVE_UNFED;
    let JoinOutcome::Placed(next) = room.join(newcomer(2), false) else { panic!() };
    assert_ne!(next.place.wave, first.place.wave);
}

#[test]
fn what_was_silent_for_long_is_forgotten() {
    let mut room = Room::new(100);
    let first = room.placed(newcomer(1));
    room.now += limits::WAVE_MEMORY;
    let second = room.placed(newcomer(2));
    assert_ne!(first.place.wave, second.place.wave);
    assert_eq!(room.roster.under_way().len(), 1);
}

#[test]
fn people_see_how_many_receivers_a_wave_has_and_how_far_its_head_is() {
    let mut room = Room::new(100);
    let first = room.placed(newcomer(1));
    room.placed(newcomer(2));
    room.roster.reached(&packed(), first.place.wave, 7, room.now);
    let PackedGame { game, version, .. } = packed();
    let wave = WaveStatus { game, version, receivers: 2, chunk: 7, chunks: 100 };
    assert_eq!(room.roster.under_way(), [wave]);
    room.roster.is_over(&packed(), first.place.wave);
    assert_eq!(room.roster.under_way(), []);
}

/// The second wave is sent little while the first one is under way, so its own pace tells nothing.
#[test]
fn one_that_waits_is_told_when_the_first_of_the_waves_under_way_may_end() {
    let mut room = Room::new(100);
    for (number, reached) in [(1, 50), (2, 9)] {
        let wave = room.placed(newcomer(number)).place.wave;
        room.roster.begins_fed(&packed(), wave, 0, 100, room.now);
        room.now += Duration::from_secs(11);
        room.roster.reached(&packed(), wave, reached, room.now);
    }
    let wait = room.join(newcomer(3), false);
    // The first one had half of it, eleven seconds and those of the second one after a second in which it gathered.
    assert_eq!(wait, JoinOutcome::Wait { in_time: Some(Duration::from_secs(21)) });
}

/// Its source is gone, and its head has turned to this one.
#[test]
fn a_wave_that_another_source_formed_is_waited_for_if_there_is_no_room() {
    let mut room = Room::new(100);
    room.roster.begins_fed(&packed(), 7, 40, 100, room.now);
    room.now += Duration::from_secs(10);
    room.roster.reached(&packed(), 7, 60, room.now);
    let wait = room.join(newcomer(1), false);
    assert_eq!(wait, JoinOutcome::Wait { in_time: Some(Duration::from_secs(20)) });
    let placed = room.placed(newcomer(1));
    assert_eq!((placed.place.position, placed.relays.len()), (0, 0), "with room it begins one of its own");
    assert_ne!(placed.place.wave, 7);
}

/// How far a receiver is, is a claim.
#[test]
fn a_receiver_that_says_it_wants_what_is_not_there_does_not_break_its_wave() {
    let mut room = Room::new(100);
    room.roster.begins_fed(&packed(), 7, u64::MAX, 100, room.now);
    assert!(matches!(room.join(newcomer(1), false), JoinOutcome::Wait { .. }));
    room.roster.reached(&packed(), 7, 3, room.now);
    assert_eq!(room.placed(newcomer(1)).place.position, 0);
}
