//! Archives that are damaged, encrypted or hostile are refused as a whole: nothing is installed, and nothing is written
//! elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{
    Finished, Receiver, Source, Tree, copy_tree, decoded_at_source, finish, fixtures, peer, tool,
};

/// Every hostile fixture, and whether `--names native` accepts it. A name that Windows cannot hold, or cannot tell from
/// another one, is an ordinary name on Linux. A name that leads out of the tree, or conflicts with another entry, is
/// never accepted.
const HOSTILE: [(&str, bool); 15] = [
    ("hostile-absolute", false),
    ("hostile-backslash", true),
    ("hostile-case", true),
    ("hostile-device", true),
    ("hostile-dictionary", false),
    ("hostile-drive", true),
    ("hostile-duplicate", false),
    ("hostile-file-as-directory", false),
    ("hostile-normalisation", true),
    ("hostile-own-name", false),
    ("hostile-parent", false),
    ("hostile-parent-inside", false),
    ("hostile-size", false),
    ("hostile-symlink", false),
    ("hostile-symlink-through", false),
];

fn assert_nothing_escaped() {
    for outside in ["/tmp/lanspread-escaped.txt", "/lanspread-escaped.txt", "/tmp/escaped.txt"] {
        assert!(!Path::new(outside).exists(), "{outside}");
    }
}

/// The table above is complete.
#[test]
fn the_table_has_every_hostile_fixture() {
    let folder = fs::read_dir(fixtures("fixture-hostile")).unwrap();
    let mut found: Vec<String> = folder.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, HOSTILE.map(|(game, _)| game));
}

/// With portable names and either decoder.
#[test]
fn hostile_archives_are_refused_as_a_whole() {
    let unrar = tool("unrar");
    for options in [vec![], vec!["--unrar".as_ref(), unrar.as_os_str()]] {
        let source = Source::start_with("hostile", &fixtures("fixture-hostile"), &options);
        for (game, _) in HOSTILE {
            let receiver = Receiver::new();
            let done = receiver.run(game, &[&source]);
            println!("{game}: {}", done.stderr);
            done.failed(4, &[game, "hostile: "]);
            receiver.assert_untouched();
            assert_nothing_escaped();
        }
        source.assert_idle();
    }
}

/// A name that this system can hold is installed exactly. Every other name is refused as before.
#[test]
fn native_names_accept_only_what_this_system_can_hold() {
    let source = Source::start("hostile", &fixtures("fixture-hostile"));
    for (game, accepted) in HOSTILE {
        let receiver = Receiver::new();
        let done = finish(receiver.install(game, &[&source]).args(["--names", "native"]));
        println!("{game}: {}", done.stderr);
        if accepted {
            done.succeeded();
        } else {
            done.failed(4, &[game, "hostile: "]);
            receiver.assert_untouched();
        }
        assert_nothing_escaped();
    }
    let installed = |game: &str, name: &str| {
        let receiver = Receiver::new();
        finish(receiver.install(game, &[&source]).args(["--names", "native"])).succeeded();
        let tree = Tree::read(&receiver.local(game)).0;
        assert!(tree.contains_key(name), "{game}: {:?}", tree.keys());
    };
    installed("hostile-backslash", r"..\..\lanspread-escaped.txt");
    installed("hostile-drive", "C:/lanspread-escaped.txt");
    installed("hostile-device", "data/CON.txt");
    installed("hostile-case", "Readme.md");
    installed("hostile-case", "README.MD");
}

/// With encrypted data or encrypted headers, and either decoder, the message says that the archive is encrypted.
#[test]
fn encrypted_archives_are_refused() {
    let unrar = tool("unrar");
    for options in [vec![], vec!["--unrar".as_ref(), unrar.as_os_str()]] {
        let source = Source::start_with("locked", &fixtures("fixture-encrypted"), &options);
        for game in ["encrypted-data", "encrypted-headers"] {
            let receiver = Receiver::new();
            receiver.run(game, &[&source]).failed(4, &[game, "locked: ", "encrypted"]);
            receiver.assert_untouched();
        }
        source.assert_idle();
    }
}

/// A copy of the solid fixture with a damaged archive.
fn damaged(damage: impl FnOnce(&mut Vec<u8>)) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("cnctw");
    fs::create_dir(&root).unwrap();
    fs::copy(fixtures("fixture-solid/cnctw/version.ini"), root.join("version.ini")).unwrap();
    let mut archive = fs::read(fixtures("fixture-solid/cnctw/cnctw.eti")).unwrap();
    damage(&mut archive);
    fs::write(root.join("cnctw.eti"), archive).unwrap();
    let games = folder.path().to_owned();
    (folder, games)
}

/// A flipped bit, a missing end, no archive at all: both decoders detect it, and nothing is installed.
#[test]
fn damaged_archives_are_refused() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("a flipped bit in the middle", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }),
        ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("one byte short", |bytes| bytes.truncate(bytes.len() - 1)),
        ("text", |bytes| *bytes = b"this is no archive\n".to_vec()),
        ("empty", Vec::clear),
    ];
    let unrar = tool("unrar");
    for (what, damage) in damages {
        let (_folder, games) = damaged(damage);
        for options in [vec![], vec!["--unrar".as_ref(), unrar.as_os_str()]] {
            let source = Source::start_with("damaged", &games, &options);
            let receiver = Receiver::new();
            let done = receiver.run("cnctw", &[&source]);
            println!("{what}: {}", done.stderr);
            done.failed(4, &["cnctw", "damaged: "]);
            receiver.assert_untouched();
            source.assert_idle();
        }
    }
}

/// If the archive of the first source is damaged, the second source delivers the whole game.
#[test]
fn a_good_source_replaces_a_damaged_one() {
    let (_folder, games) = damaged(|bytes| {
        let at = bytes.len() * 9 / 10;
        bytes[at] ^= 0x10;
    });
    let bad = Source::start("a-bad", &games);
    let good = Source::start("b-good", &fixtures("fixture-solid"));
    let receiver = Receiver::new();
    let done = finish(decoded_at_source(&mut receiver.install("cnctw", &[&bad, &good])));
    done.succeeded();
    let failed = done.one("stream-attempt-failed");
    assert_eq!((&failed["peer"], &failed["code"]), (&"a-bad".into(), &"archive-damaged".into()));
    let moved: Vec<_> = done.named("stream-progress").iter().map(|event| event["peer"].clone()).collect();
    assert!(moved.contains(&"a-bad".into()), "the damage was in the middle: {moved:?}");
    assert_eq!(
        Tree::read(&receiver.local("cnctw")),
        crate::support::unrar_tree(&fixtures("fixture-solid/cnctw"))
    );
}

/// `install` from archives on this machine, without any source.
fn install_here(games: &Path, game: &str, options: &[&str]) -> Finished {
    let state = tempfile::tempdir().unwrap();
    let mut command = peer();
    command.args(["install", game, "--json", "--no-daemon", "--games-dir"]).arg(games);
    finish(command.arg("--state-dir").arg(state.path()).args(options))
}

/// The refusal says how much is needed, what is allowed and which option allows more; the option does, on the machine that
/// decodes.
#[test]
fn a_larger_dictionary_can_be_allowed() {
    let game = "hostile-dictionary";
    let refused = [game, "needs a dictionary of 4 GiB", "the limit is 1 GiB", "--max-dictionary"];
    let unrar = tool("unrar");
    for decoder in [&[][..], &["--unrar", unrar.to_str().unwrap()]] {
        let source = Source::start_with("small", &fixtures("fixture-hostile"), decoder);
        let receiver = Receiver::new();
        receiver.run(game, &[&source]).failed(4, &refused);
        receiver.assert_untouched();
        let options = [decoder, &["--max-dictionary", "4GiB"]].concat();
        let large = Source::start_with("large", &fixtures("fixture-hostile"), &options);
        receiver.run(game, &[&large]).succeeded();

        let downloaded = tempfile::tempdir().unwrap();
        let games = downloaded.path().join("games");
        copy_tree(&fixtures("fixture-hostile"), &games);
        install_here(&games, game, decoder).failed(6, &refused);
        install_here(&games, game, &options).succeeded();
        assert_eq!(Tree::read(&games.join(game).join("local")), Tree::read(&receiver.local(game)));
    }
    let too_large = install_here(Path::new("."), game, &["--max-dictionary", "65GiB"]);
    assert_eq!(too_large.status.code(), Some(2), "{}", too_large.stderr);
}

/// A base archive and its patch: which archives clash and on which name, before a byte is sent.
#[test]
fn two_archives_with_the_same_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("games/patched");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("version.ini"), "1").unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    for archive in ["base", "patch"] {
        fs::write(folder.path().join("bin/game.exe"), archive).unwrap();
        let mut packing = Command::new(tool("rar"));
        packing.args(["a", "-cfg-", "-idq", "-r"]).arg(folder.path().join(archive)).arg("bin");
        assert!(packing.current_dir(folder.path()).status().unwrap().success());
        let packed = folder.path().join(format!("{archive}.rar"));
        fs::rename(packed, root.join(format!("{archive}.eti"))).unwrap();
    }
    let clash = ["base.eti and patch.eti", "both hold `bin/game.exe`"];
    let games = folder.path().join("games");
    let source = Source::start("patched", &games);
    let receiver = Receiver::new();
    let done = receiver.run("patched", &[&source]);
    done.failed(4, &clash);
    assert!(done.named("stream-progress").is_empty(), "{}", done.stdout);
    receiver.assert_untouched();
    install_here(&games, "patched", &[])
        .failed(6, &[&clash[..], &["pack the result as one archive"]].concat());
}

/// The message names the link and its archive, and says what to do.
#[test]
fn a_link_is_named() {
    let downloaded = tempfile::tempdir().unwrap();
    let games = downloaded.path().join("games");
    copy_tree(&fixtures("fixture-hostile"), &games);
    let named = ["hostile-symlink.eti", "the symbolic link `", "without links"];
    install_here(&games, "hostile-symlink", &["--names", "native"]).failed(6, &named);
}
