//! Whole rooms in one process: sources, relays and receivers that run the real loops over pipes, by one clock that stands
//! still while one of them works. Everything that happens follows from one number, the seed, so a failure can be replayed:
//!
//! ```sh
//! LANSPREAD_ROOM_SEED=17 cargo test -p lanspread-peer --lib rooms_with_faults -- --nocapture
//! ```
//!
//! What must hold in every room ([`play::run`]): every honest receiver ends with the right bytes, or says why not
//! if no honest source was left; nothing unproved is decoded or passed on; windows stay within their bounds; followers
//! form no circle; every task ends.

mod faults;
mod gate;
mod late;
mod neighbours;
mod pipes;
mod play;
mod queues;
mod room;
mod world;

use std::time::Duration;

use faults::{Fault, FaultKind};
use play::Outcome;
use room::{Room, Seat};

/// Runs a room by a clock of its own.
fn run(room: Room) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(play::run(room))
}

fn seconds(outcome: &Outcome) -> f64 {
    outcome.took.as_secs_f64()
}

/// Rooms per run of this test: they take less than a minute in a debug build on two cores.
const ROOMS: u64 = 2000;

/// Sources, relays and receivers are killed, paused, slowed, cut off, late, lying or leaving at random moments.
#[test]
fn rooms_with_faults() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let seeds = match number("LANSPREAD_ROOM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LANSPREAD_ROOMS").unwrap_or(ROOMS),
    };
    // A runtime of its own for each room, so rooms can run side by side.
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    let room = Room::random(seed);
                    let told = format!("LANSPREAD_ROOM_SEED={seed}: {room:?}");
                    let outcome = std::panic::catch_unwind(|| run(room));
                    let problems = match outcome {
                        Ok(outcome) => outcome.problems,
                        Err(_) => vec!["it panicked".to_owned()],
                    };
                    assert!(problems.is_empty(), "{told}\n{}", problems.join("\n"));
                }
            });
        }
    });
}

/// The same seed is the same room and the same course of events.
#[test]
fn a_room_can_be_replayed() {
    for seed in [3, 17, 99] {
        let (first, second) = (run(Room::random(seed)), run(Room::random(seed)));
        assert_eq!(first.took, second.took);
        assert_eq!(first.story, second.story);
    }
}

/// A chain of `count` receivers that come together.
fn chain(count: usize, chunks: u64) -> Room {
    Room { seats: vec![Seat::default(); count], chunks, ..Room::default() }
}

/// A room of which the source hears gathers for up to a second, so the game is large enough for that to be little.
#[test]
fn a_room_takes_the_time_of_one_machine() {
    let alone = run(chain(1, 2000));
    assert_eq!(alone.problems, [] as [String; 0]);
    for (count, most) in [(8, 1.05), (16, 1.12)] {
        let room = run(chain(count, 2000));
        assert_eq!(room.problems, [] as [String; 0]);
        let ratio = seconds(&room) / seconds(&alone);
        assert!(ratio <= most, "{count} receivers: {ratio:.3}");
        assert!(room.sent_by_sources <= 2005, "{} chunks from the source", room.sent_by_sources);
    }
}

/// The last of 200 receivers of a game of 600 MB: each hop adds the time of a chunk.
#[test]
fn a_room_of_200_takes_one_and_a_half_times_as_long_as_one_machine() {
    large_room(200, 600, 1.5);
}

/// The same for 1,000 receivers of 1 GB.
#[test]
#[ignore = "it takes minutes: a million chunks; with --release, and --nocapture for the number"]
fn a_room_of_1000() {
    large_room(1000, 1000, 3.5);
}

fn large_room(count: usize, chunks: u64, most: f64) {
    let alone = seconds(&run(chain(1, chunks)));
    let room = run(chain(count, chunks));
    assert_eq!(room.problems, [] as [String; 0]);
    let ratio = seconds(&room) / alone;
    println!("{count} receivers: {ratio:.3} times one, {} chunks from the source", room.sent_by_sources);
    assert!(ratio <= most, "{count} receivers: {ratio:.3}");
}

/// What a relay may cost when it dies in the middle of a chain of eight: two seconds if that is heard, five more if not.
#[test]
fn a_dying_relay_costs_the_idle_limit_at_most() {
    let alone = seconds(&run(chain(8, 500)));
    for (kind, most) in [(FaultKind::Kill, 2.0), (FaultKind::Cut, 5.0)] {
        let mut room = chain(8, 500);
        room.faults.push(Fault { at: Duration::from_secs(4), node: room.sources.len() + 3, kind });
        let outcome = run(room);
        assert_eq!(outcome.problems, [] as [String; 0]);
        let more = seconds(&outcome) - alone;
        assert!(more <= most, "{kind:?}: {more:.2} s more");
        assert!(outcome.chunks_twice <= 8, "{} chunks twice", outcome.chunks_twice);
    }
}

/// A source or a relay that lies costs the others what it owed, and the time until the next one answers. A relay that lies is a
/// receiver too, and loses its place: the source has room for its stream, and learns that after a while.
#[test]
fn a_liar_costs_a_twelfth_of_the_time_at_most() {
    let with_a_liar = |room: Room, node| Room {
        faults: vec![Fault { at: Duration::from_secs(2), node, kind: FaultKind::Lie }],
        ..room
    };
    let relayed = Room { sources: vec![4], ..chain(3, 2000) };
    let two_sources = Room { sources: vec![9, 9], ..chain(1, 2000) };
    for (what, room, alone, seat) in [
        ("relay", with_a_liar(relayed.clone(), 2), relayed, Some(1)),
        ("source", with_a_liar(two_sources, 0), chain(1, 2000), None),
    ] {
        let (lied, alone) = (run(room), run(alone));
        assert_eq!(lied.problems, [] as [String; 0]);
        assert!(lied.story.iter().any(|line| line.contains("is not as listed")), "{what}: {:?}", lied.story);
        let others = seat.map_or(lied.took, |seat| lied.others_took(seat)).as_secs_f64();
        let (ratio, of_all) = (others / seconds(&alone), seconds(&lied) / seconds(&alone));
        assert!(ratio <= 1.08 && of_all <= 1.1, "{what}: {ratio:.3}, with itself {of_all:.3}");
    }
}

/// The only source that has answered lies; the other one answers in the middle of the stream.
#[test]
fn a_source_that_answers_late_takes_over_from_a_liar() {
    let late_source = Some((1, Duration::from_secs(6)));
    let faults = vec![Fault { at: Duration::from_secs(2), node: 0, kind: FaultKind::Lie }];
    let outcome = run(Room { sources: vec![9, 9], late_source, faults, ..chain(2, 2000) });
    assert_eq!(outcome.problems, [] as [String; 0]);
    assert!(outcome.took > Duration::from_secs(6) && outcome.took < Duration::from_secs(24), "{outcome:?}");
}

/// Its follower asks the source beside it, and leaves it when the source has what the relay lacks.
#[test]
fn a_relay_that_is_only_alive_costs_seconds() {
    let alone = seconds(&run(chain(8, 500)));
    let mut room = chain(8, 500);
    let (at, node) = (Duration::ZERO, room.sources.len() + 3);
    room.faults.push(Fault { at, node, kind: FaultKind::LieAlive });
    let outcome = run(room);
    assert_eq!(outcome.problems, [] as [String; 0]);
    let more = seconds(&outcome) - alone;
    assert!(more <= 8.0, "{more:.2} s more");
}

/// One machine decodes at half the pace of the others, and is cut off. If the source can send two streams, that costs the
/// others a tenth at most, and if it can send one, a quarter: the one that is cut off gets what they leave.
#[test]
fn a_slow_machine_does_not_slow_the_others() {
    // Links carry a little more than decoders take, so that it is the decoder that is slow.
    let room = |uplink_ms, slow_ms| {
        let mut room = Room { sources: vec![uplink_ms], window: 32, ..chain(5, 5000) };
        room.seats.iter_mut().for_each(|seat| seat.decode_ms = 10);
        room.seats[2].decode_ms = slow_ms;
        room
    };
    let alone = seconds(&run(room(10, 10)));
    for (uplink_ms, most) in [(5, 1.1), (10, 1.25)] {
        let outcome = run(room(uplink_ms, 20));
        assert_eq!(outcome.problems, [] as [String; 0]);
        let (others, itself) = (outcome.others_took(2).as_secs_f64() / alone, seconds(&outcome) / alone);
        println!("uplink {uplink_ms} ms: the others {others:.3}, itself {itself:.3} times {alone:.1} s");
        assert!(others <= most, "uplink {uplink_ms} ms: {others:.3}");
        // Its own pace takes twice as long, and it waits for the others at most once.
        assert!(itself <= 3.1, "uplink {uplink_ms} ms: itself {itself:.3}");
    }
}

/// The head could have everything in half of the time. It waits for its follower, so that the source need not send again what
/// the follower did not get in time.
#[test]
fn a_source_with_a_wide_uplink_sends_the_game_once() {
    let mut room = Room { sources: vec![4], window: 32, ..chain(5, 5000) };
    room.seats.iter_mut().for_each(|seat| seat.decode_ms = 3);
    let outcome = run(room);
    assert_eq!(outcome.problems, [] as [String; 0]);
    let alone = seconds(&run(chain(1, 5000)));
    assert!(outcome.sent_by_sources <= 5250, "{} chunks from the source", outcome.sent_by_sources);
    assert!(seconds(&outcome) <= 1.05 * alone, "{:.1} s against {alone:.1} s", seconds(&outcome));
}

/// One machine takes its chunks from the network at half the pace of the others, so its window is empty. It is still known
/// that it is what is slow.
#[test]
fn a_machine_that_receives_slowly_does_not_slow_the_others() {
    let room = |uplink_ms, take_ms| {
        let mut room = Room { sources: vec![uplink_ms], window: 32, ..chain(5, 5000) };
        room.seats.iter_mut().for_each(|seat| seat.decode_ms = 3);
        room.seats[2].take_ms = take_ms;
        room
    };
    let alone = seconds(&run(room(9, 0)));
    for (uplink_ms, most) in [(5, 1.1), (9, 1.25)] {
        let outcome = run(room(uplink_ms, 18));
        assert_eq!(outcome.problems, [] as [String; 0]);
        let others = outcome.others_took(2).as_secs_f64() / alone;
        println!("uplink {uplink_ms} ms: the others {others:.3} times {alone:.1} s");
        assert!(others <= most, "uplink {uplink_ms} ms: {others:.3}");
    }
}

/// What is slow there is the link, and another upstream would be no better. A decoder that is fast waits for it as long.
#[test]
fn a_relay_behind_a_slow_link_is_not_called_slow() {
    let mut room = Room { window: 32, ..chain(5, 1000) };
    room.seats.iter_mut().for_each(|seat| seat.decode_ms = 3);
    room.seats[1].uplink_ms = 18;
    let outcome = run(room);
    assert_eq!(outcome.problems, [] as [String; 0]);
    let left: Vec<_> = outcome.story.iter().filter(|line| line.contains("slow")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The fourth is a little too slow, so that all that follow it are, and those ahead of it are held up now and then.
#[test]
fn each_receiver_hears_how_many_there_are_and_which_one_ahead_is_the_slowest() {
    let mut room = Room { window: 32, ..chain(6, 3000) };
    room.seats[3].decode_ms = 12;
    let outcome = run(room);
    assert_eq!(outcome.problems, [] as [String; 0]);
    // Node 0 is the source. Each saw what was ahead of it, shortly before its relay had everything.
    let heard: Vec<_> = outcome.heard.iter().map(|(places, slowest)| (*places, slowest.as_str())).collect();
    let of_receivers = ["", "node-1", "node-1", "node-1", "node-4", "node-4"].map(|slowest| (6, slowest));
    assert_eq!(heard, of_receivers);
}

/// A source that can send two streams sends a second wave beside the first one: that takes the time of one machine and a
/// second, and costs the others a twentieth at most.
#[test]
fn a_late_machine_has_a_wave_of_its_own_if_there_is_room() {
    let mut room = Room { sources: vec![5], window: 32, ..chain(4, 3000) };
    room.seats.iter_mut().for_each(|seat| seat.decode_ms = 10);
    let alone = run(room.clone()).took;
    let late = Duration::from_secs(10);
    room.seats.push(Seat { joins_at: late, ..room.seats[0].clone() });
    let outcome = run(room);
    assert_eq!(outcome.problems, [] as [String; 0]);
    let (others, itself) = (outcome.others_took(4), outcome.ended_at[4].unwrap().saturating_sub(late));
    println!("the others {others:.1?}, itself {itself:.1?}, without it {alone:.1?}");
    assert!(others <= alone.mul_f64(1.05), "{others:.1?} against {alone:.1?}");
    assert!(itself <= alone + Duration::from_secs(1), "{itself:.1?} against {alone:.1?}");
}
