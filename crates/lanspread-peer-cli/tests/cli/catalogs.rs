//! `catalog key|sign|verify|show`: what an organiser makes, and what each fault of it is called.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Finished, Tree, finish, make_pipe, peer};

/// A folder with a catalog, and the state directory of its organiser.
pub(crate) struct Organiser {
    folder: TempDir,
}

pub(crate) const CATALOG: &str = "schema = 2\nversion = 7\nname = \"Summer party\"\nexpires = 2099-01-01T00:00:00Z\n\n\
                       [games.cnctw]\nname = \"Fixture\"\nversion = \"20250101\"\n";

impl Organiser {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("catalog.toml"), CATALOG).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `catalog …`, in the folder, not started.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = peer();
        command.arg("catalog").args(words).arg("--state-dir").arg(self.path("state"));
        command.current_dir(self.folder.path());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Finished {
        finish(&mut self.command(words))
    }

    /// Everything in the folder.
    pub(crate) fn disk(&self) -> Tree {
        Tree::read(self.folder.path())
    }

    /// Checks that a command fails in one line that names these parts, and changes nothing.
    #[track_caller]
    fn refused(&self, words: &[&str], status: i32, parts: &[&str]) {
        let before = self.disk();
        self.run(words).failed(status, parts);
        assert_eq!(self.disk(), before, "nothing is changed");
    }

    /// Makes the key and signs the catalog.
    pub(crate) fn sign(&self) {
        self.run(&["key", "--out", "key"]).succeeded();
        self.run(&["sign", "catalog.toml"]).succeeded();
    }
}

#[test]
fn a_newcomer_makes_a_key_signs_and_verifies() {
    let organiser = Organiser::new();
    let key = organiser.run(&["key", "--out", "key", "--json"]).succeeded().one("catalog-key");
    assert_eq!((&key["made"], &key["copy"]), (&true.into(), &"key.pub".into()));
    let secret = organiser.path("state/catalog.key");
    assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o777, 0o600);
    let public = fs::read_to_string(organiser.path("key.pub")).unwrap();
    assert_eq!(public.lines().nth(1), key["public_key"].as_str());

    let again = organiser.run(&["key", "--out", "key", "--json"]).succeeded().one("catalog-key");
    assert_eq!((&again["made"], &again["public_key"]), (&false.into(), &key["public_key"]));

    let signed = organiser.run(&["sign", "catalog.toml", "--json"]).succeeded().one("catalog-signed");
    assert_eq!((&signed["version"], &signed["key_id"]), (&7.into(), &key["key_id"]));
    let base64 = key["public_key"].as_str().unwrap();
    for words in [
        &["verify", "catalog.toml", "--json"][..],
        &["verify", "catalog.toml", "--key", "key.pub", "--json"],
        &["verify", "catalog.toml", "--key", base64, "--json"],
    ] {
        let verified = organiser.run(words).succeeded().one("catalog-verified");
        assert_eq!(verified["trusted_comment"], "lanspread catalog Summer party version 7");
        assert_eq!((&verified["version"], &verified["expired"]), (&7.into(), &false.into()));
    }
    let shown = organiser.run(&["show"]);
    let shown = &shown.succeeded().stdout;
    assert!(shown.contains("version 7, `Summer party`, 1 game"), "{shown}");
    assert!(
        shown.contains("not checked") && shown.contains("cnctw  20250101  without a manifest"),
        "{shown}"
    );
}

/// No line, event or error of any of these commands holds the secret.
#[test]
fn the_secret_key_is_never_printed() {
    let organiser = Organiser::new();
    organiser.sign();
    let secret = fs::read_to_string(organiser.path("state/catalog.key")).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    // The public half is at the end of the line; what is before it is secret.
    let part = &secret[90..120];
    for words in [
        &["key"][..],
        &["key", "--json", "-vv"],
        &["sign", "catalog.toml", "-vv"],
        &["verify", "catalog.toml", "--json", "-vv"],
        &["verify", "catalog.toml", "--key", "state/catalog.key"],
    ] {
        let done = organiser.run(words);
        assert!(!done.stdout.contains(part) && !done.stderr.contains(part), "{words:?}");
    }
}

#[test]
fn an_expired_catalog_is_verified_and_says_so() {
    let organiser = Organiser::new();
    fs::write(organiser.path("catalog.toml"), CATALOG.replace("2099", "2020")).unwrap();
    organiser.sign();
    let verified = organiser.run(&["verify", "catalog.toml"]);
    assert!(verified.succeeded().stdout.contains("EXPIRED: 2020-01-01T00:00:00Z"), "{}", verified.stdout);
}

/// Each fault of a signature has its line.
#[test]
fn a_signature_that_does_not_count_is_named() {
    let organiser = Organiser::new();
    organiser.refused(&["verify", "catalog.toml"], 2, &["there is no key", "catalog key"]);
    organiser.sign();
    let place = organiser.path("catalog.toml.minisig");
    let good = fs::read_to_string(&place).unwrap();
    let verify = ["verify", "catalog.toml", "--key", "key.pub"];
    let legacy = good.replace("\nRU", "\nRW");
    for (text, expected) in [
        (String::new(), "not one signature of four lines"),
        (good.repeat(2), "not one signature of four lines"),
        (good[..good.len() - 20].to_owned(), "not one signature of four lines"),
        (good.replace("untrusted", "trusted"), "first line"),
        (legacy, "old format"),
        (good.replace("\nRU", "\nXX"), "algorithm"),
        (good.replace("=\n", "\n"), "line 2"),
        (good.replace("version 7", "version 8"), "trusted comment was changed"),
        ("x".repeat(2000), "larger than 1024 bytes"),
    ] {
        fs::write(&place, &text).unwrap();
        organiser.refused(&verify, 6, &["catalog.toml.minisig is refused", expected]);
    }
    fs::write(&place, good.replace("\nRU", "\nRW")).unwrap();
    organiser.refused(&verify, 6, &["without the option -l"]);
    fs::remove_file(&place).unwrap();
    organiser.refused(&verify, 5, &["catalog.toml is not signed", "catalog.toml.minisig"]);
    make_pipe(&place);
    organiser.run(&verify).failed(6, &["a pipe"]);
    fs::remove_file(&place).unwrap();

    fs::write(&place, &good).unwrap();
    organiser.run(&verify).succeeded();
    fs::write(organiser.path("catalog.toml"), CATALOG.replace("20250101", "20250102")).unwrap();
    organiser.refused(&verify, 6, &["the file was changed after it was signed"]);
    fs::write(organiser.path("catalog.toml"), &CATALOG[..CATALOG.len() - 1]).unwrap();
    organiser.refused(&verify, 6, &["the file was changed after it was signed"]);
    fs::File::create(organiser.path("catalog.toml")).unwrap().set_len(9 << 20).unwrap();
    organiser.refused(&verify, 2, &["larger than 8388608 bytes"]);
    fs::remove_file(organiser.path("catalog.toml")).unwrap();
    organiser.refused(&verify, 2, &["catalog.toml cannot be used", "No such file"]);
}

#[test]
fn a_catalog_of_another_signer_names_both_keys() {
    let organiser = Organiser::new();
    organiser.sign();
    let other = Organiser::new();
    let theirs = other.run(&["key", "--out", "key", "--json"]).succeeded().one("catalog-key");
    let ours = organiser.run(&["key", "--json"]).succeeded().one("catalog-key");
    let theirs_at = other.path("key.pub");
    let words = ["verify", "catalog.toml", "--key", theirs_at.to_str().unwrap()];
    let ids = [ours["key_id"].as_str().unwrap(), theirs["key_id"].as_str().unwrap()];
    organiser.refused(&words, 6, &[&format!("it is signed by key {}, not by {}", ids[0], ids[1])]);
}

#[test]
fn a_key_that_cannot_be_used_is_named_and_left_alone() {
    let organiser = Organiser::new();
    organiser.sign();
    let (secret, public) = (organiser.path("state/catalog.key"), organiser.path("key.pub"));
    let (good, good_public) = (fs::read_to_string(&secret).unwrap(), fs::read_to_string(&public).unwrap());
    organiser.refused(&["sign", "catalog.toml", "--key", "nowhere"], 2, &["nowhere", "No such file"]);
    organiser.refused(
        &["verify", "catalog.toml", "--key", "nowhere.pub"],
        2,
        &["nowhere.pub", "No such file"],
    );
    organiser.refused(&["verify", "catalog.toml", "--key", "RWQ"], 2, &["`RWQ` is neither a file nor"]);
    organiser.refused(&["sign", "catalog.toml", "--key", "key.pub"], 2, &["key.pub", "158 bytes"]);
    organiser.refused(&["verify", "catalog.toml", "--key", "state/catalog.key"], 2, &["42 bytes"]);
    for (text, expected) in [
        ("nonsense".to_owned(), "two lines"),
        (good.repeat(2), "two lines"),
        (good.replacen("untrusted comment: ", "", 1), "first line"),
        (good.replace("RWQAAEIy", "RWQAAEIz"), "no Ed25519 key"),
        ("x".repeat(3000), "larger than 1024 bytes"),
    ] {
        fs::write(&secret, &text).unwrap();
        let named = if text.len() > 2000 { "catalog.key" } else { "catalog.key cannot be used" };
        let status = if text.len() > 2000 { 5 } else { 2 };
        organiser.refused(&["key"], status, &[named, expected]);
        organiser.refused(&["sign", "catalog.toml"], status, &[named, expected]);
    }
    fs::write(&secret, good.replace("RWQAAEIy", "RWRTY0Iy")).unwrap();
    let hint = "sign with: minisign -S -s state/catalog.key -m catalog.toml";
    organiser.refused(&["sign", "catalog.toml", "--key", "state/catalog.key"], 2, &["pass phrase", hint]);
    fs::write(&secret, &good).unwrap();
    fs::write(&public, good_public.replace("RW", "RX")).unwrap();
    organiser.refused(&["key", "--out", "key"], 5, &["key.pub is there already"]);
    fs::write(&public, "notes").unwrap();
    organiser.refused(&["key", "--out", "key"], 5, &["key.pub is there already"]);
}

/// Peers that have seen one catalog of a version refuse another one of it.
#[test]
fn a_version_is_signed_once() {
    let organiser = Organiser::new();
    organiser.sign();
    organiser.run(&["sign", "catalog.toml"]).succeeded();
    fs::write(organiser.path("catalog.toml"), CATALOG.replace("20250101", "20250102")).unwrap();
    organiser.refused(&["sign", "catalog.toml"], 5, &["already signs another catalog of version 7"]);
    fs::write(organiser.path("catalog.toml"), CATALOG.replace("version = 7", "version = 8")).unwrap();
    organiser.run(&["sign", "catalog.toml"]).succeeded();
    organiser.run(&["verify", "catalog.toml"]).succeeded();
}

#[test]
fn what_is_no_catalog_with_a_version_is_not_signed() {
    let organiser = Organiser::new();
    organiser.run(&["key"]).succeeded();
    for (text, expected) in [
        ("schema = 1\n", "no version to sign"),
        ("schema = 3\n", "schema 3"),
        ("schema = 2\n", "version"),
        ("schema = 2\nversion = 0\n", "its version is 0"),
        ("schema = 2\nversion = 1\n[games.a]\nname = 'A'\nversion = '1'\nmanifest = 'x'\n", "line 6"),
        ("nonsense", "line 1"),
    ] {
        fs::write(organiser.path("catalog.toml"), text).unwrap();
        organiser.refused(&["sign", "catalog.toml"], 2, &["catalog.toml cannot be used", expected]);
    }
}

#[test]
fn show_names_what_is_not_there() {
    let organiser = Organiser::new();
    organiser.refused(&["show", "other.toml"], 2, &["other.toml", "No such file"]);
    organiser.refused(&["show", "catalog.toml", "nogame"], 5, &["nogame"]);
    let done = organiser.run(&["show", "catalog.toml", "cnctw"]);
    assert!(done.succeeded().stderr.contains("has no manifest"), "{}", done.stderr);
    let digest = "0".repeat(64);
    let text = format!("{CATALOG}manifest = \"{digest}\"\nmanifest_bytes = 1\n");
    fs::write(organiser.path("catalog.toml"), text).unwrap();
    let done = organiser.run(&["show", "catalog.toml", "cnctw"]);
    done.failed(5, &[&digest, "not beside the catalog"]);
    let shown = organiser.run(&["show", "--json"]).succeeded().one("catalog-game");
    assert_eq!((&shown["manifest"], &shown["manifest_bytes"]), (&digest.into(), &1.into()));
    assert!(Path::new(&organiser.path("catalog.toml")).is_file());
}
