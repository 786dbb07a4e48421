use lanspread_types::ids::PeerId;

use super::*;

/// Every combination of the conditions: the search ends early only if all of them hold.
#[test]
fn a_search_is_enough_when_all_have_answered_one_offers_it_and_no_new_peer_appears() {
    let quiet = Duration::from_millis(500);
    for asked in 0..3 {
        for answered in 0..=asked {
            for offering in 0..=answered {
                for milliseconds in [0, 499, 500, 9000] {
                    let progress = SearchProgress {
                        asked,
                        answered,
                        offering,
                        quiet: Duration::from_millis(milliseconds),
                    };
                    let expected = asked == answered && offering > 0 && milliseconds >= 500;
                    assert_eq!(enough(progress, quiet), expected, "{progress:?}");
                }
            }
        }
    }
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
    let found = sorted(&whom, answers);
    let found: Vec<_> = found.iter().map(|found| (found.peer.as_str(), found.answer.is_ok())).collect();
    assert_eq!(found, [("0", true), ("3", false), ("4", false)]);
}
