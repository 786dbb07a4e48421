//! Packed installs of real peers on sockets: one receiver, a receiver behind it, and sources that lie.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use lanspread_archive::provider::ProviderChoice;
use lanspread_proto::message::{Reply, Request};
use lanspread_proto::packed::{Join, PackedGame};
use lanspread_testing::machine::{Machine, scratch, tree};
use lanspread_testing::{programs, small_game};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::InstallTrust;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::packed::relays::OpenRelay;
use crate::packed::stream_view::StreamView;
use crate::packed::window::PackedWindow;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::stream_install::StreamInstallReport;
use crate::report::channel::PeerEvents;
use crate::report::download::DownloadFinished;
use crate::report::event::PeerEvent;
use crate::report::operation::{DecodeAt, OperationOptions, RelayChoice};
use crate::report::packed_stream::{RelayBegin, RelayEnd, UpstreamBegin, UpstreamEnd, UpstreamKind};
use crate::testing::endpoint;
use crate::testing::machine::PeerOf;
use crate::testing::organiser::build_catalog;
use crate::transport::dial::dial;

/// A machine that has the archives, its peer, and the catalog of its games.
struct Den {
    machine: Machine,
    peer: Peer,
    address: SocketAddr,
}

impl Den {
    async fn new() -> Self {
        let machine = Machine::new();
        small_game::download(&machine.games_dir());
        build_catalog(&machine, &machine.state_dir());
        let peer = machine.describe("den").catalog(machine.state_dir().join("catalog.toml")).build().unwrap();
        let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        Self { machine, peer, address }
    }

    fn catalog(&self) -> PathBuf {
        self.machine.state_dir().join("catalog.toml")
    }

    /// A peer of another machine with this catalog.
    fn receiver(&self, machine: &Machine, name: &str) -> Peer {
        machine.describe(name).catalog(self.catalog()).build().unwrap()
    }
}

async fn install(
    peer: &Peer,
    from: &[SocketAddr],
    options: OperationOptions,
) -> Result<StreamInstallReport, PeerError> {
    let options = options.with_peers(from.iter().map(|address| (*address).into()).collect());
    peer.stream_install_game(&small_game::game(), &options, CancellationToken::new()).await
}

fn all_events(events: &mut PeerEvents) -> Vec<PeerEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

fn upstreams(events: &[PeerEvent]) -> Vec<(String, UpstreamKind)> {
    let begun = events.iter().filter_map(|event| match event {
        PeerEvent::UpstreamBegin(UpstreamBegin { upstream, kind, .. }) => Some((upstream.clone(), *kind)),
        _ => None,
    });
    begun.collect()
}

fn assert_installed(machine: &Machine) {
    assert_eq!(tree(&machine.games_dir().join("small/local")), small_game::tree());
    let packed = tree(&machine.games_dir())
        .into_keys()
        .find(|path| std::path::Path::new(path).extension() == Some("eti".as_ref()));
    assert_eq!(packed, None, "the archive is never stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_is_decoded_where_it_is_installed() {
    let (den, machine) = (Den::new().await, Machine::new());
    let receiver = den.receiver(&machine, "seat");
    let (mut events, mut served) = (receiver.events(), den.peer.events());
    let report = install(&receiver, &[den.address], OperationOptions::default()).await.unwrap();
    assert_eq!((report.source.name.as_str(), report.trust), ("den", InstallTrust::Verified));
    assert_installed(&machine);
    let events = all_events(&mut events);
    assert_eq!(upstreams(&events), [("den".to_owned(), UpstreamKind::Source)]);
    let archive = std::fs::metadata(den.machine.games_dir().join("small/small.eti")).unwrap().len();
    let brought = events.iter().find_map(|event| match event {
        PeerEvent::UpstreamEnd(UpstreamEnd { bytes, code, .. }) => Some((*bytes, code.to_string())),
        _ => None,
    });
    assert_eq!(brought, Some((archive, "complete".to_owned())), "packed bytes, and each once");
    den.peer.shutdown().await.unwrap();
    let sent = all_events(&mut served).into_iter().find_map(|event| match event {
        PeerEvent::TransferEnd { bytes, outcome, .. } => Some((bytes, outcome.to_string())),
        _ => None,
    });
    assert_eq!(sent, Some((archive, "complete".to_owned())));
    receiver.shutdown().await.unwrap();
    assert_eq!((den.peer.running_tasks(), receiver.running_tasks()), (0, 0));
}

/// The program that decodes for this source leaves a mark when it is asked, and decodes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn at_the_source_it_is_decoded_only_if_that_is_asked_for() {
    let (den, machine, folder) = (Machine::new(), Machine::new(), scratch());
    small_game::download(&den.games_dir());
    let catalog = build_catalog(&den, &den.state_dir());
    let (program, mark) = (folder.path().join("decoder"), folder.path().join("asked"));
    programs::script(&program, &format!("touch '{}'; exit 9", mark.display()));
    let source =
        den.describe("den").provider(ProviderChoice::Unrar(program)).catalog(&catalog).build().unwrap();
    let address = source.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let receiver = machine.describe("seat").catalog(&catalog).build().unwrap();
    install(&receiver, &[address], OperationOptions::default()).await.unwrap();
    assert_installed(&machine);
    assert!(!mark.exists(), "a source of packed bytes opens no archive");

    let other = Machine::new();
    let receiver = other.describe("seat-2").catalog(&catalog).build().unwrap();
    let options = OperationOptions::default().with_decode_at(DecodeAt::Source);
    install(&receiver, &[address], options).await.unwrap_err();
    assert!(mark.exists());
}

/// A receiver that has joined the wave of a den, has everything, and can be followed.
struct Before {
    peer: Peer,
    relay: OpenRelay,
}

impl Before {
    async fn new(den: &Den, machine: &Machine) -> Self {
        let peer = den.receiver(machine, "seat-1");
        let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        let game = small_game::game();
        let listed = peer.trusted_manifest(&game).await.unwrap().unwrap();
        let manifest = listed.packing_list_digest().unwrap().unwrap();
        let packed = PackedGame { game, version: small_game::version(), manifest };
        let archive = std::fs::read(den.machine.games_dir().join("small/small.eti")).unwrap();
        let window = Arc::new(PackedWindow::new(1, 1));
        let join = Join { packed: packed.clone(), relay_port: Some(address.port()), window: 1 };
        let mut joining = dial(&den.address.into(), &peer.endpoint(), None).await.unwrap().connection;
        joining.send(&Request::Join(join)).await.unwrap();
        let reply = joining.receive("a place", limits::REPLY_DEADLINE).await.unwrap();
        let Some(Reply::Placed(placed)) = reply else { panic!("{reply:?}") };
        let relays = &peer.source().packed.relays;
        let view = Arc::new(StreamView::new("relay".parse().unwrap(), 1 << 20));
        let events = peer.event_sender().clone();
        let relay = relays.open(packed, Arc::clone(&window), view, placed.place, events);
        assert!(window.change(|ring| ring.push(0, archive.into())));
        Self { peer, relay }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_comes_later_is_fed_by_the_one_before_it() {
    let (den, first, second) = (Den::new().await, Machine::new(), Machine::new());
    let before = Before::new(&den, &first).await;
    let other = den.receiver(&second, "seat-2");
    let (mut of_one, mut of_other) = (before.peer.events(), other.events());
    install(&other, &[den.address], OperationOptions::default()).await.unwrap();
    assert_installed(&second);
    let begun = upstreams(&all_events(&mut of_other));
    assert_eq!(begun, [("seat-1".to_owned(), UpstreamKind::Relay)], "and the source is not asked for bytes");
    before.relay.linger().await;
    let mut relayed = Vec::new();
    while relayed.len() < 2 {
        match of_one.next().await.unwrap() {
            PeerEvent::RelayBegin(RelayBegin { follower, .. }) => relayed.push(format!("{follower} begins")),
            PeerEvent::RelayEnd(RelayEnd { outcome, .. }) => relayed.push(outcome.to_string()),
            _ => {}
        }
    }
    assert_eq!(relayed, ["seat-2 begins", "complete"]);
}

/// Receivers that download and receivers that install are of one wave: what they want is the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_takes_the_archives_from_the_receiver_before_it() {
    let (den, first, second) = (Den::new().await, Machine::new(), Machine::new());
    let before = Before::new(&den, &first).await;
    let other = den.receiver(&second, "seat-2");
    let mut events = other.events();
    let options = OperationOptions::default().with_peers(vec![den.address.into()]);
    other.download_game(&small_game::game(), &options, CancellationToken::new()).await.unwrap();
    let (of_den, here) = (den.machine.games_dir().join("small"), second.games_dir().join("small"));
    assert_eq!(tree(&here), tree(&of_den));
    before.relay.linger().await;
    let heard = all_events(&mut events);
    assert_eq!(upstreams(&heard), [("seat-1".to_owned(), UpstreamKind::Relay)]);
    let finished = heard.iter().find_map(|event| match event {
        PeerEvent::DownloadFinished(DownloadFinished { sources, .. }) => Some(sources),
        _ => None,
    });
    let shares: Vec<(&str, u64)> =
        finished.unwrap().iter().map(|share| (share.peer.as_str(), share.bytes)).collect();
    let size = |name: &str| std::fs::metadata(of_den.join(name)).unwrap().len();
    assert_eq!(shares, [("seat-1", size("small.eti")), ("den", size("version.ini"))]);
}

/// Otherwise no other receiver could join its wave, and with a full uplink all would wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_it_holds_nothing_closes_no_wave() {
    let machine = Machine::new();
    small_game::download(&machine.games_dir());
    // More chunks than the smallest window holds. Places depend on sizes alone.
    let archive = machine.games_dir().join("small/small.eti");
    std::fs::File::options().write(true).open(archive).unwrap().set_len(64 << 20).unwrap();
    let source = machine.describe("den").build().unwrap();
    let address = source.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let manifest = ContentDigest([1; 32]);
    let packed = PackedGame { game: small_game::game(), version: small_game::version(), manifest };
    let mut places = Vec::new();
    for window in [0, 64] {
        let mut joining = dial(&address.into(), &endpoint("seat"), None).await.unwrap().connection;
        let join = Join { packed: packed.clone(), relay_port: Some(1), window };
        joining.send(&Request::Join(join)).await.unwrap();
        let reply = joining.receive("a place", limits::REPLY_DEADLINE).await.unwrap();
        let Some(Reply::Placed(placement)) = reply else { panic!("{reply:?}") };
        places.push(placement.place);
    }
    assert_eq!((places[0].wave, places[1].position), (places[1].wave, 1));
    source.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_relays_nothing_opens_no_port() {
    let (den, machine) = (Den::new().await, Machine::new());
    let receiver = den.receiver(&machine, "seat");
    let options = OperationOptions::default().with_relay(RelayChoice::Off);
    install(&receiver, &[den.address], options).await.unwrap();
    assert_installed(&machine);
}
