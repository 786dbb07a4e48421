use super::*;

/// What each peer says about its list: a digest, a time, or nothing.
#[derive(Debug, Clone, Copy)]
enum Says {
    List(u8),
    In(u32),
    Nothing,
}

fn chosen(said: &[Says]) -> AgreedList {
    let named = said.iter().enumerate().map(|(index, says)| {
        let offer = offer(&format!("p{index}"), "1", &[5]);
        match says {
            Says::List(digest) => with_manifest(*digest, offer),
            Says::In(in_ms) => PeerOffer { manifest_in_ms: Some(*in_ms), ..offer },
            Says::Nothing => offer,
        }
    });
    select(named.collect(), None).unwrap().list
}

const fn agreed(digest: u8) -> AgreedList {
    AgreedList::Agreed(ContentDigest([digest; 32]))
}

#[test]
fn a_list_is_agreed_if_those_that_make_theirs_cannot_turn_the_vote() {
    use Says::{In, List, Nothing};
    for (said, expected) in [
        (&[List(1)][..], agreed(1)),
        (&[List(1), Nothing, Nothing], agreed(1)),
        (&[List(1), List(1), List(2)], agreed(1)),
        (&[List(1), List(1), In(9)], agreed(1)),
        // The first one that is ready does not decide alone.
        (&[List(1), In(9)], AgreedList::InMaking { in_ms: 9 }),
        (&[List(1), In(9), In(5), In(7)], AgreedList::InMaking { in_ms: 7 }),
        (&[List(1), List(1), List(2), In(9)], AgreedList::InMaking { in_ms: 9 }),
        (&[In(9)], AgreedList::InMaking { in_ms: 9 }),
        (&[In(3), In(9), In(5)], AgreedList::InMaking { in_ms: 5 }),
        (&[Nothing, Nothing], AgreedList::None),
    ] {
        assert_eq!(chosen(said), expected, "{said:?}");
    }
}

/// They are sources all the same.
#[test]
fn a_peer_that_has_no_list_yet_contradicts_no_other() {
    let ready = with_manifest(1, offer("a", "1", &[5]));
    let making = PeerOffer { manifest_in_ms: Some(9), ..offer("b", "1", &[5]) };
    let silent = offer("c", "1", &[5]);
    let selection = select(vec![ready.clone(), ready, making, silent], None).unwrap();
    assert_eq!(selection.sources.len(), 3, "one of them answered twice");
    assert!(selection.dropped.is_empty());
    let having = selection.sources.iter().filter(|source| source.manifest.is_some());
    assert_eq!(having.count(), 1);
}

/// Peers that are not believed, and copies of an identity, have no vote here either.
#[test]
fn a_penalised_peer_does_not_hold_the_list_up() {
    let promising = PeerOffer { manifest_in_ms: Some(9), ..offer("b", "1", &[5]) };
    let offers = vec![with_manifest(1, offer("a", "1", &[5])), penalised(promising)];
    assert_eq!(select(offers, None).unwrap().list, agreed(1));
}

#[test]
fn with_a_trusted_manifest_no_list_is_voted_on() {
    let offers = vec![with_manifest(1, offer("a", "1", &[5]))];
    assert_eq!(by_manifest(offers, &[5]).unwrap().list, AgreedList::None);
}

proptest! {
    /// Whatever those that make theirs name in the end, an agreed list stays the one that most peers name.
    #[test]
    fn what_is_agreed_stays_agreed(
        said in prop::collection::vec(prop_oneof![
            (0_u8..3).prop_map(Says::List), (0_u32..9).prop_map(Says::In), Just(Says::Nothing)
        ], 1..8),
        later in prop::collection::vec(prop::option::of(0_u8..3), 8),
    ) {
        let said_of = |says: &Says| match says {
            Says::List(digest) => (Some(ContentDigest([*digest; 32])), None),
            Says::In(in_ms) => (None, Some(*in_ms)),
            Says::Nothing => (None, None),
        };
        let before: Vec<_> = said.iter().map(said_of).collect();
        if let AgreedList::Agreed(digest) = agreed_list(&before) {
            let later = said.iter().zip(later).map(|(says, later)| match (says, later) {
                (Says::In(_), Some(later)) => said_of(&Says::List(later)),
                (Says::In(_), None) => (None, None),
                (says, _) => said_of(says),
            });
            prop_assert_eq!(agreed_list(&later.collect::<Vec<_>>()), AgreedList::Agreed(digest));
        }
    }
}

/// Without a trusted manifest, a peer that answers after the choice must name the list on which the others agree.
#[test]
fn a_further_source_offers_what_was_chosen_and_names_its_list() {
    let (listed, agreed) = (manifest(&[5]), Some(ContentDigest([7; 32])));
    let fitting = with_manifest(7, offer("a", "1", &[5]));
    assert!(is_further(&fitting, &listed, agreed));
    let silent = offer("a", "1", &[5]);
    assert!(is_further(&silent, &listed, None), "what arrives proves itself");
    let others = [
        ("another list", with_manifest(8, offer("a", "1", &[5]))),
        ("no list", silent),
        ("another version", with_manifest(7, offer("a", "2", &[5]))),
        ("other files", with_manifest(7, offer("a", "1", &[6]))),
        ("installed files", by_entries(fitting.clone())),
        ("a penalised peer", super::penalised(fitting)),
    ];
    for (what, other) in others {
        assert!(!is_further(&other, &listed, agreed), "{what}");
    }
}
