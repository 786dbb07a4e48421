//! Which files were read for which manifest, so that they need not be read again.
//!
//! A file is the same if its device, inode, size, and times of modification and change are the same. Times have a grain: a
//! file that was changed just before it was read could be changed again within the same grain. It is remembered only if its
//! time of change was some seconds ago. What is in the cache is never believed: a manifest is opened and checked. A cache
//! that cannot be read is passed over.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use lanspread_trust::draft_file;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::RootFile;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use lanspread_types::regular_file::{open_of_user, read_of_user};
use serde::{Deserialize, Serialize};

const CACHE_FILE: &str = ".catalog-build.json";
/// Changes with what the cache means, or with what a manifest would hold of the same files.
const CACHE_FORMAT: u32 = 2;
/// Seconds after which a time of change tells the next change apart on every file system; FAT has grains of two.
const SETTLED_SECONDS: i64 = 3;

/// Tells one content of a file from the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileStamp {
    name: String,
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The files of one game root, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileStamps(Vec<FileStamp>);

impl FileStamps {
    /// Looks at the root files.
    pub(super) fn read(root: &Path, files: &[RootFile]) -> Result<Self, LocalError> {
        let stamps = files.iter().map(|file| {
            let path = root.join(&file.name);
            let metadata = open_of_user(&path).map_err(io::Error::from).and_then(|file| file.metadata());
            Ok(FileStamp::of(&file.name, &metadata.map_err(LocalError::io("read", &path))?))
        });
        stamps.collect::<Result<_, LocalError>>().map(Self)
    }

    /// Whether an open file is the one of this name.
    pub(super) fn is_of(&self, name: &str, file: &File) -> bool {
        let now = file.metadata().ok().map(|metadata| FileStamp::of(name, &metadata));
        self.0.iter().any(|stamp| now.as_ref() == Some(stamp))
    }

    /// Whether the next change of any of them will show.
    fn is_settled(&self, now_seconds: i64) -> bool {
        self.0.iter().all(|stamp| stamp.changed.0 + SETTLED_SECONDS < now_seconds)
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

/// The cache of one folder of catalogs.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cache {
    format: u32,
    /// The catalog that was written last.
    catalog: Option<ContentDigest>,
    games: BTreeMap<GameId, CachedGame>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CachedGame {
    files: FileStamps,
    manifest: ContentDigest,
}

impl Cache {
    pub(super) fn load(out: &Path) -> Self {
        let path = out.join(CACHE_FILE);
        let empty = Self { format: CACHE_FORMAT, ..Self::default() };
        let bytes = match read_of_user(&path, limits::CATALOG_BUILD_CACHE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_absent() => return empty,
            Err(error) => {
                tracing::warn!("the cache {} is passed over: {error}", path.display());
                return empty;
            }
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(cache) if cache.format == CACHE_FORMAT => cache,
            Ok(_) => empty,
            Err(error) => {
                tracing::warn!("the cache {} is passed over: {error}", path.display());
                empty
            }
        }
    }

    pub(super) fn save(&mut self, out: &Path) -> Result<(), LocalError> {
        let path = out.join(CACHE_FILE);
        let bytes = serde_json::to_vec(self).map_err(|error| LocalError::io("write", &path)(error.into()))?;
        draft_file::replace(&path, &bytes, 0o644)
    }

    /// The manifest that was made of exactly these files.
    pub(super) fn manifest_of(&self, game: &GameId, files: &FileStamps) -> Option<ContentDigest> {
        self.games.get(game).filter(|cached| cached.files == *files).map(|cached| cached.manifest)
    }

    /// Remembers what a manifest was made of, if that will still tell the next content apart.
    pub(super) fn remember(&mut self, game: &GameId, files: FileStamps, manifest: ContentDigest, now: i64) {
        if files.is_settled(now) {
            self.games.insert(game.clone(), CachedGame { files, manifest });
        } else {
            self.games.remove(game);
        }
    }

    /// Whether this is the catalog that was written last.
    pub(super) fn wrote(&self, catalog: &ContentDigest) -> bool {
        self.catalog == Some(*catalog)
    }

    pub(super) fn will_write(&mut self, catalog: ContentDigest) {
        self.catalog = Some(catalog);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(changed: i64) -> FileStamps {
        let (name, times) = ("a.eti".to_owned(), (changed, 0));
        FileStamps(vec![FileStamp { name, device: 1, inode: 2, bytes: 3, modified: times, changed: times }])
    }

    #[test]
    fn a_game_is_known_by_all_of_its_stamp_once_it_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let game: GameId = "g".parse().unwrap();
        let manifest = ContentDigest([1; 32]);
        let mut cache = Cache::load(folder.path());
        cache.remember(&game, stamps(100), manifest, 101);
        assert_eq!(cache.manifest_of(&game, &stamps(100)), None, "it could change again in the same grain");
        cache.remember(&game, stamps(100), manifest, 104);
        cache.will_write(manifest);
        cache.save(folder.path()).unwrap();
        let cache = Cache::load(folder.path());
        assert_eq!(cache.manifest_of(&game, &stamps(100)), Some(manifest));
        assert!(cache.wrote(&manifest) && !cache.wrote(&ContentDigest([2; 32])));
        let changes: [fn(&mut FileStamp); 6] = [
            |stamp| stamp.name.push('x'),
            |stamp| stamp.device = 0,
            |stamp| stamp.inode = 0,
            |stamp| stamp.bytes = 0,
            |stamp| stamp.modified.1 = 1,
            |stamp| stamp.changed.1 = 1,
        ];
        for change in changes {
            let mut other = stamps(100);
            change(&mut other.0[0]);
            assert_eq!(cache.manifest_of(&game, &other), None, "{other:?}");
        }
    }

    /// Its manifests are other ones than this program makes of the same files.
    #[test]
    fn a_cache_of_another_format_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let game: GameId = "g".parse().unwrap();
        let mut cache = Cache::load(folder.path());
        cache.remember(&game, stamps(100), ContentDigest([1; 32]), 104);
        cache.save(folder.path()).unwrap();
        let path = folder.path().join(CACHE_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let format = |number: u32| format!("\"format\":{number},");
        for (number, is_read) in [(CACHE_FORMAT - 1, false), (CACHE_FORMAT, true), (CACHE_FORMAT + 1, false)]
        {
            std::fs::write(&path, text.replace(&format(CACHE_FORMAT), &format(number))).unwrap();
            let known = Cache::load(folder.path()).manifest_of(&game, &stamps(100));
            assert_eq!(known.is_some(), is_read, "{number}");
        }
    }

    #[test]
    fn a_damaged_cache_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{", "{\"format\":1,\"catalog\":null,\"games\":{}}"] {
            std::fs::write(folder.path().join(CACHE_FILE), text).unwrap();
            assert!(Cache::load(folder.path()).games.is_empty());
        }
    }
}
