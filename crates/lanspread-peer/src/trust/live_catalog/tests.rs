use std::fs;

use lanspread_trust::minisign::SecretKey;
use lanspread_types::limits;

use super::*;
use crate::report::channel::PeerEvents;
use crate::trust::catalog_store::tests::signed;

fn unsigned(path: &Path) -> LiveCatalog {
    LiveCatalog::load(Some(path), None, EventSender::new()).unwrap()
}

#[test]
fn a_catalog_is_read_again_after_a_change_and_stays_in_force_after_an_invalid_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.toml");
    let write = |text: &str| {
        // As an editor does: replaces the file by another one.
        std::fs::write(folder.path().join("new"), text).unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
    };
    let game = "a".parse().unwrap();
    let with = |version: &str| format!("schema = 1\n[games.a]\nname = 'A'\nversion = '{version}'\n");
    write(&with("1"));
    let live = unsigned(&path);
    let version = || live.current().unwrap().game(&game).map(|known| known.version.to_string());
    assert_eq!(version().as_deref(), Some("1"));
    write(&with("2"));
    assert_eq!(version().as_deref(), Some("2"));
    write("nonsense");
    assert_eq!(version().as_deref(), Some("2"));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(version().as_deref(), Some("2"));
    write("schema = 1\n");
    assert_eq!(version(), None);
}

#[test]
fn a_catalog_may_be_a_link_but_not_a_pipe_and_not_huge() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.toml");
    std::fs::write(folder.path().join("elsewhere"), "schema = 1\n").unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    let live = unsigned(&path);
    std::fs::remove_file(&path).unwrap();
    let refused = |reason: &str| {
        let error = Catalog::load(&path).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        // A running daemon keeps the one it has.
        live.current().unwrap();
        std::fs::remove_file(&path).unwrap();
    };
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    refused("a pipe");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    refused("larger than");
    std::fs::write(&path, b"schema = 1 # \xff").unwrap();
    refused("UTF-8");
}

/// A machine that pins a signer, and the file that it was told to use.
struct Machine {
    folder: tempfile::TempDir,
    key: SecretKey,
    events: EventSender,
    heard: PeerEvents,
    from_peers: bool,
}

impl Machine {
    fn new() -> Self {
        let events = EventSender::new();
        let heard = events.subscribe();
        let key = SecretKey::random().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), key, events, heard, from_peers: false }
    }

    fn named(&self) -> PathBuf {
        self.folder.path().join("catalog.toml")
    }

    /// The organiser copies a catalog here.
    fn copy(&self, catalog: &SignedCatalog) {
        self.put("catalog.toml", &catalog.bytes);
        self.put("catalog.toml.minisig", &catalog.signature);
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let place = self.folder.path().join(name);
        fs::write(place.with_extension("new"), bytes).unwrap();
        fs::rename(place.with_extension("new"), place).unwrap();
    }

    fn signed(&self, version: u64) -> SignedCatalog {
        signed(&self.key, version, "a")
    }

    fn start_with(&self, named: Option<&Path>) -> Result<LiveCatalog, TrustError> {
        let store = CatalogStore::of(&self.folder.path().join("state"));
        let pinned = Pinned { signer: self.key.public().into(), from_peers: self.from_peers, store };
        LiveCatalog::load(named, Some(pinned), self.events.clone())
    }

    fn start(&self) -> Result<LiveCatalog, TrustError> {
        self.start_with(Some(&self.named()))
    }

    /// Names and codes of the events so far.
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.heard.try_next())
            .map(|event| match event {
                PeerEvent::CatalogUpdated { from, version, old } => {
                    let from = from.map_or("file".to_owned(), |from| from.to_string());
                    format!("{from}: {old:?} to {version}")
                }
                PeerEvent::CatalogRefused { code, .. } => code.to_string(),
                other => format!("{other:?}"),
            })
            .collect()
    }
}

fn version(live: &LiveCatalog) -> u64 {
    live.current().unwrap();
    live.mark().unwrap().version
}

#[test]
fn a_bad_file_is_reported_once_and_changes_nothing_before_and_after_a_restart() {
    let mut machine = Machine::new();
    machine.copy(&machine.signed(7));
    let live = machine.start().unwrap();
    assert_eq!((version(&live), machine.told().len()), (7, 0));
    let good = machine.signed(8);
    let other_key = signed(&SecretKey::random().unwrap(), 9, "a");
    let changed = SignedCatalog { bytes: [&good.bytes[..], b"#"].concat(), ..good.clone() };
    let twice = SignedCatalog { signature: [&good.signature[..], &good.signature].concat(), ..good.clone() };
    let legacy = String::from_utf8(good.signature.clone()).unwrap().replacen("\nRU", "\nRW", 1);
    let huge = vec![b'#'; usize::try_from(limits::CATALOG_BYTES_MAX).unwrap() + 1];
    let bad = [
        (changed, "signature-refused"),
        (SignedCatalog { bytes: good.bytes[..9].to_vec(), ..good.clone() }, "signature-refused"),
        (twice, "signature-refused"),
        (SignedCatalog { signature: vec![b'x'; 2000], ..good.clone() }, "signature-refused"),
        (SignedCatalog { signature: legacy.into_bytes(), ..good.clone() }, "signature-refused"),
        (other_key, "signature-refused"),
        (SignedCatalog { bytes: huge, ..good.clone() }, "catalog-unusable"),
        (machine.signed(6), "catalog-older"),
        (signed(&machine.key, 7, "another"), "catalog-signed-twice"),
    ];
    for (catalog, code) in bad {
        machine.copy(&catalog);
        let in_force = (version(&live), version(&live));
        assert_eq!(in_force, (7, 7), "{code}");
        // A file without its signature was seen for a moment, or was not.
        let told = machine.told();
        assert_eq!(told.last().map(String::as_str), Some(code), "{told:?}");
        assert_eq!(version(&machine.start().unwrap()), 7, "after a restart: {code}");
        machine.told();
    }
    fs::remove_file(signature_path(&machine.named())).unwrap();
    assert_eq!((version(&live), machine.told()), (7, vec!["not-signed".to_owned()]));
    machine.copy(&good);
    assert_eq!(version(&live), 8);
    assert_eq!(machine.told().last().map(String::as_str), Some("file: Some(7) to 8"));
    fs::remove_file(machine.named()).unwrap();
    assert_eq!(version(&machine.start().unwrap()), 8);
}

#[test]
fn the_first_catalog_must_be_good() {
    let machine = Machine::new();
    assert_eq!(machine.start().unwrap_err().code(), "catalog-unusable");
    let good = machine.signed(7);
    machine.put("catalog.toml", &good.bytes);
    assert_eq!(machine.start().unwrap_err().code(), "not-signed");
    machine.put("catalog.toml.minisig", &signed(&SecretKey::random().unwrap(), 7, "a").signature);
    assert_eq!(machine.start().unwrap_err().code(), "signature-refused");
    machine.put("catalog.toml", b"schema = 1\n");
    let schema_1 = lanspread_trust::minisign::Signature::sign(&machine.key, b"schema = 1\n", "x");
    machine.put("catalog.toml.minisig", schema_1.file().as_bytes());
    assert!(machine.start().unwrap_err().to_string().contains("schema 1"));
    assert!(!machine.folder.path().join("state").exists(), "nothing is kept");
}

#[test]
fn of_the_named_catalog_and_the_one_from_peers_the_higher_version_is_in_force() {
    let mut machine = Machine { from_peers: true, ..Machine::new() };
    let live = machine.start_with(None).unwrap();
    assert_eq!(live.current().unwrap_err().code(), "no-catalog");
    assert_eq!(live.mark(), None);
    let from: PeerName = "den".parse().unwrap();
    let take = |live: &LiveCatalog, catalog: SignedCatalog| {
        live.take_from_peer(catalog.bytes, catalog.signature, &from)
    };
    assert!(take(&live, machine.signed(7)).unwrap());
    assert!(!take(&live, machine.signed(7)).unwrap(), "it is here already");
    assert!(!take(&live, machine.signed(6)).unwrap());
    assert!(take(&live, signed(&SecretKey::random().unwrap(), 9, "a")).is_err());
    assert_eq!((version(&live), machine.told()), (7, vec!["den: None to 7".to_owned()]));

    machine.copy(&machine.signed(6));
    let named = machine.start().unwrap();
    assert_eq!((version(&named), machine.told().len()), (7, 0), "an older file is no fault then");
    machine.copy(&machine.signed(8));
    assert_eq!(version(&named), 8);
    // The other peer of this state directory sees it too.
    assert_eq!(version(&live), 8);
    assert!(take(&live, machine.signed(9)).unwrap());
    assert_eq!((version(&named), version(&machine.start().unwrap())), (9, 9));
}
