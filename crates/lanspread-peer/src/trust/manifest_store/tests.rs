use std::time::Duration;

use super::*;

fn digest(of: &str) -> ContentDigest {
    ContentDigest::of(of.as_bytes())
}

fn stored(name: &str, bytes: u64, age: u64) -> StoredManifest {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age);
    StoredManifest { digest: digest(name), bytes, modified }
}

#[test]
fn what_is_not_named_goes_and_then_the_oldest_until_there_is_room() {
    let most = limits::MANIFESTS_KEPT_BYTES_MAX;
    let here = || vec![stored("young", most / 2, 1), stored("old", most / 4, 9), stored("gone", 1, 5)];
    let named: BTreeSet<_> = ["young", "old"].map(digest).into();
    let goes = |needed| superfluous(here(), &named, needed);
    assert_eq!(goes(1), [digest("gone")]);
    assert_eq!(goes(most / 4), [digest("gone")], "exactly full");
    assert_eq!(goes(most / 4 + 1), [digest("gone"), digest("old")]);
    assert_eq!(goes(most), [digest("gone"), digest("old"), digest("young")]);
    assert_eq!(superfluous(Vec::new(), &named, u64::MAX), []);
}

fn catalog(folder: &Path) -> Catalog {
    Catalog::of_bytes(&folder.join("catalog.toml"), b"schema = 2\nversion = 1\n").unwrap()
}

/// Only a file of the right length and digest gets the name of the manifest.
#[test]
fn what_arrives_has_its_name_only_if_it_is_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let store = ManifestStore::of(&state);
    let (catalog, content) = (catalog(folder.path()), b"any bytes".as_slice());
    let reference = ManifestReference { digest: ContentDigest::of(content), bytes: content.len() as u64 };
    let arrive = |bytes: &[u8]| {
        let mut arriving = store.begin(reference, &catalog).unwrap();
        let written = bytes.chunks(4).try_for_each(|part| arriving.write(part));
        written.and_then(|()| arriving.finish()).map_err(|error| error.to_string())
    };
    let there = || std::fs::read_dir(state.join(MANIFESTS_DIR)).unwrap().count();
    for wrong in [&content[..8], b"any byteS", b"any bytes and more", b""] {
        let refused = arrive(wrong).unwrap_err();
        assert!(refused.contains("9 bytes expected") || refused.contains("SHA-256"), "{refused}");
        assert_eq!(there(), 0, "neither the manifest nor a draft");
    }
    arrive(content).unwrap();
    assert_eq!(there(), 1);
    let mut file = store.file(Some(&catalog), &reference.digest).unwrap().unwrap();
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut read).unwrap();
    assert_eq!(read, content);
    assert!(store.file(None, &digest("other")).unwrap().is_none());
    // No catalog names it, so the next one takes its place.
    store.begin(ManifestReference { digest: digest("next"), bytes: 1 }, &catalog).unwrap();
    assert_eq!(there(), 0);
}

/// A file of ours is not handed on through a link.
#[test]
fn a_link_in_the_state_directory_is_not_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = ManifestStore::of(folder.path());
    let manifests = folder.path().join(MANIFESTS_DIR);
    std::fs::create_dir(&manifests).unwrap();
    std::fs::write(folder.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink("../secret", manifests.join(file_name(&digest("a")))).unwrap();
    assert!(store.file(None, &digest("a")).is_err());
}
