//! The real program on the fixtures and on archives made here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use lanspread_types::layout::is_archive_name;

use super::*;

fn provider() -> UnrarProvider {
    UnrarProvider::new(programs::real("unrar"), DICTIONARY_BYTES_DEFAULT)
}

/// Every archive of every game of the fixtures, with the name of its fixture and game.
fn fixtures() -> Vec<(String, ArchiveSet)> {
    let mut found = Vec::new();
    for fixture in fs::read_dir(workspace().join("fixtures")).unwrap() {
        let fixture = fixture.unwrap();
        if !fixture.file_type().unwrap().is_dir() {
            continue;
        }
        for game in fs::read_dir(fixture.path()).unwrap() {
            let game = game.unwrap().path();
            let Ok(files) = fs::read_dir(&game) else { continue };
            let names: Vec<String> =
                files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            let names = names.iter().map(String::as_str).filter(|name| is_archive_name(name));
            let label = format!("{}/{}", fixture.file_name().display(), game.file_name().unwrap().display());
            found
                .extend(ArchiveSet::group(&game, names).unwrap().into_iter().map(|set| (label.clone(), set)));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(found.len() > 20, "the fixtures are not where they are expected");
    found
}

/// Makes an archive with the real `rar` from files in `folder`.
fn pack(folder: &Path, switches: &[&str], archive: &str, names: &[&str]) {
    let status = Command::new(programs::real("rar"))
        .args(["a", "-cfg-", "-idq", "-r"])
        .args(switches)
        .args(["--", archive])
        .args(names)
        .current_dir(folder)
        .status()
        .unwrap();
    assert!(status.success(), "{archive}: {status}");
}

/// What the real program extracts.
fn extracted_by_program(archive: &ArchiveSet) -> Tree {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(programs::real("unrar"))
        .args(["x", "-cfg-", "-idq", "-p-", "-y", "--"])
        .arg(fs::canonicalize(archive.first_path()).unwrap())
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "{}: {status}", archive.name());
    Tree::read(folder.path())
}

fn assert_same_tree_as_the_program(provider: &UnrarProvider, label: &str, archive: &ArchiveSet) {
    let tree = decode(provider, archive).unwrap_or_else(|error| panic!("{label}: {error}"));
    let expected = extracted_by_program(archive);
    assert!(!tree.files.is_empty(), "{label}");
    assert_eq!(tree.directories, expected.directories, "{label}");
    let names = |tree: &Tree| tree.files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&tree), names(&expected), "{label}");
    for (name, file) in &tree.files {
        let expected = &expected.files[name];
        // Not `assert_eq`, which would print the content.
        assert!(file.content == expected.content, "{label}: {name}");
        assert_eq!(file.executable, expected.executable, "{label}: {name}");
        assert_eq!(file.modified, expected.modified, "{label}: {name}");
    }
}

/// `rar` 7 lists and prints as `unrar` 7 does, and replaces it in this test.
#[test]
fn every_fixture_decodes_to_what_the_program_itself_extracts() {
    for program in ["unrar", "rar"] {
        let provider = UnrarProvider::new(programs::real(program), DICTIONARY_BYTES_DEFAULT);
        let mut compared = 0;
        for (label, archive) in fixtures() {
            if label.starts_with("fixture-hostile/") || label.starts_with("fixture-encrypted/") {
                continue;
            }
            assert_same_tree_as_the_program(&provider, &format!("{program}: {label}"), &archive);
            compared += 1;
        }
        assert!(compared >= 15, "{compared}");
    }
}

/// Names that only a receiver can judge (`NamePolicy::Portable`, collisions) are listed; everything else is refused.
#[test]
fn hostile_and_encrypted_fixtures_are_refused() {
    for program in ["unrar", "rar"] {
        assert_refusals(&UnrarProvider::new(programs::real(program), DICTIONARY_BYTES_DEFAULT));
    }
}

fn assert_refusals(provider: &UnrarProvider) {
    let for_the_receiver =
        ["backslash", "device", "drive", "case", "normalisation", "duplicate", "file-as-directory"];
    for (label, archive) in fixtures() {
        let inspected = provider.inspect(&archive, &CancellationToken::new());
        if label.starts_with("fixture-encrypted/") {
            assert!(matches!(inspected, Err(ArchiveError::Encrypted { .. })), "{label}: {inspected:?}");
        }
        let Some(game) = label.strip_prefix("fixture-hostile/hostile-") else { continue };
        match game {
            "symlink" | "symlink-through" => {
                assert!(
                    matches!(inspected, Err(ArchiveError::UnsupportedEntry { .. })),
                    "{label}: {inspected:?}"
                );
            }
            "parent" | "parent-inside" | "absolute" | "own-name" => {
                assert!(matches!(inspected, Err(ArchiveError::Name { .. })), "{label}: {inspected:?}");
            }
            "dictionary" => {
                assert!(matches!(inspected, Err(ArchiveError::Dictionary { .. })), "{label}: {inspected:?}");
            }
            "size" => {
                assert!(inspected.is_ok(), "only decoding finds it");
                let decoded = decode(provider, &archive);
                let kind = matches!(
                    decoded,
                    Err(ArchiveError::Checksum { .. }
                        | ArchiveError::Size { .. }
                        | ArchiveError::Corrupt { .. })
                );
                assert!(kind, "{label}: {decoded:?}");
            }
            _ => assert!(for_the_receiver.contains(&game) && inspected.is_ok(), "{label}: {inspected:?}"),
        }
    }
}

/// A copy of a fixture's files in a folder of its own.
fn copy_of(label: &str) -> (tempfile::TempDir, ArchiveSet) {
    let (_, archive) = fixtures().into_iter().find(|(name, _)| name == label).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> =
        archive.paths().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    for (path, name) in archive.paths().zip(&names) {
        fs::copy(path, folder.path().join(name)).unwrap();
    }
    let set = ArchiveSet::group(folder.path(), names.iter().map(String::as_str)).unwrap().remove(0);
    (folder, set)
}

#[test]
fn damaged_archives_are_reported_in_the_words_of_the_program() {
    let provider = provider();
    let (_folder, archive) = copy_of("fixture-solid/cnctw");
    let whole = fs::read(archive.first_path()).unwrap();
    let listing = Arc::new(provider.inspect(&archive, &CancellationToken::new()).unwrap());

    // An archive cut short: listing reports it, and so does decoding with an earlier listing.
    fs::write(archive.first_path(), &whole[..100_000]).unwrap();
    let error = provider.inspect(&archive, &CancellationToken::new()).unwrap_err();
    assert_eq!(error.to_string(), "cnctw.eti is damaged: Unexpected end of archive");
    let sink: SharedSink = Rc::new(RefCell::new(TreeSink::default()));
    let error = provider.extract(&archive, &listing, sink, &CancellationToken::new()).unwrap_err();
    assert!(
        matches!(&error, ArchiveError::Corrupt { reason, .. } if reason.starts_with("Unexpected end")),
        "{error}"
    );

    // One byte is wrong: either the guard or the program finds the wrong content first.
    let mut damaged = whole.clone();
    damaged[80_000] ^= 0xff;
    fs::write(archive.first_path(), damaged).unwrap();
    let error = decode(&provider, &archive).unwrap_err();
    assert!(matches!(error, ArchiveError::Checksum { .. } | ArchiveError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("missions/mission-01.txt"), "{error}");

    fs::write(archive.first_path(), "no archive at all").unwrap();
    let error = provider.inspect(&archive, &CancellationToken::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::NotAnArchive { .. }), "{error}");
    fs::write(archive.first_path(), "").unwrap();
    let error = provider.inspect(&archive, &CancellationToken::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::NotAnArchive { .. }), "{error}");
}

/// Only the program can tell that BLAKE2sp is wrong: the listing has no CRC-32, and every byte arrives.
#[test]
fn damage_under_blake2_is_found_by_the_program() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "A".repeat(1000)).unwrap();
    pack(folder.path(), &["-htb", "-m0"], "x.rar", &["a"]);
    let mut bytes = fs::read(folder.path().join("x.rar")).unwrap();
    let content = bytes.windows(4).position(|window| window == b"AAAA").unwrap();
    bytes[content + 500] = b'B';
    fs::write(folder.path().join("x.eti"), bytes).unwrap();
    let error = decode(&provider(), &ArchiveSet::single(folder.path(), "x.eti")).unwrap_err();
    assert!(
        matches!(&error, ArchiveError::Corrupt { reason, .. } if reason.ends_with("checksum error")),
        "{error}"
    );
}

#[test]
fn a_missing_volume_is_reported_as_such() {
    let provider = provider();
    let (folder, archive) = copy_of("fixture-volumes/volumes-few");
    let listing = Arc::new(provider.inspect(&archive, &CancellationToken::new()).unwrap());
    fs::remove_file(folder.path().join("volumes-few.part3.eti")).unwrap();
    let names = ["volumes-few.part1.eti", "volumes-few.part2.eti"];
    let shorter = ArchiveSet::group(folder.path(), names).unwrap().remove(0);
    let error = provider.inspect(&shorter, &CancellationToken::new()).unwrap_err();
    let expected = "volumes-few.part1.eti is one volume of a set and another volume is missing: \
                    Cannot find volume volumes-few.part3.eti";
    assert!(error.to_string().starts_with(expected), "{error}");
    let sink: SharedSink = Rc::new(RefCell::new(TreeSink::default()));
    let error = provider.extract(&shorter, &listing, sink, &CancellationToken::new()).unwrap_err();
    assert!(error.to_string().starts_with(expected), "{error}");

    let second = ArchiveSet::single(folder.path(), names[1]);
    let error = provider.inspect(&second, &CancellationToken::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::VolumeMissing { .. }), "{error}");
}

#[test]
fn volumes_that_are_not_of_the_set_are_never_read_for_it() {
    let (folder, _) = copy_of("fixture-volumes/volumes-few");
    let names = ["volumes-few.part1.eti", "volumes-few.part2.eti"];
    let shorter = ArchiveSet::group(folder.path(), names).unwrap().remove(0);
    let error = provider().inspect(&shorter, &CancellationToken::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::VolumeMissing { .. }), "{error}");
}

/// The program rebuilds missing volumes from `.rev` files if it can, but it must not write into a game root.
#[test]
fn recovery_volumes_are_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(200_000)
    .collect();
    fs::write(folder.path().join("big"), noise).unwrap();
    pack(folder.path(), &["-v60k", "-m0", "-rv2"], "x.rar", &["big"]);
    for number in 1..=3 {
        let name = |extension: &str| folder.path().join(format!("x.part{number}.{extension}"));
        fs::rename(name("rar"), name("eti")).unwrap();
    }
    fs::remove_file(folder.path().join("x.part4.rar")).unwrap();
    let files = || fs::read_dir(folder.path()).unwrap().count();
    let before = files();
    let set =
        ArchiveSet::group(folder.path(), ["x.part1.eti", "x.part2.eti", "x.part3.eti"]).unwrap().remove(0);
    let error = provider().inspect(&set, &CancellationToken::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::VolumeMissing { .. }), "{error}");
    assert_eq!(files(), before);
}

/// Some program would take each of these names for a switch, a list, a wildcard or several words.
#[test]
fn archives_with_odd_names_are_read_and_wildcards_are_refused() {
    let provider = provider();
    let folder = tempfile::tempdir().unwrap();
    let games = folder.path().join("games [x]?*");
    fs::create_dir(&games).unwrap();
    fs::write(games.join("a"), "hello").unwrap();
    pack(&games, &[], "x.rar", &["a"]);
    for name in
        ["-x.eti", "--.eti", "@x.eti", "x [v1].eti", "a b.eti", "ü.eti", "x'\".eti", ".x.eti", "$HOME.eti"]
    {
        fs::copy(games.join("x.rar"), games.join(name)).unwrap();
        let tree =
            decode(&provider, &ArchiveSet::single(&games, name)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(tree.files["a"].content, b"hello", "{name}");
    }
    fs::write(games.join("x v.eti"), "no archive; `x [v1].eti` would match it as a wildcard").unwrap();
    assert!(decode(&provider, &ArchiveSet::single(&games, "x [v1].eti")).is_ok());
    for name in ["x*.eti", "?x.eti", "x\ny.eti"] {
        fs::copy(games.join("x.rar"), games.join(name)).unwrap();
        let error = decode(&provider, &ArchiveSet::single(&games, name)).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::ProgramFailed { reason, .. } if reason.contains("rename")),
            "{error}"
        );
    }
}

/// The program exits with a fault if there is nothing to print.
#[test]
fn archives_without_content_are_not_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("d/e")).unwrap();
    pack(folder.path(), &[], "directories.rar", &["d"]);
    fs::write(folder.path().join("d/empty"), "").unwrap();
    pack(folder.path(), &[], "empty.rar", &["d"]);
    let tree = |name: &str| decode(&provider(), &ArchiveSet::single(folder.path(), name)).unwrap();
    assert_eq!(tree("directories.rar").directories.len(), 2);
    assert_eq!(tree("empty.rar").files["d/empty"].content, b"");
}

#[test]
fn names_the_program_prints_raw_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let forging = "x\n        Type: File\n        Size: 0";
    for name in ["line\nfeed", forging, "escape\u{1b}[2J", "return\r", "tab\t"] {
        let inside = tempfile::tempdir_in(folder.path()).unwrap();
        fs::write(inside.path().join(name), "hi").unwrap();
        pack(inside.path(), &[], "../x.rar", &[]);
        let error = decode(&provider(), &ArchiveSet::single(folder.path(), "x.rar")).unwrap_err();
        assert!(
            matches!(error, ArchiveError::Name { .. } | ArchiveError::Corrupt { .. }),
            "{name:?}: {error}"
        );
        fs::remove_file(folder.path().join("x.rar")).unwrap();
    }
    let raw = OsStr::from_bytes(b"bad\xff\xfename");
    fs::write(folder.path().join(raw), "hi").unwrap();
    pack(folder.path(), &[], "raw.rar", &[]);
    let error = decode(&provider(), &ArchiveSet::single(folder.path(), "raw.rar")).unwrap_err();
    assert!(error.to_string().contains("not valid UTF-8"), "{error}");
}

/// `p` prints only the newest version of a file, and `x` extracts no other.
#[test]
fn old_file_versions_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    for content in ["one", "two, longer"] {
        fs::write(folder.path().join("a"), content).unwrap();
        pack(folder.path(), &["-ver"], "x.rar", &["a"]);
    }
    let archive = ArchiveSet::single(folder.path(), "x.rar");
    let tree = decode(&provider(), &archive).unwrap();
    assert_eq!(tree, extracted_by_program(&archive));
    assert_eq!(tree.files["a"].content, b"two, longer");
}
