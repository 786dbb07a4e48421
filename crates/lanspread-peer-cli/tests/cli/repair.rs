//! What `verify` says must be done about a damaged game: exactly these commands repair it, however it was installed.

use std::fs;
use std::process::Command;

use crate::support::{Finished, Receiver, Source, Tree, finish, fixtures, peer};

const GAME: &str = "alpha-racer";

/// A command with options that hold for all commands of the test.
fn with_options(receiver: &Receiver, source: &Source, words: &[&str]) -> Command {
    let mut command = peer();
    command.env("LANSPREAD_GAMES_DIR", receiver.games()).env("LANSPREAD_STATE_DIR", receiver.state());
    command.env("LANSPREAD_PEER", &source.address).args(words);
    command
}

/// The commands in a hint, as words after the name of the program.
fn commands_in(stderr: &str) -> Vec<Vec<&str>> {
    let quoted = stderr.split('`').skip(1).step_by(2);
    let words = quoted.map(|command| command.split_whitespace().collect::<Vec<_>>());
    words.map(|words| words[1..].to_vec()).collect()
}

/// Damages the installed game, and repairs it with the commands that `verify` names.
fn repaired(install: &[&[&str]], damage: impl Fn(&Receiver), expected: &[&[&str]]) {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    let run = |words: &[&str]| -> Finished { finish(&mut with_options(&receiver, &source, words)) };
    for words in install {
        run(words).succeeded();
    }
    run(&["verify", GAME]).succeeded();
    damage(&receiver);
    let verified = run(&["verify", GAME]);
    assert_eq!(verified.status.code(), Some(6), "{}", verified.stderr);
    let error = verified.stderr.lines().last().unwrap();
    assert!(error.starts_with("error: "), "{}", verified.stderr);
    let commands = commands_in(error);
    assert_eq!(commands, expected, "{error}");
    for words in commands {
        run(&words).succeeded();
    }
    run(&["verify", GAME]).succeeded();
}

/// A file that grew and one that is gone: what `uninstall` refuses to lose without `--force`.
fn damage_tree(receiver: &Receiver) {
    let tree = receiver.local(GAME);
    let paths = Tree::read(&tree).0.into_keys();
    let files: Vec<_> = paths.filter(|path| !path.ends_with('/')).map(|path| tree.join(path)).collect();
    fs::write(&files[0], "changed by the user, and longer than it was").unwrap();
    fs::remove_file(&files[1]).unwrap();
}

fn damage_archive(receiver: &Receiver) {
    let root = receiver.games().join(GAME);
    let is_archive = |path: &std::path::PathBuf| path.extension().is_some_and(|name| name == "eti");
    let archive = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).find(is_archive).unwrap();
    fs::write(archive, "nothing of it is left").unwrap();
}

const REPAIR: &[&[&str]] = &[&["repair", GAME]];

#[test]
fn a_streamed_tree_is_repaired() {
    repaired(&[&["install", "--stream", GAME]], damage_tree, REPAIR);
}

#[test]
fn a_tree_from_archives_is_repaired() {
    repaired(&[&["install", GAME]], damage_tree, REPAIR);
}

#[test]
fn downloaded_files_are_repaired() {
    repaired(&[&["download", GAME]], damage_archive, REPAIR);
    // The tree beside them stays.
    repaired(&[&["install", GAME]], damage_archive, REPAIR);
}

#[test]
fn both_are_repaired() {
    let damage = |receiver: &Receiver| {
        damage_tree(receiver);
        damage_archive(receiver);
    };
    repaired(&[&["install", GAME]], damage, REPAIR);
}

/// Without `version.ini`, the game does not count as downloaded.
#[test]
fn a_lost_sentinel_is_repaired() {
    let damage =
        |receiver: &Receiver| fs::remove_file(receiver.games().join(GAME).join("version.ini")).unwrap();
    repaired(&[&["download", GAME]], damage, REPAIR);
}

/// An update of a version that is here repairs nothing, and does not claim to.
#[test]
fn an_update_says_that_it_did_nothing() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    let run = |words: &[&str]| finish(&mut with_options(&receiver, &source, words));
    run(&["install", "--stream", GAME]).succeeded();
    let done = run(&["update", "--force", GAME]);
    let said = done.succeeded().stderr.clone();
    assert!(said.contains("is already at version") && !said.contains("repair"), "{said}");
    damage_tree(&receiver);
    let said = run(&["update", "--force", GAME]).succeeded().stderr.clone();
    assert!(said.contains("2 files are missing or have another size"), "{said}");
    assert!(said.contains(&format!("`repair {GAME}`")), "{said}");
}
