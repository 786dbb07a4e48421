//! A games directory whose every file, folder and link can be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use lanspread_types::ids::PeerName;
use tempfile::TempDir;

use crate::peer::{Peer, PeerBuilder};

/// What stands at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A folder.
    Folder,
    /// A file with its content, and whether anyone may execute it.
    File(Vec<u8>, bool),
    /// Anything else.
    Other,
}

/// Everything below a folder, by its path relative to it.
pub(crate) type Tree = BTreeMap<String, Node>;

/// Reads everything below a folder; no link is followed.
pub(crate) fn tree(folder: &Path) -> Tree {
    fn walk(folder: &Path, prefix: &str, found: &mut Tree) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            let metadata = fs::symlink_metadata(entry.path()).unwrap();
            if metadata.is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
                found.insert(name, Node::Folder);
            } else if metadata.is_file() {
                let content = fs::read(entry.path()).unwrap();
                found.insert(name, Node::File(content, metadata.mode() & 0o111 != 0));
            } else {
                found.insert(name, Node::Other);
            }
        }
    }
    let mut found = Tree::new();
    walk(folder, "", &mut found);
    found
}

/// A folder that is gone with its owner, in memory where that is possible: hundreds of installs sync to it.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(folder) = tempfile::tempdir_in(memory)
    {
        return folder;
    }
    tempfile::tempdir().unwrap()
}

/// A machine with an empty games directory and an identity of its own.
pub(crate) struct Machine {
    folder: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let folder = scratch();
        fs::create_dir(folder.path().join("games")).unwrap();
        Self { folder }
    }

    pub(crate) fn games_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("games")
    }

    /// A peer of this machine, not built yet.
    pub(crate) fn describe(&self, name: &str) -> PeerBuilder {
        let name: PeerName = name.parse().unwrap();
        Peer::builder(self.games_dir()).state_dir(self.folder.path().join("state")).name(name)
    }

    /// A peer of this machine.
    pub(crate) fn peer(&self, name: &str) -> Peer {
        self.describe(name).build().unwrap()
    }

    /// Everything in the games directory, our own state included.
    pub(crate) fn everything(&self) -> Tree {
        tree(&self.games_dir())
    }
}
