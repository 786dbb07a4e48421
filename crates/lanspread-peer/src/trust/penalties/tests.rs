use proptest::prelude::*;

use super::*;

const DAY: u64 = 24 * 60 * 60;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn peer(last: u8) -> Offender {
    Offender::Peer(id(last))
}

fn id(last: u8) -> PeerId {
    PeerId::from([last; 16])
}

/// The lengths of the penalties for one offence after the other, `pause` apart.
fn lengths(offence: Offence, pause: u64, count: usize) -> Vec<u64> {
    let mut list = PenaltyList::default();
    (0..count as u64)
        .map(|number| {
            let now = at(1_000_000 + number * pause);
            list.punish(peer(1), offence, "x", now);
            list.running(now)[0].length_s
        })
        .collect()
}

#[test]
fn each_offence_has_its_own_growing_penalty() {
    assert_eq!(lengths(Offence::Lied, 60, 6), [600, 2_400, 9_600, 38_400, 86_400, 86_400]);
    assert_eq!(lengths(Offence::BrokeProtocol, 1, 9), [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    assert_eq!(lengths(Offence::FailedHandshake, 1, 10), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
}

#[test]
fn a_penalty_counts_half_after_each_quiet_day_and_is_forgotten() {
    assert_eq!(lengths(Offence::Lied, DAY, 3), [600, 1_200, 2_400]);
    assert_eq!(lengths(Offence::Lied, 3 * DAY, 3), [600, 600, 600]);
    let mut list = PenaltyList::default();
    list.punish(peer(1), Offence::Lied, "x", at(DAY));
    list.punish(peer(2), Offence::Lied, "x", at(4 * DAY));
    assert_eq!(list.penalties.len(), 1, "that of the other peer no longer matters");
}

#[test]
fn the_longest_penalty_of_a_peer_or_of_its_address_counts() {
    let (mut list, now) = (PenaltyList::default(), at(DAY));
    let address: IpAddr = "10.0.0.5".parse().unwrap();
    list.punish(peer(1), Offence::BrokeProtocol, "short", now);
    list.punish(Offender::Address(address.into()), Offence::Lied, "long", now);
    let of = |last, address: &str, now| {
        list.of(&id(last), address.parse().unwrap(), now).map(|penalty| penalty.what.clone())
    };
    assert_eq!(of(1, "10.0.0.5", now).as_deref(), Some("long"));
    assert_eq!(of(1, "10.0.0.6", now).as_deref(), Some("short"));
    assert_eq!(of(2, "::ffff:10.0.0.5", now).as_deref(), Some("long"));
    assert_eq!(of(2, "10.0.0.6", now), None);
    assert_eq!(of(1, "10.0.0.6", at(DAY + 30)), None, "it is over");
    assert_eq!(of(1, "10.0.0.6", at(DAY + 29)).as_deref(), Some("short"));
}

/// A machine whose clock was a year ahead must not keep a peer away for that year.
#[test]
fn a_penalty_of_the_future_begins_now_and_ends() {
    let mut list = PenaltyList::default();
    list.punish(peer(1), Offence::Lied, "x", at(400 * DAY));
    let now = at(10 * DAY);
    assert!(list.correct(now) && !list.correct(now));
    assert_eq!(list.running(now)[0].left(now), Some(Duration::from_mins(10)));
    assert!(list.running(at(10 * DAY + 600)).is_empty());
}

#[test]
fn the_oldest_penalty_makes_room() {
    let mut list = PenaltyList::default();
    for number in 0..=u32::try_from(limits::PENALTIES_MAX).unwrap() {
        let address = IpAddr::from(std::net::Ipv4Addr::from_bits(number));
        list.punish(Offender::Address(address.into()), Offence::Lied, "x", at(DAY));
    }
    let now = at(DAY);
    assert_eq!(list.running(now).len(), limits::PENALTIES_MAX);
    assert_eq!(list.pause_at("0.0.0.0".parse().unwrap(), now), None);
    assert!(list.pause_at("0.0.0.1".parse().unwrap(), now).is_some());
}

#[test]
fn penalties_are_cleared_by_offender() {
    let (mut list, now) = (PenaltyList::default(), at(DAY));
    for last in 1..=3 {
        list.punish(peer(last), Offence::Lied, "x", now);
    }
    assert_eq!(list.clear(ClearedPenalties::Of(peer(2)), now).len(), 1);
    assert_eq!(list.clear(ClearedPenalties::Of(peer(2)), now).len(), 0);
    assert!(list.of(&id(2), [0, 0, 0, 0].into(), now).is_none());
    assert_eq!(list.clear(ClearedPenalties::All, now).len(), 2);
    assert_eq!(list, PenaltyList::default());
}

/// What another program wrote into the file is held to the same bounds.
#[test]
fn lines_that_are_no_penalties_are_left_out() {
    let mut list = PenaltyList::default();
    list.punish(peer(1), Offence::Lied, "a \u{202e} b", at(DAY));
    list.punish(Offender::Address(IpAddr::from([10, 0, 0, 5]).into()), Offence::Lied, "y", at(DAY));
    let lines = list.to_lines().unwrap();
    assert!(!lines.contains('\u{202e}'));
    assert_eq!(PenaltyList::from_lines(&lines), (list.clone(), 0));
    let long = lines.replace("\"length_s\":600", "\"length_s\":99999999999");
    assert_eq!(PenaltyList::from_lines(&long).0.running(at(DAY))[0].length_s, 86_400);
    for cut in 0..lines.len() {
        let (read, unread) = PenaltyList::from_lines(&lines[..cut]);
        let whole = lines[..cut].matches('\n').count();
        assert!(read.penalties.len() >= whole && read.penalties.len() <= 2 && unread <= 1, "{cut}");
    }
}

proptest! {
    /// More offences never make a penalty shorter, none is longer than its longest, and every one ends.
    #[test]
    fn penalties_are_monotone_and_bounded(
        pauses in proptest::collection::vec(0u64..5 * DAY, 1..12),
        skipped in any::<prop::sample::Index>(),
        kind in 0usize..3,
    ) {
        let offence = [Offence::Lied, Offence::BrokeProtocol, Offence::FailedHandshake][kind];
        let mut now = 1_000_000;
        let times: Vec<u64> = pauses.iter().map(|pause| { now += pause; now }).collect();
        let ends = |times: &[u64]| {
            let mut list = PenaltyList::default();
            for time in times {
                list.punish(peer(1), offence, "x", at(*time));
            }
            list.running(at(now)).first().map_or(0, |penalty| penalty.given_at_s + penalty.length_s)
        };
        let mut fewer = times.clone();
        fewer.remove(skipped.index(times.len()));
        prop_assert!(ends(&times) >= ends(&fewer));
        prop_assert!(ends(&times) <= now + scale(offence).2.as_secs());
    }
}
