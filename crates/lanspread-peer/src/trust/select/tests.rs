use std::hash::RandomState;

use lanspread_trust::manifest::ManifestEntries;
use lanspread_types::checksum::ContentDigest;
use proptest::prelude::*;

use super::*;
use crate::report::offender::Offence;

mod lists;
mod penalised;

fn offer(name: &str, version: &str, sizes: &[u64]) -> PeerOffer {
    let files =
        sizes.iter().enumerate().map(|(index, size)| RootFile { name: format!("{index}.eti"), size: *size });
    PeerOffer {
        name: name.parse().unwrap(),
        id: PeerId::random().unwrap(),
        instance: 1,
        address: ([127, 0, 0, 1], 1).into(),
        version: version.parse().unwrap(),
        files: files.collect(),
        manifest: None,
        manifest_in_ms: None,
        load: None,
        penalty: None,
        entries: None,
    }
}

/// Chooses from offers of peers that the user named.
fn select(offers: Vec<PeerOffer>, wanted: Option<&GameVersion>) -> Result<Selection, SelectError> {
    let (game, ours) = ("g".parse().unwrap(), PeerId::random().unwrap());
    super::select(offers, wanted, None, &SourceOrder { named: usize::MAX, ours, game: &game })
}

/// Chooses by a manifest of version 1 from peers that the user did not name.
fn by_manifest(offers: Vec<PeerOffer>, sizes: &[u64]) -> Result<Selection, SelectError> {
    let (game, ours) = ("g".parse().unwrap(), PeerId::from([7; 16]));
    super::select(offers, None, Some(&manifest(sizes)), &SourceOrder { named: 0, ours, game: &game })
}

fn manifest(sizes: &[u64]) -> Manifest {
    Manifest {
        game: "g".parse().unwrap(),
        version: "1".parse().unwrap(),
        root_files: offer("m", "1", sizes).files,
        archives: Vec::new(),
        entries: ManifestEntries::default(),
    }
}

/// An offer with a manifest whose digest begins like this.
fn with_manifest(digest: u8, offer: PeerOffer) -> PeerOffer {
    PeerOffer { manifest: Some(ContentDigest([digest; 32])), ..offer }
}

fn by_entries(offer: PeerOffer) -> PeerOffer {
    PeerOffer { entries: Some(ContentDigest([1; 32])), ..offer }
}

/// Installed files are worth as much as archives, but streams from archives come first: a machine without archives is
/// there to play.
#[test]
fn installed_files_are_tried_after_archives_and_before_penalised_peers_and_are_never_downloaded() {
    let offers = vec![
        by_entries(offer("a", "1", &[5])),
        penalised(offer("b", "1", &[5])),
        offer("c", "1", &[5]),
        by_entries(offer("d", "1", &[6])),
    ];
    let selection = by_manifest(offers, &[5]).unwrap();
    assert_eq!(names(&selection), ["c", "a", "b"]);
    let at_once: Vec<PeerOffer> = selection.at_once();
    assert_eq!(at_once.iter().map(|offer| offer.name.as_str()).collect::<Vec<_>>(), ["c"]);
    let alone = by_manifest(vec![by_entries(offer("a", "1", &[5]))], &[5]).unwrap();
    assert_eq!(names(&alone), ["a"]);
    assert!(alone.at_once().is_empty());
}

/// A search goes on while only installed files are found, and they are used if nothing else is.
#[test]
fn installed_files_do_not_end_a_search() {
    let (hasher, listed) = (RandomState::new(), manifest(&[5]));
    let vote = |offer: &PeerOffer| Vote::of(offer, Some(&listed), &hasher);
    let archives = offer("a", "1", &[5]);
    let entries = by_entries(archives.clone());
    assert!(settled([&vote(&archives)], None, true, 9) && vote(&archives).offers(None, true));
    assert!(!settled([&vote(&entries)], None, true, 9) && !vote(&entries).offers(None, true));
}

fn penalised(offer: PeerOffer) -> PeerOffer {
    after(Offence::Lied, offer)
}

fn after(offence: Offence, offer: PeerOffer) -> PeerOffer {
    let reason = "it is not believed for 9 minutes".to_owned();
    PeerOffer { penalty: Some(Disbelief { offence, reason }), ..offer }
}

fn sorted_names(selection: &Selection) -> Vec<&str> {
    let mut names = names(selection);
    names.sort_unstable();
    names
}

#[test]
fn with_a_manifest_one_honest_source_is_enough_whatever_the_majority_says() {
    let honest = offer("honest", "1", &[5, 6]);
    let mut offers: Vec<PeerOffer> = ["a", "b", "c", "d", "e"].map(|name| offer(name, "1", &[5, 7])).to_vec();
    offers.extend([offer("old", "0", &[5, 6]), offer("more", "1", &[5, 6, 7]), offer("less", "1", &[5])]);
    assert_eq!(select(offers.clone(), None).unwrap().sources.len(), 5, "the majority lies");
    offers.push(honest);
    let selection = by_manifest(offers.clone(), &[5, 6]).unwrap();
    assert_eq!((names(&selection), selection.version.as_str()), (vec!["honest"], "1"));
    assert_eq!(selection.dropped.len(), 8, "each of the others has its reason");
    assert!(selection.dropped.iter().any(|answer| answer.reason == "it has version 0, not 1"));
    assert!(selection.dropped[0].reason.contains("manifest"), "{:?}", selection.dropped[0]);
    offers.pop();
    match by_manifest(offers, &[5, 6]) {
        Err(SelectError::NotOffered(dropped)) => assert_eq!(dropped.len(), 8),
        other => panic!("{other:?}"),
    }
}

/// Their content proves itself, whichever of them has the key.
#[test]
fn with_a_manifest_two_runs_of_one_identity_are_used_and_reported() {
    let one = offer("one", "1", &[5]);
    let other = copy_of(&one, "other", &[5]);
    let elsewhere = PeerOffer { address: ([127, 0, 0, 1], 3).into(), ..one.clone() };
    let selection = by_manifest(vec![one.clone(), other.clone(), elsewhere], &[5]).unwrap();
    assert_eq!(sorted_names(&selection), ["one", "other"]);
    assert_eq!(selection.copies[0].peer, "other");
    let lying = copy_of(&one, "other", &[6]);
    let selection = by_manifest(vec![lying, one], &[5]).unwrap();
    assert_eq!((names(&selection), selection.copies.len()), (vec!["one"], 1), "the first one lies");
}

#[test]
fn without_a_trusted_manifest_those_that_are_offered_are_voted_on() {
    let plain = |name: &str| offer(name, "1", &[5]);
    let offers = vec![
        with_manifest(1, plain("a")),
        with_manifest(1, plain("b")),
        with_manifest(2, plain("c")),
        plain("d"),
        with_manifest(2, offer("e", "1", &[6])),
    ];
    let selection = select(offers.clone(), None).unwrap();
    assert_eq!(names(&selection), ["a", "b", "d"], "one that offers none contradicts no other");
    let reasons: Vec<&str> = selection.dropped.iter().map(|answer| answer.reason.as_str()).collect();
    assert_eq!(reasons, ["its files differ from the majority's", "its manifest differs from the majority's"]);
    let tie = [&offers[1..4], &[with_manifest(2, copy_of(&offers[1], "copy", &[5]))]].concat();
    match select(tie, None) {
        Err(SelectError::Ambiguous(sides)) => {
            assert_eq!(sides, ["manifest 010101010101… (b)", "manifest 020202020202… (c)"]);
        }
        other => panic!("{other:?}"),
    }
    let many = [&offers[1..4], &[plain("f"), plain("g")]].concat();
    let selection = select(many, None).unwrap();
    assert_eq!(names(&selection), ["d", "f", "g"], "two that contradict each other do not stop three");
}

fn names(selection: &Selection) -> Vec<&str> {
    selection.sources.iter().map(|source| source.name.as_str()).collect()
}

#[test]
fn the_majority_is_validated_and_tried_by_name() {
    let offers = vec![offer("c", "1", &[5]), offer("a", "1", &[5]), offer("b", "1", &[6])];
    let selection = select(offers, Some(&"1".parse().unwrap())).unwrap();
    assert_eq!(names(&selection), ["a", "c"]);
    assert_eq!(selection.dropped[0].peer, "b");
}

#[test]
fn one_against_one_is_refused() {
    let offers = vec![offer("a", "1", &[5]), offer("b", "1", &[6])];
    match select(offers, Some(&"1".parse().unwrap())) {
        Err(SelectError::Ambiguous(sides)) => assert_eq!(sides.len(), 2),
        other => panic!("{other:?}"),
    }
}

/// One machine may run as many peers as it likes.
#[test]
fn a_machine_with_many_peers_is_tried_once_before_the_others() {
    let game = "g".parse().unwrap();
    let at =
        |last: u8, name: &str| PeerOffer { address: ([10, 0, 0, last], 1).into(), ..offer(name, "1", &[5]) };
    for _ in 0..20 {
        let mut offers = vec![at(1, "z-named"), at(1, "a-named")];
        offers.extend(["x1", "x2", "x3", "x4"].map(|name| at(1, name)));
        offers.extend([at(2, "two"), at(3, "three")]);
        let order = SourceOrder { named: 2, ours: PeerId::random().unwrap(), game: &game };
        let selection = super::select(offers, None, None, &order).unwrap();
        let names = names(&selection);
        assert_eq!(names[..2], ["a-named", "z-named"], "the user's own order of trust");
        let mut first_of_each: Vec<&str> =
            names[2..5].iter().map(|name| name.trim_end_matches(char::is_numeric)).collect();
        first_of_each.sort_unstable();
        assert_eq!(first_of_each, ["three", "two", "x"]);
    }
}

#[test]
fn another_version_has_no_vote() {
    let offers = vec![offer("a", "2", &[5]), offer("b", "2", &[5]), offer("c", "1", &[6])];
    let selection = select(offers.clone(), Some(&"1".parse().unwrap())).unwrap();
    assert_eq!(names(&selection), ["c"]);
    assert_eq!(selection.dropped.len(), 2);
    match select(offers, Some(&"3".parse().unwrap())) {
        Err(SelectError::NotOffered(dropped)) => assert_eq!(dropped.len(), 3),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_catalog_the_version_most_peers_have_is_taken() {
    let offers = vec![offer("a", "2", &[5]), offer("b", "2", &[5]), offer("c", "1", &[6])];
    assert_eq!(select(offers, None).unwrap().version.as_str(), "2");
    let tie = vec![offer("a", "2", &[5]), offer("c", "1", &[6])];
    assert!(matches!(select(tie, None), Err(SelectError::Ambiguous(_))));
    assert!(matches!(select(Vec::new(), None), Err(SelectError::NotOffered(_))));
}

#[test]
fn one_peer_on_two_addresses_has_one_vote() {
    let twice = offer("a", "1", &[5]);
    let offers = vec![twice.clone(), twice, offer("b", "1", &[6])];
    assert!(matches!(select(offers, None), Err(SelectError::Ambiguous(_))));
}

#[test]
fn the_order_of_a_file_list_does_not_matter() {
    let mut reversed = offer("b", "1", &[5, 6]);
    reversed.files.reverse();
    let selection = select(vec![offer("a", "1", &[5, 6]), reversed], None).unwrap();
    assert_eq!(selection.sources.len(), 2);
}

/// A copy of an identity, with another instance at another address.
fn copy_of(offer: &PeerOffer, name: &str, sizes: &[u64]) -> PeerOffer {
    let files = super::tests::offer(name, "1", sizes).files;
    let (name, address) = (name.parse().unwrap(), ([127, 0, 0, 1], 2).into());
    PeerOffer { instance: 2, name, address, files, ..offer.clone() }
}

#[test]
fn a_copy_of_an_identity_does_not_switch_off_the_peer_that_had_it_first() {
    let honest = [offer("b", "1", &[1]), offer("c", "1", &[1]), offer("d", "1", &[1])];
    let copies = |size: u64| honest.iter().map(move |offer| copy_of(offer, "a", &[size]));
    let lying = select(honest.iter().cloned().chain(copies(9)).collect(), None).unwrap();
    assert_eq!(names(&lying), ["b", "c", "d"]);
    assert_eq!(lying.sources[0].files[0].size, 1);
    assert!(lying.dropped.len() == 3 && lying.dropped[0].reason.contains("same identity"), "{lying:?}");
    assert_eq!(lying.copies.len(), 3, "they are reported");
    assert!(
        lying.copies[1].reason.starts_with("c has the same identity"),
        "either may be the copy: {lying:?}"
    );
    let agreeing = select(honest.iter().cloned().chain(copies(1)).collect(), None).unwrap();
    assert_eq!(names(&agreeing), ["b", "c", "d", "a", "a", "a"], "copies are tried last");
    assert_eq!((agreeing.dropped.len(), agreeing.copies.len()), (0, 3));
    let one = select(vec![honest[0].clone(), copy_of(&honest[0], "a", &[9])], None).unwrap();
    assert_eq!(names(&one), ["b"], "a copy has no vote, so there is no tie");
    let other_version = PeerOffer { version: "2".parse().unwrap(), ..copy_of(&honest[0], "a", &[9]) };
    let one = select(vec![honest[0].clone(), other_version], None).unwrap();
    assert_eq!((names(&one), one.dropped.len()), (vec!["b"], 1));
}

fn shuffle(offers: &mut [PeerOffer], seed: u64) {
    let mut state = seed;
    for index in (1..offers.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        offers.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
    }
}

/// A hundred receivers of one game from four equal sources: each source is first for about a quarter of them, and
/// each receiver keeps its order.
#[test]
fn receivers_spread_over_the_sources() {
    let offers: Vec<PeerOffer> = ["a", "b", "c", "d"].map(|name| offer(name, "1", &[1])).to_vec();
    let game: GameId = "g".parse().unwrap();
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..400 {
        let order = SourceOrder { named: 0, ours: PeerId::random().unwrap(), game: &game };
        let selection = super::select(offers.clone(), None, None, &order).unwrap();
        assert_eq!(selection.sources, super::select(offers.clone(), None, None, &order).unwrap().sources);
        *first.entry(selection.sources[0].name.to_string()).or_default() += 1;
    }
    assert!(first.len() == 4 && first.values().all(|count| (40..=200).contains(count)), "{first:?}");
    for _ in 0..20 {
        let order = SourceOrder { named: 2, ours: PeerId::random().unwrap(), game: &game };
        let named = super::select(offers.clone(), None, None, &order).unwrap();
        assert_eq!(names(&named)[..2], ["a", "b"], "those that were named come first, by name");
    }
}

/// A name that the user gave counts more than the load, and the load more than the receiver's own order.
#[test]
fn the_less_busy_source_is_tried_first() {
    let game: GameId = "g".parse().unwrap();
    let busy = |name: &str, load: Option<(bool, u64)>| PeerOffer {
        load: load.map(|(is_full, transfers)| Load { is_full, waiting: 0, transfers }),
        ..offer(name, "1", &[1])
    };
    let offers = [
        busy("named", Some((true, 8))),
        busy("silent", None),
        busy("full", Some((true, 1))),
        busy("two", Some((false, 2))),
        busy("idle", Some((false, 0))),
    ];
    for _ in 0..20 {
        let order = SourceOrder { named: 1, ours: PeerId::random().unwrap(), game: &game };
        let selection = super::select(offers.to_vec(), None, None, &order).unwrap();
        assert_eq!(names(&selection), ["named", "idle", "two", "full", "silent"]);
    }
}

/// The order of asking decides who had an identity first.
#[test]
fn of_two_peers_with_one_identity_the_first_has_the_vote() {
    let one = offer("a", "1", &[1]);
    let copy = copy_of(&one, "b", &[2]);
    let same_elsewhere = PeerOffer { address: ([127, 0, 0, 1], 3).into(), ..one.clone() };
    let selection = select(vec![one.clone(), same_elsewhere.clone()], None).unwrap();
    assert_eq!((names(&selection), selection.copies.len()), (vec!["a"], 0), "two addresses are no copy");
    let selection = select(vec![one.clone(), copy.clone(), same_elsewhere.clone()], None).unwrap();
    assert_eq!(names(&selection), ["a"]);
    let selection = select(vec![copy, one, same_elsewhere], None).unwrap();
    assert_eq!(names(&selection), ["b"]);
}

#[test]
fn a_choice_is_settled_when_the_missing_answers_cannot_change_it() {
    let hasher = RandomState::new();
    let settles = |offers: &[PeerOffer], wanted: Option<&str>, missing| {
        let votes: Vec<Vote> = offers.iter().map(|offer| Vote::of(offer, None, &hasher)).collect();
        settled(&votes, wanted.map(|version| version.parse().unwrap()).as_ref(), false, missing)
    };
    let (good, odd, old) = (offer("a", "2", &[1]), offer("b", "2", &[2]), offer("c", "1", &[1]));
    let again = || PeerOffer { id: PeerId::random().unwrap(), ..good.clone() };
    let three = [good.clone(), again(), again()];
    assert!(settles(&three, None, 2) && settles(&three, Some("2"), 2));
    assert!(!settles(&three, None, 3) && !settles(&three, Some("2"), 3), "three more could tie");
    let four = [three.as_slice(), std::slice::from_ref(&odd)].concat();
    assert!(settles(&four, None, 1) && !settles(&four, None, 2));
    let four = [three.as_slice(), &[old]].concat();
    assert!(settles(&four, Some("2"), 2) && !settles(&four, None, 2), "the version could still change");
    assert!(!settles(&three, Some("3"), 1), "no answer is of the wanted version");
    assert!(!settles(&[], None, 0) && !settles(&three[..1], None, 1) && settles(&three[..1], None, 0));
    let twice = [good.clone(), PeerOffer { instance: 2, ..good.clone() }, good];
    assert!(!settles(&twice, None, 1), "one identity has one vote");
}

#[test]
fn with_a_manifest_one_offer_of_it_settles_the_choice() {
    let hasher = RandomState::new();
    let (lie, fits) = (offer("a", "1", &[6]), offer("b", "1", &[5]));
    let manifest = manifest(&[5]);
    let settles = |offers: &[&PeerOffer]| {
        let votes: Vec<Vote> = offers.iter().map(|offer| Vote::of(offer, Some(&manifest), &hasher)).collect();
        let offering = votes.iter().filter(|vote| vote.offers(None, true)).count();
        (settled(&votes, None, true, 50), offering)
    };
    assert_eq!(settles(&[&lie, &lie, &lie]), (false, 0));
    assert_eq!(settles(&[&lie, &fits, &lie]), (true, 1));
    let penalised = penalised(fits.clone());
    assert_eq!(settles(&[&penalised]), (false, 0), "another one is looked for");
    let vote = Vote::of(&penalised, None, &hasher);
    assert!(!vote.offers(None, false) && !settled([&vote], None, false, 0), "it has no vote");
}

proptest! {
    /// With a manifest, the result depends neither on how many lie, nor on what they say, nor on the order of answers,
    /// and it is never ambiguous.
    #[test]
    fn with_a_manifest_liars_change_nothing(
        honest in 0usize..4,
        lies in proptest::collection::vec((0u8..2, 5u64..8, 0u8..4), 0..20),
        seed in any::<u64>(),
    ) {
        let honest: Vec<PeerOffer> = (0..honest).map(|number| offer(&format!("h{number}"), "1", &[5])).collect();
        let lies = lies.iter().filter(|(version, size, _)| (*version, *size) != (1, 5));
        let mut offers: Vec<PeerOffer> = lies
            .map(|(version, size, digest)| with_manifest(*digest, offer("l", &version.to_string(), &[*size])))
            .chain(honest.iter().cloned())
            .collect();
        let alone = by_manifest(honest, &[5]).map(|selection| selection.sources);
        shuffle(&mut offers, seed);
        match by_manifest(offers, &[5]) {
            Ok(selection) => prop_assert_eq!(Ok(selection.sources), alone),
            Err(SelectError::NotOffered(_)) => prop_assert!(alone.is_err()),
            Err(SelectError::Ambiguous(sides)) => prop_assert!(false, "{:?}", sides),
        }
    }

    /// What is settled is not refused because of a manifest that a missing peer offers.
    #[test]
    fn what_is_settled_is_not_refused_for_its_manifests(
        votes in proptest::collection::vec(0u8..3, 1..6),
        missing in proptest::collection::vec(0u8..4, 0..5),
    ) {
        let make = |digest: &u8| match digest {
            0 => offer("p", "1", &[5]),
            digest => with_manifest(*digest, offer("p", "1", &[5])),
        };
        let told: Vec<PeerOffer> = votes.iter().map(make).collect();
        let hasher = RandomState::new();
        let votes: Vec<Vote> = told.iter().map(|offer| Vote::of(offer, None, &hasher)).collect();
        if settled(&votes, None, false, missing.len()) {
            prop_assert!(select(told.clone(), None).is_ok());
            let all: Vec<PeerOffer> = told.into_iter().chain(missing.iter().map(make)).collect();
            prop_assert!(select(all, None).is_ok());
        }
    }

    /// Settled means: whatever the missing peers answer, the same version and files are chosen; and if it is not
    /// settled, there are answers that change the choice.
    #[test]
    fn what_is_settled_does_not_change_any_more(
        votes in proptest::collection::vec((0u8..2, 0u64..2), 0..7),
        missing in proptest::collection::vec((0u8..3, 0u64..3), 0..5),
        wanted in proptest::option::of(0u8..2),
    ) {
        let make = |(version, size): &(u8, u64)| offer("p", &version.to_string(), &[*size]);
        let wanted = wanted.map(|version| version.to_string().parse::<GameVersion>().unwrap());
        let chosen = |offers: &[PeerOffer]| match select(offers.to_vec(), wanted.as_ref()) {
            Ok(selection) => Some((selection.version, selection.sources[0].files.clone())),
            Err(_) => None,
        };
        let told: Vec<PeerOffer> = votes.iter().map(make).collect();
        let hasher = RandomState::new();
        let votes: Vec<Vote> = told.iter().map(|offer| Vote::of(offer, None, &hasher)).collect();
        let before = chosen(&told);
        let with = |more: &[(u8, u64)]| chosen(&[told.clone(), more.iter().map(make).collect()].concat());
        if settled(&votes, wanted.as_ref(), false, missing.len()) {
            prop_assert!(before.is_some());
            prop_assert_eq!(&with(&missing), &before);
        } else if before.is_some() {
            // All missing ones say the same: one of these can change the choice.
            let same = |version, size| vec![(version, size); missing.len()];
            let changed = (0..3).flat_map(|version| (0..3).map(move |size| same(version, size)))
                .any(|more| with(&more) != before);
            prop_assert!(changed, "{:?} more could not change {:?}", missing.len(), before);
        }
    }

    /// The result does not depend on which peer answered first, and a validated group is larger than any other.
    #[test]
    fn the_order_of_answers_does_not_matter(
        sizes in proptest::collection::vec(0u64..3, 0..8),
        seed in any::<u64>(),
    ) {
        let offers: Vec<_> = sizes.iter().enumerate().map(|(i, size)| offer(&format!("p{i}"), "1", &[*size])).collect();
        let mut shuffled = offers.clone();
        shuffle(&mut shuffled, seed);
        let (game, ours) = ("g".parse().unwrap(), PeerId::random().unwrap());
        let order = SourceOrder { named: 0, ours, game: &game };
        let one = super::select(offers, None, None, &order);
        let other = super::select(shuffled, None, None, &order);
        match (&one, &other) {
            (Ok(one), Ok(other)) => {
                prop_assert_eq!(&one.sources, &other.sources);
                for size in 0..3 {
                    let count = sizes.iter().filter(|s| **s == size).count();
                    prop_assert!(count < one.sources.len() || one.sources[0].files[0].size == size);
                }
            }
            (Err(SelectError::Ambiguous(one)), Err(SelectError::Ambiguous(other))) => prop_assert_eq!(one.len(), other.len()),
            (Err(SelectError::NotOffered(_)), Err(SelectError::NotOffered(_))) => prop_assert!(sizes.is_empty()),
            _ => prop_assert!(false, "{:?} against {:?}", one, other),
        }
    }
}
