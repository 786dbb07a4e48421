//! Whole downloads of a peer whose catalog names a manifest: only what it lists ends in the game root.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use lanspread_testing::manifests::bytes_of_root_files;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::PeerId;

use super::*;
use crate::report::answer::Answer;
use crate::report::offender::{Offence, PenalisedPeer, ProvedLie};

/// A catalog whose manifest lists the downloaded game of this machine, in a folder of its own.
fn catalog_of(machine: &Machine) -> (tempfile::TempDir, PathBuf) {
    let root = machine.games_dir().join("small");
    let (folder, version) = (tempfile::tempdir().unwrap(), small_game::version());
    let manifest = bytes_of_root_files(&root, "small", version.as_str());
    let digest = ContentDigest::of(&manifest);
    fs::create_dir(folder.path().join("manifests")).unwrap();
    fs::write(folder.path().join(format!("manifests/{digest}.lsm")), &manifest).unwrap();
    let path = folder.path().join("catalog.toml");
    let text = format!(
        "schema = 2\nversion = 1\n[games.small]\nname = \"Small\"\nversion = \"{version}\"\n\
         manifest = \"{digest}\"\nmanifest_bytes = {}\n",
        manifest.len()
    );
    fs::write(&path, text).unwrap();
    (folder, path)
}

/// A source with another build of the game, which has the same names and sizes; one byte of it differs.
async fn other_build(name: &str, file: &str, at: u64) -> (Machine, Peer, SocketAddr) {
    let (machine, peer, address) = source(name).await;
    let file = fs::OpenOptions::new().write(true).open(machine.games_dir().join("small").join(file)).unwrap();
    file.write_all_at(b"!", at).unwrap();
    (machine, peer, address)
}

fn trust(machine: &Machine) -> Option<InstallTrust> {
    GameState::read(&machine.games_dir(), &small_game::game())
        .unwrap()
        .and_then(|state| state.downloaded_trust)
}

fn liars(heard: &[PeerEvent]) -> Vec<String> {
    let lied = heard.iter().filter_map(|event| match event {
        PeerEvent::PeerLied(ProvedLie { peer, .. }) => Some(peer.to_string()),
        _ => None,
    });
    lied.collect()
}

fn penalised(heard: &[PeerEvent]) -> Vec<(String, Offence, u64)> {
    let punished = heard.iter().filter_map(|event| match event {
        PeerEvent::PeerPenalised(PenalisedPeer { name, offence, length_ms, .. }) => {
            Some((name.to_string(), *offence, *length_ms))
        }
        _ => None,
    });
    punished.collect()
}

fn penalised_for_a_lie(answer: &Answer) -> Option<PeerId> {
    match answer {
        Answer::Penalty { peer, offence: Offence::Lied, .. } => *peer,
        _ => None,
    }
}

/// However many sources agree on other bytes, the one that has the listed ones decides.
#[tokio::test(flavor = "multi_thread")]
async fn a_majority_with_another_build_of_equal_sizes_changes_nothing() {
    let (honest_machine, _honest, honest) = source("honest").await;
    let (_folder, catalog) = catalog_of(&honest_machine);
    let archive_bytes = fs::metadata(honest_machine.games_dir().join("small/small.eti")).unwrap().len();
    let mut liars_of = Vec::new();
    for (name, at) in [("one", 0), ("two", 0), ("three", archive_bytes - 1)] {
        liars_of.push(other_build(name, "small.eti", at).await);
    }
    let machine = Machine::new();
    let receiver = machine.describe("receiver").catalog(catalog).build().unwrap();
    let only_liars: Vec<SocketAddr> = liars_of.iter().map(|liar| liar.2).collect();
    let mut events = receiver.events();
    match download(&receiver, &only_liars).await {
        Err(PeerError::AllSourcesFailed { attempts, .. }) => {
            assert!(attempts.iter().all(|attempt| attempt.code == "not-as-listed"), "{attempts:?}");
        }
        other => panic!("{other:?}"),
    }
    let heard = drain(&mut events);
    let mut named = liars(&heard);
    named.sort();
    assert_eq!(named, ["one", "three", "two"], "each once");
    let mut punished = penalised(&heard);
    punished.sort();
    let ten_minutes = |name: &str| (name.to_owned(), Offence::Lied, 600_000);
    assert_eq!(punished, ["one", "three", "two"].map(ten_minutes));
    let answers = receiver.penalties(None).await.unwrap();
    let mut remembered: Vec<PeerId> = answers.iter().filter_map(penalised_for_a_lie).collect();
    remembered.sort();
    let mut expected: Vec<PeerId> = liars_of.iter().map(|liar| liar.1.id()).collect();
    expected.sort();
    assert_eq!(remembered, expected);
    assert!(!machine.games_dir().join("small/small.eti").exists());

    let all: Vec<SocketAddr> = only_liars.into_iter().chain([honest]).collect();
    download(&receiver, &all).await.unwrap();
    assert_eq!(root(&machine), root(&honest_machine));
    assert_only_the_receipt_is_left(&machine);
    assert_eq!(trust(&machine), Some(InstallTrust::Verified));
    let heard = drain(&mut events);
    let finished = heard.iter().find_map(|event| match event {
        PeerEvent::DownloadFinished(DownloadFinished { trust, .. }) => Some(*trust),
        _ => None,
    });
    assert_eq!(finished, Some(InstallTrust::Verified));
    receiver.verify_game(&small_game::game(), &options(&[]), CancellationToken::new()).await.unwrap();
}

/// A peer that offers more files, fewer, or other sizes than are listed is never asked for a byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_files_that_is_not_the_listed_one_is_refused() {
    let (honest_machine, _honest, _) = source("honest").await;
    let (_folder, catalog) = catalog_of(&honest_machine);
    let changes: [fn(&std::path::Path); 3] = [
        |root| fs::write(root.join("more.eti"), "x").unwrap(),
        |root| fs::write(root.join("small.eti"), "short").unwrap(),
        |root| fs::rename(root.join("small.eti"), root.join("other.eti")).unwrap(),
    ];
    for change in changes {
        let (liar_machine, _liar, address) = source("liar").await;
        change(&liar_machine.games_dir().join("small"));
        let machine = Machine::new();
        let receiver = machine.describe("receiver").catalog(&catalog).build().unwrap();
        match download(&receiver, &[address]).await {
            Err(PeerError::NotOffered { peers, .. }) => {
                assert_eq!(peers[0].reason, "its files differ from those of the catalog's manifest");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(machine.everything(), Tree::new());
    }
}

/// Verified files are replaced by unverified ones only if the user accepts that.
#[tokio::test(flavor = "multi_thread")]
async fn unverified_files_replace_verified_ones_only_if_that_is_accepted() {
    let (old_machine, _old, old) = source("old").await;
    let (_folder, catalog) = catalog_of(&old_machine);
    let machine = Machine::new();
    download(&machine.describe("receiver").catalog(catalog).build().unwrap(), &[old]).await.unwrap();

    let (new_machine, _new, new) = source("new").await;
    fs::write(new_machine.games_dir().join("small/version.ini"), "20260101").unwrap();
    let before = machine.everything();
    // Without a catalog, there is no manifest.
    let receiver = machine.peer("receiver");
    match download(&receiver, &[new]).await {
        Err(PeerError::Store(StoreError::VerifiedHere { game, .. })) => assert_eq!(game, small_game::game()),
        other => panic!("{other:?}"),
    }
    assert_eq!(machine.everything(), before);
    let accepting = options(&[new]).with_accept_unverified(true);
    receiver.download_game(&small_game::game(), &accepting, CancellationToken::new()).await.unwrap();
    assert_eq!(root(&machine), root(&new_machine));
    assert_eq!(trust(&machine), Some(InstallTrust::Unverified));
    // Unverified files are replaced as before.
    download(&receiver, &[old]).await.unwrap();
    assert_eq!(root(&machine), root(&old_machine));
}
