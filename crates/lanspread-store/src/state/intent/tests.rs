use rustix::io::Errno;

use super::*;
use crate::state::disk_calls::script;

#[test]
fn an_intent_is_read_as_it_was_written_until_it_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let games = GamesDir::open(folder.path()).unwrap();
    let game: GameId = "g".parse().unwrap();
    assert_eq!(read(&games, &game).unwrap(), None);
    for step in [
        IntentStep::InstallBegin,
        IntentStep::UpdatePromote,
        IntentStep::UpdateInPlace,
        IntentStep::UninstallInPlace,
        IntentStep::Remove,
    ] {
        let intent = Intent { created_root: step == IntentStep::InstallBegin, ..Intent::new(step) };
        write(&games, &game, &intent).unwrap();
        assert_eq!(read(&games, &game).unwrap(), Some(intent));
        assert!(is_recorded(folder.path(), &game));
        assert_eq!(recorded(&games).unwrap(), std::slice::from_ref(&game));
    }
    clear(&games, &game).unwrap();
    clear(&games, &game).unwrap();
    assert!(!is_recorded(folder.path(), &game));
}

/// A full disk: the earlier intent stays as it is, and nothing else is left.
#[test]
fn an_intent_that_cannot_be_written_leaves_the_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let games = GamesDir::open(folder.path()).unwrap();
    let game: GameId = "g".parse().unwrap();
    let earlier = Intent::new(IntentStep::InstallBegin);
    write(&games, &game, &earlier).unwrap();
    let next = earlier.at(IntentStep::InstallPromote);
    let (written, _) = script::failing("sync-file", 1, Errno::NOSPC, || write(&games, &game, &next));
    assert_eq!(written.unwrap_err().code(), "disk-full");
    assert_eq!(read(&games, &game).unwrap(), Some(earlier));
    let left: Vec<_> = std::fs::read_dir(folder.path().join(".lanspread/intents")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// Whichever of two steps was recorded as a mark, the later one counts.
#[test]
fn of_a_mark_and_a_file_the_one_that_was_recorded_last_counts() {
    let in_place = Intent::new(IntentStep::Uninstall).at(IntentStep::UninstallInPlace);
    for (first_full, then_full) in [(false, true), (true, false), (true, true)] {
        let (folder, games, game) = full();
        let with_space = GamesDir::open(folder.path()).unwrap();
        let on = |full: bool| if full { &games } else { &with_space };
        write(on(first_full), &game, &Intent::new(IntentStep::Uninstall)).unwrap();
        write(on(then_full), &game, &in_place).unwrap();
        assert_eq!(read(&games, &game).unwrap(), Some(in_place.clone()), "{first_full} {then_full}");
        clear(&games, &game).unwrap();
        assert_eq!(read(&games, &game).unwrap(), None);
        assert!(recorded(&games).unwrap().is_empty());
    }
}

#[test]
fn a_malformed_or_newer_intent_is_reported_and_not_guessed() {
    let intent = Intent::new(IntentStep::UpdateBegin);
    let mut other = intent.clone();
    other.schema = 2;
    let other = serde_json::to_vec(&other).unwrap();
    let valid = serde_json::to_vec(&intent).unwrap();
    let cuts = (0..valid.len()).map(|cut| &valid[..cut]);
    for bytes in cuts.chain([&other[..], b"{}", b"[]", b"\0\0\0"]) {
        assert!(parse(bytes).is_err(), "{bytes:?}");
    }
    assert!(parse(&valid).is_ok());
}

/// A games directory on a full disk, with a downloaded and installed game.
fn full() -> (tempfile::TempDir, GamesDir, GameId) {
    let folder = tempfile::tempdir().unwrap();
    for path in [".lanspread/receipts", "g"] {
        std::fs::create_dir_all(folder.path().join(path)).unwrap();
    }
    for file in [".lanspread/receipts/g.jsonl", "g/version.ini"] {
        std::fs::write(folder.path().join(file), "1").unwrap();
    }
    let games = GamesDir::open(folder.path()).unwrap();
    games.pretend_full();
    (folder, games, "g".parse().unwrap())
}

#[test]
fn on_a_full_disk_an_operation_that_frees_space_records_its_intent_in_a_name() {
    for step in MARKED {
        let (folder, games, game) = full();
        write(&games, &game, &Intent::new(step)).unwrap();
        assert!(!folder.path().join(".lanspread/intents").exists());
        assert_eq!(read(&games, &game).unwrap(), Some(Intent::new(step)));
        assert!(is_recorded(folder.path(), &game));
        assert_eq!(recorded(&games).unwrap(), std::slice::from_ref(&game));
        assert!(!is_recorded(folder.path(), &"h".parse().unwrap()));
        clear(&games, &game).unwrap();
        assert_eq!(read(&games, &game).unwrap(), None);
        assert!(!is_recorded(folder.path(), &game) && recorded(&games).unwrap().is_empty());
    }
}

#[test]
fn on_a_full_disk_nothing_that_takes_space_begins() {
    use IntentStep::{InstallBegin, InstallPromote, UpdateBegin, UpdateInPlace, UpdatePromote};
    for step in [InstallBegin, InstallPromote, UpdateBegin, UpdatePromote, UpdateInPlace] {
        let (_folder, games, game) = full();
        let error = write(&games, &game, &Intent::new(step)).unwrap_err();
        assert!(error.is_disk_full(), "{error}");
        assert_eq!(read(&games, &game).unwrap(), None);
    }
}

/// The folder of intents exists, so the file can be created but not written: it does not stay behind.
#[test]
fn an_intent_that_could_not_be_written_leaves_nothing() {
    let (folder, games, game) = full();
    std::fs::create_dir(folder.path().join(".lanspread/intents")).unwrap();
    write(&games, &game, &Intent::new(IntentStep::Remove)).unwrap();
    assert!(!folder.path().join(".lanspread/intents").exists());
    assert_eq!(read(&games, &game).unwrap(), Some(Intent::new(IntentStep::Remove)));
}

/// Without a free inode, a second name of an existing file is the mark. The file itself stays as it is.
#[test]
fn a_mark_can_be_a_second_name() {
    for file in [".lanspread/receipts/g.jsonl", "g/version.ini"] {
        let (folder, games, game) = full();
        if file == "g/version.ini" {
            std::fs::remove_file(folder.path().join(".lanspread/receipts/g.jsonl")).unwrap();
        }
        assert!(second_name(&games, &game, ".lanspread.uninstall.g"));
        assert_eq!(read(&games, &game).unwrap(), Some(Intent::new(IntentStep::Uninstall)));
        clear(&games, &game).unwrap();
        assert_eq!(read(&games, &game).unwrap(), None);
        assert_eq!(std::fs::read_to_string(folder.path().join(file)).unwrap(), "1");
    }
    let (folder, games, game) = full();
    std::fs::remove_dir_all(folder.path().join(".lanspread")).unwrap();
    std::fs::remove_dir_all(folder.path().join("g")).unwrap();
    assert!(!second_name(&games, &game, ".lanspread.uninstall.g"), "there is nothing to give it to");
    // What is not ours is in the place of a mark.
    std::fs::create_dir(folder.path().join(".lanspread.remove.g")).unwrap();
    let error = write(&games, &game, &Intent::new(IntentStep::Remove)).unwrap_err();
    assert!(error.is_disk_full(), "{error}");
}

#[test]
fn only_a_file_is_a_mark() {
    let (folder, games, game) = full();
    let mark = folder.path().join(".lanspread.remove.g");
    std::os::unix::fs::symlink("g/version.ini", &mark).unwrap();
    assert_eq!(read(&games, &game).unwrap(), None);
    assert!(!is_recorded(folder.path(), &game));
    clear(&games, &game).unwrap();
    assert!(mark.symlink_metadata().is_ok(), "it is left alone");
}

#[test]
fn the_name_of_a_mark_says_which_game() {
    for (name, game) in [
        (".lanspread.remove.g", Some("g")),
        (".lanspread.uninstall.a.b-c", Some("a.b-c")),
        (".lanspread.uninstall-in-place.g", Some("g")),
        (".lanspread.install.g", None),
        (".lanspread.remove.", None),
        (".lanspread", None),
        ("remove.g", None),
    ] {
        assert_eq!(game_of_mark(name).as_ref().map(GameId::as_str), game, "{name}");
    }
}

#[test]
fn what_is_not_an_intent_is_reported_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let games = GamesDir::open(folder.path()).unwrap();
    let game: GameId = "g".parse().unwrap();
    let intents = folder.path().join(".lanspread/intents");
    std::fs::create_dir_all(&intents).unwrap();
    let path = intents.join("g.json");
    let reported = |what: &str| {
        assert!(matches!(read(&games, &game), Err(StoreError::Foreign(_))), "{what}");
        assert!(is_recorded(folder.path(), &game), "{what}: the game is not served");
    };
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    reported("pipe");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    reported("link");
    std::fs::remove_file(&path).unwrap();
    std::fs::File::create(&path).unwrap().set_len(limits::INTENT_BYTES_MAX + 1).unwrap();
    reported("huge");
}
