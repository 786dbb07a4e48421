//! Catalogs and manifests that travel between peers: whom a peer believes, and what it keeps.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests

#[path = "common/support.rs"]
mod common;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::{copy_tree, drain, install, scratch, serve, workspace};
use lanspread_peer::{
    ArrivedManifest, BuildObserver, CancellationToken, CatalogBuild, GameId, Peer, PeerBuilder, PeerError,
    PeerEvent, PeerEvents, ProviderChoice, SecretKey, Signature, limits,
};
use tempfile::TempDir;
use tokio::time::timeout;

const GAME: &str = "alpha-arena";

struct Silent;

impl BuildObserver for Silent {
    fn event(&self, _: PeerEvent) {}
    fn failed(&self, game: &GameId, error: &PeerError) {
        panic!("{game}: {error}");
    }
}

/// An organiser with a key, and machines in folders of their own.
struct Party {
    folder: TempDir,
    key: SecretKey,
}

impl Party {
    fn new() -> Self {
        Self { folder: scratch(), key: SecretKey::random().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes and signs a catalog of this version for a machine, without games.
    fn sign(&self, machine: &str, version: u64) -> PathBuf {
        fs::create_dir_all(self.path(machine)).unwrap();
        let (place, text) =
            (self.path(machine).join("catalog.toml"), format!("schema = 2\nversion = {version}\n"));
        for (name, bytes) in [
            ("catalog.toml.minisig", Signature::sign(&self.key, text.as_bytes(), "x").file()),
            ("catalog.toml", text),
        ] {
            fs::write(self.path(machine).join("new"), bytes).unwrap();
            fs::rename(self.path(machine).join("new"), self.path(machine).join(name)).unwrap();
        }
        place
    }

    /// Builds the catalog of the fixtures with its manifests, in a folder of its own.
    fn build(&self) -> PathBuf {
        let build = CatalogBuild {
            games_dir: workspace().join("fixtures/fixture-alpha"),
            out: self.path("built"),
            name: None,
            sources: Vec::new(),
            games: vec![GAME.parse().unwrap()],
            jobs: 1,
            provider: ProviderChoice::Native,
            dictionary_bytes_max: limits::DICTIONARY_BYTES_DEFAULT,
        };
        let observer: Arc<dyn BuildObserver> = Arc::new(Silent);
        build.run(&observer, &CancellationToken::new()).unwrap().catalog
    }

    /// The file of the only manifest of a folder.
    fn manifest(folder: &Path) -> PathBuf {
        let mut files = fs::read_dir(folder.join("manifests")).unwrap();
        files.next().unwrap().unwrap().path()
    }

    /// Gives a machine the catalog that was built, and perhaps its manifest, changed by `change`.
    fn give(&self, machine: &str, change: Option<fn(Vec<u8>) -> Vec<u8>>) -> PathBuf {
        let (built, to) = (self.build(), self.path(machine));
        fs::create_dir_all(to.join("manifests")).unwrap();
        fs::copy(&built, to.join("catalog.toml")).unwrap();
        let manifest = Self::manifest(&self.path("built"));
        if let Some(change) = change {
            let bytes = change(fs::read(&manifest).unwrap());
            fs::write(to.join("manifests").join(manifest.file_name().unwrap()), bytes).unwrap();
        }
        to.join("catalog.toml")
    }

    fn machine(&self, name: &str, games: &str) -> PeerBuilder {
        let games_dir = self.path(name).join(if games.is_empty() { "games" } else { games });
        fs::create_dir_all(self.path(name)).unwrap();
        if games.is_empty() {
            fs::create_dir_all(&games_dir).unwrap();
        } else if !games_dir.exists() {
            copy_tree(&workspace().join("fixtures").join(games), &games_dir);
        }
        Peer::builder(games_dir).state_dir(self.path(name).join("state")).name(name.parse().unwrap())
    }

    /// A machine that takes catalogs of the organiser from peers, of which it knows these.
    fn follower(&self, name: &str, peers: &[SocketAddr]) -> Peer {
        let peers = peers.iter().map(|address| (*address).into()).collect();
        self.machine(name, "")
            .catalog_key(self.key.public())
            .catalog_from_peers(true)
            .peers(peers)
            .build()
            .unwrap()
    }
}

/// The next change of the catalog: the peer that it came from, and its version.
async fn updated(events: &mut PeerEvents) -> (Option<String>, u64) {
    let waiting = async {
        loop {
            if let PeerEvent::CatalogUpdated { from, version, .. } = events.next().await.unwrap() {
                return (from.map(|from| from.to_string()), version);
            }
        }
    };
    timeout(Duration::from_secs(30), waiting).await.expect("a catalog in time")
}

/// A line of peers, each of which knows only the one before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_spreads_from_peer_to_peer_and_never_goes_back() {
    let party = Party::new();
    let named = party.sign("den", 1);
    let first = party.machine("den", "").catalog(&named).catalog_key(party.key.public()).build().unwrap();
    let second = party.follower("second", &[serve(&first).await]);
    let mut events = [second.events(), second.events()];
    let third = party.follower("third", &[serve(&second).await]);
    events[1] = third.events();
    serve(&third).await;
    for (number, from) in ["den", "second"].into_iter().enumerate() {
        assert_eq!(updated(&mut events[number]).await, (Some(from.to_owned()), 1));
    }
    // The organiser replaces the file, and nothing is restarted.
    party.sign("den", 2);
    for (number, from) in ["den", "second"].into_iter().enumerate() {
        assert_eq!(updated(&mut events[number]).await, (Some(from.to_owned()), 2));
    }
    for peer in [&first, &second, &third] {
        peer.shutdown().await.unwrap();
    }
    // An older file is no way back, on any of them.
    for name in ["second", "third"] {
        let kept = fs::read_to_string(party.path(name).join("state/catalog.toml")).unwrap();
        assert!(kept.contains("version = 2"), "{kept}");
        let older = party.sign("older", 1);
        fs::remove_file(party.path(name).join("state/catalog.toml")).unwrap();
        let refused = party.machine(name, "").catalog(&older).catalog_key(party.key.public()).build();
        let refused = refused.err().expect("an older catalog");
        assert_eq!(refused.code(), "catalog-older", "{refused}");
    }
}

/// A peer that does not serve asks when it needs the catalog.
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_asks_for_the_catalog_and_without_one_it_is_refused() {
    let party = Party::new();
    let named = party.sign("den", 3);
    let source = party.machine("den", "fixture-alpha");
    let source = source.catalog(&named).catalog_key(party.key.public()).build().unwrap();
    let stranger = party.machine("stranger", "fixture-alpha").build().unwrap();
    let (source, stranger) = ((serve(&source).await, source), (serve(&stranger).await, stranger));
    let receiver = party.follower("pc", &[]);
    let none = install(&receiver, GAME, &[stranger.0]).await.unwrap_err();
    assert_eq!(none.code(), "no-catalog", "{none}");
    let receiver = party.follower("pc", &[]);
    let mut events = receiver.events();
    // The catalog lists no game, so it is the catalog that refuses.
    let refused = install(&receiver, GAME, &[source.0]).await.unwrap_err();
    assert_eq!(refused.code(), "not-in-catalog", "{refused}");
    assert_eq!(updated(&mut events).await, (Some("den".to_owned()), 3));
}

/// What a receiver that lacks the manifest says after an install from these machines.
async fn manifests(party: &Party, receiver: &str, sources: &[SocketAddr]) -> Vec<String> {
    let named = party.give(receiver, None);
    let receiver = party.machine(receiver, "").catalog(&named).build().unwrap();
    let mut events = receiver.events();
    install(&receiver, GAME, sources).await.unwrap();
    let told = drain(&mut events).into_iter().filter_map(|event| match event {
        PeerEvent::ManifestArrived(ArrivedManifest { peer, .. }) => Some(format!("from {peer}")),
        PeerEvent::ManifestMissing { message, .. } => Some(message),
        _ => None,
    });
    told.collect()
}

fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - 7);
    bytes
}

/// What is done to the bytes of a file.
type Change = fn(Vec<u8>) -> Vec<u8>;

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_comes_from_any_peer_and_only_the_right_one_is_taken() {
    let party = Party::new();
    let mut running = Vec::new();
    let changes: [(&str, Option<Change>); 4] =
        [("honest", Some(|bytes| bytes)), ("liar", Some(flipped)), ("cutter", Some(cut)), ("without", None)];
    let mut addresses = Vec::new();
    for (name, change) in changes {
        let named = party.give(name, change);
        let source = party.machine(name, "fixture-alpha").catalog(&named).build().unwrap();
        addresses.push(serve(&source).await);
        running.push(source);
    }
    let [honest, liar, cutter, without] = addresses[..] else { unreachable!() };
    assert_eq!(manifests(&party, "a", &[honest]).await, ["from honest"]);
    let kept = fs::read(Party::manifest(&party.path("a/state"))).unwrap();
    assert_eq!(kept, fs::read(Party::manifest(&party.path("built"))).unwrap());
    assert_eq!(manifests(&party, "b", &[liar, cutter, without, honest]).await, ["from honest"]);
    // Where only wrong ones are, the install is one without a manifest, and says so.
    let missing = manifests(&party, "c", &[liar]).await;
    assert!(missing[0].contains("its SHA-256 is") && missing[0].ends_with("from liar"), "{missing:?}");
    let missing = manifests(&party, "d", &[cutter]).await;
    assert!(missing[0].contains("bytes expected") && missing[0].ends_with("from cutter"), "{missing:?}");
    assert_eq!(manifests(&party, "e", &[without]).await, ["no peer that answered has it"]);
    for name in ["c", "d", "e"] {
        let there = fs::read_dir(party.path(name).join("state/manifests"));
        assert_eq!(there.map_or(0, Iterator::count), 0, "{name}: no draft is left");
    }
    // A machine hands on what it was handed, and one that has it does not ask.
    let receiver = party.machine("a", "fixture-alpha").catalog(party.path("a/catalog.toml")).build().unwrap();
    let address = serve(&receiver).await;
    assert_eq!(manifests(&party, "f", &[address]).await, ["from a"]);
    fs::remove_dir_all(party.path("f/games")).unwrap();
    assert_eq!(manifests(&party, "f", &[address]).await, Vec::<String>::new());
}

#[test]
fn catalogs_from_peers_need_a_signer() {
    let party = Party::new();
    let refused = party.machine("pc", "").catalog_from_peers(true).build().err().unwrap();
    assert_eq!(refused.code(), "invalid-config");
}
