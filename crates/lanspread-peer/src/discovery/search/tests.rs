use lanspread_types::ids::PeerId;

use super::*;
use crate::testing::endpoint;

const QUIET: Duration = Duration::from_millis(500);

/// Every peer asked has answered, one offers the game, and the network is not searched.
const COMPLETE: SearchProgress = SearchProgress {
    asked: 3,
    answered: 3,
    offering: 1,
    chosen_missing: false,
    settled: false,
    unanswered: Duration::ZERO,
    elapsed: Duration::ZERO,
    network: NetworkSearch::Off,
};

fn step(progress: SearchProgress) -> SearchStep {
    next_step(progress, QUIET)
}

fn waits(progress: SearchProgress) -> bool {
    matches!(step(progress), SearchStep::Wait(_))
}

/// While the network is searched, all conditions must hold.
#[test]
fn a_search_is_enough_when_all_have_answered_one_offers_it_and_no_new_peer_appears() {
    for asked in 0..3 {
        for answered in 0..=asked {
            for offering in 0..=answered {
                for milliseconds in [0, 499, 500, 9000] {
                    let quiet = Duration::from_millis(milliseconds);
                    let network = NetworkSearch::Now { quiet };
                    let progress = SearchProgress { asked, answered, offering, network, ..COMPLETE };
                    let expected = asked == answered && offering > 0 && milliseconds >= 500;
                    assert_eq!(step(progress) == SearchStep::Done, expected, "{progress:?}");
                }
            }
        }
    }
    let over = SearchProgress { answered: 1, network: NetworkSearch::Over, ..COMPLETE };
    assert_eq!(step(over), SearchStep::Done, "after the longest wait, one offer is enough");
    assert!(
        waits(SearchProgress { offering: 0, ..over }),
        "without an offer, those that are asked are awaited"
    );
}

#[test]
fn without_a_search_everybody_at_hand_is_awaited() {
    assert_eq!(step(COMPLETE), SearchStep::Done);
    assert_eq!(step(SearchProgress { offering: 0, ..COMPLETE }), SearchStep::Done);
    let missing = SearchProgress { answered: 2, chosen_missing: true, ..COMPLETE };
    assert!(waits(missing));
    assert!(waits(SearchProgress { elapsed: Duration::from_secs(15), ..missing }), "the user named it");
}

/// A mute peer costs half a second once the others suffice, whether it was named or not.
#[test]
fn a_missing_peer_that_cannot_change_the_choice_is_not_awaited() {
    for chosen_missing in [false, true] {
        for network in [NetworkSearch::Off, NetworkSearch::Later, NetworkSearch::Now { quiet: QUIET }] {
            let missing = SearchProgress { answered: 2, chosen_missing, network, ..COMPLETE };
            let settled = SearchProgress { settled: true, ..missing };
            assert_eq!(step(settled), SearchStep::Wait(limits::SETTLED_QUIET), "{network:?}");
            let unanswered = limits::SETTLED_QUIET;
            assert_eq!(step(SearchProgress { unanswered, ..settled }), SearchStep::Done, "{network:?}");
            assert!(waits(SearchProgress { unanswered, ..missing }), "{network:?}");
        }
    }
    let network = NetworkSearch::Now { quiet: Duration::from_millis(100) };
    let unanswered = limits::SETTLED_QUIET;
    let news = SearchProgress { answered: 2, settled: true, unanswered, network, ..COMPLETE };
    assert_eq!(step(news), SearchStep::Wait(Duration::from_millis(400)), "new peers may still be heard of");
}

/// Peers that the user did not name do not delay an offer for long.
#[test]
fn known_peers_that_do_not_answer_are_awaited_for_a_few_seconds() {
    let elapsed = limits::STRAGGLER_DEADLINE;
    let missing = SearchProgress { answered: 2, elapsed, ..COMPLETE };
    for network in [NetworkSearch::Off, NetworkSearch::Later] {
        let missing = SearchProgress { network, ..missing };
        assert_eq!(step(missing), SearchStep::Done);
        assert!(waits(SearchProgress { elapsed: elapsed.mul_f32(0.9), ..missing }));
        assert!(waits(SearchProgress { chosen_missing: true, ..missing }));
    }
    assert!(waits(SearchProgress { offering: 0, ..missing }));
}

/// A peer that relies on its neighbours searches the network if they do not offer the game, or do not say so soon.
#[test]
fn the_network_is_searched_when_nobody_at_hand_offers_the_game() {
    let nobody = SearchProgress { offering: 0, network: NetworkSearch::Later, ..COMPLETE };
    assert_eq!(step(nobody), SearchStep::Listen);
    let mute = SearchProgress { answered: 2, chosen_missing: true, ..nobody };
    assert_eq!(step(mute), SearchStep::Wait(limits::SEARCH_AGAIN_AFTER));
    let late = SearchProgress { elapsed: limits::SEARCH_AGAIN_AFTER, ..mute };
    assert_eq!(step(late), SearchStep::Listen);
    assert_eq!(step(SearchProgress { network: NetworkSearch::Later, ..COMPLETE }), SearchStep::Done);
    let offered = SearchProgress { answered: 2, network: NetworkSearch::Later, ..COMPLETE };
    assert!(waits(offered), "an offer is enough, so that the others at hand are awaited");
}

#[test]
fn one_peer_at_two_addresses_is_one_answer() {
    let key = |id| PeerKey { id, instance: 1 };
    let ids: Vec<_> = (0..3).map(|_| key(PeerId::random().unwrap())).collect();
    let whom: Vec<_> =
        [(0, None), (1, Some(ids[0])), (2, Some(ids[0])), (3, Some(ids[1])), (4, Some(ids[2]))]
            .map(|(index, key): (usize, Option<PeerKey>)| (index.to_string(), key))
            .to_vec();
    let answers: Vec<Asked<u8>> = vec![
        (3, None, Err(WireError::Closed)),
        (0, Some(ids[0]), Ok(0)),
        (1, Some(ids[0]), Ok(1)),
        (2, None, Err(WireError::Closed)),
    ];
    let found = sorted(&whom, 1, answers);
    let shown: Vec<_> = found.iter().map(|found| (found.peer.as_str(), found.answer.is_ok())).collect();
    assert_eq!(shown, [("0", true), ("3", false), ("4", false)]);
    let named: Vec<bool> = found.iter().map(|found| found.named).collect();
    assert_eq!(named, [true, false, false]);
}

/// Thousands of announcements, of one machine and of many, are asked a bounded number of times.
#[test]
fn a_flood_of_announcements_is_asked_a_bounded_number_of_times() {
    let ours = endpoint("pc");
    let new = || Asking::new(&ours, ());
    let hint = |address: [u8; 4]| PeerHint {
        key: PeerKey { id: PeerId::random().unwrap(), instance: 1 },
        name: Some("pc".parse().unwrap()),
        revision: Some(1),
        addresses: vec![(address, 4107).into()],
    };
    let mut one = new();
    let asked = (0..5000).filter(|_| one.news(hint([10, 0, 0, 1]), &BTreeSet::new()).is_some());
    assert_eq!(asked.count(), limits::HINTS_ASKED_PER_ADDRESS_MAX);
    let mut many = new();
    let asked =
        (0..5000u32).filter(|n| many.news(hint((0x0a00_0000 + n).to_be_bytes()), &BTreeSet::new()).is_some());
    assert_eq!(asked.count(), limits::HINTS_ASKED_MAX);
    let mut some = new();
    let known = hint([10, 0, 0, 1]);
    let at_hand = BTreeSet::from(["10.0.0.1:4107".to_owned()]);
    assert_eq!(some.news(known.clone(), &at_hand), None, "it is asked already");
    assert_eq!(some.news(known.clone(), &BTreeSet::new()), Some(known.clone()));
    assert_eq!(some.news(known, &BTreeSet::new()), None, "once");
    let own = PeerHint { key: PeerKey { id: ours.id(), instance: 2 }, ..hint([10, 0, 0, 2]) };
    assert_eq!(some.news(own, &BTreeSet::new()), None, "it is this peer");
}

/// Peers that did not answer say nothing; one that answered without a failure, or with another one, leaves no reason.
#[test]
fn a_failure_explains_a_search_only_if_all_that_answered_have_it() {
    let version = || Err(WireError::Version { ours: 2, theirs: 3 });
    let silent = || Err(WireError::NotAwaited);
    let of = |answers: Vec<Result<(), WireError>>| one_failure(answers.iter());
    assert_eq!(of(vec![version(), silent(), version()]), Some("protocol-version"));
    assert_eq!(of(vec![version(), Err(WireError::NotLanspread)]), None);
    assert_eq!(of(vec![version(), Ok(())]), None);
    assert_eq!((of(vec![silent()]), of(vec![])), (None, None));
}
