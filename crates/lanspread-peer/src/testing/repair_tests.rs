//! Repairs between real peers on sockets: what they fetch, which sources they believe, and what they leave to the user.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lanspread_store::error::StoreError;
use lanspread_testing::machine::{Machine, Tree};
use lanspread_types::content::InstallTrust;
use lanspread_types::ids::GameId;
use lanspread_types::limits::MANIFEST_SMALL_CHUNK_BYTES;
use tokio_util::sync::CancellationToken;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::channel::PeerEvents;
use crate::report::ensured::{EnsureAction, Ensured};
use crate::report::event::PeerEvent;
use crate::report::operation::OperationOptions;
use crate::report::repair::RepairFinished;
use crate::testing::link::{Fate, Link};
use crate::testing::machine::PeerOf;
use crate::testing::organiser::build_catalog;

const CHUNK: u64 = MANIFEST_SMALL_CHUNK_BYTES as u64;
/// Of each file, so that most chunks of the archive are of one file.
const FILE_BYTES: usize = 1 << 20;
const FILES: [&str; 4] = ["data/0.bin", "data/1.bin", "data/2.bin", "data/3.bin"];

fn game() -> GameId {
    "large".parse().unwrap()
}

/// Bytes that no other file of the game has.
fn content(number: usize) -> Vec<u8> {
    let mut state = u32::try_from(number).unwrap() + 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()[3]
    };
    (0..FILE_BYTES).map(|_| next()).collect()
}

/// A machine that has the archive, in which every file is stored as it is.
fn den() -> Machine {
    let machine = Machine::new();
    let root = machine.games_dir().join("large");
    fs::create_dir(&root).unwrap();
    let mut archive = rars::Builder::new(rars::ArchiveVersion::Rar50).store(true);
    for (number, name) in FILES.iter().enumerate() {
        archive.add_bytes((*name).into(), content(number), Some(0), Some(0o100_644)).unwrap();
    }
    archive.write_to_path(&root.join("large.eti"), None).unwrap();
    fs::write(root.join("version.ini"), "20250101").unwrap();
    machine
}

fn archive_of(machine: &Machine) -> PathBuf {
    machine.games_dir().join("large/large.eti")
}

fn tree_of(machine: &Machine) -> Tree {
    lanspread_testing::machine::tree(&machine.games_dir().join("large"))
}

/// Where the content of a file is in the archive.
fn place(archive: &[u8], number: usize) -> u64 {
    let begin = &content(number)[..64];
    archive.windows(begin.len()).position(|window| window == begin).expect("stored, not packed") as u64
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// A den with a catalog, and a receiver that has the catalog.
struct Room {
    den: Machine,
    honest: Peer,
    from: SocketAddr,
    seat: Machine,
    receiver: Peer,
}

impl Room {
    async fn new() -> Self {
        let (den, seat) = (den(), Machine::new());
        let catalog = build_catalog(&den, &den.state_dir());
        let honest = den.peer("b-honest");
        let from = honest.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        let receiver = seat.describe("seat").catalog(catalog).build().unwrap();
        Self { den, honest, from, seat, receiver }
    }

    /// With the archives here.
    async fn downloaded() -> Self {
        let room = Self::new().await;
        let (game, options) = (game(), options(&[room.from]));
        room.receiver.download_game(&game, &options, never()).await.unwrap();
        room
    }

    /// With the tree here, and no archives.
    async fn streamed() -> Self {
        let room = Self::new().await;
        let (game, options) = (game(), options(&[room.from]));
        room.receiver.stream_install_game(&game, &options, never()).await.unwrap();
        room
    }

    async fn repair(&self, from: &[SocketAddr]) -> Result<RepairFinished, PeerError> {
        let mut events = self.receiver.events();
        self.receiver.repair_game(&game(), &options(from), never()).await?;
        let finished = all(&mut events).into_iter().find_map(|event| match event {
            PeerEvent::RepairFinished(finished) => Some(finished),
            _ => None,
        });
        Ok(finished.expect("a repair says what it did"))
    }

    /// A source with another byte at this place of the archive; its files have the same names and sizes.
    async fn liar(&self, at: u64) -> (Machine, Peer, SocketAddr) {
        let machine = den();
        flip(&archive_of(&machine), at);
        let peer = machine.peer("a-liar");
        let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        (machine, peer, address)
    }

    /// Where a file of the installed tree is on the disk.
    fn installed(&self, name: &str) -> PathBuf {
        self.seat.games_dir().join("large/local").join(name)
    }

    /// A wrong source first, alone: it is named, and nothing that is here changes. Then with the honest one, whose
    /// connection waits until the wrong one has been found out: the game is what it was.
    async fn repairs_in_spite_of_a_liar(&self, at: u64, whole: &Tree) {
        let damaged = tree_of(&self.seat);
        let (_machine, _liar, address) = self.liar(at).await;
        let mut events = self.receiver.events();
        match self.repair(&[address]).await {
            Err(PeerError::AllSourcesFailed { attempts, .. }) => {
                let told: Vec<_> = attempts.iter().map(|it| (it.peer.as_str(), &*it.code)).collect();
                assert_eq!(told, [("a-liar", "not-as-listed")]);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(liars(&all(&mut events)), ["a-liar"]);
        assert_eq!(tree_of(&self.seat), damaged, "nothing of it is here");

        // Another one, because the first is not believed for a while.
        let (_machine, _liar, address) = self.liar(at).await;
        // The first connection asks what it has, the second one is for chunks.
        let link = Link::to(self.from, 1, Fate::Held).await;
        let mut events = self.receiver.events();
        let opening = async {
            loop {
                match events.next().await.expect("a liar is named") {
                    PeerEvent::PeerLied(lie) => break lie.peer.to_string(),
                    PeerEvent::RepairFailed(failed) => panic!("{failed:?}"),
                    _ => {}
                }
            }
        };
        let opening = async {
            let named = opening.await;
            link.opened.notify_one();
            named
        };
        let from = [address, link.address];
        let (finished, named) = tokio::join!(self.repair(&from), opening);
        let finished = finished.unwrap();
        assert_eq!(named, "a-liar");
        let shares: Vec<_> = finished.sources.iter().map(|share| share.peer.as_str()).collect();
        assert!(shares.contains(&"b-honest"), "{shares:?}");
        assert_eq!(&tree_of(&self.seat), whole);
    }
}

fn options(from: &[SocketAddr]) -> OperationOptions {
    OperationOptions::default().with_peers(from.iter().map(|address| (*address).into()).collect())
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

fn all(events: &mut PeerEvents) -> Vec<PeerEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

fn liars(events: &[PeerEvent]) -> Vec<String> {
    let lied = events.iter().filter_map(|event| match event {
        PeerEvent::PeerLied(lie) => Some(lie.peer.to_string()),
        _ => None,
    });
    lied.collect()
}

/// Bytes that a source has sent.
fn sent(events: &[PeerEvent]) -> u64 {
    let ended = events.iter().map(|event| match event {
        PeerEvent::TransferEnd { bytes, .. } => *bytes,
        _ => 0,
    });
    ended.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_chunk_costs_that_chunk() {
    let room = Room::downloaded().await;
    let whole = tree_of(&room.seat);
    flip(&archive_of(&room.seat), 5 * CHUNK + 17);
    let mut served = room.honest.events();
    let finished = room.repair(&[room.from]).await.unwrap();
    assert_eq!((finished.changed, finished.files), (true, 1));
    assert_eq!((finished.bytes, finished.bytes_fetched), (CHUNK, CHUNK));
    assert_eq!(tree_of(&room.seat), whole);
    room.honest.shutdown().await.unwrap();
    assert_eq!(sent(&all(&mut served)), CHUNK, "and no more was sent");

    let finished = room.repair(&[]).await.unwrap();
    assert_eq!((finished.changed, finished.bytes_fetched), (false, 0), "no peer is asked");
}

/// The archive is not here: the chunks are fetched in which the wrong file is, and none else.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_of_a_streamed_tree_costs_the_parts_that_it_was_packed_into() {
    let room = Room::streamed().await;
    let whole = tree_of(&room.seat);
    let archive = fs::read(archive_of(&room.den)).unwrap();
    fs::remove_file(room.installed(FILES[1])).unwrap();
    flip(&room.installed(FILES[2]), 100);
    let (begin, end) = (place(&archive, 1), place(&archive, 2) + FILE_BYTES as u64);
    let parts = (end.div_ceil(CHUNK) - begin / CHUNK) * CHUNK;
    assert!(parts < archive.len() as u64, "not the game");
    let mut served = room.honest.events();
    let finished = room.repair(&[room.from]).await.unwrap();
    assert_eq!((finished.files, finished.bytes), (2, 2 * FILE_BYTES as u64));
    assert_eq!((finished.bytes_fetched, finished.trust), (parts, Some(InstallTrust::Verified)));
    assert_eq!(tree_of(&room.seat), whole, "and no archive");
    room.honest.shutdown().await.unwrap();
    assert_eq!(sent(&all(&mut served)), parts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lies_about_a_chunk_is_named_and_the_next_one_is_asked() {
    let room = Room::downloaded().await;
    let whole = tree_of(&room.seat);
    flip(&archive_of(&room.seat), 5 * CHUNK + 17);
    room.repairs_in_spite_of_a_liar(5 * CHUNK + 40, &whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lies_about_a_part_is_named_and_the_next_one_is_asked() {
    let room = Room::streamed().await;
    let whole = tree_of(&room.seat);
    let archive = fs::read(archive_of(&room.den)).unwrap();
    flip(&room.installed(FILES[2]), 100);
    room.repairs_in_spite_of_a_liar(place(&archive, 2) + 5, &whole).await;
}

/// A repair keeps what the user added, so that it needs no consent. What the user changed is replaced only if that was asked
/// for.
#[tokio::test(flavor = "multi_thread")]
async fn ensure_repairs_beside_added_files_and_leaves_changed_ones_to_the_user() {
    let room = Room::streamed().await;
    let ensure = async |force: bool| -> Result<Ensured, PeerError> {
        let options = options(&[room.from]).with_force(force);
        room.receiver.ensure_game(&game(), &options, never()).await
    };
    let whole = tree_of(&room.seat);
    fs::write(room.installed("data/save.dat"), "mine").unwrap();
    assert_eq!(ensure(false).await.unwrap().action, EnsureAction::None);
    fs::remove_file(room.installed(FILES[3])).unwrap();
    assert_eq!(ensure(false).await.unwrap().action, EnsureAction::Repaired);
    assert_eq!(fs::read(room.installed("data/save.dat")).unwrap(), b"mine");
    fs::remove_file(room.installed("data/save.dat")).unwrap();
    assert_eq!(tree_of(&room.seat), whole);

    fs::write(room.installed("data/save.dat"), "mine").unwrap();
    fs::write(room.installed(FILES[0]), "my settings").unwrap();
    fs::remove_file(room.installed(FILES[3])).unwrap();
    let before = tree_of(&room.seat);
    match ensure(false).await {
        Err(PeerError::Store(StoreError::UserFiles { count, files, .. })) => {
            assert_eq!((count, files), (1, vec![FILES[0].to_owned()]), "the added one is not in danger");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(tree_of(&room.seat), before);
    assert_eq!(ensure(true).await.unwrap().action, EnsureAction::Repaired);
    assert_eq!(fs::read(room.installed("data/save.dat")).unwrap(), b"mine", "a repair keeps it also then");
    fs::remove_file(room.installed("data/save.dat")).unwrap();
    assert_eq!(tree_of(&room.seat), whole);
}
