//! Receivers that come when a wave is under way.

use std::time::Duration;

use super::play::Outcome;
use super::room::{Room, Seat};
use super::{chain, run};

const LATE: Duration = Duration::from_secs(10);

/// Four receivers, all links of which carry a chunk in 10 ms in both directions, and a source.
fn room(source_ms: u64) -> Room {
    let mut room = Room { sources: vec![source_ms], window: 32, ..chain(4, 3000) };
    for seat in &mut room.seats {
        (seat.uplink_ms, seat.downlink_ms, seat.decode_ms) = (10, 10, 5);
    }
    room
}

/// The same with more receivers that come late, one after the other.
fn with_late(room: &Room, count: u32) -> Room {
    let late = |number| Seat { joins_at: LATE + Duration::from_secs(1) * number, ..room.seats[0].clone() };
    let seats = room.seats.iter().cloned().chain((0..count).map(late));
    Room { seats: seats.collect(), ..room.clone() }
}

/// When the last receiver of a range was done.
fn took(outcome: &Outcome, seats: std::ops::Range<usize>) -> Duration {
    assert_eq!(outcome.problems, [] as [String; 0]);
    outcome.ended_at[seats].iter().map(|at| at.unwrap()).max().unwrap()
}

/// The source sends to the wave under way as fast as that one's link carries, and could send twice as much.
#[test]
fn a_late_machine_does_not_wait_if_only_the_links_of_the_others_are_full() {
    let room = room(5);
    let alone = took(&run(room.clone()), 0..4);
    let outcome = run(with_late(&room, 1));
    let (others, itself) = (took(&outcome, 0..4), took(&outcome, 4..5).saturating_sub(LATE));
    println!("the others {others:.1?}, itself {itself:.1?}, without it {alone:.1?}");
    assert!(others <= alone.mul_f64(1.05), "{others:.1?} against {alone:.1?}");
    assert!(itself <= alone + Duration::from_secs(1), "{itself:.1?} against {alone:.1?}");
}

/// What a late machine costs the wave under way if the uplink of the source is full, whether links of receivers are or not.
/// Further late ones are of its wave.
#[test]
fn late_machines_cost_a_full_uplink_a_twentieth_at_most() {
    for (downlink_ms, late) in [(10, 1), (0, 1), (10, 3), (0, 3)] {
        let mut room = room(10);
        room.seats.iter_mut().for_each(|seat| seat.downlink_ms = downlink_ms);
        let alone = took(&run(room.clone()), 0..4);
        let outcome = run(with_late(&room, late));
        let (others, last) = (took(&outcome, 0..4), took(&outcome, 4..outcome.ended_at.len()));
        let sent = outcome.sent_by_sources;
        println!("{late} late: the others {others:.1?}, all {last:.1?}, without {alone:.1?}, {sent} chunks");
        assert!(others <= alone.mul_f64(1.05), "{others:.1?} against {alone:.1?}");
        assert!(last <= alone.mul_f64(2.05), "{last:.1?} against {alone:.1?}");
        assert!(sent <= 2 * room.chunks + 50, "{sent} chunks were sent, so late ones are of one wave");
    }
}

/// On slow links, a wave that waits for another one is sent a chunk so rarely that its receivers could doubt their relays.
#[test]
fn late_machines_stay_a_chain_while_they_wait() {
    let mut room = Room { chunks: 300, ..room(200) };
    for seat in &mut room.seats {
        (seat.uplink_ms, seat.downlink_ms) = (200, 200);
    }
    let alone = took(&run(room.clone()), 0..4);
    let outcome = run(with_late(&room, 3));
    let others = took(&outcome, 0..4);
    let sent = outcome.sent_by_sources;
    println!("the others {others:.1?}, all {:.1?}, without {alone:.1?}, {sent} chunks", outcome.took);
    assert!(sent <= 2 * room.chunks + 50, "{sent} chunks were sent");
}
