use lanspread_trust::minisign::{SecretKey, Signature};

use super::*;

/// A catalog of a version, signed.
pub(in crate::trust) fn signed(key: &SecretKey, version: u64, name: &str) -> SignedCatalog {
    let text = format!("schema = 2\nversion = {version}\nname = \"{name}\"\n");
    let signature = Signature::sign(key, text.as_bytes(), "x").file().into_bytes();
    SignedCatalog::check(Path::new("given.toml"), text.into_bytes(), signature, &key.public().into()).unwrap()
}

fn store() -> (tempfile::TempDir, CatalogStore, SecretKey, Signer) {
    let folder = tempfile::tempdir().unwrap();
    let store = CatalogStore::of(&folder.path().join("state"));
    let key = SecretKey::random().unwrap();
    let signer = key.public().into();
    (folder, store, key, signer)
}

fn stored_version(store: &CatalogStore, signer: &Signer) -> Option<u64> {
    store.stored(signer).unwrap().map(|(signed, _)| signed.version)
}

#[test]
fn a_version_never_goes_down_and_is_taken_once() {
    let (_folder, store, key, signer) = store();
    assert_eq!(stored_version(&store, &signer), None);
    for _ in 0..2 {
        store.take(&signed(&key, 7, "a"), &signer).unwrap();
    }
    let older = store.take(&signed(&key, 6, "a"), &signer).unwrap_err();
    assert_eq!(
        older.to_string(),
        "given.toml is version 6; this machine has seen version 7 of the same signer"
    );
    let twice = store.take(&signed(&key, 7, "b"), &signer).unwrap_err();
    assert!(twice.to_string().starts_with("two different catalogs are signed as version 7"), "{twice}");
    assert_eq!(stored_version(&store, &signer), Some(7));
    store.take(&signed(&key, 8, "b"), &signer).unwrap();
    assert_eq!((stored_version(&store, &signer), store.seen_version(&signer)), (Some(8), Some(8)));
    let names = std::fs::read_dir(&store.state_dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, [SEEN_FILE, CATALOG, SIGNATURE].map(std::ffi::OsString::from).as_slice());
}

/// The program ends after each step, once from a clean state and once from what the crash before it left.
#[test]
fn a_crash_after_any_step_leaves_a_catalog_that_is_at_least_the_recorded_version() {
    use Step::{Catalog, NextCatalog, NextSignature, Seen, Signature};
    let steps = [NextCatalog, NextSignature, Catalog, Signature, Seen];
    for first in steps {
        for second in steps {
            let (_folder, store, key, signer) = store();
            store.take(&signed(&key, 7, "a"), &signer).unwrap();
            for (version, at) in [(8, first), (9, second)] {
                let crash = |step| {
                    let crashed = LocalError::io("crash after", "x");
                    if step == at { Err(crashed(io::ErrorKind::Other.into())) } else { Ok(()) }
                };
                store.take_in_steps(&signed(&key, version, "a"), &signer, crash).unwrap_err();
                let (stored, seen) = (stored_version(&store, &signer), store.seen_version(&signer));
                assert!(
                    stored >= seen && seen >= Some(7),
                    "{first:?} {second:?}: {stored:?}, {seen:?} recorded"
                );
            }
            store.take(&signed(&key, 9, "a"), &signer).unwrap();
            assert_eq!((stored_version(&store, &signer), store.seen_version(&signer)), (Some(9), Some(9)));
        }
    }
}

#[test]
fn two_processes_at_once_lose_no_version() {
    let (_folder, store, key, signer) = store();
    let other = SecretKey::random().unwrap();
    let other_signer: Signer = other.public().into();
    std::thread::scope(|scope| {
        for version in 1..=24 {
            let (store, key, other) = (&store, &key, &other);
            scope.spawn(move || {
                // An older one than another thread has taken meanwhile is refused.
                let _ = store.take(&signed(key, version, "a"), &signer);
                let _ = store.take(&signed(other, 100 + version, "a"), &other_signer);
            });
        }
    });
    assert_eq!((store.seen_version(&signer), store.seen_version(&other_signer)), (Some(24), Some(124)));
}

#[test]
fn a_new_signer_starts_a_count_and_a_forgotten_one_begins_again() {
    let (_folder, store, key, signer) = store();
    let highest = limits::CATALOG_VERSION_MAX;
    store.take(&signed(&key, highest, "a"), &signer).unwrap();
    let new = SecretKey::random().unwrap();
    store.take(&signed(&new, 1, "a"), &new.public().into()).unwrap();
    assert_eq!(stored_version(&store, &signer), None, "the catalog of the last signer is kept");
    assert!(store.take(&signed(&key, 1, "a"), &signer).is_err());
    assert_eq!(store.forget(&signer).unwrap(), Some(highest));
    assert_eq!(store.forget(&signer).unwrap(), None);
    store.take(&signed(&key, 1, "a"), &signer).unwrap();
    assert_eq!(store.forget(&signer).unwrap(), Some(1));
    assert_eq!(stored_version(&store, &signer), None, "a catalog that is kept would be recorded again");
    assert_eq!(store.seen_version(&new.public().into()), Some(1));
}

#[test]
fn a_damaged_record_is_reported_and_never_replaced() {
    let (_folder, store, key, signer) = store();
    store.take(&signed(&key, 7, "a"), &signer).unwrap();
    let path = store.state_dir.join(SEEN_FILE);
    for text in ["", "nonsense\n", "lanspread catalog-seen 2\n"] {
        std::fs::write(&path, text).unwrap();
        let refused = store.take(&signed(&key, 8, "a"), &signer).unwrap_err();
        assert!(matches!(refused, TrustError::Foreign(_)), "{refused}");
        assert!(matches!(store.stored(&signer), Err(TrustError::Foreign(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

/// What is kept is checked again each time it is read.
#[test]
fn a_kept_catalog_that_was_changed_or_put_back_does_not_count() {
    let (_folder, store, key, signer) = store();
    let (old, new) = (signed(&key, 7, "a"), signed(&key, 8, "a"));
    store.take(&new, &signer).unwrap();
    std::fs::write(store.path(), &old.bytes).unwrap();
    assert_eq!(stored_version(&store, &signer), None, "it is not what was signed");
    std::fs::write(store.state_dir.join(SIGNATURE), &old.signature).unwrap();
    assert_eq!(stored_version(&store, &signer), None, "it is older than the record");
    std::fs::write(store.path(), [&new.bytes[..], b"#"].concat()).unwrap();
    assert_eq!(stored_version(&store, &signer), None);
    store.take(&new, &signer).unwrap();
    assert_eq!(stored_version(&store, &signer), Some(8));
}
