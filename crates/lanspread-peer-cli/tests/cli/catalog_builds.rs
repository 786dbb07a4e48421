//! `catalog build` and `diff`, and what `verify` and `show` say about the manifests that were built.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lanspread_peer::ContentDigest;
use rustix::fs::FlockOperation;

use crate::catalogs::Organiser;
use crate::support::{Finished, Running, Tree, finish, fixtures};

/// A games directory with copies of these games of the fixtures.
pub(crate) fn games(organiser: &Organiser, games: &[(&str, &str)]) -> PathBuf {
    let games_dir = organiser.path("games");
    for (fixture, game) in games {
        let (from, to) = (fixtures(fixture).join(game), games_dir.join(game));
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    games_dir
}

pub(crate) fn build(organiser: &Organiser, words: &[&str]) -> Finished {
    organiser.run(&[&["build", "--games-dir", "games", "--out", "party", "--json"], words].concat())
}

/// All manifests, by the names of their files.
fn manifests(organiser: &Organiser) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(organiser.path("party/manifests")).unwrap();
    files.map(|file| file.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The file of the only manifest.
pub(crate) fn manifest(organiser: &Organiser) -> PathBuf {
    let mut files = fs::read_dir(organiser.path("party/manifests")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

/// Puts other bytes in the place of the manifest, under their own name, and names them in the catalog.
pub(crate) fn replace_manifest(organiser: &Organiser, bytes: &[u8]) {
    let (old, catalog) = (manifest(organiser), organiser.path("party/catalog.toml"));
    let name = ContentDigest::of(bytes).to_string();
    let old_name = old.file_stem().unwrap().to_str().unwrap().to_owned();
    let length = fs::metadata(&old).unwrap().len();
    fs::remove_file(&old).unwrap();
    fs::write(organiser.path(&format!("party/manifests/{name}.lsm")), bytes).unwrap();
    let text = fs::read_to_string(&catalog)
        .unwrap()
        .replace(&old_name, &name)
        .replace(&format!("manifest_bytes = {length}"), &format!("manifest_bytes = {}", bytes.len()));
    fs::write(&catalog, text).unwrap();
    // Its organiser vouches for it: only the manifest itself is wrong.
    let _ = fs::remove_file(organiser.path("party/catalog.toml.minisig"));
    organiser.run(&["sign", "party/catalog.toml"]).succeeded();
}

#[test]
fn an_organiser_builds_signs_verifies_and_builds_again() {
    let organiser = Organiser::new();
    games(
        &organiser,
        &[("fixture-alpha", "alpha-arena"), ("fixture-alpha", "alpha-racer"), ("fixture-solid", "cnctw")],
    );
    let built = build(&organiser, &["--catalog-name", "Summer", "--jobs", "2"]);
    assert_eq!(built.succeeded().named("catalog-game-built").len(), 3);
    let catalog = built.one("catalog-built");
    assert_eq!((&catalog["version"], &catalog["written"]), (&1.into(), &true.into()));
    organiser.run(&["key", "--out", "key"]).succeeded();
    organiser.run(&["sign", "party/catalog.toml"]).succeeded();
    let verify = ["verify", "party/catalog.toml", "--key", "key.pub", "--json"];
    let verified = organiser.run(&verify).succeeded().one("catalog-verified");
    assert_eq!((&verified["manifests"], &verified["manifests_missing"]), (&3.into(), &0.into()));
    assert_eq!(verified["trusted_comment"], "lanspread catalog Summer version 1");

    let before = manifests(&organiser);
    let again = build(&organiser, &[]).succeeded().one("catalog-built");
    assert_eq!((&again["version"], &again["written"]), (&1.into(), &false.into()));
    // The copies are so fresh that they may have been read again, which gives the same manifests.
    assert_eq!(manifests(&organiser), before);
    organiser.run(&verify).succeeded();

    // A new version of one game; the others keep what they have.
    fs::copy(organiser.path("party/catalog.toml"), organiser.path("old.toml")).unwrap();
    fs::write(organiser.path("games/cnctw/version.ini"), "20260101\n").unwrap();
    let newer = build(&organiser, &["cnctw"]);
    assert_eq!(newer.succeeded().one("catalog-game-built")["change"], "changed");
    assert_eq!(newer.one("catalog-built")["version"], 2);
    organiser.run(&verify).failed(6, &["changed after it was signed"]);
    let differences = organiser.run(&["diff", "old.toml", "party/catalog.toml", "--json"]);
    let difference = differences.succeeded().one("catalog-difference");
    assert_eq!((&difference["game"], &difference["change"]), (&"cnctw".into(), &"version".into()));
    assert_eq!(differences.one("catalog-differences")["unchanged"], 2);

    // A title that was edited stays, and is a new version.
    let text = fs::read_to_string(organiser.path("party/catalog.toml")).unwrap();
    let text = text.replace("name = \"cnctw\"", "name = \"A \\\"title\\\"\"");
    fs::write(organiser.path("party/catalog.toml"), &text).unwrap();
    assert_eq!(build(&organiser, &[]).succeeded().one("catalog-built")["version"], 3);
    let shown = organiser.run(&["show", "party/catalog.toml"]);
    assert!(shown.succeeded().stdout.contains("A \"title\""), "{}", shown.stdout);

    // A game that is gone leaves the catalog.
    fs::remove_dir_all(organiser.path("games/alpha-racer")).unwrap();
    let gone = build(&organiser, &[]).succeeded().one("catalog-built");
    assert_eq!((&gone["version"], &gone["removed"][0]), (&4.into(), &"alpha-racer".into()));
}

#[test]
fn a_game_that_is_refused_is_named_and_the_others_are_built() {
    let organiser = Organiser::new();
    games(&organiser, &[("fixture-alpha", "alpha-arena"), ("fixture-hostile", "hostile-parent")]);
    let built = build(&organiser, &[]);
    assert_eq!(built.status.code(), Some(6), "{}", built.stderr);
    let error = built.one("error");
    assert_eq!(error["game"], "hostile-parent");
    assert!(error["message"].as_str().unwrap().contains(".."), "{error}");
    assert_eq!(built.one("catalog-built")["games"], 1);
    organiser.run(&["show", "party/catalog.toml", "hostile-parent"]).failed(5, &["hostile-parent"]);
    games(&organiser, &[("fixture-hostile", "hostile-device")]);
    build(&organiser, &["hostile-device"]).failed(6, &["CON.txt", "names that every system can hold"]);
    // A game that was good before keeps its entry.
    let archive = organiser.path("games/alpha-arena/alpha-arena.eti");
    let bytes = fs::read(&archive).unwrap();
    fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(build(&organiser, &[]).one("catalog-built")["games"], 1);
    build(&organiser, &["nogame"]).failed(5, &["nogame is not downloaded"]);
}

#[test]
fn a_first_build_in_which_every_game_fails_writes_no_catalog() {
    let organiser = Organiser::new();
    games(&organiser, &[("fixture-hostile", "hostile-parent")]);
    let built = build(&organiser, &[]);
    assert_eq!(built.status.code(), Some(6), "{}", built.stderr);
    let answer = built.one("catalog-built");
    assert_eq!((&answer["version"], &answer["written"]), (&0.into(), &false.into()));
    assert!(!organiser.path("party/catalog.toml").exists());
}

#[test]
fn a_build_that_cannot_begin_changes_nothing() {
    let organiser = Organiser::new();
    let done = build(&organiser, &[]);
    done.failed(7, &["the games directory games does not exist"]);
    games(&organiser, &[("fixture-alpha", "alpha-arena")]);
    fs::create_dir(organiser.path("party")).unwrap();
    fs::write(organiser.path("party/catalog.toml"), "schema = 9\n").unwrap();
    build(&organiser, &[]).failed(2, &["party/catalog.toml cannot be used", "schema 9"]);
    assert_eq!(fs::read_to_string(organiser.path("party/catalog.toml")).unwrap(), "schema = 9\n");
    fs::remove_file(organiser.path("party/catalog.toml")).unwrap();
    // Another build works there.
    let folder = fs::File::open(organiser.path("party")).unwrap();
    rustix::fs::flock(&folder, FlockOperation::LockExclusive).unwrap();
    build(&organiser, &[]).failed(7, &["cannot lock party"]);
    drop(folder);
    build(&organiser, &[]).succeeded();
}

/// Each fault of a manifest has its line, for the one who looks and for the one who verifies.
#[test]
fn a_manifest_that_does_not_fit_is_named() {
    let organiser = Organiser::new();
    games(&organiser, &[("fixture-solid", "cnctw")]);
    build(&organiser, &[]).succeeded();
    organiser.run(&["key"]).succeeded();
    organiser.run(&["sign", "party/catalog.toml"]).succeeded();
    let path = manifest(&organiser);
    let good = fs::read(&path).unwrap();
    let refused = |parts: &[&str]| {
        organiser.run(&["verify", "party/catalog.toml"]).failed(6, parts);
        organiser.run(&["show", "party/catalog.toml", "cnctw"]).failed_after_notes(6, parts);
    };
    let name = path.to_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&path, &flipped).unwrap();
    refused(&[&name, "is refused: its SHA-256 is"]);
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    refused(&[&name, &format!("{} bytes are expected, it has {}", good.len(), good.len() - 1)]);
    fs::write(&path, [&good[..], b"x"].concat()).unwrap();
    refused(&[&name, "bytes are expected"]);
    fs::remove_file(&path).unwrap();
    let verified =
        organiser.run(&["verify", "party/catalog.toml", "--json"]).succeeded().one("catalog-verified");
    assert_eq!((&verified["manifests"], &verified["manifests_missing"]), (&0.into(), &1.into()));
    fs::write(&path, &good).unwrap();

    // These have their right name and a signature: only the rules of the format are left.
    let shown = organiser.run(&["show", "party/catalog.toml", "cnctw", "--json"]);
    let entries = shown.succeeded().named("catalog-entry");
    let file =
        entries.iter().find(|entry| entry["bytes"].is_u64() && entry["path"].as_str().unwrap().len() > 9);
    let file = file.unwrap()["path"].as_str().unwrap().to_owned();
    let with = |from: &[u8], to: &[u8]| {
        // The last one: headers of archives have paths too, and are before the entries.
        let at = good.windows(from.len()).rposition(|part| part == from).unwrap();
        let mut changed = good.clone();
        changed[at..at + to.len()].copy_from_slice(to);
        changed
    };
    replace_manifest(&organiser, &with(file.as_bytes(), format!("../{}", &file[3..]).as_bytes()));
    refused(&["entry name `../", "`..`"]);
    replace_manifest(&organiser, &with(b"\x05cnctw", b"\x05other"));
    refused(&["its game is other, the catalog says cnctw for cnctw"]);
    replace_manifest(&organiser, &with(b"LSPMANI\n\x01", b"LSPMANI\n\x02"));
    refused(&["of a newer program: format 2"]);
    replace_manifest(&organiser, b"LSPMANI\n");
    refused(&["it is cut"]);
    replace_manifest(&organiser, &[&good[..], b"\0"].concat());
    refused(&["goes on after its end"]);
    replace_manifest(&organiser, &good);
    organiser.run(&["verify", "party/catalog.toml"]).succeeded();
}

/// `--catalog` takes what was built, wherever it takes a catalog.
#[test]
fn a_catalog_that_was_built_is_a_catalog() {
    let organiser = Organiser::new();
    let games_dir = games(&organiser, &[("fixture-solid", "cnctw")]);
    build(&organiser, &[]).succeeded();
    let mut command = crate::support::peer();
    command.args(["install", "cnctw", "--json", "--catalog"]).arg(organiser.path("party/catalog.toml"));
    command.arg("--games-dir").arg(&games_dir).arg("--state-dir").arg(organiser.path("state"));
    crate::support::finish(&mut command).succeeded();
    assert!(Path::new(&games_dir.join("cnctw/local")).is_dir());
}

/// Ctrl-C in the middle of a game that would take long: its archive is followed by many zeros.
#[test]
fn an_interrupted_build_leaves_nothing_half_written() {
    let organiser = Organiser::new();
    games(&organiser, &[("fixture-alpha", "alpha-arena")]);
    let archive = organiser.path("games/alpha-arena/alpha-arena.eti");
    fs::OpenOptions::new().write(true).open(&archive).unwrap().set_len(1 << 38).unwrap();
    let mut command = organiser.command(&["build", "--games-dir", "games", "--out", "party", "--json"]);
    let mut building = Running::start(&mut command);
    building.wait_for("catalog-build-progress");
    building.signal("INT");
    let done = building.finish();
    assert_eq!(done.status.code(), Some(130), "{}", done.stderr);
    let left: Vec<String> = Tree::read(&organiser.path("party")).0.into_keys().collect();
    assert_eq!(left, [".catalog-build.json", "manifests/"]);
}

/// `manifest …`, in the folder of the organiser.
fn write_manifest(organiser: &Organiser, words: &[&str]) -> Finished {
    let mut command = crate::support::peer();
    command.arg("manifest").args(words).args(["--games-dir", "games", "--state-dir", "state"]);
    finish(command.current_dir(organiser.path("")))
}

/// With a tree it is what `catalog build` makes; without one, it is what a source makes by reading.
#[test]
fn a_manifest_is_written_for_an_http_server() {
    let organiser = Organiser::new();
    let games_dir = games(&organiser, &[("fixture-solid", "cnctw")]);
    build(&organiser, &[]).succeeded();
    let written = |words: &[&str]| {
        let told = write_manifest(&organiser, &[&["cnctw", "--json"], words].concat());
        told.succeeded().one("manifest-written")
    };
    let beside = games_dir.join("cnctw/manifest.lsm");
    let told = written(&[]);
    assert_eq!((&told["tree"], &told["version"]), (&true.into(), &"20250101".into()), "{told}");
    let content = fs::read(&beside).unwrap();
    assert_eq!(content, fs::read(manifest(&organiser)).unwrap());
    assert_eq!(told["manifest"], ContentDigest::of(&content).to_string());

    let list = organiser.path("list");
    let told = written(&["--without-tree", "--output", "list"]);
    assert_eq!(told["tree"], false);
    let shorter = fs::read(&list).unwrap();
    assert!(shorter.len() < content.len());
    assert_eq!(told["manifest"], ContentDigest::of(&shorter).to_string());
    // A list is no manifest of a catalog.
    organiser.run(&["key"]).succeeded();
    replace_manifest(&organiser, &shorter);
    organiser.run(&["verify", "party/catalog.toml"]).failed(6, &["it is a packing list"]);
}

/// Nothing is written over what is there.
#[test]
fn a_game_that_cannot_be_read_leaves_the_file_as_it_was() {
    let organiser = Organiser::new();
    games(&organiser, &[("fixture-encrypted", "encrypted-data")]);
    fs::write(organiser.path("list"), "before").unwrap();
    for (game, status, part) in
        [("encrypted-data", 6, "encrypted"), ("absent", 5, "absent is not downloaded: ")]
    {
        write_manifest(&organiser, &[game, "--output", "list"]).failed(status, &[part]);
        assert_eq!(fs::read(organiser.path("list")).unwrap(), b"before", "{game}");
    }
}
