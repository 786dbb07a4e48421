//! Installs from archives.

use super::*;

#[tokio::test]
async fn an_install_from_archives_leaves_the_tree_the_receipt_and_the_archives() {
    let (machine, peer) = downloaded();
    let before = machine.everything();
    let told = Told::by(&peer);
    install(&peer, &polite(), false).await.unwrap();
    assert_eq!(installed_tree(&machine), small_game::tree());
    let mut rest = machine.everything();
    rest.retain(|path, _| !path.starts_with("small/local") && !path.starts_with(".lanspread"));
    assert_eq!(rest, before);
    let totals = small_game::totals();
    let expected = [
        format!("begin 20250101 {} false", totals.bytes),
        "archive small.eti".to_owned(),
        format!("all bytes {}", totals.bytes),
        format!("finishing {}", totals.bytes),
        format!("finished 20250101 {} {}", totals.files, totals.bytes),
    ];
    assert_eq!(told.all(), expected);
    let state = &peer.local_games().await.unwrap()[0];
    assert_eq!(state.availability(), Availability::Ready);
    assert_eq!(state.installed_version, Some(small_game::version()));
    assert_eq!(peer.running_tasks(), 0);
    verify(&peer).await.unwrap();
}

#[tokio::test]
async fn a_game_that_is_not_downloaded_or_already_installed_is_refused() {
    let machine = Machine::new();
    let peer = machine.peer("here");
    assert!(matches!(
        install(&peer, &polite(), false).await,
        Err(PeerError::Store(StoreError::NotDownloaded { .. }))
    ));
    assert_eq!(machine.everything(), Tree::new());
    fs::create_dir(root(&machine)).unwrap();
    archive(&root(&machine).join("a.eti"), &[("a", b"1")]);
    let told = Told::by(&peer);
    assert!(
        matches!(
            install(&peer, &polite(), false).await,
            Err(PeerError::Store(StoreError::NotDownloaded { .. }))
        ),
        "an archive without a sentinel"
    );
    assert_eq!(told.all(), ["failed not-downloaded"]);

    let (machine, peer) = installed().await;
    let before = machine.everything();
    let error = install(&peer, &FORCE, false).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::AlreadyInstalled { .. })), "{error:?}");
    fs::remove_file(root(&machine).join("version.ini")).unwrap();
    assert!(matches!(
        install(&peer, &FORCE, true).await,
        Err(PeerError::Store(StoreError::NotDownloaded { .. }))
    ));
    fs::write(root(&machine).join("version.ini"), small_game::version().as_str()).unwrap();
    assert_eq!(machine.everything(), before);
}

#[tokio::test]
async fn several_archives_are_installed_in_byte_order_of_their_names() {
    let (machine, peer) = downloaded();
    archive(&root(&machine).join("b.eti"), &[("b", b"22")]);
    archive(&root(&machine).join("Z.eti"), &[("z/last", b"")]);
    let told = Told::by(&peer);
    install(&peer, &polite(), false).await.unwrap();
    let archives: Vec<String> = told.all().into_iter().filter(|event| event.starts_with("archive")).collect();
    assert_eq!(archives, ["archive Z.eti", "archive b.eti", "archive small.eti"]);
    assert_eq!(fs::read(local(&machine).join("b")).unwrap(), b"22");
    assert!(local(&machine).join("z/last").is_file());
}

/// A game of folders is no game: nothing could be played, and every install of it would be a success.
#[tokio::test]
async fn a_game_without_files_is_refused() {
    let (machine, peer) = downloaded();
    let mut folders = rars::Builder::new(rars::ArchiveVersion::Rar50);
    folders.add_directory(b"saves".into(), None, Some(0o40755)).unwrap();
    fs::remove_file(root(&machine).join("small.eti")).unwrap();
    folders.write_to_path(&root(&machine).join("small.eti"), None).unwrap();
    let before = machine.everything();
    let error = install(&peer, &polite(), false).await.unwrap_err();
    assert_eq!((error.code(), error.category()), ("no-files", ErrorCategory::Content), "{error}");
    assert_eq!(machine.everything(), before);
}

/// What the listings show to be wrong is refused before anything is written or announced.
#[tokio::test]
async fn names_that_cannot_be_installed_are_refused_before_anything_is_written() {
    for (files, native_is_fine) in [
        (&[("aux.txt", &b"1"[..])][..], true),
        (&[("one", &b"1"[..]), ("ONE", b"2")][..], true),
        // The same name as in the other archive.
        (&[(small_game::LAST_FILE, &b"other"[..])][..], false),
    ] {
        let (machine, peer) = downloaded();
        archive(&root(&machine).join("more.eti"), files);
        let before = machine.everything();
        let told = Told::by(&peer);
        let error = install(&peer, &polite(), false).await.unwrap_err();
        let PeerError::Store(StoreError::Archive { source, .. }) = &error else { panic!("{error:?}") };
        let names_the_archive = match source {
            ArchiveError::Name { archive, .. } => native_is_fine && !archive.is_empty(),
            ArchiveError::Clash { first, second, .. } => !native_is_fine && first != second,
            _ => false,
        };
        assert!(names_the_archive, "{error:?}");
        assert_eq!(error.category(), ErrorCategory::Content);
        assert_eq!(machine.everything(), before);
        assert_eq!(told.all(), ["failed archive-refused"]);
        let native = OperationOptions { names: NamePolicy::Native, ..polite() };
        assert_eq!(install(&peer, &native, false).await.is_ok(), native_is_fine, "{files:?}");
    }
}

#[tokio::test]
async fn a_damaged_archive_leaves_the_machine_as_it_was() {
    let (machine, peer) = downloaded();
    let path = root(&machine).join("small.eti");
    let mut bytes = fs::read(&path).unwrap();
    let content = bytes.windows(8).position(|window| window == &small_game::FIRST_CONTENT[..8]);
    bytes[content.expect("stored, not packed")] ^= 1;
    fs::write(&path, bytes).unwrap();
    let before = machine.everything();
    let error = install(&peer, &polite(), false).await.unwrap_err();
    assert_eq!((error.code(), error.category()), ("archive-damaged", ErrorCategory::Content), "{error}");
    assert_eq!(machine.everything(), before);

    fs::rename(&path, root(&machine).join("small.part2.eti")).unwrap();
    let error = install(&peer, &polite(), false).await.unwrap_err();
    assert!(error.to_string().contains("volume 1"), "{error}");
}
