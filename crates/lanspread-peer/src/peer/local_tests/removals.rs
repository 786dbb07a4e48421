//! Uninstalls, and removals of downloaded files.

use super::*;

#[tokio::test]
async fn an_uninstall_leaves_the_downloaded_files_and_can_be_installed_again() {
    let (machine, peer) = downloaded();
    let before = machine.everything();
    let error = uninstall(&peer, &polite()).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::NotInstalled { .. })), "{error:?}");
    for _ in 0..2 {
        install(&peer, &polite(), false).await.unwrap();
        let told = Told::by(&peer);
        uninstall(&peer, &polite()).await.unwrap();
        assert_eq!(told.all(), ["uninstalled"]);
        assert_eq!(machine.everything(), before, "the receipt is gone too");
    }
}

#[tokio::test]
async fn a_tree_without_a_record_belongs_to_the_user() {
    let (machine, peer) = installed().await;
    fs::remove_dir_all(machine.games_dir().join(".lanspread")).unwrap();
    let error = uninstall(&peer, &polite()).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::NoReceipt { count: 4, .. })), "{error:?}");
    let error = verify(&peer).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::NotVerifiable { .. })), "{error:?}");
    let state = &peer.local_games().await.unwrap()[0];
    assert_eq!((state.installed, &state.installed_version), (true, &None));
    uninstall(&peer, &FORCE).await.unwrap();
    assert!(!local(&machine).exists());
}

#[tokio::test]
async fn removing_leaves_the_installed_tree_only() {
    let (machine, peer) = installed().await;
    let bytes: u64 = ["small.eti", "version.ini"]
        .iter()
        .map(|name| fs::metadata(root(&machine).join(name)).unwrap().len())
        .sum();
    let told = Told::by(&peer);
    remove(&peer).await.unwrap();
    assert_eq!(told.all(), [format!("removed 2 {bytes}")]);
    let state = &peer.local_games().await.unwrap()[0];
    assert_eq!(state.availability(), Availability::LocalOnly);
    assert_eq!(state.installed_version, Some(small_game::version()));
    assert_eq!(fs::read_dir(root(&machine)).unwrap().count(), 1);
    assert_eq!(installed_tree(&machine), small_game::tree());
    let error = remove(&peer).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::NotDownloaded { .. })), "{error:?}");
    uninstall(&peer, &polite()).await.unwrap();
    assert_eq!(machine.everything(), Tree::new());
    assert!(matches!(remove(&peer).await, Err(PeerError::Store(StoreError::NotDownloaded { .. }))));
    assert!(matches!(verify(&peer).await, Err(PeerError::Store(StoreError::NotInstalled { .. }))));
}

/// Archives may be links: the links are removed, their targets are not. No sentinel is needed, so the rest of a broken
/// download can be removed as well.
#[tokio::test]
async fn removing_a_linked_archive_keeps_its_target() {
    let (machine, peer) = downloaded();
    let elsewhere = tempfile::tempdir().unwrap();
    let kept = elsewhere.path().join("kept");
    fs::remove_file(root(&machine).join("version.ini")).unwrap();
    fs::write(&kept, "12345").unwrap();
    symlink(&kept, root(&machine).join("linked.eti")).unwrap();
    fs::create_dir(root(&machine).join("folder.eti")).unwrap();
    remove(&peer).await.unwrap();
    assert_eq!(fs::read(&kept).unwrap(), b"12345");
    let left: Vec<_> =
        fs::read_dir(root(&machine)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["folder.eti"]);
}

/// Files are removed only when no transfer reads them any more, and no new transfer begins to read them meanwhile.
#[tokio::test]
async fn a_removal_waits_for_the_transfers_that_read_the_game() {
    let (machine, peer) = downloaded();
    let game = small_game::game();
    let readers = &peer.inner.source.readers;
    let reader = readers.register(&game).unwrap();
    let before = machine.everything();
    let ending = async {
        // New readers are refused as soon as the removal waits.
        while readers.register(&game).is_some() {
            tokio::task::yield_now().await;
        }
        let mut now = machine.everything();
        now.retain(|path, _| !path.starts_with(".lanspread"));
        assert_eq!(now, before);
        drop(reader);
    };
    let (removed, ()) = tokio::join!(remove(&peer), ending);
    removed.unwrap();
    assert_eq!(machine.everything(), Tree::new());
    assert!(readers.register(&game).is_some());
}

#[tokio::test]
async fn a_removal_that_is_cancelled_while_it_waits_removes_nothing() {
    let (machine, peer) = downloaded();
    let game = small_game::game();
    let readers = &peer.inner.source.readers;
    let _reader = readers.register(&game).unwrap();
    let before = machine.everything();
    let cancel = CancellationToken::new();
    let cancelling = async {
        while readers.register(&game).is_some() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let options = polite();
    let removing = peer.remove_game(&game, &options, cancel.clone());
    let (removed, ()) = tokio::join!(removing, cancelling);
    assert!(matches!(removed, Err(PeerError::Cancelled)), "{removed:?}");
    assert_eq!(machine.everything(), before);
    assert!(readers.register(&game).is_some(), "the game can be read again");
}
