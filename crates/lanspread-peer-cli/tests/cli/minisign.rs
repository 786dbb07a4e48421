//! The public program `minisign` and ours accept each other's keys and signatures (S67).

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use lanspread_peer::{PublicKey, Signature};

use crate::catalogs::{CATALOG, Organiser};

/// The program, in the folder. It is a package of every distribution; scripts/test.sh installs it.
fn minisign(organiser: &Organiser, words: &[&str]) -> bool {
    let mut command = Command::new("minisign");
    command.args(words).current_dir(organiser.path(""));
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    started.expect("this test needs the program minisign: apt-get install minisign").success()
}

#[test]
fn our_key_and_signature_are_good_for_the_program() {
    let organiser = Organiser::new();
    organiser.sign();
    assert!(minisign(&organiser, &["-V", "-H", "-m", "catalog.toml", "-p", "key.pub"]));
    // It makes the public key again out of the secret one. In the comment, it leaves out leading zeros of the key id.
    assert!(minisign(&organiser, &["-R", "-s", "state/catalog.key", "-p", "again.pub"]));
    let read = |name: &str| fs::read_to_string(organiser.path(name)).unwrap();
    let without_zeros = |text: String| {
        let (comment, key) = text.split_once("key ").unwrap();
        format!("{comment}key {}", key.trim_start_matches('0'))
    };
    assert_eq!(without_zeros(read("again.pub")), without_zeros(read("key.pub")));
    // It signs with our key, and ours accepts that, also with a signature by us before it.
    assert!(minisign(&organiser, &["-S", "-s", "state/catalog.key", "-m", "catalog.toml"]));
    organiser.run(&["verify", "catalog.toml"]).succeeded();
    organiser.run(&["sign", "catalog.toml"]).succeeded();
    assert!(minisign(&organiser, &["-V", "-m", "catalog.toml", "-p", "key.pub"]));
}

#[test]
fn the_programs_key_and_signature_are_good_for_ours() {
    let organiser = Organiser::new();
    assert!(minisign(&organiser, &["-G", "-W", "-p", "their.pub", "-s", "their.key"]));
    assert!(minisign(&organiser, &["-S", "-s", "their.key", "-m", "catalog.toml"]));
    organiser.run(&["verify", "catalog.toml", "--key", "their.pub"]).succeeded();
    organiser.run(&["sign", "catalog.toml", "--key", "their.key"]).succeeded();
    organiser.run(&["verify", "catalog.toml", "--key", "their.pub"]).succeeded();
    assert!(minisign(&organiser, &["-V", "-H", "-m", "catalog.toml", "-p", "their.pub"]));
}

#[test]
fn what_was_changed_is_refused_by_both() {
    let organiser = Organiser::new();
    organiser.sign();
    let both = |is_good: bool, what: &str| {
        let ours = organiser.run(&["verify", "catalog.toml", "--key", "key.pub"]).status.success();
        let theirs = minisign(&organiser, &["-V", "-m", "catalog.toml", "-p", "key.pub"]);
        assert_eq!((ours, theirs), (is_good, is_good), "{what}");
    };
    both(true, "as it was signed");
    fs::write(organiser.path("catalog.toml"), format!("{CATALOG}\n")).unwrap();
    both(false, "one byte more");
    fs::write(organiser.path("catalog.toml"), CATALOG).unwrap();
    let place = organiser.path("catalog.toml.minisig");
    let good = fs::read_to_string(&place).unwrap();
    fs::write(&place, good.replace("version 7", "version 8")).unwrap();
    both(false, "another trusted comment");
    fs::write(&place, good.replace("untrusted comment", "comment")).unwrap();
    both(false, "another first line");
    fs::write(&place, &good).unwrap();
    both(true, "as it was signed, again");
    // The program accepts these unless it is told not to. Ours never does.
    assert!(minisign(&organiser, &["-S", "-l", "-s", "state/catalog.key", "-m", "catalog.toml"]));
    organiser.run(&["verify", "catalog.toml"]).failed(6, &["old format"]);
    fs::write(&place, good.repeat(2)).unwrap();
    assert!(minisign(&organiser, &["-V", "-m", "catalog.toml", "-p", "key.pub"]));
    organiser.run(&["verify", "catalog.toml"]).failed(6, &["not one signature"]);
}

/// A key with a pass phrase is none of ours; the message says how the program signs with it, and that works.
#[test]
fn a_catalog_that_the_program_signed_in_our_stead_is_as_good() {
    let organiser = Organiser::new();
    organiser.run(&["key", "--out", "key"]).succeeded();
    let comment = ["-t", "from minisign\tversion 7"];
    let words = ["-S", "-s", "state/catalog.key", "-m", "catalog.toml"];
    assert!(minisign(&organiser, &[&words[..], &comment].concat()));
    let verified = organiser.run(&["verify", "catalog.toml", "--json"]).succeeded().one("catalog-verified");
    assert_eq!(verified["trusted_comment"], "from minisign\tversion 7");
}

/// Ours accepts a subset of what the program accepts: 10,000 changed signature files, and the program is asked about each
/// of them that ours takes.
#[test]
fn what_ours_accepts_the_program_accepts() {
    let organiser = Organiser::new();
    organiser.sign();
    let place = organiser.path("catalog.toml.minisig");
    let good = fs::read(&place).unwrap();
    let key = fs::read(organiser.path("key.pub")).unwrap();
    let key = PublicKey::parse_file(&key).unwrap();
    // Always the same changes: a linear congruential generator (Knuth, MMIX).
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let (mut accepted, mut asked) = (0, BTreeSet::new());
    for _ in 0..10_000 {
        let mut changed = good.clone();
        for _ in 0..=random(2) {
            let at = random(changed.len());
            match random(4) {
                0 => _ = changed.remove(at),
                1 => changed.insert(at, b"\n\r =A\0u:"[random(8)]),
                2 => changed[at] = b"\n\r =A\0u:"[random(8)],
                _ => changed[at] ^= 1 << random(8),
            }
        }
        let ours = Signature::parse(&changed).and_then(|read| read.verify(&key, CATALOG.as_bytes()));
        if ours.is_err() {
            continue;
        }
        accepted += 1;
        // Most of these differ in the first comment only, and asking takes a process.
        if asked.len() < 200 && asked.insert(changed.clone()) {
            fs::write(&place, &changed).unwrap();
            let theirs = minisign(&organiser, &["-V", "-m", "catalog.toml", "-p", "key.pub"]);
            assert!(theirs, "ours accepts {:?}", String::from_utf8_lossy(&changed));
        }
    }
    assert!(accepted > 100 && asked.len() > 100, "{accepted} accepted, {} asked", asked.len());
}
