//! Who gets a place: every rule by an example, and what no sequence of requests can break.

use std::net::{IpAddr, Ipv6Addr};

use lanspread_types::ids::PeerId;
use proptest::prelude::*;

use super::*;

const IDLE_MAX: Duration = Duration::from_secs(10);
const SHARES: Shares = Shares { places: 8, share: 2, kept: 2, most: 8, idle_max: IDLE_MAX };
/// When every place of a table has been idle for long.
const LATE_MS: u64 = 20_000;

fn v4(last: u8) -> Guest {
    Guest::at(IpAddr::from([10, 0, 0, last]))
}

fn v6(network: u16, host: u16) -> Guest {
    Guest::at(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host).into())
}

fn held(guests: &[Guest]) -> Vec<Held> {
    let loss = |index: usize| Loss::small(index as u64);
    guests.iter().enumerate().map(|(index, guest)| Held { guest: *guest, loss: loss(index) }).collect()
}

fn verdict(asks: Guest, guests: &[Guest]) -> Verdict {
    decide(&asks, &held(guests), SHARES, false, 0)
}

#[test]
fn a_guest_alone_may_have_every_place_and_one_among_others_not_the_last_ones() {
    for count in 0..8 {
        let places = held(&vec![v4(1); count]);
        assert_eq!(decide(&v4(1), &places, SHARES, true, 0), Verdict::Free, "{count}");
        let expected = if count < 6 { Verdict::Free } else { Verdict::Full };
        assert_eq!(decide(&v4(1), &places, SHARES, false, 0), expected, "{count}");
    }
    assert_eq!(verdict(v4(1), &[v4(1); 8]), Verdict::Full, "its own places are not taken from it");
    assert_eq!(
        verdict(v4(2), &[v4(1); 7]),
        Verdict::Free,
        "the kept places are for guests within their share"
    );
}

#[test]
fn when_all_places_are_held_only_lent_ones_are_taken_back() {
    let [a, b, c, d] = [v4(1), v4(2), v4(3), v4(4)];
    assert_eq!(verdict(b, &[a; 8]), Verdict::TakeBack(0), "the one that costs the least");
    assert_eq!(verdict(b, &[b, a, a, a, a, a, a, a]), Verdict::TakeBack(1));
    assert_eq!(verdict(b, &[b, b, a, a, a, a, a, a]), Verdict::Full, "b has its share");
    assert_eq!(verdict(v4(9), &[a, a, b, b, c, c, d, d]), Verdict::Full, "each holds its share");
    assert_eq!(verdict(v4(9), &[c, c, c, b, b, b, b, d]), Verdict::TakeBack(3), "of the guest with the most");
    let eight: Vec<Guest> = (1..=8).map(v4).collect();
    assert_eq!(verdict(v4(9), &eight), Verdict::Full, "eight guests with a place each");
}

#[test]
fn a_place_that_must_not_be_taken_is_not() {
    let mut places = held(&[v4(1); 8]);
    for place in &mut places {
        place.loss = Loss::NEVER;
    }
    assert_eq!(decide(&v4(2), &places, SHARES, false, LATE_MS), Verdict::Full);
    places[5].loss = Loss::large(u64::MAX);
    assert_eq!(decide(&v4(2), &places, SHARES, false, 0), Verdict::TakeBack(5));
}

/// One machine can have every address of a /64 network, so they count together; guests in one such network are told
/// apart by address.
#[test]
fn ipv6_counts_by_network_and_within_one_by_address() {
    let many: Vec<Guest> = (1..=8).map(|host| v6(1, host)).collect();
    assert_eq!(verdict(v4(1), &many), Verdict::TakeBack(0));
    assert_eq!(verdict(v6(2, 1), &many), Verdict::TakeBack(0));
    assert_eq!(verdict(v6(1, 99), &many), Verdict::Full, "each address there holds one place");
    assert_eq!(verdict(v6(1, 99), &[v6(1, 1); 8]), Verdict::TakeBack(0), "a neighbour that holds too many");
}

/// An identity with more than its share over several addresses loses places; but who asks is judged by its address
/// alone: otherwise saying another peer's identity would keep that peer out.
#[test]
fn an_identity_counts_against_holders_only() {
    let id = PeerId::random().unwrap();
    let everywhere: Vec<Guest> = (1..=8).map(|last| v4(last).who_is(id)).collect();
    let other = v4(9).who_is(PeerId::random().unwrap());
    assert_eq!(verdict(other, &everywhere), Verdict::TakeBack(0));
    let thieves = [v4(1).who_is(id); 6];
    assert_eq!(verdict(v4(9).who_is(id), &thieves), Verdict::Free);
    let all = [v4(1).who_is(id); 8];
    assert_eq!(verdict(v4(9).who_is(id), &all), Verdict::TakeBack(0));
    let mut with_owner = vec![v4(9).who_is(id)];
    with_owner.extend([v4(1).who_is(id); 7]);
    assert_eq!(verdict(other, &with_owner), Verdict::TakeBack(1), "not the place of the one with fewer");
}

#[test]
fn one_address_has_a_limit() {
    let shares = Shares { most: 3, ..SHARES };
    assert_eq!(decide(&v4(1), &held(&[v4(1); 3]), shares, true, LATE_MS), Verdict::Full);
}

/// An idle place gives way to a guest within its share, and within one address to any seat behind it; but not to a guest
/// with its share from other guests.
#[test]
fn idle_places_give_way() {
    let idle = |guests: &[Guest]| {
        let place = |(index, guest): (usize, &Guest)| Held {
            guest: *guest,
            loss: if index < 3 { Loss::small(0) } else { Loss::idle_since(index as u64) },
        };
        guests.iter().enumerate().map(place).collect::<Vec<_>>()
    };
    let eight: Vec<Guest> = (1..=8).map(v4).collect();
    assert_eq!(decide(&v4(9), &idle(&eight), SHARES, false, LATE_MS), Verdict::TakeBack(3));
    assert_eq!(decide(&v4(9), &idle(&eight), SHARES, false, 10_000), Verdict::Full, "not for long");
    let mut crowded = eight;
    crowded[6] = v4(1);
    assert_eq!(decide(&v4(1), &idle(&crowded), SHARES, false, LATE_MS), Verdict::TakeBack(6), "its own");
    crowded[6] = v4(7);
    crowded[1] = v4(1);
    assert_eq!(decide(&v4(1), &idle(&crowded), SHARES, false, LATE_MS), Verdict::Full, "it has its share");
}

#[test]
fn losses_are_ordered() {
    let idle = Loss::idle_since(u64::MAX);
    assert!(idle < Loss::small(0) && Loss::small(u64::MAX) < Loss::large(0));
    assert!(Loss::large(u64::MAX) < Loss::NEVER);
    assert!(Loss::idle_since(0).is_idle_for(IDLE_MAX, 10_000));
    for (loss, now_ms) in [(Loss::idle_since(1), 10_000), (Loss::small(0), u64::MAX), (idle, 0)] {
        assert!(!loss.is_idle_for(IDLE_MAX, now_ms), "{loss:?}");
    }
}

proptest! {
    /// However guests ask: there are never more places than there are, and a guest that holds nothing is refused only
    /// if no guest holds more than its share.
    #[test]
    fn a_guest_without_a_place_is_kept_out_by_no_crowd(asks in proptest::collection::vec(0u8..6, 1..60)) {
        let mut guests: Vec<Guest> = Vec::new();
        for asking in asks {
            let asking = v4(asking);
            let before = guests.clone();
            let held_by = |guest: Guest| before.iter().filter(|other| **other == guest).count();
            match verdict(asking, &guests) {
                Verdict::Free => guests.push(asking),
                Verdict::TakeBack(index) => {
                    prop_assert!(held_by(guests[index]) > SHARES.share && held_by(asking) < SHARES.share);
                    guests[index] = asking;
                }
                Verdict::Full => {
                    let crowded = before.iter().any(|guest| held_by(*guest) > SHARES.share);
                    prop_assert!(held_by(asking) >= SHARES.share || !crowded);
                }
            }
            prop_assert!(guests.len() <= SHARES.places);
        }
    }
}
