//! Installs in the place of an older tree, whose files may be the user's.

use super::*;

#[tokio::test]
async fn an_update_replaces_the_whole_tree() {
    let (machine, peer) = installed().await;
    archive(&root(&machine).join("small.eti"), &[("new", b"content")]);
    fs::write(root(&machine).join("version.ini"), "20260101").unwrap();
    let told = Told::by(&peer);
    install(&peer, &polite(), true).await.unwrap();
    assert_eq!(
        installed_tree(&machine),
        Tree::from([("new".to_owned(), Node::File(b"content".to_vec(), false))])
    );
    assert_eq!(told.all()[0], "begin 20260101 7 true");
    let state = &peer.local_games().await.unwrap()[0];
    assert_eq!(state.installed_version.as_ref().unwrap().as_str(), "20260101");
    let names: Vec<String> = machine.everything().into_keys().collect();
    let expected = [
        ".lanspread",
        ".lanspread/receipts",
        ".lanspread/receipts/small.jsonl",
        "small",
        "small/local",
        "small/local/new",
        "small/small.eti",
        "small/version.ini",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn no_file_of_the_user_is_lost_without_force() {
    let (machine, peer) = installed().await;
    fs::write(local(&machine).join("saves/slot1"), "mine").unwrap();
    fs::write(local(&machine).join(small_game::LAST_FILE), "changed").unwrap();
    let before = machine.everything();
    for error in
        [install(&peer, &polite(), true).await.unwrap_err(), uninstall(&peer, &polite()).await.unwrap_err()]
    {
        match &error {
            PeerError::Store(StoreError::UserFiles { count, files, .. }) => {
                assert_eq!(
                    (*count, &files[..]),
                    (2, &[small_game::LAST_FILE.to_owned(), "saves/slot1".to_owned()][..])
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(machine.everything(), before);
    }
    install(&peer, &FORCE, true).await.unwrap();
    assert_eq!(installed_tree(&machine), small_game::tree());
    fs::write(local(&machine).join("saves/slot1"), "mine").unwrap();
    uninstall(&peer, &FORCE).await.unwrap();
    assert!(!local(&machine).exists());
}

/// A streamed install replaces a tree in the same way, and asks no peer if the user would lose files.
#[tokio::test]
async fn a_streamed_update_replaces_the_tree_and_keeps_the_user_s_files() {
    let source = Machine::new();
    small_game::download(&source.games_dir());
    let serving = source.peer("source");
    let address = serving.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let (machine, peer) = downloaded();
    archive(&root(&machine).join("small.eti"), &[("old", b"content")]);
    install(&peer, &polite(), false).await.unwrap();
    fs::write(local(&machine).join("save"), "mine").unwrap();
    let stream = async |options: &OperationOptions| {
        let options = OperationOptions { peers: vec![address.into()], ..options.clone() };
        let cancel = CancellationToken::new();
        let game = small_game::game();
        let update = peer.operate(&game, &options, &cancel, |peer, context| async move {
            Box::pin(peer.stream_install(&context, true)).await.map(|_| ())
        });
        update.await
    };
    let before = machine.everything();
    let error = stream(&polite()).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::UserFiles { .. })), "{error:?}");
    assert_eq!(machine.everything(), before);
    stream(&FORCE).await.unwrap();
    assert_eq!(installed_tree(&machine), small_game::tree());
    verify(&peer).await.unwrap();
    stream(&polite()).await.unwrap();
    assert_eq!(installed_tree(&machine), small_game::tree());
    serving.shutdown().await.unwrap();
}

/// A file that the user saves while the stream runs is found before the old tree is removed, and no other source is
/// tried.
#[tokio::test]
async fn a_file_saved_during_a_streamed_update_is_not_lost() {
    let (machine, peer) = installed().await;
    let barrier = Arc::new(Barrier::new(2));
    let mut stream = small_game::stream();
    let meeting = [Step::Meet(Arc::clone(&barrier)), Step::Meet(Arc::clone(&barrier))];
    stream.splice(small_game::frame::LAST_FILE_BEGIN..small_game::frame::LAST_FILE_BEGIN, meeting);
    let first = LyingSource::new("a", Vec::new(), stream).listen().await;
    let second = LyingSource::new("b", Vec::new(), small_game::stream()).listen().await;
    let peers = vec![first.address.into(), second.address.into()];
    let (game, options) = (small_game::game(), OperationOptions { peers, ..polite() });
    let cancel = CancellationToken::new();
    let before = machine.everything();
    let saved = local(&machine).join("saves/slot1");
    let playing = async {
        barrier.wait().await;
        fs::write(&saved, "mine").unwrap();
        barrier.wait().await;
    };
    let update = peer.operate(&game, &options, &cancel, |peer, context| async move {
        Box::pin(peer.stream_install(&context, true)).await
    });
    let (updated, ()) = tokio::join!(update, playing);
    let error = updated.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::UserFiles { count: 1, .. })), "{error:?}");
    assert_eq!(second.connections(), 1, "asked for its details and never tried");
    assert_eq!(fs::read(&saved).unwrap(), b"mine");
    fs::remove_file(&saved).unwrap();
    assert_eq!(machine.everything(), before);
}
