//! Operations on disks that refuse, fail or forget: the order in which everything becomes durable, and what is said and
//! left when a call fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lanspread_testing::machine::Tree;
use rustix::io::Errno;

use super::tests::{Fixture, Operation, fixture, origin};
use super::*;
use crate::install::recovery::recover;
use crate::state::disk_calls::script;
use crate::state::game_state::GameState;

/// The syncs and renames of a whole operation, in order. The folder of temporary name is the games directory.
fn calls_of(operation: Operation) -> Vec<String> {
    let fixture = fixture();
    operation.prepare(&fixture, true);
    let (done, calls) = script::watched(|| operation.perform(&fixture));
    done.unwrap();
    let games_dir = fixture.folder.path().file_name().unwrap().to_str().unwrap();
    calls.into_iter().map(|call| call.replace(games_dir, "games")).collect()
}

/// Nothing is renamed before it is durable and before the intent that explains it is, and nothing that can still be
/// needed is removed before the rename is durable. A killed process shows none of this, because the page cache
/// survives it.
#[test]
fn every_operation_makes_things_durable_in_this_order() {
    let intent = ["sync-file g.json", "sync-folder g.json"];
    let content = ["sync-file-system g"];
    let root = ["sync-folder g", "sync-folder games"];
    let (receipt, cleared) = (["sync-folder g.jsonl"], ["sync-folder g.json"]);
    let table: [(Operation, Vec<&[&str]>); 6] = [
        (Operation::Install, vec![&intent, &content, &intent, &["rename local"], &root, &receipt, &cleared]),
        (
            Operation::Update,
            vec![
                &intent,
                &content,
                &intent,
                &["rename .local.backup", "rename local"],
                &root,
                &receipt,
                &cleared,
            ],
        ),
        (Operation::Uninstall, vec![&intent, &["rename .local.backup"], &root, &receipt, &cleared]),
        // What cannot be renamed is removed after a second intent says so.
        (
            Operation::UpdateInPlace,
            vec![
                &intent,
                &content,
                &intent,
                &["rename .local.backup"],
                &intent,
                &["rename local"],
                &root,
                &receipt,
                &cleared,
            ],
        ),
        (
            Operation::UninstallInPlace,
            vec![&intent, &["rename .local.backup"], &intent, &root, &receipt, &cleared],
        ),
        (Operation::Remove, vec![&intent, &root, &root, &cleared]),
    ];
    for (operation, expected) in table {
        let calls = operation.on_its_disk(|| calls_of(operation));
        assert_eq!(calls, expected.concat(), "{operation:?}");
    }
}

/// An input or output error of any sync: before the decisive rename everything is as it was, and after it the error
/// says that the result is there and not durable. Recovery completes it.
#[test]
fn a_sync_that_fails_is_reported_for_what_it_means() {
    let table = [
        (Operation::Install, (3, 4)),
        (Operation::Update, (3, 4)),
        (Operation::Uninstall, (2, 4)),
        (Operation::Remove, (2, 5)),
    ];
    for (operation, expected) in table {
        let (mut as_it_was, mut unfinished) = (0, 0);
        let (old, new) = operation.states(true);
        for at in 1.. {
            let fixture = fixture();
            operation.prepare(&fixture, true);
            // An install begins before; what fails there is an error of its own.
            let finish: Box<dyn FnOnce() -> Result<(), LocalError>> = match operation {
                Operation::Install | Operation::Update => {
                    let transaction = fixture.fill("2", operation == Operation::Update);
                    Box::new(move || transaction.commit())
                }
                _ => Box::new(|| operation.perform(&fixture)),
            };
            let (done, calls) = script::failing("sync", at, Errno::IO, finish);
            let why = format!("{operation:?}, sync {at} of {calls:?}: {done:?}");
            match done {
                Ok(()) => break,
                Err(error @ LocalError::Unfinished { .. }) => {
                    unfinished += 1;
                    assert!(error.to_string().contains("but not yet durable: cannot sync"), "{why}");
                    recover(&fixture.games, &fixture.game).unwrap();
                    assert_eq!(fixture.everything(), new, "{why}");
                }
                Err(error) => {
                    as_it_was += 1;
                    assert_eq!(error.code(), "local-io", "{why}");
                    assert_eq!(fixture.everything(), old, "{why}");
                }
            }
        }
        assert_eq!((as_it_was, unfinished), expected, "{operation:?}");
    }
}

/// Begins an install.
fn begin(fixture: &Fixture) -> Result<(), LocalError> {
    let Fixture { games, game, .. } = fixture;
    Transaction::begin(games, game, &origin("1"), NamePolicy::Portable, false).map(|_| ())
}

fn is_like(fixture: &Fixture, expected: &Tree, why: &str) {
    assert_eq!(fixture.everything(), *expected, "{why}");
    assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), None, "{why}");
}

/// File systems that cannot sync folders, or a whole file system, or refuse to replace in a rename: each operation does
/// what it does elsewhere.
#[test]
fn calls_that_a_file_system_does_not_know_are_no_failures() {
    for call in ["sync-folder", "sync-file-system", "rename"] {
        for errno in [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP] {
            for operation in [Operation::Install, Operation::Update, Operation::Uninstall, Operation::Remove]
            {
                let (_, new) = operation.states(true);
                let fixture = fixture();
                operation.prepare(&fixture, true);
                let (done, calls) = script::refusing(call, errno, || operation.perform(&fixture));
                let why = format!("{operation:?}, {call}: {errno}");
                done.unwrap_or_else(|error| panic!("{why}: {error}"));
                let called = calls.iter().any(|line| line.starts_with(call));
                assert!(called || operation != Operation::Install, "{why}");
                is_like(&fixture, &new, &why);
            }
        }
    }
}

/// The sync of a file that fails is an error on every file system.
#[test]
fn an_intent_that_cannot_be_synced_stops_the_operation() {
    let fixture = fixture();
    let (begun, _) = script::failing("sync-file ", 1, Errno::INVAL, || begin(&fixture));
    assert_eq!(begun.unwrap_err().code(), "local-io");
    is_like(&fixture, &Tree::new(), "nothing has begun");
}

/// Without the flag of the kernel, nothing is replaced either.
#[test]
fn a_rename_never_replaces_on_any_file_system() {
    for errno in [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP] {
        let fixture = fixture();
        let transaction = fixture.fill("1", false);
        fs::create_dir(fixture.root().join(LOCAL_DIR)).unwrap();
        let (done, _) = script::refusing("rename", errno, || transaction.commit());
        assert!(done.unwrap_err().to_string().contains("local"));
        assert_eq!(fixture.names(), [""; 0], "rolled back");
        assert!(fixture.root().join(LOCAL_DIR).is_dir());
        fs::remove_dir_all(fixture.root()).unwrap();
        let transaction = fixture.fill("1", false);
        // A link that leads nowhere is something too.
        std::os::unix::fs::symlink("nowhere", fixture.root().join(LOCAL_DIR)).unwrap();
        script::refusing("rename", errno, || transaction.commit()).0.unwrap_err();
        assert_eq!(fixture.names(), ["g/local"]);
    }
}

/// Overlayfs with the game in a lower layer: what cannot be renamed is removed where it is, and only after the intent
/// says so. Until everything is done, the game does not count as installed.
#[test]
fn a_tree_that_cannot_be_renamed_is_replaced_and_removed_in_place() {
    for operation in [Operation::UpdateInPlace, Operation::UninstallInPlace] {
        let (_, new) = operation.on_its_disk(|| operation.states(true));
        let fixture = fixture();
        operation.prepare(&fixture, true);
        operation.on_its_disk(|| operation.perform(&fixture)).unwrap();
        is_like(&fixture, &new, &format!("{operation:?}"));
    }
    let fixture = fixture();
    Operation::UninstallInPlace.prepare(&fixture, true);
    let is_installed = || GameState::read(fixture.folder.path(), &fixture.game).unwrap().unwrap().installed;
    intent::write(&fixture.games, &fixture.game, &Intent::new(IntentStep::Uninstall)).unwrap();
    assert!(is_installed(), "nothing is removed yet");
    intent::write(&fixture.games, &fixture.game, &Intent::new(IntentStep::UninstallInPlace)).unwrap();
    assert!(!is_installed(), "from now on it may be incomplete");
}

/// If removing it where it is fails in the middle, neither the new tree nor the intent is given up.
#[test]
fn a_replacement_in_place_that_fails_is_left_to_recovery() {
    let (_, new) = Operation::UpdateInPlace.on_its_disk(|| Operation::UpdateInPlace.states(true));
    let fixture = fixture();
    Operation::UpdateInPlace.prepare(&fixture, true);
    let transaction = fixture.fill("2", true);
    // In the middle of the removal.
    transaction.record_promotion().unwrap();
    let recorded = intent::read(&fixture.games, &fixture.game).unwrap().unwrap();
    intent::write(&fixture.games, &fixture.game, &recorded.in_place().unwrap()).unwrap();
    fs::remove_file(fixture.root().join("local/data/file")).unwrap();
    assert!(matches!(transaction.withdraw(), Withdrawn::LeftToRecovery));
    assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), Some("promoted"));
    is_like(&fixture, &new, "the new tree");
}

/// On a full disk the promotion cannot be recorded, and neither can its withdrawal; everything is removed all the same.
#[test]
fn a_promotion_that_cannot_be_recorded_is_rolled_back_without_writing() {
    for operation in [Operation::Install, Operation::Update] {
        let (old, _) = operation.states(true);
        let fixture = fixture();
        operation.prepare(&fixture, true);
        let transaction = fixture.fill("2", operation == Operation::Update);
        let (done, _) = script::refusing("sync-file ", Errno::NOSPC, || transaction.commit());
        assert_eq!(done.unwrap_err().code(), "disk-full");
        is_like(&fixture, &old, &format!("{operation:?}"));
    }
}

#[test]
fn an_install_records_the_promotion_of_an_install() {
    for (replace, expected) in [(false, IntentStep::InstallPromote), (true, IntentStep::UpdatePromote)] {
        let fixture = fixture();
        if replace {
            fixture.fill("1", false).commit().unwrap();
        }
        fixture.fill("2", replace).record_promotion().unwrap();
        let recorded = intent::read(&fixture.games, &fixture.game).unwrap().unwrap();
        assert_eq!(recorded.step, expected);
    }
}

/// Something is in the place of staging or of the game root: nothing begins, nothing is left, and what is there stays.
#[test]
fn an_install_that_cannot_begin_leaves_nothing() {
    type Place = fn(&Fixture);
    let table: [(&str, Place); 4] = [
        ("a file", |fixture| fs::write(fixture.root().join(STAGING_DIR), "mine").unwrap()),
        ("a folder", |fixture| {
            fs::create_dir(fixture.root().join(STAGING_DIR)).unwrap();
            fs::write(fixture.root().join(STAGING_DIR).join("precious"), "mine").unwrap();
        }),
        ("a link", |fixture| {
            std::os::unix::fs::symlink("nowhere", fixture.root().join(STAGING_DIR)).unwrap();
        }),
        ("a file as the root", |fixture| {
            fs::remove_dir(fixture.root()).unwrap();
            fs::write(fixture.root(), "mine").unwrap();
        }),
    ];
    for (why, place) in table {
        let fixture = fixture();
        fs::create_dir(fixture.root()).unwrap();
        place(&fixture);
        let before = fixture.everything();
        let (begun, calls) = script::watched(|| begin(&fixture));
        begun.unwrap_err();
        // Recovery would take what is in the place of staging for ours if an intent had been recorded.
        let is_recorded = calls.iter().any(|call| call == "sync-file g.json");
        assert_eq!(is_recorded, why == "a file as the root", "{why}");
        assert_eq!(fixture.everything(), before, "{why}");
        assert_eq!(intent::read(&fixture.games, &fixture.game).unwrap(), None, "{why}");
    }
}

/// An empty game root that was there before is the user's.
#[test]
fn an_empty_root_of_the_user_survives_a_roll_back_and_a_recovery() {
    for recovers in [false, true] {
        for existed in [false, true] {
            let fixture = fixture();
            if existed {
                fs::create_dir(fixture.root()).unwrap();
            }
            let transaction = fixture.fill("1", false);
            if recovers {
                drop(transaction);
                assert_eq!(recover(&fixture.games, &fixture.game).unwrap(), Some("rolled-back"));
            } else {
                transaction.roll_back().unwrap();
            }
            assert_eq!(fixture.root().exists(), existed, "recovers: {recovers}");
        }
    }
}

/// The owner removes the installed tree while the update is received.
#[test]
fn a_tree_that_its_owner_removed_meanwhile_is_not_missed() {
    let fixture = fixture();
    fixture.fill("1", false).commit().unwrap();
    let transaction = fixture.fill("2", true);
    fs::remove_dir_all(fixture.root().join(LOCAL_DIR)).unwrap();
    transaction.commit().unwrap();
    assert_eq!(fixture.names(), [".lanspread/receipts/g.jsonl", "g/local/data/file", "g/local/only-in-2"]);
}

/// Whatever the umask of the process, no other user may write to what lanspread creates.
#[test]
fn nothing_is_writable_for_everyone() {
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    let fixture = fixture();
    let transaction = fixture.fill("1", false);
    let mut seen = Vec::new();
    let mut waiting = vec![fixture.folder.path().to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            seen.push((entry.path(), metadata.permissions().mode() & 0o777, metadata.is_dir()));
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    transaction.commit().unwrap();
    rustix::process::umask(umask);
    assert!(seen.len() > 8, "{seen:?}");
    for (path, mode, is_folder) in seen {
        assert_eq!(mode, if is_folder { 0o755 } else { 0o644 }, "{}", path.display());
    }
}
