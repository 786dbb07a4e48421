//! Whether root files are the same files as before, without reading them.
//!
//! A file is the same if its device, inode, size, and times of modification and change are the same. Times have a grain: a
//! file that was changed just before it was read could be changed again within the same grain. What was read of it is
//! remembered only if its time of change was some seconds ago by then.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use lanspread_types::content::RootFile;
use lanspread_types::fault::LocalError;
use lanspread_types::limits::FILE_TIMES_SETTLED_SECONDS;
use lanspread_types::regular_file::open_of_user;
use serde::{Deserialize, Serialize};

/// Tells one content of a file from the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileStamp {
    name: String,
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The stamps of the files of one game root, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamps(Vec<FileStamp>);

impl FileStamps {
    /// Looks at the root files.
    ///
    /// # Errors
    /// [`LocalError`] if one of them cannot be opened.
    pub fn read(root: &Path, files: &[RootFile]) -> Result<Self, LocalError> {
        let stamps = files.iter().map(|file| {
            let path = root.join(&file.name);
            let metadata = open_of_user(&path).map_err(io::Error::from).and_then(|file| file.metadata());
            Ok(FileStamp::of(&file.name, &metadata.map_err(LocalError::io("read", &path))?))
        });
        stamps.collect::<Result<_, LocalError>>().map(Self)
    }

    /// Whether an open file is the one of this name.
    pub fn is_of(&self, name: &str, file: &File) -> bool {
        let now = file.metadata().ok().map(|metadata| FileStamp::of(name, &metadata));
        self.0.iter().any(|stamp| now.as_ref() == Some(stamp))
    }

    /// Whether the next change of any of them will show.
    pub fn is_settled(&self, now_seconds: i64) -> bool {
        self.0.iter().all(|stamp| stamp.changed.0 + FILE_TIMES_SETTLED_SECONDS < now_seconds)
    }
}

impl FileStamp {
    fn of(name: &str, metadata: &Metadata) -> Self {
        Self {
            name: name.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Now, as times of files are counted.
#[expect(clippy::disallowed_methods, reason = "a time of day, as times of files are")]
pub fn now_seconds() -> i64 {
    // Not by a system call of our own: that takes a way past the C library that valgrind cannot follow.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(now).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_every_change_of_a_file_from_the_next() {
        let stamp = FileStamp {
            name: "a.eti".to_owned(),
            device: 1,
            inode: 2,
            bytes: 3,
            modified: (100, 0),
            changed: (100, 0),
        };
        let stamps = FileStamps(vec![stamp]);
        let changes: [fn(&mut FileStamp); 6] = [
            |stamp| stamp.name.push('x'),
            |stamp| stamp.device = 0,
            |stamp| stamp.inode = 0,
            |stamp| stamp.bytes = 0,
            |stamp| stamp.modified.1 = 1,
            |stamp| stamp.changed.1 = 1,
        ];
        for change in changes {
            let mut other = stamps.clone();
            change(&mut other.0[0]);
            assert_ne!(other, stamps);
        }
        assert!(!stamps.is_settled(101), "it could change again in the same grain");
        assert!(stamps.is_settled(104));
    }

    #[test]
    fn an_open_file_is_compared_with_its_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.eti");
        std::fs::write(&path, "one").unwrap();
        let files = [RootFile { name: "a.eti".to_owned(), size: 3 }];
        let stamps = FileStamps::read(folder.path(), &files).unwrap();
        assert!(stamps.is_of("a.eti", &File::open(&path).unwrap()));
        assert!(!stamps.is_of("b.eti", &File::open(&path).unwrap()));
        std::fs::write(&path, "longer").unwrap();
        assert!(!stamps.is_of("a.eti", &File::open(&path).unwrap()));
    }
}
