//! Installs from the installed files of other peers: real peers on sockets, and a catalog of a real build.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use lanspread_store::state::game_state::GameState;
use lanspread_testing::machine::{Machine, tree};
use lanspread_testing::small_game;
use lanspread_types::content::{Availability, InstallTrust};
use tokio_util::sync::CancellationToken;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::stream_install::StreamInstallReport;
use crate::report::operation::{OperationKind, OperationOptions, OperationRequest};
use crate::testing::machine::PeerOf;
use crate::testing::organiser::build_catalog;

/// The machine of an organiser, which has the archives, and the catalog.
struct Party {
    organiser: Machine,
}

/// A machine and its peer.
struct Seat {
    machine: Machine,
    peer: Peer,
}

impl Seat {
    fn local(&self) -> PathBuf {
        self.machine.games_dir().join("small/local")
    }

    async fn serve(&self) -> SocketAddr {
        self.peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap()
    }

    async fn install(&self, from: &[SocketAddr]) -> Result<StreamInstallReport, PeerError> {
        let game = small_game::game();
        self.peer.stream_install_game(&game, &self.options(from), CancellationToken::new()).await
    }

    #[allow(clippy::unused_self, reason = "reads as what it is")]
    fn options(&self, from: &[SocketAddr]) -> OperationOptions {
        let peers = from.iter().map(|address| (*address).into()).collect();
        OperationOptions { peers, ..OperationOptions::default() }
    }

    fn state(&self) -> GameState {
        GameState::read(&self.machine.games_dir(), &small_game::game()).unwrap().unwrap()
    }

    fn assert_verified(&self) {
        let expected = small_game::tree();
        assert_eq!(tree(&self.local()), expected);
        assert_eq!(self.state().installed_trust, Some(InstallTrust::Verified));
        for name in [small_game::FIRST_FILE, small_game::LAST_FILE] {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(
                fs::metadata(self.local().join(name)).unwrap().mtime(),
                small_game::MODIFIED,
                "{name}"
            );
        }
    }
}

impl Party {
    fn new() -> Self {
        let organiser = Machine::new();
        small_game::download(&organiser.games_dir());
        build_catalog(&organiser, &organiser.state_dir());
        Self { organiser }
    }

    /// A machine with nothing but the catalog.
    fn seat(&self, name: &str, share_installed: bool) -> Seat {
        let machine = Machine::new();
        let catalog = self.organiser.state_dir().join("catalog.toml");
        let peer = machine.describe(name).catalog(catalog).share_installed(share_installed).build().unwrap();
        Seat { machine, peer }
    }

    /// A machine that has streamed the game, and serves.
    async fn player(&self, name: &str, share_installed: bool) -> (Seat, SocketAddr) {
        let archives = self.organiser.describe("archives").build().unwrap();
        let from = archives.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        let seat = self.seat(name, share_installed);
        seat.install(&[from]).await.unwrap();
        seat.assert_verified();
        archives.shutdown().await.unwrap();
        let address = seat.serve().await;
        (seat, address)
    }
}

/// The archive is on neither of the two machines.
#[tokio::test]
async fn a_game_is_installed_from_the_installed_files_of_another_peer_alone() {
    let party = Party::new();
    let (player, address) = party.player("player", true).await;
    assert_eq!(player.state().availability(), Availability::LocalOnly);
    assert!(player.peer.shares_entries(&player.state()));
    let guest = party.seat("guest", false);
    let (game, options, cancel) = (small_game::game(), guest.options(&[address]), CancellationToken::new());
    let request =
        OperationRequest { kind: OperationKind::StreamInstall, game: game.clone(), options: options.clone() };
    let plan = guest.peer.plan(&request, &cancel).await.unwrap();
    let totals = small_game::totals();
    assert_eq!((plan.files, plan.bytes), (Some(totals.files), Some(totals.bytes)));
    let report = guest.install(&[address]).await.unwrap();
    assert_eq!(report.source.name.as_str(), "player");
    assert_eq!((report.trust, report.totals), (InstallTrust::Verified, small_game::totals()));
    guest.assert_verified();
    // What arrived can be handed on in the same way.
    let next = party.seat("next", false);
    let (guest_again, third) = (guest.machine, party.seat("third", false));
    let catalog = party.organiser.state_dir().join("catalog.toml");
    let sharing = guest_again.describe("guest").catalog(catalog).share_installed(true).build().unwrap();
    let address = sharing.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    next.install(&[address]).await.unwrap();
    next.assert_verified();
    // Nothing of it can be downloaded.
    let options = third.options(&[address]);
    let download = third.peer.download_game(&game, &options, cancel);
    assert!(matches!(download.await, Err(PeerError::AllSourcesFailed { .. })));
}

#[tokio::test]
async fn installed_files_are_not_offered_unless_the_user_allows_it() {
    let party = Party::new();
    let (player, address) = party.player("player", false).await;
    assert!(!player.peer.shares_entries(&player.state()));
    let error = party.seat("guest", true).install(&[address]).await.unwrap_err();
    assert!(matches!(error, PeerError::NotOffered { .. }), "{error}");
}

/// The receiver has no catalog, so nothing would prove the files.
#[tokio::test]
async fn without_a_manifest_installed_files_are_no_source() {
    let party = Party::new();
    let (_player, address) = party.player("player", true).await;
    let machine = Machine::new();
    let seat = Seat { peer: machine.peer("guest"), machine };
    let error = seat.install(&[address]).await.unwrap_err();
    assert!(error.to_string().contains("installed files only"), "{error}");
    assert!(!seat.local().exists());
}

/// Its user has changed a file: it is not sent, its source is named, and the next source completes.
#[tokio::test]
async fn a_tree_that_was_changed_is_refused_and_the_next_source_completes() {
    let party = Party::new();
    let (changed, first) = party.player("a-changed", true).await;
    let (_honest, second) = party.player("b-honest", true).await;
    // The same length, and the old time.
    let path = changed.local().join(small_game::LAST_FILE);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, vec![b'#'; small_game::LAST_CONTENT.len()]).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_times(fs::FileTimes::new().set_modified(modified)).unwrap();
    let alone = party.seat("alone", false);
    let error = alone.install(&[first]).await.unwrap_err();
    let PeerError::AllSourcesFailed { attempts, .. } = &error else { panic!("{error}") };
    assert_eq!(
        (attempts[0].peer.as_str(), &*attempts[0].code),
        ("a-changed", "source-changed"),
        "{attempts:?}"
    );
    assert!(attempts[0].message.contains(small_game::LAST_FILE), "{attempts:?}");
    assert!(!alone.local().exists());

    let guest = party.seat("guest", false);
    let report = guest.install(&[first, second]).await.unwrap();
    assert_eq!(report.source.name.as_str(), "b-honest");
    assert_eq!(report.attempts.len(), 1);
    guest.assert_verified();
}

#[tokio::test]
async fn archives_are_preferred_to_installed_files() {
    let party = Party::new();
    let (_player, installed) = party.player("a-player", true).await;
    let archives = party.organiser.describe("z-archives").build().unwrap();
    let address = archives.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let guest = party.seat("guest", false);
    let report = guest.install(&[installed, address]).await.unwrap();
    assert_eq!(report.source.name.as_str(), "z-archives");
}

/// After an uninstall nothing is offered, and a downloaded game is offered by its archives.
#[tokio::test]
async fn what_is_offered_follows_what_is_here() {
    let party = Party::new();
    let (player, address) = party.player("player", true).await;
    let offers = |seat: &Seat| {
        let source = seat.peer.source();
        source.scan_offers().unwrap().iter().map(|offer| offer.entries).collect::<Vec<_>>()
    };
    assert_eq!(offers(&player), [true]);
    let (game, none) = (small_game::game(), player.options(&[]));
    player.peer.uninstall_game(&game, &none, CancellationToken::new()).await.unwrap();
    assert!(offers(&player).is_empty());
    let error = party.seat("guest", false).install(&[address]).await.unwrap_err();
    assert!(matches!(error, PeerError::NotOffered { .. }), "{error}");
    small_game::download(&player.machine.games_dir());
    assert_eq!(offers(&player), [false]);
}
