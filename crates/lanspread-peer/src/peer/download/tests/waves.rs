//! Downloads of receivers that pass the archives on to each other.

use lanspread_proto::message::{Reply, Request};
use lanspread_proto::packed::{Follow, Join, PackedGame, Place};
use lanspread_store::download::partials;
use lanspread_store::state::record::Recorded;
use lanspread_types::checksum::Checksum;
use lanspread_types::ids::PeerId;
use tokio::sync::mpsc;

use super::*;
use crate::packed::backlog::Backlog;
use crate::packed::feed::{Order, Said};
use crate::packed::follow::follow;
use crate::packed::plan::Tier;
use crate::report::operation::RelayChoice;
use crate::report::packed_stream::{UpstreamBegin, UpstreamKind};
use crate::testing::organiser::build_catalog;
use crate::traffic::Meter;
use crate::transport::dial::dial;

/// A source with a catalog, and receivers that know it.
struct Room {
    den: Machine,
    _source: Peer,
    address: SocketAddr,
}

impl Room {
    async fn new() -> Self {
        let (den, source, address) = source("den").await;
        build_catalog(&den, &den.state_dir());
        Self { den, _source: source, address }
    }

    fn receiver(&self, machine: &Machine, name: &str) -> Peer {
        machine.describe(name).catalog(self.den.state_dir().join("catalog.toml")).build().unwrap()
    }
}

fn upstreams(events: &[PeerEvent]) -> Vec<(&str, UpstreamKind)> {
    let begun = events.iter().filter_map(|event| match event {
        PeerEvent::UpstreamBegin(UpstreamBegin { upstream, kind, .. }) => Some((upstream.as_str(), *kind)),
        _ => None,
    });
    begun.collect()
}

/// When its download is done, another receiver of its wave gets from it what it wants.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_passes_the_archives_on() {
    let (room, machine, later) = (Room::new().await, Machine::new(), Machine::new());
    let (peer, later) = (room.receiver(&machine, "seat-1"), room.receiver(&later, "seat-2"));
    let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let game = small_game::game();
    let listed = peer.trusted_manifest(&game).await.unwrap().unwrap();
    let manifest = listed.packing_list_digest().unwrap().unwrap();
    let packed = PackedGame { game: game.clone(), version: small_game::version(), manifest };
    // A place of the wave in which the download will be.
    let join = Join { packed: packed.clone(), relay_port: None, window: 1 };
    let mut joining = dial(&room.address.into(), &later.endpoint(), None).await.unwrap().connection;
    joining.send(&Request::Join(join)).await.unwrap();
    let reply = joining.receive("a place", limits::REPLY_DEADLINE).await.unwrap();
    let Some(Reply::Placed(placed)) = reply else { panic!("{reply:?}") };
    let place = Place { position: 9, ..placed.place };

    let (wanted, cancel) = (options(&[room.address]), CancellationToken::new());
    let following = peer.operate(&game, &wanted, &cancel, |peer, context| async move {
        let relay = peer.download(&context).await?;
        let mut connection = dial(&address.into(), &later.endpoint(), None).await.unwrap().connection;
        let (orders, ordered) = mpsc::channel(2);
        let (says, mut said) = mpsc::channel(2);
        let wanted = Follow { packed, at: 0, place, instead_of: None };
        let asking = async {
            orders.send(Order::Ask(0)).await.unwrap();
            let opened = said.recv().await;
            let chunk = said.recv().await;
            orders.send(Order::Done).await.unwrap();
            drop(orders);
            (opened, chunk)
        };
        let buffers = Arc::default();
        let (followed, asked) = tokio::join!(
            follow(
                &mut connection,
                wanted,
                Tier::Relay,
                Backlog::new(1, || Ok(0)),
                (&buffers, Meter::unlimited()),
                ordered,
                says
            ),
            asking
        );
        followed.unwrap();
        peer.linger(relay, &context.cancel).await;
        Ok(asked)
    });
    let (opened, chunk) = following.await.unwrap();
    assert_eq!(opened, Some(Said::Opened { lo: 0 }));
    let archive = fs::read(room.den.games_dir().join("small/small.eti")).unwrap();
    assert_eq!(chunk, Some(Said::Chunk(0, archive.into())));
    assert_eq!(root(&machine), root(&room.den));
    assert_only_the_receipt_is_left(&machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_relays_nothing_opens_no_port_and_is_complete() {
    let (room, machine) = (Room::new().await, Machine::new());
    let receiver = room.receiver(&machine, "seat");
    let (game, cancel) = (small_game::game(), CancellationToken::new());
    let wanted = options(&[room.address]).with_relay(RelayChoice::Off);
    let downloading = receiver.operate(&game, &wanted, &cancel, |peer, context| async move {
        Ok(peer.download(&context).await?.is_some())
    });
    assert!(!downloading.await.unwrap());
    assert_eq!(root(&machine), root(&room.den));
}

/// What is here is not in a window, and a follower wants the first chunk.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_resumes_takes_no_part_in_a_wave() {
    let (room, machine) = (Room::new().await, Machine::new());
    let archive = fs::read(room.den.games_dir().join("small/small.eti")).unwrap();
    let files = small_game::root_files(&room.den.games_dir());
    let receiver = room.receiver(&machine, "seat");
    {
        let (games, game) = (GamesDir::open(&machine.games_dir()).unwrap(), small_game::game());
        let listed = receiver.trusted_manifest(&game).await.unwrap().map(ListedChunks::new);
        let (version, cancel) = (small_game::version(), CancellationToken::new());
        let (partials, mut journal) =
            partials::prepare(&games, &game, &version, &files, listed.as_ref(), &cancel).unwrap();
        let number = files.iter().position(|file| file.name == "small.eti").unwrap();
        fs::write(partials.path(number), &archive).unwrap();
        let id = journal.record.chunks.of_file(number)[0].id;
        let (checksum, peer) = (Checksum::of(&archive), "den".parse().unwrap());
        let recorded = Recorded { checksum, peer, peer_id: PeerId::random().unwrap(), fingerprint: 0 };
        journal.chunk(id, recorded).unwrap();
    }
    let mut events = receiver.events();
    download(&receiver, &[room.address]).await.unwrap();
    assert_eq!(root(&machine), root(&room.den));
    assert_eq!(upstreams(&drain(&mut events)), []);
}
