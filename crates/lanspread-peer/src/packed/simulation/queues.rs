//! Sources and relays that say for ever that they have no place.

use std::time::Duration;

use super::faults::{Fault, FaultKind};
use super::room::Room;
use super::{chain, run, seconds};

fn without_a_place(room: Room, nodes: &[usize]) -> Room {
    let fault = |node: &usize| Fault { at: Duration::ZERO, node: *node, kind: FaultKind::LieQueued };
    Room { faults: nodes.iter().map(fault).collect(), ..room }
}

/// As many of them as a receiver uses at once, and more.
#[test]
fn sources_that_have_no_place_for_ever_keep_no_receiver_from_another_one() {
    let alone = seconds(&run(chain(1, 500)));
    let room = Room { sources: vec![9; 6], ..chain(1, 500) };
    let outcome = run(without_a_place(room, &[0, 1, 2, 3, 4]));
    assert_eq!(outcome.problems, [] as [String; 0]);
    let more = seconds(&outcome) - alone;
    assert!(more <= 1.0, "{more:.2} s more");
}

#[test]
fn relays_that_have_no_place_for_ever_keep_no_receiver_from_another_one() {
    let alone = seconds(&run(chain(4, 500)));
    let outcome = run(without_a_place(chain(4, 500), &[1, 2]));
    assert_eq!(outcome.problems, [] as [String; 0]);
    // The source feeds all but one of them.
    let ratio = seconds(&outcome) / alone;
    println!("{ratio:.2} times {alone:.1} s");
    assert!(ratio <= 3.1, "{ratio:.2}");
}
