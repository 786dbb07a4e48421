use std::os::unix::fs::symlink;

use super::*;

fn daemon() -> Daemon {
    Daemon { pid: std::process::id(), socket: "/run/x/control.sock".into(), asking: None }
}

fn own_games(games: &Path) -> Result<Owned, ControlError> {
    own(OwnedFolder::GamesDir(games), &daemon())
}

#[test]
fn one_daemon_owns_a_games_directory_and_is_found_there() {
    let games = tempfile::tempdir().unwrap();
    assert_eq!(find_daemon(games.path()).unwrap(), None);
    let owned = own_games(games.path()).unwrap();
    assert_eq!(find_daemon(games.path()).unwrap(), Some(daemon()));
    match own_games(games.path()).unwrap_err() {
        ControlError::DaemonRunning { holder_pid, .. } => {
            assert_eq!(holder_pid, Some(std::process::id()));
        }
        other => panic!("{other}"),
    }
    drop(owned);
    assert_eq!(find_daemon(games.path()).unwrap(), None);
    assert_eq!(fs::read_dir(games.path()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn the_file_of_a_killed_daemon_owns_nothing() {
    let games = tempfile::tempdir().unwrap();
    let folder = games.path().join(STATE_DIR);
    fs::create_dir(&folder).unwrap();
    // Longer than the one that replaces it.
    let killed = Daemon { socket: "/run/x/".repeat(99).into(), ..daemon() };
    fs::write(folder.join(DAEMON_FILE), serde_json::to_vec(&killed).unwrap()).unwrap();
    assert_eq!(find_daemon(games.path()).unwrap(), None);
    let _owned = own_games(games.path()).unwrap();
    assert_eq!(find_daemon(games.path()).unwrap(), Some(daemon()));
}

/// Puts something in the place of the lock file or of its folder, and checks that nothing is opened through it.
#[test]
fn a_lock_file_is_not_opened_through_a_link_and_a_pipe_is_not_waited_for() {
    fn mkfifo(path: &Path) {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    type Plant = fn(precious: &Path, file: &Path);
    let plants: [(&str, Plant); 5] = [
        ("link", |precious, file| symlink(precious, file).unwrap()),
        ("hard link", |precious, file| fs::hard_link(precious, file).unwrap()),
        ("pipe", |_, file| mkfifo(file)),
        ("folder", |_, file| fs::create_dir(file).unwrap()),
        ("linked folder", |precious, file| {
            let folder = file.parent().unwrap();
            fs::remove_dir(folder).unwrap();
            symlink(precious.parent().unwrap(), folder).unwrap();
        }),
    ];
    for (what, plant) in plants {
        let outside = tempfile::tempdir().unwrap();
        let precious = outside.path().join("precious");
        fs::write(&precious, "kept").unwrap();
        let games = tempfile::tempdir().unwrap();
        fs::create_dir(games.path().join(STATE_DIR)).unwrap();
        plant(&precious, &OwnedFolder::GamesDir(games.path()).file());
        let refused = own_games(games.path());
        assert!(matches!(refused, Err(ControlError::Foreign(_))), "{what}: {refused:?}");
        if what != "hard link" {
            // It is only read, so a second name does no harm.
            let found = find_daemon(games.path());
            assert!(matches!(found, Err(ControlError::Foreign(_))), "{what}: {found:?}");
        }
        if what != "linked folder" {
            let state = tempfile::tempdir().unwrap();
            plant(&precious, &state.path().join(DAEMON_FILE));
            let refused = own(OwnedFolder::StateDir(state.path()), &daemon());
            assert!(matches!(refused, Err(ControlError::Foreign(_))), "{what}: {refused:?}");
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "kept", "{what}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "{what}: nothing is created there");
    }
}

#[test]
fn the_games_directory_itself_may_be_a_link() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("real")).unwrap();
    symlink("real", folder.path().join("games")).unwrap();
    let _owned = own_games(&folder.path().join("games")).unwrap();
    assert_eq!(find_daemon(&folder.path().join("real")).unwrap(), Some(daemon()));
}

/// On a full disk the daemon holds the lock without a name. Commands then work beside it, and find it later.
#[test]
fn a_daemon_that_had_no_space_for_its_name_is_worked_beside_until_it_has() {
    let games = tempfile::tempdir().unwrap();
    let ownership = Ownership::take(games.path(), &daemon()).unwrap();
    assert!(ownership.is_complete());
    let clear = || {
        let owned = ownership.owned.lock().unwrap();
        owned.as_ref().unwrap().file.set_len(0).unwrap();
    };
    clear();
    assert!(!ownership.is_complete());
    assert_eq!(find_daemon(games.path()).unwrap(), None);
    assert!(matches!(own_games(games.path()), Err(ControlError::DaemonRunning { holder_pid: None, .. })));
    ownership.complete().unwrap();
    assert!(ownership.is_complete());
    assert_eq!(find_daemon(games.path()).unwrap(), Some(daemon()));
}

#[test]
fn a_full_disk_leaves_no_half_name() {
    let games = tempfile::tempdir().unwrap();
    let mut owned = own_games(games.path()).unwrap();
    owned.file = File::options().read(true).write(true).open("/dev/full").unwrap();
    assert!(owned.name().unwrap_err().is_disk_full());
}

/// A games directory whose ownership could not be taken at all belongs to the daemon that takes it first.
#[test]
fn ownership_that_a_full_disk_delayed_is_taken_when_there_is_space() {
    let games = tempfile::tempdir().unwrap();
    let delayed = |owned| Ownership {
        games_dir: games.path().to_owned(),
        daemon: daemon(),
        owned: Arc::new(Mutex::new(owned)),
    };
    let (first, second) = (delayed(None), delayed(None));
    assert!(!first.is_complete());
    first.complete().unwrap();
    assert!(first.is_complete());
    assert!(matches!(second.complete(), Err(ControlError::DaemonRunning { .. })));
    drop(first);
    second.complete().unwrap();
}

#[test]
fn a_lock_file_of_another_program_is_reported() {
    let games = tempfile::tempdir().unwrap();
    let owned = own_games(games.path()).unwrap();
    fs::write(&owned.path, "not a daemon").unwrap();
    assert!(matches!(find_daemon(games.path()), Err(ControlError::Foreign(_))));
    // It is huge, and is not read.
    owned.file.set_len(1 << 40).unwrap();
    assert!(matches!(find_daemon(games.path()), Err(ControlError::Foreign(_))));
}
