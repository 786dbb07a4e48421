//! Builds a catalog and its manifests from the downloaded games of a games directory.
//!
//! ```text
//! <out>/catalog.toml             replaced when something changed; its version counts up then
//! <out>/manifests/<sha256>.lsm   one for each game; never changed, because its name is its content
//! <out>/.catalog-build.json      which files were read for which manifest; a cache
//! ```
//!
//! Each game is read twice: its root files for the digests of their chunks, its archives for those of the installed files.
//! A game whose root files are the same files as when its manifest was made is not read again. Several games are read at
//! once. A game that cannot be read, or that a receiver would refuse, keeps the entry it had and is reported; the others go
//! on. Every file appears complete or not at all, and the catalog is written last.
//!
//! This is synchronous: a caller runs it on threads of its own.

mod cache;
mod digests;
mod game;
mod merge;
pub(crate) mod observer;
pub(crate) mod one_manifest;
mod progress;
mod shared_memory;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use lanspread_archive::provider::{ArchiveProvider, ProviderChoice};
use lanspread_archive::provider_with_dictionary;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::scan::scan;
use lanspread_trust::catalog::{CatalogContent, MANIFESTS_DIR};
use lanspread_trust::draft_file;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{CatalogName, GameId};
use lanspread_types::limits;
use lanspread_types::regular_file::{if_present, open_folder_of_user, open_of_user, read_whole};
use lanspread_types::source_url::SourceUrl;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use self::cache::Cache;
use self::game::{BuildGame, BuiltGame};
use self::merge::{Merged, merge};
use self::observer::BuildObserver;
use self::shared_memory::SharedMemory;
use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;
use crate::source::library_index::reported;
use crate::trust::catalog::Catalog;

/// Name of the catalog in its folder.
const CATALOG_FILE: &str = "catalog.toml";

/// What to build.
#[derive(Debug, Clone)]
pub struct CatalogBuild {
    /// Folder that holds one folder per game.
    pub games_dir: PathBuf,
    /// Folder for the catalog; created if it is missing.
    pub out: PathBuf,
    /// Name of the catalog; without one, it keeps its name.
    pub name: Option<CatalogName>,
    /// HTTP servers that have the games; without one, it keeps those that it names.
    pub sources: Vec<SourceUrl>,
    /// The games to read; all downloaded ones if empty. Others keep their entries then.
    pub games: Vec<GameId>,
    /// How many games are read at once, at least 1.
    pub jobs: usize,
    /// Decodes the archives.
    pub provider: ProviderChoice,
    /// The largest dictionary that an archive may need.
    pub dictionary_bytes_max: u64,
}

/// What was built.
#[derive(Debug)]
#[non_exhaustive]
pub struct CatalogBuilt {
    /// The catalog.
    pub catalog: PathBuf,
    /// Its version; 0 if there is no catalog, because no game could be read.
    pub version: u64,
    /// How many games it lists.
    pub games: u64,
    /// Whether it was written: something has changed.
    pub written: bool,
    /// Games that are no longer in it.
    pub removed: Vec<GameId>,
    /// Games that were not read, and why.
    pub failed: Vec<(GameId, PeerError)>,
}

impl CatalogBuild {
    /// Builds the catalog.
    ///
    /// # Errors
    /// [`PeerError::Cancelled`], [`PeerError::Local`], [`PeerError::NoGamesDir`], and [`PeerError::Trust`] if the catalog
    /// that is there cannot be read. The catalog is then as it was. What single games fail with is in
    /// [`CatalogBuilt::failed`].
    pub fn run(
        &self,
        observer: &Arc<dyn BuildObserver>,
        cancel: &CancellationToken,
    ) -> Result<CatalogBuilt, PeerError> {
        let provider = provider_with_dictionary(&self.provider, self.dictionary_bytes_max);
        self.run_with(provider.as_ref(), observer, cancel)
    }

    fn run_with(
        &self,
        provider: &dyn ArchiveProvider,
        observer: &Arc<dyn BuildObserver>,
        cancel: &CancellationToken,
    ) -> Result<CatalogBuilt, PeerError> {
        let games = self.games_to_read(observer)?;
        let manifests = self.out.join(MANIFESTS_DIR);
        std::fs::create_dir_all(&manifests).map_err(LocalError::io("create", &manifests))?;
        // Two builds into one folder would undo each other's catalog.
        let folder = open_folder_of_user(&self.out).map_err(LocalError::io("open", &self.out))?;
        lock_alone(&folder).map_err(|error| LocalError::io("lock", &self.out)(error.into()))?;
        let before = self.read_before()?;
        let cache = Mutex::new(Cache::load(&self.out));
        let building = BuildGame {
            games_dir: &self.games_dir,
            manifests: &manifests,
            provider,
            memory: SharedMemory::new(limits::DICTIONARIES_BYTES_MAX),
            before: before.as_ref().map(|before| before.catalog.content()),
        };
        let results = self.read_games(&games, &building, &cache, observer, cancel);
        let mut cache = cache.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut built, mut failed) = (BTreeMap::new(), Vec::new());
        let mut is_cancelled = cancel.is_cancelled();
        for (game, result) in games.iter().zip(results) {
            match result {
                Some(Ok(game_built)) => _ = built.insert(game.clone(), game_built),
                Some(Err(PeerError::Cancelled)) | None => is_cancelled = true,
                Some(Err(error)) => failed.push((game.clone(), error)),
            }
        }
        if is_cancelled {
            // What was read need not be read again.
            cache.save(&self.out)?;
            return Err(PeerError::Cancelled);
        }
        self.write(before.as_ref(), &built, failed, &mut cache)
    }

    /// The games that were asked for, or all that are downloaded.
    fn games_to_read(&self, observer: &Arc<dyn BuildObserver>) -> Result<Vec<GameId>, PeerError> {
        if !self.games_dir.is_dir() {
            return Err(PeerError::NoGamesDir { games_dir: self.games_dir.clone() });
        }
        if !self.games.is_empty() {
            let mut games = self.games.clone();
            games.sort();
            games.dedup();
            return Ok(games);
        }
        let found = scan(&self.games_dir)?;
        for passed_over in found.passed_over {
            observer.event(PeerEvent::FolderPassedOver(reported(&passed_over)));
        }
        let downloaded = found.games.into_iter().filter(GameState::downloaded);
        Ok(downloaded.map(|state| state.game).collect())
    }

    fn read_before(&self) -> Result<Option<Before>, PeerError> {
        let path = self.out.join(CATALOG_FILE);
        let unusable =
            |reason: String| crate::trust::error::TrustError::Catalog { path: path.clone(), reason };
        let opened = if_present(open_of_user(&path));
        let bytes =
            opened.and_then(|file| file.map(|file| read_whole(&file, limits::CATALOG_BYTES_MAX)).transpose());
        let Some(bytes) = bytes.map_err(|error| unusable(error.to_string()))? else { return Ok(None) };
        let catalog = Catalog::of_bytes(&path, &bytes)?;
        Ok(Some(Before { digest: ContentDigest::of(&bytes), catalog }))
    }

    /// Reads the games, several at once. A game that was not begun has no result.
    fn read_games(
        &self,
        games: &[GameId],
        building: &BuildGame<'_>,
        cache: &Mutex<Cache>,
        observer: &Arc<dyn BuildObserver>,
        cancel: &CancellationToken,
    ) -> Vec<Option<Result<BuiltGame, PeerError>>> {
        let results: Vec<_> = games.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(game) = games.get(index).filter(|_| !cancel.is_cancelled()) else { return };
                let result = building.run(game, cache, observer, cancel);
                match &result {
                    Ok(built) => observer.event(built.event(game)),
                    Err(PeerError::Cancelled) => {}
                    Err(error) => observer.failed(game, error),
                }
                *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        let threads = self.jobs.clamp(1, games.len().max(1));
        std::thread::scope(|scope| {
            for number in 1..threads {
                let named = std::thread::Builder::new().name(format!("catalog-build-{number}"));
                if let Err(error) = named.spawn_scoped(scope, work) {
                    tracing::warn!("the catalog is built with {number} threads: {error}");
                    break;
                }
            }
            work();
        });
        let taken =
            results.into_iter().map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
        taken.collect()
    }

    /// Writes the catalog if it says something new, then the cache.
    fn write(
        &self,
        before: Option<&Before>,
        built: &BTreeMap<GameId, BuiltGame>,
        failed: Vec<(GameId, PeerError)>,
        cache: &mut Cache,
    ) -> Result<CatalogBuilt, PeerError> {
        let catalog = self.out.join(CATALOG_FILE);
        if before.is_none() && built.is_empty() && !failed.is_empty() {
            // A catalog without games would take all of them from everyone who uses it.
            return Ok(CatalogBuilt {
                catalog,
                version: 0,
                games: 0,
                written: false,
                removed: Vec::new(),
                failed,
            });
        }
        let entries = built.iter().map(|(game, built)| (game.clone(), built.entry.clone())).collect();
        let failed_games: Vec<&GameId> = failed.iter().map(|(game, _)| game).collect();
        let known = before.map(|before| before.catalog.content());
        // A catalog that a user edited is another one, even if nothing else has changed.
        let is_edited = before.is_some_and(|before| !cache.wrote(&before.digest));
        let merged = merge(
            known,
            entries,
            &failed_games,
            self.games.is_empty(),
            self.name.as_ref(),
            &self.sources,
            is_edited,
        );
        let Merged { content, version, removed, is_new } =
            merged.map_err(|reason| not_written(&catalog, reason))?;
        let games = content.games.len() as u64;
        if is_new {
            let text = checked_text(&catalog, &content)?;
            cache.will_write(ContentDigest::of(text.as_bytes()));
            draft_file::replace(&catalog, text.as_bytes(), 0o644)?;
        }
        cache.save(&self.out)?;
        Ok(CatalogBuilt { catalog, version, games, written: is_new, removed, failed })
    }
}

/// The catalog that is there already.
struct Before {
    digest: ContentDigest,
    catalog: Catalog,
}

fn not_written(catalog: &Path, reason: String) -> PeerError {
    crate::trust::error::TrustError::Catalog { path: catalog.to_owned(), reason }.into()
}

/// The text of a catalog, if it can be read back.
fn checked_text(catalog: &Path, content: &CatalogContent) -> Result<String, PeerError> {
    let text = content.to_toml();
    if text.len() as u64 > limits::CATALOG_BYTES_MAX {
        let reason =
            format!("it would have {} bytes, the limit is {}", text.len(), limits::CATALOG_BYTES_MAX);
        return Err(not_written(catalog, reason));
    }
    match lanspread_trust::catalog::parse(&text) {
        Ok(read) if read == *content => Ok(text),
        Ok(_) => Err(PeerError::Internal("a catalog reads as another one than was written".to_owned())),
        Err(reason) => Err(not_written(catalog, reason)),
    }
}

/// Locks a folder that no other build has locked. A program that is being started holds the descriptors of its parent, and
/// with them the lock of a build that has ended, until it runs.
fn lock_alone(folder: &impl AsFd) -> Result<(), Errno> {
    let begun = Instant::now();
    loop {
        match rustix::fs::flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if begun.elapsed() < limits::LOCK_PATIENCE => {
                thread::sleep(limits::LOCK_RETRY_PAUSE);
            }
            locked => return locked,
        }
    }
}
