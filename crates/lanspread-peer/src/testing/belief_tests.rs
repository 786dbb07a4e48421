//! Which sources are believed: with and without a manifest, after an offence, and by the user's rules.

use std::net::SocketAddr;
use std::path::PathBuf;

use lanspread_testing::lying_source::{Listening, LyingSource};
use lanspread_testing::machine::Machine;
use lanspread_testing::small_game;
use lanspread_types::ids::PeerId;
use tokio_util::sync::CancellationToken;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::channel::PeerEvents;
use crate::report::event::PeerEvent;
use crate::report::offender::{Offence, PenalisedPeer};
use crate::report::operation::{AdmissionRules, OperationOptions};
use crate::testing::machine::PeerOf;
use crate::testing::organiser::build_catalog;
use crate::trust::penalties::ClearedPenalties;
use crate::trust::select::Selection;

/// A machine that serves the small game, and a catalog with its manifest.
struct Honest {
    machine: Machine,
    _peer: Peer,
    address: SocketAddr,
    id: PeerId,
    catalog: PathBuf,
    catalog_folder: tempfile::TempDir,
}

impl Honest {
    async fn serve() -> Self {
        let machine = Machine::new();
        small_game::download(&machine.games_dir());
        let catalog_folder = tempfile::tempdir().unwrap();
        let catalog = build_catalog(&machine, catalog_folder.path());
        let peer = machine.peer("honest");
        let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        Self { id: peer.id(), machine, _peer: peer, address, catalog, catalog_folder }
    }

    fn root_files(&self) -> Vec<lanspread_types::content::RootFile> {
        small_game::root_files(&self.machine.games_dir())
    }

    /// A source with the same root files that sends nothing but this.
    async fn imitated(&self, name: &str, stream: Vec<lanspread_testing::step::Step>) -> Listening {
        LyingSource::new(name, self.root_files(), stream).listen().await
    }
}

async fn choose(peer: &Peer, options: &OperationOptions) -> Result<Selection, PeerError> {
    peer.choose(&small_game::game(), options, &CancellationToken::new()).await
}

fn asking(addresses: &[SocketAddr]) -> OperationOptions {
    OperationOptions::default().with_peers(addresses.iter().map(|address| (*address).into()).collect())
}

fn names(selection: &Selection) -> Vec<&str> {
    selection.sources.iter().map(|source| source.name.as_str()).collect()
}

fn penalised(events: &mut PeerEvents) -> Vec<(String, Offence, u64)> {
    let mut heard = Vec::new();
    while let Some(event) = events.try_next() {
        if let PeerEvent::PeerPenalised(PenalisedPeer { name, offence, length_ms, .. }) = event {
            heard.push((name.to_string(), offence, length_ms));
        }
    }
    heard
}

/// Five liars with equal false files against one honest source.
#[tokio::test]
async fn with_a_manifest_the_one_honest_source_is_chosen_against_five_liars() {
    let honest = Honest::serve().await;
    let mut false_files = honest.root_files();
    false_files[0].size += 1;
    let (mut liars, mut addresses) = (Vec::new(), vec![honest.address]);
    for number in 0..5 {
        let liar =
            LyingSource::new(&format!("liar-{number}"), false_files.clone(), Vec::new()).listen().await;
        addresses.push(liar.address);
        liars.push(liar);
    }
    let machine = Machine::new();
    let plain = choose(&machine.peer("receiver"), &asking(&addresses)).await.unwrap();
    assert_eq!(
        (plain.sources.len(), plain.dropped[0].peer.as_str()),
        (5, "honest"),
        "the majority is believed"
    );
    let receiver = machine.describe("receiver").catalog(&honest.catalog).build().unwrap();
    let selection = choose(&receiver, &asking(&addresses)).await.unwrap();
    assert_eq!((names(&selection), selection.dropped.len()), (vec!["honest"], 5));
    let report = receiver
        .stream_install_game(&small_game::game(), &asking(&addresses), CancellationToken::new())
        .await
        .unwrap();
    assert_eq!((report.source.id, report.attempts.len()), (honest.id, 0));
    // The manifest that the catalog names is not here: as without one.
    std::fs::remove_dir_all(honest.catalog_folder.path().join("manifests")).unwrap();
    let without = machine.describe("receiver").catalog(&honest.catalog).build().unwrap();
    assert_eq!(choose(&without, &asking(&addresses)).await.unwrap().sources.len(), 5);
}

/// In a stream and in a download.
#[tokio::test]
async fn a_source_that_breaks_the_protocol_is_not_believed_for_a_while() {
    let honest = Honest::serve().await;
    let garbage = vec![lanspread_testing::step::Step::Raw(vec![0xff; 64])];
    let machine = Machine::new();
    let receiver = machine.peer("receiver");
    let mut events = receiver.events();
    let liar = honest.imitated("liar", garbage).await;
    let options = asking(&[liar.address]);
    let (game, never) = (small_game::game(), CancellationToken::new());
    let failed = receiver.stream_install_game(&game, &options, never.clone()).await;
    assert!(matches!(failed, Err(PeerError::AllSourcesFailed { .. })), "{failed:?}");
    assert_eq!(penalised(&mut events), [("liar".to_owned(), Offence::BrokeProtocol, 30_000)]);
    // Another run of the same peer remembers it. With and without a manifest, it is used if there is no other.
    let with_manifest = machine.describe("receiver").catalog(&honest.catalog).build().unwrap();
    for peer in [&receiver, &with_manifest] {
        assert_eq!(names(&choose(peer, &options).await.unwrap()), ["liar"]);
        let both = choose(peer, &asking(&[liar.address, honest.address])).await.unwrap();
        assert_eq!((names(&both), both.at_once().len()), (vec!["honest", "liar"], 1));
    }

    assert_eq!(receiver.penalties(Some("all".to_owned())).await.unwrap().len(), 1);
    let failed = receiver.download_game(&game, &options, never).await;
    assert!(matches!(failed, Err(PeerError::AllSourcesFailed { .. })), "{failed:?}");
    assert_eq!(penalised(&mut events), [("liar".to_owned(), Offence::BrokeProtocol, 30_000)]);
    assert_eq!(receiver.running_tasks(), 0);
}

/// A source that is gone or refuses has done nothing wrong.
#[tokio::test]
async fn a_source_that_is_gone_is_not_penalised() {
    let honest = Honest::serve().await;
    let gone = honest.imitated("gone", Vec::new()).await;
    let machine = Machine::new();
    let receiver = machine.peer("receiver");
    let mut events = receiver.events();
    let options = asking(&[gone.address]);
    let failed = receiver.stream_install_game(&small_game::game(), &options, CancellationToken::new()).await;
    assert!(matches!(failed, Err(PeerError::AllSourcesFailed { .. })), "{failed:?}");
    assert_eq!(penalised(&mut events), []);
    assert_eq!(receiver.penalties(None).await.unwrap(), []);
}

#[tokio::test]
async fn a_denied_peer_is_not_a_source() {
    let honest = Honest::serve().await;
    let machine = Machine::new();
    let receiver = machine.peer("receiver");
    let options = asking(&[honest.address]);
    let denied = |chosen: Result<Selection, PeerError>| match chosen {
        Err(PeerError::NotOffered { peers, .. }) => peers[0].reason.contains("is denied"),
        Ok(selection) => {
            assert_eq!(names(&selection), ["honest"]);
            false
        }
        other => panic!("{other:?}"),
    };
    assert!(!denied(choose(&receiver, &options).await));
    let rules = |deny: &[PeerId], allow: &[PeerId], only_trusted| AdmissionRules {
        deny: deny.iter().copied().collect(),
        allow: allow.iter().copied().collect(),
        only_trusted,
    };
    let other = PeerId::random().unwrap();
    for (rules, is_denied) in [
        (rules(&[honest.id], &[honest.id], false), true),
        (rules(&[], &[other], false), true),
        (rules(&[], &[], true), true),
        (rules(&[other], &[honest.id], true), false),
    ] {
        let chosen = choose(&receiver, &options.clone().with_admission(rules.clone())).await;
        assert_eq!(denied(chosen), is_denied, "by the operation: {rules:?}");
        let strict = Machine::new().describe("strict").admission(rules.clone()).build().unwrap();
        assert_eq!(denied(choose(&strict, &options).await), is_denied, "by the peer: {rules:?}");
    }
    // What the user says with another command counts at once.
    let saved = crate::SavedPeers::of(Some(machine.state_dir())).unwrap();
    saved.deny(honest.id, None).unwrap();
    assert!(denied(choose(&receiver, &options).await));
    saved.trust(honest.id, None).unwrap();
    let only_trusted = options.with_admission(rules(&[], &[], true));
    assert!(!denied(choose(&receiver, &only_trusted).await));
}

#[tokio::test]
async fn penalties_are_shown_and_cleared_by_identity_and_address() {
    let machine = Machine::new();
    let receiver = machine.peer("receiver");
    let ids: Vec<PeerId> = (0..3).map(|_| PeerId::random().unwrap()).collect();
    let penalties = crate::Penalties::new(machine.state_dir(), true);
    for (id, address) in ids.iter().zip(["10.0.0.5:1", "10.0.0.6:1", "127.0.0.1:1"]) {
        penalties.lied(*id, address.parse().unwrap(), "x").unwrap();
    }
    let clear = async |text: &str| receiver.penalties(Some(text.to_owned())).await.map(|ended| ended.len());
    assert_eq!(receiver.penalties(None).await.unwrap().len(), 5, "an address counts where all are let in");
    assert_eq!(clear(&ids[0].short()).await.unwrap(), 1);
    assert_eq!(clear("10.0.0.5").await.unwrap(), 1);
    assert!(matches!(clear("10.0.0.5").await, Err(PeerError::NotPenalised { .. })));
    assert!(matches!(clear(&ids[0].short()).await, Err(PeerError::SavedPeers(_))));
    assert_eq!(clear(&ids[1].to_string()).await.unwrap(), 1);
    assert_eq!(penalties.clear(ClearedPenalties::All).unwrap().len(), 2);
    assert_eq!(clear("all").await.unwrap(), 0);
}
