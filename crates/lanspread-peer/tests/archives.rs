//! Real archives through two real peers: with either provider at the source, a streamed install leaves on the receiver
//! what the real `unrar x` extracts from the same archive.
//!
//! The tests compare paths, folders (including empty ones), and the bytes, executable bit and modification time of
//! every file.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests

#[path = "common/support.rs"]
mod common;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{
    Machine, Tree, archives, difference, drain, extracted_by_unrar, install, program, providers, scratch,
    serve, sums, tree, workspace,
};
use lanspread_peer::Totals;
use lanspread_peer::{Peer, PeerError, PeerEvent};

/// Every game of the fixtures that `wanted` accepts, as (fixture, game).
fn fixtures(wanted: impl Fn(&str) -> bool) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for fixture in fs::read_dir(workspace().join("fixtures")).unwrap() {
        let fixture = fixture.unwrap().path();
        let name = fixture.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("fixture-") || !wanted(&name) {
            continue;
        }
        for game in fs::read_dir(&fixture).unwrap() {
            found.push((fixture.clone(), game.unwrap().file_name().into_string().unwrap()));
        }
    }
    found.sort();
    found
}

fn is_refused(fixture: &str) -> bool {
    matches!(fixture, "fixture-encrypted" | "fixture-hostile")
}

/// Installs a game on a machine of its own, compares it with `expected` and returns what was reported.
async fn assert_installs(label: &str, game: &str, source: SocketAddr, expected: &Tree) -> Totals {
    let machine = Machine::new();
    let receiver = machine.peer("receiver");
    let report = install(&receiver, game, &[source]).await;
    let report = report.unwrap_or_else(|error| panic!("{label}: {error}"));
    assert!(report.attempts.is_empty(), "{label}: {:?}", report.attempts);
    let root = machine.games_dir.join(game);
    let installed = tree(&root.join("local"));
    let is_plain = |node: &common::Node| !matches!(node, common::Node::Other);
    assert!(installed.values().chain(expected.values()).all(is_plain), "{label}: links or devices");
    if let Some(difference) = difference(&installed, expected) {
        panic!("{label}: {difference}");
    }
    assert_eq!((report.totals.files, report.totals.bytes), sums(&installed), "{label}");
    // Installed, not shareable: the game root has no archive, no sentinel and nothing of ours.
    let beside: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["local"], "{label}");
    assert_eq!(receiver.running_tasks(), 0, "{label}");
    report.totals
}

/// With either provider, every good fixture installs as `unrar x` extracts it, and both report the same totals.
#[tokio::test(flavor = "multi_thread")]
async fn every_good_fixture_installs_as_unrar_extracts_it() {
    let source = Machine::new();
    let games = fixtures(|fixture| !is_refused(fixture));
    assert!(games.len() >= 19, "only {} games found", games.len());
    for (fixture, game) in games {
        let label = format!("{}/{game}", fixture.file_name().unwrap().display());
        let expected = extracted_by_unrar(&archives(&fixture.join(&game)));
        let mut totals = Vec::new();
        for (name, provider) in providers() {
            let peer = source.peer_over("source", &fixture, &provider);
            let address = serve(&peer).await;
            totals.push(assert_installs(&format!("{label}, {name}"), &game, address, &expected).await);
            peer.shutdown().await.unwrap();
            assert_eq!(peer.running_tasks(), 0, "{label}, {name}");
        }
        assert_eq!(totals[0], totals[1], "{label}: the providers count differently");
    }
}

/// The archives of a game arrive one after the other in the order of their names, and their announced bytes add up to
/// the total.
#[tokio::test(flavor = "multi_thread")]
async fn several_archives_arrive_in_the_order_of_their_names() {
    for (name, provider) in providers() {
        let source = Machine::new();
        let peer = source.peer_over("source", &workspace().join("fixtures/fixture-multi"), &provider);
        let address = serve(&peer).await;
        let machine = Machine::new();
        let receiver = machine.peer("receiver");
        let mut events = receiver.events();
        let report = install(&receiver, "cnctw", &[address]).await.unwrap();
        let mut seen = Vec::new();
        let mut bytes_announced = 0;
        for event in drain(&mut events) {
            if let PeerEvent::ArchiveBegin { name, solid, bytes, .. } = event {
                seen.push((name, solid));
                bytes_announced += bytes;
            }
        }
        assert_eq!(seen, [("cnctw-a.eti".to_owned(), false), ("cnctw-b.eti".to_owned(), true)], "{name}");
        assert_eq!(bytes_announced, report.totals.bytes, "{name}");
        peer.shutdown().await.unwrap();
    }
}

/// The code with which each hostile or encrypted game is refused, with either provider.
const REFUSALS: [(&str, &str); 17] = [
    ("encrypted-data", "archive-refused"),
    ("encrypted-headers", "archive-refused"),
    ("hostile-absolute", "archive-refused"),
    ("hostile-backslash", "entry-name-refused"),
    ("hostile-case", "entry-name-refused"),
    ("hostile-device", "entry-name-refused"),
    ("hostile-dictionary", "archive-refused"),
    ("hostile-drive", "entry-name-refused"),
    ("hostile-duplicate", "entry-name-refused"),
    ("hostile-file-as-directory", "entry-name-refused"),
    ("hostile-normalisation", "entry-name-refused"),
    ("hostile-own-name", "archive-refused"),
    ("hostile-parent", "archive-refused"),
    ("hostile-parent-inside", "archive-refused"),
    ("hostile-size", "archive-damaged"),
    ("hostile-symlink", "archive-refused"),
    ("hostile-symlink-through", "archive-refused"),
];

/// Both providers refuse hostile and encrypted games with the same code, and nothing is left in the games directory or
/// beside it.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_and_encrypted_fixtures_are_refused_alike() {
    let games = fixtures(is_refused);
    let names: Vec<&str> = games.iter().map(|(_, game)| game.as_str()).collect();
    assert_eq!(names, REFUSALS.map(|(game, _)| game), "every such fixture has its code in the table");
    let source = Machine::new();
    let mut wrong = Vec::new();
    for ((fixture, game), (_, expected)) in games.iter().zip(REFUSALS) {
        for (name, provider) in providers() {
            let peer = source.peer_over("source", fixture, &provider);
            let address = serve(&peer).await;
            let machine = Machine::new();
            let receiver = machine.peer("receiver");
            let error = install(&receiver, game, &[address]).await.expect_err(game);
            let PeerError::AllSourcesFailed { attempts, .. } = &error else { panic!("{game}: {error:?}") };
            if attempts.len() != 1 || attempts[0].code != expected {
                wrong.push(format!("{game}, {name}: {attempts:?}, expected {expected}"));
            }
            assert_eq!(tree(&machine.games_dir), Tree::new(), "{game}, {name}");
            peer.shutdown().await.unwrap();
            assert_eq!(peer.running_tasks(), 0, "{game}, {name}");
        }
    }
    for escaped in ["/tmp/lanspread-escaped.txt", "/dev/shm/lanspread-escaped.txt", "/lanspread-escaped.txt"]
    {
        assert!(!Path::new(escaped).exists(), "{escaped} was written");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// ---- Archives made by the tests -------------------------------------------------------------------------------------

/// Random-looking bytes that are the same every time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Text with near and distant repetitions, so that the dictionary matters.
fn text(seed: u64, lines: usize) -> Vec<u8> {
    let words = ["unit", "tile", "sound", "script", "level", "menu", "texture", "mesh", "armour", "river"];
    let noise = noise(seed, lines * 4);
    let line = |four: &[u8]| {
        let word = |byte: u8| words[usize::from(byte) % words.len()];
        format!("{}.{}={}; // {}\r\n", word(four[0]), word(four[1]), four[2], word(four[3]))
    };
    noise.chunks(4).map(line).collect::<String>().into_bytes()
}

/// Bytes that look like a program to a compressor: calls with relative targets, which it makes absolute.
fn machine_code(length: usize) -> Vec<u8> {
    let mut code = b"MZ\x90\0".to_vec();
    for index in 0u32.. {
        if code.len() >= length {
            break;
        }
        let target = 0x0040_1000u32.wrapping_sub(u32::try_from(code.len()).unwrap());
        code.extend_from_slice(&[0x55, 0x8b, 0xec, 0x83, 0xec, u8::try_from(index % 64).unwrap(), 0xe8]);
        code.extend_from_slice(&target.to_le_bytes());
        code.extend_from_slice(&[0x8b, 0x45, 0x08, 0xc9, 0xc3]);
    }
    code
}

/// A slow wave in 16-bit stereo, for which delta filters are made.
fn wave(samples: i32) -> Vec<u8> {
    (0..samples)
        .flat_map(|at| {
            let left = i16::try_from((at * 37) % 20_000 - 10_000).unwrap();
            let right = i16::try_from((at * 29) % 16_000 - 8_000).unwrap();
            [left.to_le_bytes(), right.to_le_bytes()].concat()
        })
        .collect()
}

const MODIFIED: u64 = 1_735_787_047;

fn put(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(MODIFIED);
    file.set_times(fs::FileTimes::new().set_modified(modified)).unwrap();
}

/// A game of about 2 MB with content for every setting of `rar`.
fn game_payload(folder: &Path) {
    put(folder, "bin/game.exe", &machine_code(200_000));
    put(folder, "bin/engine.dll", &machine_code(90_001));
    fs::set_permissions(folder.join("bin/game.exe"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.join("bin/engine.dll"), fs::Permissions::from_mode(0o444)).unwrap();
    put(folder, "sound/theme.wav", &wave(60_000));
    let pixels: Vec<u8> = (0..150_000u32).map(|at| u8::try_from(at / 3 % 251).unwrap()).collect();
    put(folder, "art/sky.bmp", &pixels);
    put(folder, "art/packed.png", &noise(1, 120_000));
    for level in 0..12 {
        put(folder, &format!("levels/level-{level:02}.txt"), &text(level / 3, 3000));
        put(folder, &format!("levels/level-{level:02}.bin"), &noise(level / 2, 9000));
    }
    put(folder, "levels/twin.txt", &text(0, 3000));
    put(folder, "far/begin.dat", &noise(77, 150_000));
    put(folder, "far/middle.dat", &text(99, 20_000));
    put(folder, "far/zz-begin-again.dat", &noise(77, 150_000));
    put(folder, "empty.txt", b"");
    put(folder, "one-byte", b"x");
    fs::create_dir_all(folder.join("saves/slots")).unwrap();
    put(folder, "readme with spaces, and - signs.txt", &text(3, 40));
}

/// More than half a dictionary of 64 MiB, because `rar` would choose a smaller one for less, with matches across all of
/// it.
fn a_large_file(folder: &Path) {
    let (begin, middle) = (noise(5, 2 << 20), text(6, 30_000));
    let mut content = begin.clone();
    for round in 0u32.. {
        if content.len() > 34 << 20 {
            break;
        }
        content.extend_from_slice(&round.to_le_bytes());
        content.extend_from_slice(&middle);
    }
    content.extend_from_slice(&begin);
    put(folder, "vault.bin", &content);
    put(folder, "vault.part", &begin[..100_000]);
}

fn many_small_files(folder: &Path) {
    for index in 0..2000u64 {
        let content = noise(index, usize::try_from(index % 211).unwrap());
        put(folder, &format!("tiles/{}/{index:04}.tile", index % 17), &content);
    }
}

fn names_in_many_scripts(folder: &Path) {
    let names = [
        "日本語/ゲーム.txt",
        "中文/说明.txt",
        "한국어/읽어보기.txt",
        "русский/читай.txt",
        "ελληνικά/διάβασε.txt",
        "עברית/קרא.txt",
        "العربية/اقرأ.txt",
        "ไทย/อ่าน.txt",
        "हिन्दी/पढ़ें.txt",
        "ქართული/წაიკითხე.txt",
        "emoji/🎮🕹️.txt",
        "accents/żółć-ñandú-œuvre-Ångström.txt",
        "math/𝔤𝔞𝔪𝔢-∑√∞.txt",
        "mixed/日本 and русский 100%.txt",
        "signs/[1] {2} (3) 'x' #5 @6 $7 &8 !9 ~a ^b =c +d ;e ,f `g.txt",
        "dots/a.b.c..d",
        "-dash/-x",
        "@list/@y",
    ];
    for (index, name) in names.into_iter().enumerate() {
        put(folder, name, &text(index as u64 / 2, 20));
    }
    put(folder, &format!("long/{}", "ä".repeat(100)), b"a component of 200 bytes");
    put(folder, &vec!["deep"; 40].join("/"), b"at the bottom");
}

/// One way to pack.
struct Setting {
    /// Also the name of the game.
    name: &'static str,
    switches: &'static [&'static str],
    payload: fn(&Path),
}

const fn setting(name: &'static str, switches: &'static [&'static str]) -> Setting {
    Setting { name, switches, payload: game_payload }
}

/// The settings of `rar` that change the content of an archive, one or a few at a time.
const SETTINGS: &[Setting] = &[
    setting("m0", &["-m0"]),
    setting("m1", &["-m1"]),
    setting("m2", &["-m2"]),
    setting("m3", &["-m3"]),
    setting("m4", &["-m4"]),
    setting("m5", &["-m5"]),
    setting("md128k", &["-md128k"]),
    setting("md256k-solid", &["-md256k", "-s"]),
    setting("md1m-m5-solid", &["-md1m", "-m5", "-s"]),
    setting("solid", &["-s"]),
    setting("solid-by-extension", &["-se"]),
    setting("solid-by-count", &["-s5"]),
    setting("solid-by-extension-unsorted", &["-se", "-ds"]),
    setting("unsorted-solid", &["-s", "-ds"]),
    setting("blake2", &["-htb"]),
    setting("blake2-solid", &["-htb", "-s", "-m5"]),
    setting("references", &["-oi"]),
    setting("references-1", &["-oi:1"]),
    setting("references-solid-blake2", &["-oi:1", "-s", "-htb"]),
    setting("locked", &["-k"]),
    setting("recovery", &["-rr5p"]),
    setting("recovery-solid-locked", &["-rr10p", "-s", "-k"]),
    setting("no-quick-open", &["-qo-"]),
    setting("full-quick-open", &["-qo+"]),
    setting("rar5-by-name", &["-ma5"]),
    setting("no-filters", &["-mc-"]),
    setting("delta-filter", &["-mc4D+"]),
    setting("x86-filter", &["-mcE+"]),
    setting("long-range-search", &["-mcl"]),
    setting("exhaustive-search", &["-mcx"]),
    setting("four-threads", &["-mt4", "-m5"]),
    setting("times-of-all-kinds", &["-tsm", "-tsc", "-tsa"]),
    setting("times-of-seconds", &["-tsm1"]),
    setting("owners", &["-ow"]),
    setting("no-empty-folders", &["-ed"]),
    setting("no-empty-folders-solid", &["-ed", "-s"]),
    setting("volumes", &["-v300k"]),
    setting("volumes-solid", &["-v300k", "-s", "-m5"]),
    setting("volumes-small", &["-v60k", "-m1"]),
    setting("volumes-stored", &["-v500k", "-m0"]),
    setting("volumes-blake2-references", &["-v300k", "-htb", "-oi:1"]),
    setting("volumes-recovery", &["-v400k", "-rr3p"]),
];

/// Games of other shapes.
const PAYLOADS: &[Setting] = &[
    Setting { name: "md64m", switches: &["-md64m", "-m1"], payload: a_large_file },
    Setting { name: "md64m-solid", switches: &["-md64m", "-m2", "-s"], payload: a_large_file },
    Setting { name: "small-files", switches: &[], payload: many_small_files },
    Setting { name: "small-files-solid", switches: &["-s", "-m5"], payload: many_small_files },
    Setting { name: "small-files-volumes", switches: &["-v20k", "-s"], payload: many_small_files },
    Setting { name: "scripts", switches: &[], payload: names_in_many_scripts },
    Setting { name: "scripts-solid-references", switches: &["-s", "-oi:1"], payload: names_in_many_scripts },
];

/// Packs a payload as a downloaded game. Every third archive gets a comment.
fn pack(games_dir: &Path, index: usize, setting: &Setting, payload: &Path) {
    let root = games_dir.join(setting.name);
    fs::create_dir(&root).unwrap();
    let run = |arguments: &[&str], folder: &Path| {
        let output = Command::new(program("rar"))
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "rar {arguments:?}: {output:?}");
    };
    let archive = root.join("made.rar");
    let archive = archive.to_str().unwrap();
    let common = ["a", "-cfg-", "-idq", "-y", "-r"];
    let is_locked = setting.switches.contains(&"-k");
    run(&[&common, setting.switches, &["--", archive, "."]].concat(), payload);
    if index.is_multiple_of(3)
        && !is_locked
        && !setting.switches.iter().any(|switch| switch.starts_with("-v"))
    {
        fs::write(root.join("comment"), "a comment\r\nof two lines, äöü\r\n").unwrap();
        run(&["c", "-cfg-", "-idq", "-y", "-zcomment", "-scfc", "--", "made.rar"], &root);
        fs::remove_file(root.join("comment")).unwrap();
    }
    for file in fs::read_dir(&root).unwrap() {
        let file = file.unwrap().path();
        fs::rename(&file, file.with_extension("eti")).unwrap();
    }
    assert_shows(setting, &root);
    fs::write(root.join("version.ini"), "1\n").unwrap();
}

/// Asserts that the archive has what its switches ask for, because `rar` silently omits what a payload does not need.
fn assert_shows(setting: &Setting, root: &Path) {
    let first = archives(root).remove(0);
    let output = Command::new(program("unrar"))
        .args(["lt", "-v", "-cfg-", "-p-", "--"])
        .arg(&first)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    for switch in setting.switches {
        let shown = match *switch {
            "-s" | "-se" | "-s5" => ", solid".to_owned(),
            "-htb" => "BLAKE2: ".to_owned(),
            "-oi" | "-oi:1" => "File reference".to_owned(),
            "-k" => ", lock".to_owned(),
            "-m0" | "-m1" | "-m2" | "-m3" | "-m4" | "-m5" => format!(" {switch} -md="),
            _ if switch.starts_with("-rr") => ", recovery record".to_owned(),
            _ if switch.starts_with("-md") => switch.to_uppercase().replace("-MD", "-md="),
            _ if switch.starts_with("-v") => ", volume 2".to_owned(),
            _ => continue,
        };
        assert!(listing.contains(&shown), "rar {:?} shows no `{shown}`:\n{listing}", setting.switches);
    }
}

async fn assert_installs_with_both(games_dir: &Path, settings: &[Setting]) {
    let source = Machine::new();
    let mut served: Vec<(&str, Peer, SocketAddr)> = Vec::new();
    for (name, provider) in providers() {
        let peer = source.peer_over(name, games_dir, &provider);
        let address = serve(&peer).await;
        served.push((name, peer, address));
    }
    for setting in settings {
        let expected = extracted_by_unrar(&archives(&games_dir.join(setting.name)));
        assert!(!expected.is_empty());
        let mut totals = Vec::new();
        for (name, _, address) in &served {
            let label = format!("rar {:?}, {}, {name}", setting.switches, setting.name);
            totals.push(assert_installs(&label, setting.name, *address, &expected).await);
        }
        assert_eq!(totals[0], totals[1], "{}: the providers count differently", setting.name);
    }
    for (name, peer, _) in served {
        peer.shutdown().await.unwrap();
        assert_eq!(peer.running_tasks(), 0, "{name}");
    }
}

/// Packs every setting and installs it with both providers.
async fn assert_all_install(settings: &[Setting]) {
    let folder = scratch();
    let games_dir = folder.path().join("games");
    fs::create_dir(&games_dir).unwrap();
    for (index, setting) in settings.iter().enumerate() {
        let payload = folder.path().join("payload");
        fs::create_dir(&payload).unwrap();
        (setting.payload)(&payload);
        pack(&games_dir, index, setting, &payload);
        fs::remove_dir_all(&payload).unwrap();
    }
    assert_installs_with_both(&games_dir, settings).await;
}

/// Archives made with the real `rar`, one for each setting, install byte for byte as `unrar x` extracts them.
#[tokio::test(flavor = "multi_thread")]
async fn archives_of_every_setting_install_as_unrar_extracts_them() {
    assert_all_install(SETTINGS).await;
}

/// A large file, thousands of small ones, and names in many scripts install as `unrar x` extracts them.
#[tokio::test(flavor = "multi_thread")]
async fn games_of_every_shape_install_as_unrar_extracts_them() {
    assert_all_install(PAYLOADS).await;
}
