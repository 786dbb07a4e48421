//! What a choice does with penalised peers.

use super::*;

#[test]
fn a_liar_is_tried_last_and_only_with_a_manifest() {
    let offers =
        vec![penalised(offer("a", "1", &[5])), offer("b", "1", &[5]), penalised(offer("c", "1", &[5]))];
    let selection = by_manifest(offers.clone(), &[5]).unwrap();
    assert_eq!((names(&selection)[0], selection.sources.len()), ("b", 3));
    assert_eq!(selection.at_once().len(), 1, "not beside others");
    let alone = by_manifest(vec![offers[0].clone(), offers[2].clone()], &[5]).unwrap();
    assert_eq!(alone.at_once().len(), 2, "there are no others");
    let selection = select(offers.clone(), None).unwrap();
    assert_eq!((names(&selection), selection.dropped.len()), (vec!["b"], 2));
    assert!(selection.dropped[0].reason.contains("9 minutes"));
    let lying = vec![penalised(offer("a", "1", &[6])), penalised(offer("c", "1", &[6])), offers[1].clone()];
    assert_eq!(names(&select(lying, None).unwrap()), ["b"], "they have no vote");
    match select(vec![offers[0].clone(), offers[0].clone()], None) {
        Err(SelectError::NotOffered(dropped)) => assert_eq!(dropped.len(), 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_peer_that_broke_the_protocol_is_tried_last_and_votes_only_if_no_other_peer_has_the_game() {
    let broke = |offer: PeerOffer| after(Offence::BrokeProtocol, offer);
    let offers = vec![broke(offer("a", "1", &[5])), broke(offer("b", "1", &[6])), offer("c", "1", &[5])];
    let selection = select(offers.clone(), None).unwrap();
    assert_eq!((names(&selection), selection.at_once().len()), (vec!["c", "a"], 1));
    assert_eq!(selection.dropped[0].reason, "its files differ from the majority's");
    let alone = select(offers[..1].to_vec(), None).unwrap();
    assert_eq!((names(&alone), alone.at_once().len()), (vec!["a"], 1));
    let (old, liar) = (offer("old", "0", &[5]), penalised(offer("liar", "1", &[5])));
    let wanted = "1".parse().unwrap();
    let of_wanted = select(vec![old.clone(), liar, offers[0].clone()], Some(&wanted)).unwrap();
    assert_eq!(names(&of_wanted), ["a"], "a peer with another version or a liar does not count");
    assert_eq!(names(&select(vec![old, offers[0].clone()], None).unwrap()), ["old"]);
    assert!(matches!(select(offers[..2].to_vec(), None), Err(SelectError::Ambiguous(_))));
}
