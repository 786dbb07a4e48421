use std::time::Duration;

use lanspread_types::ids::PeerId;
use proptest::prelude::*;

use super::*;

fn key() -> PeerKey {
    PeerKey { id: PeerId::random().unwrap(), instance: 1 }
}

fn at(last: u8, port: u16) -> Vec<SocketAddr> {
    vec![([10, 0, 0, last], port).into()]
}

fn hear(table: &mut NeighbourTable, last: u8, how: HowKnown, now: Instant) -> (PeerKey, NeighbourPlace) {
    let key = key();
    (key, table.hear(key, at(last, 4107), how, now))
}

fn answered(table: &mut NeighbourTable, key: PeerKey, now: Instant) {
    if let Some(from) = table.addresses(key).first().copied() {
        table.answered(key, from, now);
    }
}

fn is_new(place: &NeighbourPlace) -> bool {
    matches!(place, NeighbourPlace::New { .. })
}

/// Fills the table with peers that answer: as many from each of these addresses as one may have.
fn fill(table: &mut NeighbourTable, begin: Instant) -> Vec<PeerKey> {
    let mut all = Vec::new();
    for index in 0..limits::NEIGHBOURS_MAX {
        let last = u8::try_from(index / limits::NEIGHBOURS_PER_ADDRESS_MAX).unwrap();
        let now = begin + Duration::from_secs(index as u64);
        let (key, place) = hear(table, last, HowKnown::Connected, now);
        assert!(is_new(&place), "{index}");
        answered(table, key, now);
        all.push(key);
    }
    all
}

/// A hundred hellos with made-up identities: they take no more than the share of their address, and a peer from
/// elsewhere still gets a place.
#[test]
fn one_address_cannot_fill_the_table() {
    let (mut table, now) = (NeighbourTable::default(), Instant::now());
    for _ in 0..1000 {
        hear(&mut table, 66, HowKnown::Connected, now);
    }
    assert_eq!(table.peers.len(), limits::NEIGHBOURS_PER_ADDRESS_MAX);
    let (_, place) = hear(&mut table, 7, HowKnown::Connected, now);
    assert!(matches!(place, NeighbourPlace::New { instead_of: None, .. }));
}

/// The share of an address is for peers that answer: one that never answered gives its place, one that answers does
/// not.
#[test]
fn within_one_address_only_a_peer_that_never_answered_gives_its_place() {
    let (mut table, now) = (NeighbourTable::default(), Instant::now());
    let mut keys = Vec::new();
    for second in 0..limits::NEIGHBOURS_PER_ADDRESS_MAX as u64 {
        keys.push(hear(&mut table, 1, HowKnown::Discovered, now + Duration::from_secs(second)).0);
    }
    for key in &keys[2..] {
        answered(&mut table, *key, now);
    }
    let later = now + Duration::from_mins(1);
    let NeighbourPlace::New { instead_of, .. } = hear(&mut table, 1, HowKnown::Discovered, later).1 else {
        panic!()
    };
    assert_eq!(instead_of, Some(keys[0]), "the one heard of first");
    let second = hear(&mut table, 1, HowKnown::Discovered, later).1;
    assert!(matches!(second, NeighbourPlace::New { instead_of: Some(key), .. } if key == keys[1]));
    for key in table.peers.keys().copied().collect::<Vec<_>>() {
        answered(&mut table, key, later);
    }
    assert!(matches!(hear(&mut table, 1, HowKnown::Discovered, later).1, NeighbourPlace::None));
}

#[test]
fn in_a_full_table_a_hint_that_never_answered_goes_first() {
    let (mut table, now) = (NeighbourTable::default(), Instant::now());
    for index in 0..limits::NEIGHBOURS_MAX {
        let last = u8::try_from(index).unwrap();
        let how = if index == 5 { HowKnown::Discovered } else { HowKnown::Connected };
        let (key, place) = hear(&mut table, last, how, now + Duration::from_secs(index as u64));
        assert!(is_new(&place));
        if index >= 10 {
            answered(&mut table, key, now);
        }
    }
    let later = now + Duration::from_hours(1);
    let mut gone = Vec::new();
    for last in 200..=210u8 {
        let (key, place) = hear(&mut table, last, HowKnown::Connected, later);
        match place {
            NeighbourPlace::New { instead_of: Some(instead_of), .. } => gone.push(instead_of),
            NeighbourPlace::None => assert_eq!(last, 210, "every place is now held by a peer that answers"),
            other => panic!("{other:?}"),
        }
        answered(&mut table, key, later);
        assert_eq!(table.peers.len(), limits::NEIGHBOURS_MAX);
    }
    assert_eq!(gone.len(), 10);
}

#[test]
fn an_announced_hint_goes_before_a_visitor() {
    let (mut table, now) = (NeighbourTable::default(), Instant::now());
    let (visitor, _) = hear(&mut table, 1, HowKnown::Connected, now);
    let (announced, _) = hear(&mut table, 2, HowKnown::Discovered, now + Duration::from_secs(1));
    assert_eq!(table.first_to_go(|_| true), Some(announced));
    answered(&mut table, announced, now + Duration::from_secs(2));
    assert_eq!(table.first_to_go(|_| true), Some(visitor));
}

/// If every place is held by a peer that answers, the address with the most places gives one: of the peer that has
/// been silent the longest.
#[test]
fn a_newcomer_takes_the_place_of_what_is_idle_longest_at_the_most_crowded_address() {
    let (mut table, begin) = (NeighbourTable::default(), Instant::now());
    let all = fill(&mut table, begin);
    let later = begin + Duration::from_hours(1);
    for key in &all {
        if *key != all[40] {
            answered(&mut table, *key, later);
        }
    }
    let ended = table.peers[&all[40]].handle.ended.clone();
    let (newcomer, place) = hear(&mut table, 200, HowKnown::Connected, later);
    assert!(
        matches!(place, NeighbourPlace::New { instead_of: Some(key), .. } if key == all[40]),
        "{place:?}"
    );
    assert!(ended.is_cancelled(), "its task is told");
    assert_eq!(table.peers.len(), limits::NEIGHBOURS_MAX);
    answered(&mut table, newcomer, later);
    // The newcomer's address has one place: no crowded address can take it.
    for _ in 0..200 {
        let (_, place) = hear(&mut table, 3, HowKnown::Connected, later);
        assert!(!matches!(place, NeighbourPlace::New { instead_of: Some(key), .. } if key == newcomer));
    }
}

/// With one place for each of many addresses, no peer is pushed out, so that they do not take turns.
#[test]
fn a_table_of_answering_peers_from_different_machines_stays_as_it_is() {
    let (mut table, now) = (NeighbourTable::default(), Instant::now());
    for index in 0..limits::NEIGHBOURS_MAX {
        let (key, _) = hear(&mut table, u8::try_from(index).unwrap(), HowKnown::Discovered, now);
        answered(&mut table, key, now);
    }
    let later = now + Duration::from_mins(1);
    assert!(matches!(hear(&mut table, 200, HowKnown::Discovered, later).1, NeighbourPlace::None));
    assert!(matches!(hear(&mut table, 5, HowKnown::Discovered, later).1, NeighbourPlace::None));
}

/// A peer that never answered is forgotten in minutes, one that answered is kept as long as its announcement is.
#[test]
fn a_hint_that_never_answers_is_forgotten_in_minutes() {
    let (mut table, now) = (NeighbourTable::default(), Instant::now());
    let (silent, _) = hear(&mut table, 1, HowKnown::Discovered, now);
    let nearly = now + limits::HINT_UNANSWERED_EXPIRY - Duration::from_secs(1);
    assert!(!table.is_forgotten(silent, nearly) && table.never_answered(silent));
    assert!(table.is_forgotten(silent, now + limits::HINT_UNANSWERED_EXPIRY));
    // Hearing of it again and again does not keep it.
    table.hear(silent, at(1, 4107), HowKnown::Discovered, nearly);
    assert!(table.is_forgotten(silent, now + limits::HINT_UNANSWERED_EXPIRY));
    answered(&mut table, silent, nearly);
    assert!(!table.never_answered(silent));
    assert!(!table.is_forgotten(silent, now + Duration::from_mins(70)));
    assert!(table.is_forgotten(silent, nearly + limits::HINT_EXPIRY));
    answered(&mut table, silent, now + Duration::from_mins(70));
    assert!(!table.is_forgotten(silent, nearly + limits::HINT_EXPIRY), "answering counts like hearing of it");
    assert!(table.is_forgotten(key(), now) && !table.never_answered(key()), "a peer without a place");
}

#[test]
fn a_peer_that_said_goodbye_is_forgotten_until_it_is_heard_of_again() {
    let (mut table, now) = (NeighbourTable::default(), Instant::now());
    let (key, _) = hear(&mut table, 1, HowKnown::Discovered, now);
    answered(&mut table, key, now);
    assert!(!table.said_goodbye(key) && !table.is_forgotten(key, now));
    table.goodbye(key);
    assert!(table.said_goodbye(key) && table.is_forgotten(key, now));
    answered(&mut table, key, now);
    assert!(table.said_goodbye(key), "what still runs with it does not undo the goodbye");
    assert!(matches!(table.hear(key, at(1, 4107), HowKnown::Discovered, now), NeighbourPlace::Known));
    assert!(!table.said_goodbye(key) && !table.is_forgotten(key, now));
    table.goodbye(PeerKey { instance: 2, ..key });
    assert_eq!(table.peers.len(), 1);
}

#[tokio::test]
async fn addresses_are_refreshed_bounded_and_told_to_the_task() {
    let (mut table, now) = (NeighbourTable::default(), Instant::now());
    let key = key();
    let NeighbourPlace::New { handle, .. } = table.hear(key, at(1, 1), HowKnown::Discovered, now) else {
        panic!()
    };
    for port in 2..20 {
        assert!(matches!(table.hear(key, at(1, port), HowKnown::Discovered, now), NeighbourPlace::Known));
    }
    handle.poke.notified().await;
    let ports: Vec<u16> = table.addresses(key).iter().map(SocketAddr::port).collect();
    assert_eq!(ports, [19, 18, 17, 16, 15, 14, 13, 12], "the latest first, at most eight");
    table.hear(key, at(1, 15), HowKnown::Discovered, now);
    assert_eq!(table.addresses(key)[..2], [at(1, 15)[0], at(1, 19)[0]]);
    assert!(matches!(table.hear(key, Vec::new(), HowKnown::Discovered, now), NeighbourPlace::None));
}

#[test]
fn the_end_of_an_old_task_does_not_remove_the_peer_that_came_back() {
    let (mut table, now) = (NeighbourTable::default(), Instant::now());
    let key = key();
    let NeighbourPlace::New { handle: old, .. } = table.hear(key, at(1, 1), HowKnown::Discovered, now) else {
        panic!()
    };
    table.remove(key, &old);
    assert!(table.peers.is_empty());
    let NeighbourPlace::New { handle: new, .. } = table.hear(key, at(1, 1), HowKnown::Discovered, now) else {
        panic!()
    };
    table.remove(key, &old);
    assert_eq!(table.peers.len(), 1);
    table.remove(key, &new);
    assert!(table.peers.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is heard in whatever order, the table and the share of each address keep their bounds, and the first
    /// peer of an address that has no place yet gets one unless as many other addresses hold them all.
    #[test]
    fn a_flood_stays_within_its_bounds(
        hints in proptest::collection::vec((any::<u8>(), any::<bool>(), any::<bool>()), 0..400),
    ) {
        let (mut table, begin) = (NeighbourTable::default(), Instant::now());
        for (index, (last, announced, answers)) in hints.into_iter().enumerate() {
            let now = begin + Duration::from_millis(index as u64);
            let how = if announced { HowKnown::Discovered } else { HowKnown::Connected };
            let addresses: std::collections::BTreeSet<IpAddr> =
                table.peers.values().map(|peer| peer.from).collect();
            let (key, place) = hear(&mut table, last / 8, how, now);
            let first = !addresses.contains(&at(last / 8, 1)[0].ip());
            prop_assert!(!first || is_new(&place), "32 addresses cannot hold all places against one more");
            if answers {
                answered(&mut table, key, now);
            }
            prop_assert!(table.peers.len() <= limits::NEIGHBOURS_MAX);
            for address in 0..32 {
                let here = table.peers.values().filter(|peer| peer.from == at(address, 1)[0].ip()).count();
                prop_assert!(here <= limits::NEIGHBOURS_PER_ADDRESS_MAX);
            }
        }
    }
}
