//! Requests that are refused: one clear line, the right exit status, and the machine as it was.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::catalog_builds::{build, games, manifest, replace_manifest};
use crate::catalogs::Organiser;
use crate::support::{
    Finished, POWERLESS_USER, Receiver, Source, Tree, dead_address, finish, fixtures, is_root, peer,
    program_for_all,
};

fn solid_source() -> Source {
    Source::start("only", &fixtures("fixture-solid"))
}

/// `install` with these arguments after the usual ones.
fn install_with(receiver: &Receiver, game: &str, arguments: &[&str]) -> Finished {
    finish(receiver.install(game, &[]).args(arguments))
}

/// An installed game is not installed again, and its tree is not touched.
#[test]
fn an_installed_game_is_refused() {
    let source = solid_source();
    let receiver = Receiver::new();
    fs::create_dir_all(receiver.local("cnctw")).unwrap();
    fs::write(receiver.local("cnctw").join("save.dat"), "mine").unwrap();
    let before = receiver.disk();
    let done = receiver.run("cnctw", &[&source]);
    done.failed(5, &["cnctw is already installed", receiver.local("cnctw").to_str().unwrap()]);
    assert_eq!(done.one("stream-install-failed")["code"], "already-installed");
    assert_eq!(receiver.disk(), before);
}

/// A link or a file in the place of the installed tree is refused and left alone.
#[test]
fn something_else_at_local_is_refused() {
    let source = solid_source();
    let receiver = Receiver::new();
    fs::create_dir(receiver.games().join("cnctw")).unwrap();
    fs::write(receiver.local("cnctw"), "").unwrap();
    let before = receiver.disk();
    receiver.run("cnctw", &[&source]).failed(5, &["cnctw/local"]);
    assert_eq!(receiver.disk(), before);
}

/// A link to a folder at the place of staging is refused; nothing is written or removed through it.
#[test]
fn a_link_at_staging_is_refused() {
    let source = solid_source();
    let receiver = Receiver::new();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("precious"), "kept").unwrap();
    let root = receiver.games().join("cnctw");
    fs::create_dir(&root).unwrap();
    symlink(elsewhere.path(), root.join(".local.installing")).unwrap();
    let before = (receiver.disk(), Tree::read(elsewhere.path()));
    let done = receiver.run("cnctw", &[&source]);
    done.failed(5, &[".local.installing"]);
    assert_eq!(done.one("error")["code"], "foreign-state");
    assert_eq!((receiver.disk(), Tree::read(elsewhere.path())), before);
}

/// A link at the game root that leads out of the games directory is not followed.
#[test]
fn a_game_root_that_is_a_link_out_is_not_followed() {
    let source = solid_source();
    let receiver = Receiver::new();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), receiver.games().join("cnctw")).unwrap();
    let before = receiver.disk();
    let done = receiver.run("cnctw", &[&source]);
    assert!(matches!(done.status.code(), Some(5 | 7)), "{:?} {}", done.status, done.stderr);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    assert_eq!((receiver.disk(), Tree::read(elsewhere.path())), (before, Tree::empty()));
}

/// The message names the peers that were asked.
#[test]
fn a_missing_game_is_not_offered() {
    let source = solid_source();
    let receiver = Receiver::new();
    let done = receiver.run("no-such-game", &[&source]);
    done.failed(3, &["no peer offers no-such-game", "only: it does not have no-such-game"]);
    assert_eq!(done.one("error")["code"], "not-offered");
    receiver.assert_untouched();
}

/// The message names the address of a peer that does not answer.
#[test]
fn a_dead_peer_is_named() {
    let receiver = Receiver::new();
    let address = dead_address();
    install_with(&receiver, "cnctw", &["--peer", &address]).failed(3, &["cnctw", &address]);
    receiver.assert_untouched();
}

/// If another program listens at the address, the message says so.
#[test]
fn another_program_is_not_taken_for_a_peer() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut connection, _) = listener.accept().unwrap();
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = connection.read_to_end(&mut Vec::new());
    });
    let receiver = Receiver::new();
    install_with(&receiver, "cnctw", &["--peer", &address]).failed(3, &[&address, "not a lanspread peer"]);
    answering.join().unwrap();
    receiver.assert_untouched();
}

/// Without a peer to ask, the line says that discovery is off and how to name a peer.
#[test]
fn no_peer_is_a_usage_error() {
    let receiver = Receiver::new();
    let done = install_with(&receiver, "cnctw", &[]);
    done.failed(2, &["--peer HOST:PORT", "discovery is off"]);
    assert_eq!(done.one("error")["code"], "no-peers");
    receiver.assert_untouched();
}

fn catalog(folder: &Path, text: &str) -> String {
    let path = folder.join("catalog.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A game that the catalog does not name is refused before any peer is asked.
#[test]
fn a_game_outside_the_catalog_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::new();
    let path = catalog(folder.path(), "schema = 1\n[games.other]\nname = \"Other\"\nversion = \"1\"\n");
    let done = install_with(&receiver, "cnctw", &["--catalog", &path, "--peer", &dead_address()]);
    done.failed(5, &["cnctw is not in the catalog", &path]);
    assert_eq!(done.one("error")["code"], "not-in-catalog");
    receiver.assert_untouched();
}

/// A peer with another version than the catalog's is not a source. The message names both versions.
#[test]
fn another_version_than_the_catalogs_is_not_offered() {
    let source = solid_source();
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::new();
    let path = catalog(folder.path(), "schema = 1\n[games.cnctw]\nname = \"C\"\nversion = \"20260606\"\n");
    let done = install_with(&receiver, "cnctw", &["--catalog", &path, "--peer", &source.address]);
    done.failed(3, &["cnctw", "only", "20250101", "20260606"]);
    receiver.assert_untouched();
}

/// The message names the catalog and the line that is wrong.
#[test]
fn a_broken_catalog_is_a_usage_error_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::new();
    for (text, line) in [
        ("schema = 1\n[games.cnctw]\nname = \"C\"\nversion = 5 5\n", "line 4"),
        ("schema = 1\n[games.cnctw]\nname = \"C\"\n", "line 2"),
        ("schema = 1\n[games.\"../x\"]\nname = \"C\"\nversion = \"1\"\n", "line 2"),
    ] {
        let path = catalog(folder.path(), text);
        let done = install_with(&receiver, "cnctw", &["--catalog", &path, "--peer", &dead_address()]);
        done.failed(2, &[&path, line]);
        assert_eq!(done.one("error")["code"], "catalog-unusable");
    }
    let path = catalog(folder.path(), "schema = 3\n");
    install_with(&receiver, "cnctw", &["--catalog", &path]).failed(2, &[&path, "schema"]);
    install_with(&receiver, "cnctw", &["--catalog", "/no/such/catalog.toml"])
        .failed(2, &["/no/such/catalog.toml"]);
    receiver.assert_untouched();
}

/// The message names the bad word, and nothing is touched.
#[test]
fn bad_words_are_usage_errors() {
    let receiver = Receiver::new();
    let peer = &dead_address();
    for game in ["..", ".", "a/b", "a b", "", &"x".repeat(65)] {
        install_with(&receiver, game, &["--peer", peer]).failed(2, &["GAME"]);
    }
    for address in ["10.0.0.1:", "10.0.0.1:99999", ":4107", "a b:1"] {
        install_with(&receiver, "cnctw", &["--peer", address]).failed(2, &["--peer"]);
    }
    install_with(&receiver, "cnctw", &["--peer", peer, "--frobnicate"]).failed(2, &["--frobnicate"]);
    install_with(&receiver, "cnctw", &["--peer", peer, "--names", "odd"]).failed(2, &["--names", "odd"]);
    receiver.assert_untouched();
}

/// It reports the bad option instead.
#[test]
fn a_source_with_bad_options_does_not_start() {
    let state = tempfile::tempdir().unwrap();
    let games = fixtures("fixture-solid");
    let serve = |arguments: &[&str]| {
        let mut command = peer();
        command
            .args(["serve", "--games-dir"])
            .arg(&games)
            .arg("--state-dir")
            .arg(state.path())
            .args(arguments);
        finish(&mut command)
    };
    serve(&["--listen", "nonsense"]).failed(2, &["--listen", "nonsense"]);
    serve(&["--max-streams", "0"]).failed(2, &["--max-streams"]);
    serve(&["--name", ""]).failed(2, &["--name"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    serve(&["--listen", &address]).failed(2, &["cannot listen", &address]);
}

/// If two peers contradict each other, neither is chosen, and the message names both.
#[test]
fn ambiguous_sources_are_refused() {
    let other = tempfile::tempdir().unwrap();
    let root = other.path().join("cnctw");
    fs::create_dir(&root).unwrap();
    fs::copy(fixtures("fixture-alpha/alpha-arena/alpha-arena.eti"), root.join("cnctw.eti")).unwrap();
    fs::write(root.join("version.ini"), "20250101\n").unwrap();
    let (one, two) = (solid_source(), Source::start("odd", other.path()));
    let receiver = Receiver::new();
    let done = receiver.run("cnctw", &[&one, &two]);
    done.failed(5, &["cnctw", "only", "odd"]);
    assert_eq!(done.one("error")["code"], "ambiguous-metadata");
    receiver.assert_untouched();

    // A third peer makes a majority. The odd one is not a source.
    let three = solid_source();
    let done = receiver.run("cnctw", &[&one, &two, &three]);
    assert_eq!(done.succeeded().one("stream-install-begin")["sources"], serde_json::json!(["only", "only"]));
}

/// It is missing, is a file, or cannot be written.
#[test]
fn an_unusable_games_directory_is_named() {
    let source = solid_source();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let run = |games: &Path| {
        let mut command = peer();
        command.args(["install", "--stream", "cnctw", "--peer", &source.address, "--games-dir"]).arg(games);
        finish(command.arg("--state-dir").arg(folder.path().join("state")))
    };
    let missing = folder.path().join("missing/games");
    run(&missing).failed(7, &[missing.to_str().unwrap(), "does not exist", "mkdir -p"]);
    assert!(!missing.parent().unwrap().exists(), "it was created");
    run(&file).failed(2, &[file.to_str().unwrap(), "not a folder"]);
    // Not even root can create a folder there.
    run(Path::new("/proc/self/fdinfo")).failed(7, &["/proc/self/fdinfo"]);
}

/// It is refused with its path before a byte is requested. Root can write anywhere, so as root the command runs as the
/// user `nobody`.
#[test]
fn a_games_directory_without_permission_is_refused() {
    let source = solid_source();
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let (games, state) = (folder.path().join("games"), folder.path().join("state"));
    fs::create_dir(&games).unwrap();
    fs::create_dir(&state).unwrap();
    mode(folder.path(), 0o755);
    mode(&games, 0o555);
    mode(&state, 0o777);
    let program = program_for_all(folder.path());
    let mut command = Command::new(&program);
    command.args(["install", "--stream", "cnctw", "--peer", &source.address, "--games-dir"]).arg(&games);
    command
        .arg("--state-dir")
        .arg(&state)
        .env_remove("LANSPREAD_CATALOG")
        .env("LANSPREAD_CONFIG", "/dev/null");
    if is_root() {
        command.uid(POWERLESS_USER).gid(POWERLESS_USER);
    }
    let done = finish(command.current_dir("/"));
    done.failed(7, &[games.to_str().unwrap(), "ermission denied"]);
    assert_eq!(Tree::read(&games), Tree::empty());
    source.assert_idle();
}

/// What the parser knows of the words that are meant reaches the user.
#[test]
fn a_typing_error_gets_a_suggestion() {
    for (words, parts) in [
        (&["instal", "x"][..], &["'instal'", "did you mean `install`?"][..]),
        (&["peers", "ad", "x:1"], &["did you mean `add`?"]),
        (&["install", "--streem", "x", "--games-dir", "."], &["'--streem'", "did you mean `--stream`?"]),
        (&["install", "--names", "natve", "x", "--games-dir", "."], &["'natve'", "did you mean `native`?"]),
        (&["frobnicate"], &["'frobnicate'", "see --help"]),
        (
            &["list", "--no-discovery=false", "--games-dir", "."],
            &["--no-discovery takes no value", "LANSPREAD_NO_DISCOVERY=false"],
        ),
    ] {
        finish(peer().args(words)).failed(2, parts);
    }
    let done = finish(peer().args(["install", "--stream=no", "x"]));
    assert!(!done.failed(2, &["--stream takes no value"]).stderr.contains("LANSPREAD_"), "{}", done.stderr);
}

/// An organiser with a signed catalog of one game and its manifest.
fn organiser() -> Organiser {
    let organiser = Organiser::new();
    games(&organiser, &[("fixture-solid", "cnctw")]);
    build(&organiser, &[]).succeeded();
    organiser.run(&["key", "--out", "key"]).succeeded();
    organiser.run(&["sign", "party/catalog.toml"]).succeeded();
    organiser
}

/// `install --stream cnctw` with the catalog and the public key of the organiser.
fn install_with_catalog(receiver: &Receiver, organiser: &Organiser, source: &Source) -> Finished {
    let mut command = receiver.install("cnctw", &[source]);
    command.arg("--catalog").arg(organiser.path("party/catalog.toml"));
    finish(command.arg("--catalog-key").arg(organiser.path("key.pub")))
}

/// A file and its bad content; the exit status and code of the refusal, what it names, and what to do.
type Case = (&'static str, Vec<u8>, i32, &'static str, &'static str, &'static str);

/// A catalog, a signature or a key that does not count is refused before a source is asked: what is wrong, with which file,
/// and what to do.
#[test]
fn a_catalog_that_does_not_count_installs_nothing() {
    let (organiser, source) = (organiser(), solid_source());
    let path = |name: &str| organiser.path(name);
    let names = ["key.pub", "party/catalog.toml", "party/catalog.toml.minisig"];
    let [key, catalog, signature] = names.map(|name| fs::read(path(name)).unwrap());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let other_algorithm = text(&signature).replacen("\nRU", "\nXX", 1).into_bytes();
    let cases: [Case; 8] = [
        (names[0], key[10..].to_vec(), 2, "key-unusable", "key.pub cannot be used", "give the file"),
        (
            names[0],
            text(&key).replace("\nRW", "\nRX").into_bytes(),
            2,
            "key-unusable",
            "key.pub",
            "give the file",
        ),
        (
            names[1],
            catalog[..catalog.len() - 5].to_vec(),
            6,
            "signature-refused",
            "changed after it was signed",
            "get",
        ),
        (
            names[1],
            vec![b'#'; 9 << 20],
            2,
            "catalog-unusable",
            "larger than 8388608 bytes",
            "from its author",
        ),
        (names[2], signature.repeat(2), 6, "signature-refused", "not one signature of four lines", "get"),
        (names[2], other_algorithm, 6, "signature-refused", "algorithm", "get"),
        (names[2], signature[..signature.len() - 20].to_vec(), 6, "signature-refused", "four lines", "get"),
        (names[2], vec![b'x'; 2000], 6, "signature-refused", "larger than 1024 bytes", "get"),
    ];
    let receiver = Receiver::new();
    for (name, bytes, status, code, what, to_do) in cases {
        let good = fs::read(path(name)).unwrap();
        fs::write(path(name), bytes).unwrap();
        let file = path(name);
        let done = install_with_catalog(&receiver, &organiser, &source);
        done.failed(status, &[file.to_str().unwrap().trim_end_matches(".minisig"), what, to_do]);
        assert_eq!(done.one("error")["code"], code);
        receiver.assert_untouched();
        fs::write(path(name), good).unwrap();
    }
    fs::remove_file(path(names[2])).unwrap();
    let done = install_with_catalog(&receiver, &organiser, &source);
    done.failed(5, &["catalog.toml is not signed", "catalog sign"]);
    receiver.assert_untouched();
    fs::write(path(names[2]), signature).unwrap();
    let done = install_with_catalog(&receiver, &organiser, &source);
    assert_eq!(done.succeeded().one("stream-install-finished")["trust"], "verified");
}

/// A manifest that is not the one that the catalog names, or that lists what no receiver accepts, installs nothing.
#[test]
fn a_manifest_that_does_not_count_installs_nothing() {
    let (organiser, source) = (organiser(), solid_source());
    let good = fs::read(manifest(&organiser)).unwrap();
    let refused = |what: &str| {
        // A machine takes one catalog of a version.
        let receiver = Receiver::new();
        let file = manifest(&organiser);
        let done = install_with_catalog(&receiver, &organiser, &source);
        done.failed_after_notes(2, &[file.to_str().unwrap(), what, "author of the catalog"]);
        assert_eq!(done.one("error")["code"], "manifest-unusable");
        assert_eq!(receiver.disk(), Tree::empty());
        source.assert_idle();
    };
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    fs::write(manifest(&organiser), flipped).unwrap();
    refused("is refused: its SHA-256 is");
    fs::write(manifest(&organiser), &good[..good.len() - 1]).unwrap();
    refused("bytes are expected");

    // It has its right name, and its organiser has signed that: only the path is wrong.
    fs::write(manifest(&organiser), &good).unwrap();
    let shown = organiser.run(&["show", "party/catalog.toml", "cnctw", "--json"]);
    let entries = shown.succeeded().named("catalog-entry");
    let mut files = entries.iter().filter(|entry| entry["bytes"].is_u64());
    let file = files.find_map(|entry| entry["path"].as_str().filter(|path| path.len() > 9)).unwrap();
    let at = good.windows(file.len()).rposition(|part| part == file.as_bytes()).unwrap();
    let mut leading_out = good.clone();
    leading_out[at..at + 3].copy_from_slice(b"../");
    replace_manifest(&organiser, &leading_out);
    refused("`..`");
}

/// A second catalog of a version, and an older one, are not taken; the one before stays in force.
#[test]
fn a_machine_takes_neither_a_second_catalog_of_a_version_nor_an_older_one() {
    let (organiser, source) = (organiser(), solid_source());
    let receiver = Receiver::new();
    let sign = |from: &str, to: &str| {
        let text = fs::read_to_string(organiser.path("party/catalog.toml")).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(organiser.path("party/catalog.toml"), text.replace(from, to)).unwrap();
        let _ = fs::remove_file(organiser.path("party/catalog.toml.minisig"));
        organiser.run(&["sign", "party/catalog.toml"]).succeeded();
    };
    let list = || {
        let mut command = peer();
        command.args(["list", "--json", "--peer", &source.address, "--games-dir"]).arg(receiver.games());
        command.arg("--state-dir").arg(receiver.state());
        command.arg("--catalog").arg(organiser.path("party/catalog.toml"));
        let done = finish(command.arg("--catalog-key").arg(organiser.path("key.pub")));
        let title = done.succeeded().one("offered-game")["title"].clone();
        (title, done.stderr)
    };
    assert_eq!(list(), ("cnctw".into(), String::new()));
    sign("name = \"cnctw\"", "name = \"Another\"");
    let (title, told) = list();
    assert_eq!(title, "cnctw");
    assert!(told.contains("two different catalogs are signed as version 1"), "{told}");
    sign("\nversion = 1\n", "\nversion = 3\n");
    assert_eq!(list(), ("Another".into(), String::new()));
    sign("\nversion = 3\n", "\nversion = 2\n");
    let (title, told) = list();
    assert_eq!(title, "Another");
    assert!(told.contains("version 2") && told.contains("version 3"), "{told}");
}
