//! Installs with a manifest: real receiving peers, lying sources, and archives on this machine that hold something else.

use std::net::SocketAddr;
use std::path::PathBuf;

use lanspread_store::error::StoreError;
use lanspread_testing::lies::Lie;
use lanspread_testing::lying_source::{Listening, LyingSource};
use lanspread_testing::machine::{Machine, tree};
use lanspread_testing::{lies, small_game};
use lanspread_types::content::{InstallTrust, RootFile};
use lanspread_types::ids::PeerId;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::stream_install::StreamInstallReport;
use crate::report::answer::Answer;
use crate::report::channel::PeerEvents;
use crate::report::event::PeerEvent;
use crate::report::offender::{Offence, PenalisedPeer, ProvedLie};
use crate::report::operation::{DecodeAt, OperationKind, OperationOptions, OperationRequest};
use crate::report::repair::VerifyFinished;
use crate::testing::machine::PeerOf;
use crate::testing::organiser::build_catalog;

/// A machine with the downloaded game, and what its organiser made of it.
struct Organiser {
    machine: Machine,
    files: Vec<RootFile>,
}

impl Organiser {
    fn new() -> Self {
        let machine = Machine::new();
        small_game::download(&machine.games_dir());
        build_catalog(&machine, &machine.state_dir());
        let files = small_game::root_files(&machine.games_dir());
        Self { machine, files }
    }

    fn catalog(&self) -> PathBuf {
        self.machine.state_dir().join("catalog.toml")
    }

    /// A peer of another machine, with this catalog.
    fn receiver(&self, machine: &Machine) -> Peer {
        machine.describe("receiver").catalog(self.catalog()).build().unwrap()
    }

    async fn liar(&self, name: &str, lie: &Lie) -> Listening {
        LyingSource::new(name, self.files.clone(), lie.stream.clone()).listen().await
    }

    fn listed_lies() -> Vec<Lie> {
        let lies = lies::against_a_manifest(&small_game::story());
        assert!(lies.len() >= 12);
        lies
    }
}

async fn install(peer: &Peer, addresses: &[SocketAddr]) -> Result<StreamInstallReport, PeerError> {
    let peers = addresses.iter().map(|address| (*address).into()).collect();
    // The lies are those of sources that decode.
    let decode_at = DecodeAt::Source;
    let options = OperationOptions { peers, decode_at, ..OperationOptions::default() };
    peer.stream_install_game(&small_game::game(), &options, CancellationToken::new()).await
}

/// Performs an operation to its end.
async fn perform(peer: &Peer, kind: OperationKind, options: &OperationOptions) -> Result<(), PeerError> {
    let game = small_game::game();
    let cancel = CancellationToken::new();
    let work = peer.operate(&game, options, &cancel, move |peer, context| async move {
        Box::pin(peer.perform_kind(kind, &context)).await
    });
    work.await
}

fn all_events(events: &mut PeerEvents) -> Vec<PeerEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

/// Peers that were reported to lie, with the path.
fn liars(events: &[PeerEvent]) -> Vec<(String, Option<String>)> {
    let lied = events.iter().filter_map(|event| match event {
        PeerEvent::PeerLied(ProvedLie { peer, path, expected, got, .. }) => {
            assert_ne!(expected, got);
            Some((peer.to_string(), path.clone()))
        }
        _ => None,
    });
    lied.collect()
}

fn receipt(machine: &Machine) -> Vec<Value> {
    let path = machine.games_dir().join(".lanspread/receipts/small.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn trust(peer: &Peer) -> Option<InstallTrust> {
    peer.local_games().await.unwrap().into_iter().find(|game| game.installed).unwrap().installed_trust
}

/// Peers that were penalised for lying, with the time in ms.
fn penalised_liars(events: &[PeerEvent]) -> Vec<(PeerId, u64)> {
    let penalised = events.iter().filter_map(|event| match event {
        PeerEvent::PeerPenalised(PenalisedPeer { peer, offence: Offence::Lied, length_ms, .. }) => {
            Some((*peer, *length_ms))
        }
        _ => None,
    });
    penalised.collect()
}

/// Every lie, also those that are found without a manifest: nothing is left, and the liar is named and penalised for lying
/// if the manifest is what found it out.
#[tokio::test]
async fn every_lie_about_listed_content_is_refused_and_named() {
    let organiser = Organiser::new();
    let listed = Organiser::listed_lies();
    let others = lies::all(&small_game::story());
    let is_listed = |lie: &Lie| lie.code == "not-as-listed";
    for lie in listed.iter().chain(&others) {
        let machine = Machine::new();
        let liar = LyingSource {
            greeting: lie.greeting,
            ..LyingSource::new("liar", organiser.files.clone(), lie.stream.clone())
        };
        let id = liar.key.peer();
        let liar = liar.listen().await;
        let peer = organiser.receiver(&machine);
        let mut events = peer.events();
        let error = install(&peer, &[liar.address]).await.expect_err(lie.name);
        let PeerError::AllSourcesFailed { attempts, .. } = &error else { panic!("{}: {error}", lie.name) };
        let codes: Vec<&str> = attempts.iter().map(|attempt| &*attempt.code).collect();
        let events = all_events(&mut events);
        if is_listed(lie) {
            assert_eq!(codes, ["not-as-listed"], "{}: {error}", lie.name);
            assert!(
                events.iter().any(
                    |event| matches!(event, PeerEvent::PeerLied(ProvedLie { id: named, .. }) if *named == id)
                ),
                "{}",
                lie.name
            );
        } else {
            assert_eq!(codes.len(), 1, "{}: {error}", lie.name);
        }
        let found_by_manifest = codes == ["not-as-listed"];
        assert_eq!(liars(&events).len(), usize::from(found_by_manifest));
        let penalised = if found_by_manifest { vec![(id, 600_000)] } else { Vec::new() };
        assert_eq!(penalised_liars(&events), penalised, "{}", lie.name);
        if found_by_manifest {
            let again = peer.penalties(None).await.unwrap();
            let is_remembered = |answer: &Answer| matches!(answer, Answer::Penalty { peer, offence: Offence::Lied, .. } if *peer == Some(id));
            assert!(again.iter().any(is_remembered), "{}: {again:?}", lie.name);
        }
        assert!(machine.everything().is_empty(), "{}", lie.name);
        assert_eq!(peer.running_tasks(), 0, "{}", lie.name);
    }
}

/// The next source installs, and the result is verified: in the report, the receipt, the list and the events. The liar is
/// asked what it has and tried once.
#[tokio::test]
async fn after_a_lie_the_next_source_installs_and_the_tree_is_verified() {
    let organiser = Organiser::new();
    let honest = organiser.machine.peer("b-honest");
    let address = honest.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    for lie in Organiser::listed_lies() {
        let machine = Machine::new();
        let liar = organiser.liar("a-liar", &lie).await;
        let peer = organiser.receiver(&machine);
        let mut events = peer.events();
        let report = install(&peer, &[address, liar.address]).await.unwrap();
        assert_eq!((report.source.name.as_str(), report.trust), ("b-honest", InstallTrust::Verified));
        let attempts: Vec<_> = report.attempts.iter().map(|a| (a.peer.as_str(), &*a.code)).collect();
        assert_eq!(attempts, [("a-liar", "not-as-listed")], "{}", lie.name);
        assert_eq!(liar.connections(), 2, "{}: asked once, tried once", lie.name);
        let events = all_events(&mut events);
        assert_eq!(liars(&events).len(), 1, "{}", lie.name);
        let verified = |event: &PeerEvent| {
            matches!(event, PeerEvent::StreamInstallFinished { trust: InstallTrust::Verified, .. })
        };
        assert!(events.iter().any(verified), "{}", lie.name);
        assert_eq!(trust(&peer).await, Some(InstallTrust::Verified));
        assert_eq!(tree(&machine.games_dir().join("small/local")), small_game::tree(), "{}", lie.name);
        let receipt = receipt(&machine);
        assert_eq!((&receipt[0]["schema"], &receipt[0]["trust"]), (&2.into(), &"verified".into()));
        let files = &receipt[1..receipt.len() - 1];
        assert_eq!(files.len(), 4);
        assert!(files.iter().all(|file| file["sha256"].is_string() && file["stamp"].is_object()));
    }
    honest.shutdown().await.unwrap();
}

/// What only a manifest finds out is believed without one, and the result says so.
#[tokio::test]
async fn without_a_manifest_other_bytes_are_installed_as_unverified() {
    let organiser = Organiser::new();
    let lie = Organiser::listed_lies().into_iter().find(|lie| lie.name == "listed-other-byte").unwrap();
    let machine = Machine::new();
    let liar = organiser.liar("liar", &lie).await;
    let peer = machine.peer("receiver");
    let report = install(&peer, &[liar.address]).await.unwrap();
    assert_eq!(report.trust, InstallTrust::Unverified);
    assert_eq!(trust(&peer).await, Some(InstallTrust::Unverified));
    let receipt = receipt(&machine);
    assert_eq!((&receipt[0]["trust"], &receipt[0]["manifest"]), (&"unverified".into(), &Value::Null));

    // A manifest that comes later finds the byte, and the tree does not become verified.
    let peer = organiser.receiver(&machine);
    let mut events = peer.events();
    let error = perform(&peer, OperationKind::Verify, &OperationOptions::default()).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::Differences { differences: 2, .. })), "{error}");
    let different = all_events(&mut events).into_iter().filter_map(|event| match event {
        PeerEvent::VerifyDifference { path, problem, .. } => Some((path, problem.to_string())),
        _ => None,
    });
    // The copy is one of the first file.
    let expected =
        [small_game::FIRST_FILE, small_game::COPY].map(|path| (path.to_owned(), "content".to_owned()));
    let mut different: Vec<_> = different.collect();
    different.sort();
    assert_eq!(different, expected);
    assert_eq!(trust(&peer).await, Some(InstallTrust::Unverified));
}

/// An install from before there was a manifest.
#[tokio::test]
async fn verify_lifts_an_unverified_install() {
    let organiser = Organiser::new();
    let machine = Machine::new();
    let source = LyingSource::new("den", organiser.files.clone(), small_game::stream()).listen().await;
    install(&machine.peer("receiver"), &[source.address]).await.unwrap();
    let peer = organiser.receiver(&machine);
    let mut events = peer.events();
    perform(&peer, OperationKind::Verify, &OperationOptions::default()).await.unwrap();
    assert_eq!(trust(&peer).await, Some(InstallTrust::Verified));
    let lifted = |event: &PeerEvent| {
        matches!(
            event,
            PeerEvent::VerifyFinished(VerifyFinished {
                trust: Some(InstallTrust::Verified),
                differences: 0,
                ..
            })
        )
    };
    assert!(all_events(&mut events).iter().any(lifted));
}

/// The archives on this machine are believed no more than a peer.
#[tokio::test]
async fn archives_on_this_machine_are_held_to_the_manifest_too() {
    let organiser = Organiser::new();
    let options = OperationOptions::default();
    let machine = Machine::new();
    small_game::download(&machine.games_dir());
    let peer = organiser.receiver(&machine);
    let mut events = peer.events();
    perform(&peer, OperationKind::Install, &options).await.unwrap();
    let verified =
        |event: &PeerEvent| matches!(event, PeerEvent::InstallFinished { trust: InstallTrust::Verified, .. });
    assert!(all_events(&mut events).iter().any(verified));
    assert_eq!(receipt(&machine)[0]["trust"], "verified");

    let machine = Machine::new();
    small_game::download_other(&machine.games_dir());
    let peer = organiser.receiver(&machine);
    let before = machine.everything();
    let error = perform(&peer, OperationKind::Install, &options).await.unwrap_err();
    let PeerError::Store(StoreError::NotAsListed { deviation, .. }) = &error else { panic!("{error}") };
    assert_eq!(deviation.path.as_deref(), Some(small_game::FIRST_FILE));
    let mut after = machine.everything();
    after.retain(|path, _| before.contains_key(path) || !path.starts_with(".lanspread"));
    assert_eq!(after, before);
    // Without the manifest they are what they are.
    let peer = machine.peer("receiver");
    perform(&peer, OperationKind::Install, &options).await.unwrap();
    assert_eq!(receipt(&machine)[0]["trust"], "unverified");
}

/// A newer version of which there is no manifest does not take the place of a verified tree unless the user says so.
#[tokio::test]
async fn an_unverified_update_needs_consent() {
    let organiser = Organiser::new();
    let machine = Machine::new();
    let honest = LyingSource::new("den", organiser.files.clone(), small_game::stream()).listen().await;
    install(&organiser.receiver(&machine), &[honest.address]).await.unwrap();

    let mut newer = LyingSource::new("den", organiser.files.clone(), small_game::stream());
    newer.offered.version = "20990101".parse().unwrap();
    let newer = newer.listen().await;
    let peer = machine.peer("receiver");
    let before = machine.everything();
    let mut options = OperationOptions { peers: vec![newer.address.into()], ..OperationOptions::default() };
    for force in [false, true] {
        options.force = force;
        let error = perform(&peer, OperationKind::Update, &options).await.unwrap_err();
        assert_eq!(error.code(), "verified-here", "{error}");
        assert_eq!(machine.everything(), before);
    }
    options = OperationOptions { force: false, accept_unverified: true, ..options };
    perform(&peer, OperationKind::Update, &options).await.unwrap();
    assert_eq!(trust(&peer).await, Some(InstallTrust::Unverified));
    assert_eq!(receipt(&machine)[0]["version"], "20990101");
}

/// The option travels to a daemon as the others do.
#[test]
fn consent_is_part_of_a_request() {
    let text = r#"{"kind":"update","game":"small","options":{"accept_unverified":true}}"#;
    let request: OperationRequest = serde_json::from_str(text).unwrap();
    assert!(request.options.accept_unverified);
}
