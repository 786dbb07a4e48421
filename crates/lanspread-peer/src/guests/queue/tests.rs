use proptest::prelude::*;

use super::*;

fn guest(last: u8) -> Guest {
    Guest::at(IpAddr::from([10, 0, 0, last]))
}

fn queue(total: usize, per_guest: usize) -> PlaceQueue {
    PlaceQueue::new(QueueBounds { total, per_guest })
}

/// Joins from these addresses; each gets the number of its arrival as its ticket.
fn joined(total: usize, per_guest: usize, guests: &[u8]) -> PlaceQueue {
    let mut queue = queue(total, per_guest);
    for last in guests {
        assert!(matches!(queue.join(guest(*last)), Joined::Waits(_)), "{last}");
    }
    queue
}

fn tickets(queue: &PlaceQueue) -> Vec<Ticket> {
    queue.order().into_iter().map(|(ticket, _)| ticket).collect()
}

#[test]
fn networks_take_turns_and_within_one_the_first_is_first() {
    for (guests, order) in [
        (&[][..], &[][..]),
        (&[1, 1, 1], &[0, 1, 2]),
        (&[1, 2, 3], &[0, 1, 2]),
        (&[1, 1, 1, 2], &[0, 3, 1, 2]),
        (&[1, 1, 1, 2, 2, 3], &[0, 3, 5, 1, 4, 2]),
    ] {
        let queue = joined(100, 100, guests);
        assert_eq!(tickets(&queue), order, "{guests:?}");
        for (ahead, ticket) in order.iter().enumerate() {
            assert_eq!(queue.ahead(*ticket), Some(ahead));
        }
    }
}

/// A guest that comes back after each turn waits for all that were there before.
#[test]
fn one_that_comes_again_joins_the_next_round() {
    let mut queue = joined(100, 100, &[1, 2, 3]);
    queue.has_turn(0);
    assert_eq!(queue.join(guest(1)), Joined::Waits(3));
    assert_eq!(tickets(&queue), [1, 2, 3]);
    queue.has_turn(1);
    queue.has_turn(2);
    queue.join(guest(4));
    assert_eq!(tickets(&queue), [3, 4]);
}

#[test]
fn one_that_leaves_moves_the_others_up() {
    let mut queue = joined(100, 100, &[1, 1, 2, 2]);
    assert_eq!(tickets(&queue), [0, 2, 1, 3]);
    queue.remove(0);
    assert_eq!(tickets(&queue), [1, 2, 3]);
    queue.remove(2);
    queue.remove(7);
    assert_eq!((tickets(&queue), queue.ahead(2)), (vec![1, 3], None));
}

/// A crowd fills its part of the queue, and not the rest of it. A full queue makes room for one that waits less.
#[test]
fn the_queue_is_bounded_and_a_crowd_makes_room() {
    let mut queue = joined(5, 3, &[1, 1, 1, 2]);
    assert_eq!(queue.join(guest(1)), Joined::Full, "it has its part");
    assert_eq!(queue.join(guest(3)), Joined::Waits(4));
    assert_eq!(queue.join(guest(4)), Joined::InsteadOf { ticket: 5, displaced: 2 }, "the last of the crowd");
    assert_eq!(queue.join(guest(4)), Joined::Full, "no guest has two more than it");
    assert_eq!(queue.len(), 5);
}

#[test]
fn a_turn_is_estimated_from_what_runs() {
    let seconds = Duration::from_secs;
    let progress = |taken, left: Option<u64>| Progress { taken: seconds(taken), left: left.map(seconds) };
    let two = [progress(10, Some(30)), progress(20, Some(20))];
    for (ahead, places, running, expected) in [
        (0, 2, &two[..], Some(20)),
        (1, 2, &two, Some(30)),
        (2, 2, &two, Some(60)),
        (3, 2, &two, Some(70)),
        (5, 2, &two, Some(110)),
        (0, 2, &[progress(1, Some(30)), progress(1, None)], Some(30)),
        (1, 2, &[progress(1, Some(30)), progress(1, None)], None),
        (0, 1, &[progress(1, None)], None),
        (0, 3, &two, None),
        (0, 0, &[], None),
    ] {
        assert_eq!(estimate(ahead, places, running), expected.map(seconds), "{ahead} of {places}");
    }
    assert!(estimate(usize::MAX, 1, &[progress(u64::from(u32::MAX), Some(1))]).is_some(), "no overflow");
}

#[derive(Debug, Clone)]
enum Step {
    Join(u8),
    Leave(usize),
    Turn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..6_u8).prop_map(Step::Join),
        1 => any::<usize>().prop_map(Step::Leave),
        2 => Just(Step::Turn),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever comes and goes: the bounds hold, none waits twice, who came first of a network is before the others of
    /// it, and between two turns of one network each other one that waits all the time has at most two.
    #[test]
    fn turns_are_fair(steps in steps()) {
        let bounds = QueueBounds { total: 12, per_guest: 4 };
        let mut queue = PlaceQueue::new(bounds);
        let mut overtaken: BTreeMap<IpAddr, BTreeMap<IpAddr, usize>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Join(last) => {
                    let before = queue.len();
                    match queue.join(guest(last)) {
                        Joined::Waits(_) => prop_assert_eq!(queue.len(), before + 1),
                        Joined::InsteadOf { displaced, .. } => {
                            prop_assert!(before == bounds.total && queue.len() == before);
                            prop_assert_eq!(queue.ahead(displaced), None);
                        }
                        Joined::Full => prop_assert_eq!(queue.len(), before),
                    }
                }
                Step::Leave(which) => {
                    let order = tickets(&queue);
                    if !order.is_empty() {
                        queue.remove(order[which % order.len()]);
                    }
                }
                Step::Turn => {
                    let Some(&(ticket, served)) = queue.order().first() else { continue };
                    let after: Vec<_> = tickets(&queue).split_off(1);
                    queue.has_turn(ticket);
                    prop_assert_eq!(tickets(&queue), after, "the order that was announced is the order");
                    overtaken.remove(&served.network);
                    for (network, by) in &mut overtaken {
                        let turns = by.entry(served.network).or_default();
                        *turns += 1;
                        prop_assert!(*turns <= 2, "{} waits for {}", network, served.network);
                    }
                }
            }
            prop_assert!(queue.len() <= bounds.total);
            overtaken.retain(|network, _| queue.networks.contains_key(network));
            for (network, waiting) in &queue.networks {
                overtaken.entry(*network).or_default();
                prop_assert!(waiting.waiting.len() <= bounds.per_guest && !waiting.waiting.is_empty());
                let order = queue.order();
                let theirs = order.iter().filter(|(_, guest)| guest.network == *network);
                prop_assert!(theirs.map(|(ticket, _)| ticket).is_sorted());
            }
        }
    }
}
