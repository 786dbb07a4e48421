//! A games directory whose every file, folder and link can be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

/// What is at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Folder,
    /// A file with its content, and whether anyone may execute it.
    File(Vec<u8>, bool),
    /// Anything else.
    Other,
}

/// Everything below a folder, by its path relative to it.
pub type Tree = BTreeMap<String, Node>;

/// Reads everything below a folder; no link is followed.
pub fn tree(folder: &Path) -> Tree {
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

/// A folder that is removed when it is dropped. It is in memory if possible, because hundreds of installs sync to it.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(folder) = tempfile::tempdir_in(memory)
    {
        return folder;
    }
    tempfile::tempdir().unwrap()
}

/// A machine with an empty games directory and an identity of its own.
#[derive(Debug)]
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    /// A machine in a scratch folder.
    #[allow(clippy::new_without_default, reason = "a new machine is created on purpose")]
    pub fn new() -> Self {
        let folder = scratch();
        fs::create_dir(folder.path().join("games")).unwrap();
        Self { folder }
    }

    /// Its games directory, empty at first.
    pub fn games_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("games")
    }

    /// The state directory of its peer.
    pub fn state_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    /// Everything in the games directory, including lanspread's own state.
    pub fn everything(&self) -> Tree {
        tree(&self.games_dir())
    }
}
