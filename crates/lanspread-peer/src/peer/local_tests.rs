//! Installs from archives, uninstalls, removals and comparisons on one machine. The tests compare every file on it.

mod comparisons;
mod installs;
mod removals;
mod replacements;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use lanspread_archive::ArchiveError;
use lanspread_store::error::StoreError;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::lock::GameLock;
use lanspread_testing::lying_source::LyingSource;
use lanspread_testing::machine::{Machine, Node, Tree};
use lanspread_testing::small_game;
use lanspread_testing::step::Step;
use lanspread_types::content::Availability;
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::ids::GameId;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::channel::PeerEvents;
use crate::report::event::PeerEvent;
use crate::report::failure::ErrorCategory;
use crate::report::operation::{AdmissionRules, DecodeAt, OperationOptions, RelayChoice};
use crate::report::repair::VerifyFinished;
use crate::report::wanted::{GameForm, WantedVersion};
use crate::testing::machine::PeerOf;

const FORCE: OperationOptions = OperationOptions {
    peers: Vec::new(),
    servers: Vec::new(),
    discovery: crate::report::operation::DiscoveryMode::Off,
    names: NamePolicy::Portable,
    force: true,
    accept_unverified: false,
    admission: AdmissionRules { allow: BTreeSet::new(), deny: BTreeSet::new(), only_trusted: false },
    only_from: BTreeSet::new(),
    wait: crate::report::operation::Wait::Always,
    decode_at: DecodeAt::Receiver,
    relay: RelayChoice::Off,
    window_mib: None,
    version: WantedVersion::Current,
    form: GameForm::AsHere,
    verify: false,
};

fn polite() -> OperationOptions {
    OperationOptions::default()
}

async fn install(peer: &Peer, options: &OperationOptions, replace: bool) -> Result<(), PeerError> {
    let cancel = CancellationToken::new();
    let game = small_game::game();
    let installing = peer.operate(&game, options, &cancel, |peer, context| async move {
        peer.install_from_archives(&context, replace).await
    });
    installing.await
}

async fn uninstall(peer: &Peer, options: &OperationOptions) -> Result<(), PeerError> {
    peer.uninstall_game(&small_game::game(), options, CancellationToken::new()).await
}

async fn remove(peer: &Peer) -> Result<(), PeerError> {
    peer.remove_game(&small_game::game(), &polite(), CancellationToken::new()).await
}

async fn verify(peer: &Peer) -> Result<(), PeerError> {
    peer.verify_game(&small_game::game(), &polite(), CancellationToken::new()).await
}

/// A machine that has the small game's archive, and its peer.
fn downloaded() -> (Machine, Peer) {
    let machine = Machine::new();
    small_game::download(&machine.games_dir());
    let peer = machine.peer("here");
    (machine, peer)
}

async fn installed() -> (Machine, Peer) {
    let (machine, peer) = downloaded();
    install(&peer, &polite(), false).await.unwrap();
    (machine, peer)
}

fn root(machine: &Machine) -> std::path::PathBuf {
    machine.games_dir().join(small_game::game().as_str())
}

fn local(machine: &Machine) -> std::path::PathBuf {
    root(machine).join("local")
}

fn installed_tree(machine: &Machine) -> Tree {
    lanspread_testing::machine::tree(&local(machine))
}

fn archive(path: &Path, files: &[(&str, &[u8])]) {
    let mut archive = rars::Builder::new(rars::ArchiveVersion::Rar50);
    for (name, content) in files {
        archive.add_bytes((*name).into(), content.to_vec(), Some(0), Some(0o100_644)).unwrap();
    }
    archive.write_to_path(path, None).unwrap();
}

/// The events of a peer from now on, as short strings.
struct Told(PeerEvents);

impl Told {
    fn by(peer: &Peer) -> Self {
        Self(peer.events())
    }

    fn all(mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(event) = self.0.try_next() {
            told.push(match event {
                PeerEvent::InstallBegin { version, bytes_total, replaces, .. } => {
                    format!("begin {version} {bytes_total} {replaces}")
                }
                // The number of progress events in between depends on timing.
                PeerEvent::InstallProgress { bytes, bytes_total, .. } if bytes != bytes_total => continue,
                PeerEvent::InstallProgress { bytes, .. } => format!("all bytes {bytes}"),
                PeerEvent::Finishing { bytes, .. } => format!("finishing {bytes}"),
                PeerEvent::ArchiveBegin { name, .. } => format!("archive {name}"),
                PeerEvent::InstallFinished { version, files, bytes, .. } => {
                    format!("finished {version} {files} {bytes}")
                }
                PeerEvent::InstallFailed { code, .. } => format!("failed {code}"),
                PeerEvent::UninstallFinished { .. } => "uninstalled".to_owned(),
                PeerEvent::RemoveFinished { files, bytes, .. } => format!("removed {files} {bytes}"),
                PeerEvent::VerifyDifference { part, path, problem, .. } => format!("{part} {path} {problem}"),
                PeerEvent::VerifyFinished(VerifyFinished { files, bytes, differences, added, .. }) => {
                    format!("compared {files} {bytes} {differences} {added}")
                }
                other => format!("{other:?}"),
            });
        }
        told
    }
}

#[tokio::test]
async fn a_cancelled_operation_changes_nothing() {
    let (machine, peer) = installed().await;
    let before = machine.everything();
    let (game, options, cancel) = (small_game::game(), polite(), CancellationToken::new());
    cancel.cancel();
    let results = [
        peer.verify_game(&game, &options, cancel.clone()).await,
        peer.uninstall_game(&game, &options, cancel.clone()).await,
        peer.operate(&game, &options, &cancel, |peer, context| async move {
            peer.install_from_archives(&context, true).await
        })
        .await,
    ];
    for result in results {
        assert!(matches!(result, Err(PeerError::Cancelled)), "{result:?}");
    }
    assert_eq!(machine.everything(), before);
}

#[tokio::test]
async fn every_operation_on_a_locked_game_is_refused() {
    let (machine, peer) = installed().await;
    let games = Arc::new(GamesDir::open(&machine.games_dir()).unwrap());
    let game: GameId = small_game::game();
    let _held = GameLock::acquire(&games, &game).unwrap();
    for result in [
        install(&peer, &FORCE, true).await,
        uninstall(&peer, &FORCE).await,
        remove(&peer).await,
        verify(&peer).await,
    ] {
        assert!(matches!(result, Err(PeerError::Store(StoreError::InProgress { .. }))), "{result:?}");
    }
}
