use super::*;

fn games() -> (tempfile::TempDir, Arc<GamesDir>) {
    let folder = tempfile::tempdir().unwrap();
    let games = Arc::new(GamesDir::open(folder.path()).unwrap());
    (folder, games)
}

#[test]
fn a_second_operation_is_refused_with_the_process_that_holds_the_game() {
    let (_folder, games) = games();
    let game: GameId = "g".parse().unwrap();
    let _held = GameLock::acquire(&games, &game).unwrap();
    match GameLock::acquire(&games, &game) {
        Err(StoreError::InProgress { holder_pid, .. }) => {
            assert_eq!(holder_pid, Some(std::process::id()));
        }
        other => panic!("{other:?}"),
    }
    assert!(GameLock::acquire(&games, &"other".parse().unwrap()).is_ok(), "games do not block each other");
}

#[test]
fn a_released_lock_leaves_nothing_and_can_be_taken_again() {
    let (folder, games) = games();
    let game: GameId = "g".parse().unwrap();
    for _ in 0..3 {
        drop(GameLock::acquire(&games, &game).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn two_holders_never_overlap_while_files_come_and_go() {
    let (_folder, games) = games();
    let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let game: GameId = "g".parse().unwrap();
                for _ in 0..200 {
                    if let Ok(_lock) = GameLock::acquire(&games, &game) {
                        use std::sync::atomic::Ordering::SeqCst;
                        assert_eq!(inside.fetch_add(1, SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, SeqCst);
                    }
                }
            });
        }
    });
}

/// A games directory on a disk on which not even a folder can be created.
fn full() -> (tempfile::TempDir, Arc<GamesDir>) {
    let (folder, games) = games();
    games.pretend_full();
    (folder, games)
}

fn id(name: &str) -> GameId {
    name.parse().unwrap()
}

#[test]
fn on_a_full_disk_one_operation_runs_alone() {
    let (folder, games) = full();
    let alone = GameLock::acquire(&games, &id("g")).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was created");
    // Another process, on which the disk has space again.
    let theirs = Arc::new(GamesDir::open(folder.path()).unwrap());
    for game in ["g", "other"] {
        let refused = GameLock::acquire(&theirs, &id(game));
        assert!(matches!(refused, Err(StoreError::FreeingSpace { .. })), "{game}: {refused:?}");
    }
    drop(alone);
    assert!(GameLock::acquire(&theirs, &id("g")).is_ok());
}

/// An operation that runs already has no space taken away from under it: the new one waits for its end.
#[test]
fn on_a_full_disk_an_operation_that_needs_the_games_directory_alone_is_refused_while_another_one_runs() {
    let (folder, ours) = full();
    let theirs = Arc::new(GamesDir::open(folder.path()).unwrap());
    let running = GameLock::acquire(&theirs, &id("other")).unwrap();
    match GameLock::acquire(&ours, &id("g")) {
        // Its folder exists, so a lock file without content can be created.
        Ok(lock) => assert!(lock.file.is_some()),
        Err(error) => panic!("{error}"),
    }
    let refused = GameLock::acquire(&ours, &id("other"));
    assert!(matches!(refused, Err(StoreError::InProgress { .. })), "{refused:?}");
    drop(running);
    // Without any operation, there is no folder of locks either.
    assert!(GameLock::acquire(&ours, &id("g")).unwrap().file.is_none());
}

#[test]
fn what_is_not_a_lock_file_is_reported_and_left_alone() {
    let (folder, games) = games();
    let locks = folder.path().join(".lanspread/locks");
    std::fs::create_dir_all(&locks).unwrap();
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "kept").unwrap();
    std::os::unix::fs::symlink(&precious, locks.join("link.lock")).unwrap();
    std::fs::hard_link(&precious, locks.join("hard.lock")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let pipe = locks.join("pipe.lock");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for game in ["link", "hard", "pipe"] {
        let refused = GameLock::acquire(&games, &id(game));
        assert!(matches!(refused, Err(StoreError::Foreign(_))), "{game}: {refused:?}");
        assert!(locks.join(format!("{game}.lock")).symlink_metadata().is_ok());
    }
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "kept");
    assert!(GameLock::acquire(&games, &id("g")).is_ok(), "the other games are not affected");
}
