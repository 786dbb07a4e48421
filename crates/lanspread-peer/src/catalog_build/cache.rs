//! Which files were read for which manifest, so that they need not be read again.
//!
//! A file is the same if its stamp is. What is in the cache is never believed: a manifest is opened and checked. A cache that
//! cannot be read is passed over.

use std::collections::BTreeMap;
use std::path::Path;

use lanspread_store::state::file_stamps::FileStamps;
use lanspread_trust::draft_file;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use lanspread_types::regular_file::read_of_user;
use serde::{Deserialize, Serialize};

const CACHE_FILE: &str = ".catalog-build.json";
/// Changes with what the cache means, or with what a manifest would hold of the same files.
const CACHE_FORMAT: u32 = 2;

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
    use lanspread_store::state::file_stamps::now_seconds;
    use lanspread_types::content::RootFile;

    use super::*;

    /// The stamp of an empty file that was changed just now, and that time.
    fn stamps(folder: &Path) -> (FileStamps, i64) {
        let name = "a.eti".to_owned();
        std::fs::write(folder.join(&name), b"").unwrap();
        (FileStamps::read(folder, &[RootFile { name, size: 0 }]).unwrap(), now_seconds())
    }

    #[test]
    fn a_game_is_known_by_its_stamps_once_they_have_settled() {
        let folder = tempfile::tempdir().unwrap();
        let (stamps, now) = stamps(folder.path());
        let game: GameId = "g".parse().unwrap();
        let manifest = ContentDigest([1; 32]);
        let mut cache = Cache::load(folder.path());
        cache.remember(&game, stamps.clone(), manifest, now);
        assert_eq!(cache.manifest_of(&game, &stamps), None, "it could change again in the same grain");
        cache.remember(&game, stamps.clone(), manifest, now + 60);
        cache.will_write(manifest);
        cache.save(folder.path()).unwrap();
        let cache = Cache::load(folder.path());
        assert_eq!(cache.manifest_of(&game, &stamps), Some(manifest));
        assert!(cache.wrote(&manifest) && !cache.wrote(&ContentDigest([2; 32])));
        std::fs::write(folder.path().join("a.eti"), b"x").unwrap();
        let other =
            FileStamps::read(folder.path(), &[RootFile { name: "a.eti".to_owned(), size: 1 }]).unwrap();
        assert_eq!(cache.manifest_of(&game, &other), None);
    }

    /// Its manifests are other ones than this program makes of the same files.
    #[test]
    fn a_cache_of_another_format_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let game: GameId = "g".parse().unwrap();
        let mut cache = Cache::load(folder.path());
        let (stamps, now) = stamps(folder.path());
        cache.remember(&game, stamps.clone(), ContentDigest([1; 32]), now + 60);
        cache.save(folder.path()).unwrap();
        let path = folder.path().join(CACHE_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let format = |number: u32| format!("\"format\":{number},");
        for (number, is_read) in [(CACHE_FORMAT - 1, false), (CACHE_FORMAT, true), (CACHE_FORMAT + 1, false)]
        {
            std::fs::write(&path, text.replace(&format(CACHE_FORMAT), &format(number))).unwrap();
            let known = Cache::load(folder.path()).manifest_of(&game, &stamps);
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
