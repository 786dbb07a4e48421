//! Helpers that the integration tests share: trees, real archive programs, peers on loopback.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)] // helpers of tests, and not every test uses all

use lanspread_types::checksum::Checksum;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lanspread_peer::{
    CancellationToken, OperationOptions, Peer, PeerError, PeerEvent, PeerEvents, ProviderChoice,
    StreamInstallReport,
};
use tempfile::TempDir;

/// What is at one path of a tree.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Folder,
    File { content: Vec<u8>, executable: bool, modified: i64 },
    Other,
}

impl std::fmt::Debug for Node {
    /// Content is not printed: some of it is megabytes.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder => write!(formatter, "folder"),
            Self::File { content, executable, modified } => {
                let checksum = Checksum::of(content);
                let bytes = content.len();
                write!(formatter, "{bytes} bytes, CRC-32 {checksum}, executable {executable}, {modified} s")
            }
            Self::Other => write!(formatter, "neither file nor folder"),
        }
    }
}

/// Everything below a folder, by relative path.
pub(crate) type Tree = BTreeMap<PathBuf, Node>;

/// Reads everything below a folder; no link is followed.
pub(crate) fn tree(folder: &Path) -> Tree {
    fn walk(root: &Path, folder: &Path, found: &mut Tree) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let node = if metadata.is_dir() {
                walk(root, &path, found);
                Node::Folder
            } else if metadata.is_file() {
                Node::File {
                    content: fs::read(&path).unwrap(),
                    executable: metadata.mode() & 0o111 != 0,
                    modified: metadata.mtime(),
                }
            } else {
                Node::Other
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), node);
        }
    }
    let mut found = Tree::new();
    walk(folder, folder, &mut found);
    found
}

/// The first difference of two trees, in words.
pub(crate) fn difference(got: &Tree, expected: &Tree) -> Option<String> {
    let names = got.keys().chain(expected.keys());
    names
        .into_iter()
        .find(|name| got.get(*name) != expected.get(*name))
        .map(|name| format!("{}: got {:?}, expected {:?}", name.display(), got.get(name), expected.get(name)))
}

/// Files and bytes of a tree.
pub(crate) fn sums(tree: &Tree) -> (u64, u64) {
    tree.values().fold((0, 0), |(files, bytes), node| match node {
        Node::File { content, .. } => (files + 1, bytes + content.len() as u64),
        _ => (files, bytes),
    })
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The real `unrar` or `rar`: at `LANSPREAD_TEST_UNRAR`, `LANSPREAD_TEST_RAR`, or where `fetch_tools.sh` puts them.
/// Tests that need one fail without it, so that no run passes by skipping them.
pub(crate) fn program(name: &str) -> PathBuf {
    let chosen = std::env::var_os(format!("LANSPREAD_TEST_{}", name.to_uppercase())).map(PathBuf::from);
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let program = chosen.unwrap_or_else(|| target.join("tools/bin").join(name));
    assert!(program.is_file(), "{name} is not at {}: run scripts/fetch_tools.sh", program.display());
    program
}

/// Both providers, by name.
pub(crate) fn providers() -> [(&'static str, ProviderChoice); 2] {
    [("native", ProviderChoice::Native), ("unrar", ProviderChoice::Unrar(program("unrar")))]
}

/// A folder that is removed with its owner, in memory if possible.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// What the real `unrar x` extracts from archives, one after the other into one folder. For a set of volumes, pass the
/// first one.
pub(crate) fn extracted_by_unrar(archives: &[PathBuf]) -> Tree {
    let folder = scratch();
    for archive in archives {
        let output = Command::new(program("unrar"))
            .args(["x", "-cfg-", "-idq", "-p-", "-y", "--"])
            .arg(archive.canonicalize().unwrap())
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {output:?}", archive.display());
    }
    tree(folder.path())
}

/// The archives of a game root: every `*.eti` that is not a later volume, in bytewise order.
pub(crate) fn archives(game_root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(game_root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new("eti")))
        .filter(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            stem.rsplit_once(".part").is_none_or(|(_, number)| number.trim_start_matches('0') == "1")
        })
        .collect();
    found.sort();
    found
}

/// One machine: a games directory and an identity.
pub(crate) struct Machine {
    folder: TempDir,
    pub(crate) games_dir: PathBuf,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let folder = scratch();
        let games_dir = folder.path().join("games");
        fs::create_dir(&games_dir).unwrap();
        Self { folder, games_dir }
    }

    /// A peer of this machine over its games directory.
    pub(crate) fn peer(&self, name: &str) -> Peer {
        self.peer_over(name, &self.games_dir, &ProviderChoice::Native)
    }

    /// A peer of this machine over another games directory.
    pub(crate) fn peer_over(&self, name: &str, games_dir: &Path, provider: &ProviderChoice) -> Peer {
        // One that serves keeps lists in its games directory, which must not be a folder of the repository.
        let is_fixture = games_dir.starts_with(workspace());
        let own = self.folder.path().join(format!("{name}-games"));
        if is_fixture {
            let _ = std::fs::remove_dir_all(&own);
            copy_tree(games_dir, &own);
        }
        Peer::builder(if is_fixture { &own } else { games_dir })
            .state_dir(self.folder.path().join(name))
            .name(name.parse().unwrap())
            .provider(provider.clone())
            .build()
            .unwrap()
    }
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let copy = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &copy);
        } else {
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
}

pub(crate) async fn serve(peer: &Peer) -> SocketAddr {
    peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap()
}

pub(crate) async fn install(
    peer: &Peer,
    game: &str,
    sources: &[SocketAddr],
) -> Result<StreamInstallReport, PeerError> {
    let peers = sources.iter().map(|address| (*address).into()).collect();
    let options = OperationOptions::default().with_peers(peers);
    peer.stream_install_game(&game.parse().unwrap(), &options, CancellationToken::new()).await
}

/// Every event that has happened so far.
pub(crate) fn drain(events: &mut PeerEvents) -> Vec<PeerEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}
