//! The real `rar` and `unrar`: what they make and what they read.
//!
//! `scripts/fetch_tools.sh` brings them. Without them, these tests say so and pass.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lanspread_rar::{Header, Headers, Limits, RedirectionKind};

use crate::encoder::{self, Op, literals};
use crate::payload::{code, noise, prose, sound, table};
use crate::writer::{self, Entry};
use crate::{Outcome, Unpacked, decode_volumes};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program, or `None` with a printed reason.
fn tool(name: &str) -> Option<PathBuf> {
    let variable = format!("LANSPREAD_TEST_{}", name.to_uppercase());
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let program =
        std::env::var_os(variable).map_or_else(|| target.join("tools/bin").join(name), PathBuf::from);
    if program.is_file() {
        return Some(program);
    }
    let reason = format!("skipped: {} is not there; run scripts/fetch_tools.sh\n", program.display());
    std::io::stderr().write_all(reason.as_bytes()).unwrap();
    None
}

/// Files of every kind, some of them alike.
fn payload(folder: &Path) {
    let files: [(&str, Vec<u8>); 14] = [
        ("readme.txt", prose(1, 30_000)),
        ("bin/game.exe", code(2, 300_000)),
        ("bin/engine.dll", code(2, 200_000)),
        ("sound/theme.wav", sound(3, 400_000)),
        ("sound/click.wav", sound(4, 5000)),
        ("maps/table.tbl", table(5, 150_000)),
        ("video.bin", noise(6, 250_000)),
        ("text/one.txt", prose(7, 900_000)),
        ("text/two.txt", [prose(7, 100_000), prose(8, 3000)].concat()),
        ("text/copy.txt", prose(1, 30_000)),
        ("empty", Vec::new()),
        ("byte", vec![7]),
        ("zeros", vec![0; 500_000]),
        ("long.bin", [noise(9, 100_000), prose(9, 700_000), noise(9, 100_000)].concat()),
    ];
    for (name, data) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
    for nth in 0..60 {
        let path = folder.join(format!("levels/{nth}.lvl"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, prose(100 + nth, 300 + 40 * nth as usize)).unwrap();
    }
}

/// Packs `folder/in` with these switches. Returns the volumes in order.
fn pack(rar: &Path, folder: &Path, switches: &[&str]) -> Vec<Vec<u8>> {
    let output = Command::new(rar)
        .current_dir(folder.join("in"))
        .args(["a", "-cfg-", "-idq", "-y", "-r", "-mt1"])
        .args(switches)
        .arg("../a.rar")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{switches:?}: {}", String::from_utf8_lossy(&output.stderr));
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "rar" || extension == "exe" || extension == "sfx")
        })
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            fs::remove_file(path).unwrap();
            bytes
        })
        .collect()
}

/// Data of members by name, with references filled in; the newest of each name.
fn tree(members: &[Unpacked]) -> BTreeMap<String, Vec<u8>> {
    let mut tree: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for member in members {
        if member.header.is_directory {
            continue;
        }
        let data = match &member.header.redirection {
            Some(redirection) => {
                let kind = redirection.kind;
                assert!(matches!(kind, RedirectionKind::HardLink | RedirectionKind::FileCopy), "{kind:?}");
                tree[std::str::from_utf8(&redirection.target).unwrap()].clone()
            }
            None => member.data.clone(),
        };
        tree.insert(member.name(), data);
    }
    tree
}

fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(folder: &Path, root: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, files);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(folder, folder, &mut files);
    files
}

fn assert_same(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>, what: &str) {
    let names = |tree: &BTreeMap<String, Vec<u8>>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(one), names(other), "{what}");
    for (name, data) in one {
        assert!(*data == other[name], "{what}: {name} differs");
    }
}

fn large_limits() -> Limits {
    let mut limits = Limits::default();
    limits.dictionary_bytes = 1 << 31;
    limits
}

fn decode_volumes_all_ways(volumes: &[Vec<u8>], what: &str) -> Vec<Unpacked> {
    let (members, result): Outcome = decode_volumes(volumes, 1, large_limits());
    result.unwrap_or_else(|error| panic!("{what}: {error}"));
    for threads in [2, 3] {
        let (others, result) = decode_volumes(volumes, threads, large_limits());
        result.unwrap_or_else(|error| panic!("{what}, {threads} threads: {error}"));
        assert_same(&tree(&members), &tree(&others), what);
    }
    members
}

#[test]
fn every_way_to_pack_is_unpacked() {
    let Some(rar) = tool("rar") else { return };
    let folder = tempfile::tempdir().unwrap();
    payload(&folder.path().join("in"));
    let expected = files_below(&folder.path().join("in"));
    let ways: &[&[&str]] = &[
        &["-m0"],
        &["-m1"],
        &["-m2"],
        &["-m3"],
        &["-m4"],
        &["-m5"],
        &["-m1", "-s"],
        &["-m3", "-s"],
        &["-m5", "-s"],
        &["-m3", "-s-"],
        &["-m4", "-s10"],
        &["-m3", "-se"],
        &["-m3", "-sv", "-v100k"],
        &["-m3", "-s", "-md128k"],
        &["-m5", "-s", "-md256k"],
        &["-m3", "-md1m"],
        &["-m3", "-s", "-md64m"],
        &["-m3", "-md1g"],
        &["-m3", "-mcD-"],
        &["-m3", "-s", "-mcD+"],
        &["-m3", "-mcX-"],
        &["-m3", "-s", "-mcX+"],
        &["-m5", "-mcL+"],
        &["-m5", "-s", "-mcL-"],
        &["-m3", "-mcD-", "-mcX-"],
        &["-m3", "-mstxt;wav"],
        &["-m3", "-s", "-mstxt;wav"],
        &["-m3", "-htb"],
        &["-m3", "-s", "-htb", "-oi:1"],
        &["-m3", "-oi:1"],
        &["-m3", "-v10007b"],
        &["-m3", "-s", "-v30011b"],
        &["-m0", "-v77777b"],
        &["-m3", "-s", "-v2000b", "-htb"],
        &["-m3", "-rr5p", "-qo+"],
        &["-m3", "-s", "-qo-", "-k"],
        &["-m5", "-tsm4", "-tsc", "-tsa"],
    ];
    for switches in ways {
        let volumes = pack(&rar, folder.path(), switches);
        let what = switches.join(" ");
        let members = decode_volumes_all_ways(&volumes, &what);
        assert_same(&tree(&members), &expected, &what);
        check_listing(&volumes, &members, &what);
    }
}

/// A listing has the same members as decoding.
fn check_listing(volumes: &[Vec<u8>], members: &[Unpacked], what: &str) {
    let mut listed = Vec::new();
    for volume in volumes {
        for header in Headers::seek(std::io::Cursor::new(volume), Limits::default()).unwrap() {
            if let Header::File(file) = header.unwrap_or_else(|error| panic!("{what}: {error}"))
                && !file.block.split_before
            {
                listed.push(*file);
            }
        }
    }
    let decoded: Vec<_> = members.iter().map(|member| member.header.clone()).collect();
    assert_eq!(listed, decoded, "{what}");
}

#[test]
fn self_extracting_archives_are_unpacked() {
    let Some(rar) = tool("rar") else { return };
    let folder = tempfile::tempdir().unwrap();
    payload(&folder.path().join("in"));
    let expected = files_below(&folder.path().join("in"));
    // The package of `rar` may come without its modules: any program will do.
    let program = fs::read(&rar).unwrap();
    let volumes = pack(&rar, folder.path(), &["-m3", "-s"]);
    let bytes = [program, volumes[0].clone()].concat();
    assert_same(&tree(&decode_volumes_all_ways(&[bytes], "SFX")), &expected, "SFX");
}

#[test]
fn versions_of_a_file_can_be_distinguished() {
    let Some(rar) = tool("rar") else { return };
    let folder = tempfile::tempdir().unwrap();
    for version in 1..=3 {
        fs::write(folder.path().join("game.cfg"), format!("{version}\n")).unwrap();
        let status = Command::new(&rar)
            .current_dir(folder.path())
            .args(["a", "-cfg-", "-idq", "-y", "-ver", "v.rar", "game.cfg"])
            .status()
            .unwrap();
        assert!(status.success());
    }
    let volumes = [fs::read(folder.path().join("v.rar")).unwrap()];
    let members = decode_volumes_all_ways(&volumes, "-ver");
    let mut seen: Vec<_> = members
        .iter()
        .map(|member| (member.header.version, String::from_utf8(member.data.clone()).unwrap()))
        .collect();
    seen.sort();
    let expected =
        [(None, "3\n"), (Some(1), "1\n"), (Some(2), "2\n")].map(|(version, text)| (version, text.to_owned()));
    assert_eq!(seen, expected);
}

#[test]
fn an_archive_from_standard_input_has_no_size() {
    let Some(rar) = tool("rar") else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = prose(20, 800_000);
    fs::write(folder.path().join("data"), &data).unwrap();
    for switches in [&["-m3"][..], &["-m3", "-v20k"], &["-m0"]] {
        let output = Command::new(&rar)
            .current_dir(folder.path())
            .args(["a", "-cfg-", "-idq", "-y", "-sistream.txt"])
            .args(switches)
            .arg("a.rar")
            .stdin(File::open(folder.path().join("data")).unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut paths: Vec<PathBuf> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rar"))
            .collect();
        paths.sort();
        let volumes: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        let members = decode_volumes_all_ways(&volumes, "stdin");
        assert!(members[0].data == data);
        for path in paths {
            fs::remove_file(path).unwrap();
        }
    }
}

/// Volumes of the fixture in order: `NAME.partN.eti`, or the single file.
fn fixture_volumes(paths: &[PathBuf]) -> Vec<Vec<u8>> {
    let mut paths = paths.to_vec();
    let number = |path: &PathBuf| -> u32 {
        let name = path.file_stem().unwrap().to_str().unwrap();
        name.rsplit_once(".part").and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
    };
    paths.sort_by_key(number);
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Every fixture, by archive: its name and its volumes.
fn fixtures() -> Vec<(String, Vec<PathBuf>)> {
    let mut archives: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for fixture in fs::read_dir(workspace().join("fixtures")).unwrap() {
        let fixture = fixture.unwrap().path();
        if !fixture.is_dir() {
            continue;
        }
        for game in fs::read_dir(&fixture).unwrap() {
            for file in fs::read_dir(game.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "eti") {
                    let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
                    let stem = stem.split(".part").next().unwrap().to_owned();
                    let name = format!("{}/{stem}", fixture.file_name().unwrap().to_str().unwrap());
                    archives.entry(name).or_default().push(path);
                }
            }
        }
    }
    archives.into_iter().collect()
}

#[test]
fn every_fixture_is_what_unrar_makes_of_it() {
    let Some(unrar) = tool("unrar") else { return };
    let mut seen = 0;
    for (name, paths) in fixtures() {
        let volumes = fixture_volumes(&paths);
        let (_, result) = decode_volumes(&volumes, 2, large_limits());
        let message = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "fixture-encrypted/encrypted-data" => assert!(message.ends_with("is encrypted"), "{message}"),
            "fixture-encrypted/encrypted-headers" => {
                assert!(message.contains("headers are encrypted"), "{message}");
            }
            "fixture-rar4/rar4-classic" => assert!(message.contains("RAR 4"), "{message}"),
            "fixture-hostile/hostile-size" => assert!(message.contains("1500 bytes"), "{message}"),
            "fixture-hostile/hostile-dictionary" => {
                assert!(message.contains("bytes of dictionary"), "{message}");
            }
            // Their names are nothing to unpack anywhere; that they decode is enough.
            name if name.starts_with("fixture-hostile/") => assert!(result.is_ok(), "{name}: {message}"),
            name => {
                let members = decode_volumes_all_ways(&volumes, name);
                let folder = tempfile::tempdir().unwrap();
                let first = paths.iter().min_by_key(|path| (path.as_os_str().len(), *path)).unwrap();
                let output = Command::new(&unrar)
                    .args(["x", "-cfg-", "-idq", "-y"])
                    .arg(first)
                    .arg(format!("{}/", folder.path().display()))
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
                assert_same(&tree(&members), &files_below(folder.path()), name);
            }
        }
        seen += 1;
    }
    assert!(seen >= 30, "only {seen} archives");
}

/// Small archives of `rar` for the test that damages them.
pub fn archives_to_damage() -> Option<Vec<(String, Vec<u8>)>> {
    let rar = tool("rar")?;
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("in");
    fs::create_dir_all(&inside).unwrap();
    fs::write(inside.join("a.txt"), prose(30, 9000)).unwrap();
    fs::write(inside.join("b.exe"), code(30, 9000)).unwrap();
    fs::write(inside.join("c.wav"), sound(30, 9000)).unwrap();
    fs::write(inside.join("d.bin"), noise(30, 1000)).unwrap();
    let ways = [&["-m3", "-s"][..], &["-m5", "-s-", "-mcD+", "-mcX+"], &["-m3", "-s", "-htb", "-rr3p"]];
    Some(
        ways.iter()
            .map(|switches| (switches.join(" "), pack(&rar, folder.path(), switches).remove(0)))
            .collect(),
    )
}

/// The archive if the real `rar` finds nothing wrong with it.
fn assert_rar_tests(rar: &Path, bytes: &[u8], what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rar");
    fs::write(&path, bytes).unwrap();
    let output = Command::new(rar).args(["t", "-cfg-", "-idq", "-y", "-mdx16g"]).arg(&path).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {text}");
}

/// The reference decoder and the encoder of these tests could share a mistake about the format; `rar` would notice it.
#[test]
fn what_the_tests_pack_is_read_by_rar() {
    let Some(rar) = tool("rar") else { return };
    let data = noise(40, 150_000);
    let ops: Vec<Op> = [
        literals(&data).collect(),
        vec![
            Op::Match { distance: 140_000, length: 40 },
            Op::Again,
            Op::Match { distance: 3, length: 4097 },
            Op::Repeat { nth: 1, length: 300 },
            Op::Match { distance: 9, length: 17 },
            Op::Repeat { nth: 2, length: 4096 },
            Op::Again,
        ],
    ]
    .concat();
    let filters: Vec<Op> = (0..4)
        .flat_map(|kind| {
            let filter = Op::Filter { start: 100, length: 9000, kind, channels: 3 };
            [vec![filter], literals(&code(41, 10_000)).collect()].concat()
        })
        .collect();
    for (version_1, large) in [(None, false), (Some((16, true)), false), (Some((16, false)), true)] {
        let member = |name: &str, ops: &[Op], exponent, solid| {
            let packed = encoder::pack(ops, 7000, large);
            let unknown =
                Entry { size: None, crc32: None, exponent, version_1, ..Entry::packed(name, packed, &[]) };
            let alone = writer::archive(std::slice::from_ref(&unknown));
            let (members, result) = crate::decode(&alone, 1);
            result.unwrap();
            let data = &members[0].data;
            Entry { size: Some(data.len() as u64), crc32: Some(crc32fast::hash(data)), solid, ..unknown }
        };
        let entries = [member("matches", &ops, 1, false), member("filters", &filters, 1, true)];
        assert_rar_tests(&rar, &writer::archive(&entries), &format!("{version_1:?}"));
    }
}

/// Needs 11 GiB of memory and a minute, so it runs only by hand: `cargo test --release -- --ignored 4_gib`.
#[test]
#[ignore = "takes 11 GiB of memory"]
fn a_match_from_more_than_4_gib_back() {
    const FILLED: u64 = (4 << 30) + 123_456;
    let Some(rar) = tool("rar") else { return };
    let start = noise(42, 5000);
    let mut ops: Vec<Op> = literals(&start).collect();
    // Nothing of the start is repeated but its last 1000 bytes.
    ops.resize(ops.len() + FILLED.div_ceil(4098) as usize, Op::Match { distance: 1000, length: 4098 });
    let filled = 5000 + FILLED.div_ceil(4098) * 4098;
    ops.push(Op::Match { distance: filled, length: 3000 });
    let size = filled + 3000;
    let packed = encoder::pack(&ops, 100_000, true);
    // 32 << (12 + 16) bytes of dictionary: 8 GiB.
    let unchecked = Entry {
        size: Some(size),
        crc32: None,
        exponent: 16,
        version_1: Some((0, false)),
        ..Entry::packed("far", packed, &[])
    };
    let mut limits = Limits::default();
    limits.dictionary_bytes = 8 << 30;
    let reader = std::io::Cursor::new(writer::archive(std::slice::from_ref(&unchecked)));
    let mut decoder = lanspread_rar::ArchiveDecoder::new(reader, limits, 2).unwrap();
    let mut sum = crc32fast::Hasher::new();
    let mut last = Vec::new();
    decoder
        .next_member()
        .unwrap()
        .unwrap()
        .copy_to(|piece| {
            sum.update(piece);
            last.extend_from_slice(piece);
            last.drain(..last.len().saturating_sub(3000));
            Ok(())
        })
        .unwrap();
    assert!(last == start[..3000], "the far match has other bytes");
    drop(decoder);
    let checked = Entry { crc32: Some(sum.finalize()), ..unchecked };
    assert_rar_tests(&rar, &writer::archive(&[checked]), "far");
}
