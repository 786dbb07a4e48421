//! Keeps the index up to date: it reads again what the file system reports as changed, and from time to time
//! everything.
//!
//! A reported change only says where to look. The watcher covers the games directory, each game root, our intents and
//! the folder of the catalog, but nothing below them, so an installed tree of a hundred thousand files costs nothing.
//! Without a watcher (the system has too few watches, or none on this file system), the slow scan alone finds every
//! change.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use lanspread_store::state::intent::game_of_mark;
use lanspread_store::state::passed_over::{PassedOver, PassedOverReason};
use lanspread_types::content::GameOffer;
use lanspread_types::fault::LocalError;
use lanspread_types::layout::is_archive_name;
use lanspread_types::{layout, limits};
use notify::{Config, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::source::Source;

/// What has to be read again because of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Touched {
    Nothing,
    /// A folder of the games directory by its name: a game, or one that may only look like a game.
    Folder(String),
    Everything,
}

/// Which folders a change at `path` is about. Pure.
fn touched(games_dir: &Path, catalogs: &[PathBuf], path: &Path) -> Touched {
    if catalogs.iter().any(|catalog| catalog == path) {
        return Touched::Everything;
    }
    let Ok(below) = path.strip_prefix(games_dir) else { return Touched::Nothing };
    let names: Vec<Option<&str>> = below.iter().map(OsStr::to_str).collect();
    match names[..] {
        []
        | [Some(layout::STATE_DIR)]
        | [Some(layout::STATE_DIR), Some(layout::INTENTS_DIR | layout::RECEIPTS_DIR)] => Touched::Everything,
        // A receipt decides whether installed files are offered. A draft is none.
        [Some(layout::STATE_DIR), Some(layout::RECEIPTS_DIR), Some(file)] => {
            folder(file.strip_suffix(".jsonl"))
        }
        [Some(layout::STATE_DIR), Some(layout::INTENTS_DIR), Some(file)] => {
            folder(file.strip_suffix(".json"))
        }
        [Some(name)] => match game_of_mark(name) {
            Some(game) => Touched::Folder(game.to_string()),
            None => folder(Some(name)),
        },
        [name, Some(file)] if file.eq_ignore_ascii_case(layout::SENTINEL_FILE) || is_archive_name(file) => {
            folder(name)
        }
        _ => Touched::Nothing,
    }
}

fn folder(name: Option<&str>) -> Touched {
    name.map_or(Touched::Nothing, |name| Touched::Folder(name.to_owned()))
}

/// What has to be read again.
#[derive(Debug, Default)]
struct Pending {
    everything: bool,
    folders: BTreeSet<String>,
}

/// What the watcher's thread has seen; never more than [`limits::GAMES_MAX`] names.
#[derive(Debug, Default)]
struct Seen {
    pending: Mutex<Pending>,
    woken: Notify,
}

impl Seen {
    fn add(&self, touched: Touched) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match touched {
            Touched::Nothing => return,
            Touched::Everything => pending.everything = true,
            Touched::Folder(_) if pending.folders.len() >= limits::GAMES_MAX => pending.everything = true,
            Touched::Folder(name) => {
                pending.folders.insert(name);
            }
        }
        drop(pending);
        self.woken.notify_one();
    }

    fn take(&self) -> Pending {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for a change, and then until changes pause, but no longer than [`limits::LIBRARY_RESTLESS_INTERVAL`].
    async fn settled(&self) {
        self.woken.notified().await;
        let restless = sleep(limits::LIBRARY_RESTLESS_INTERVAL);
        let quiet = async { while timeout(limits::LIBRARY_QUIET, self.woken.notified()).await.is_ok() {} };
        tokio::select! {
            () = restless => {}
            () = quiet => {}
        }
    }
}

/// The watches that the system granted.
struct Watches {
    watcher: Option<RecommendedWatcher>,
    games_dir: PathBuf,
    /// Watched because they decide what is offered.
    catalogs: Vec<PathBuf>,
    complained: bool,
}

impl Watches {
    /// Begins to watch for a games directory. The receiver of the result reports only the end of the watcher's thread.
    fn begin(games_dir: &Path, catalogs: &[PathBuf], seen: Arc<Seen>) -> (Self, oneshot::Receiver<()>) {
        // Events carry absolute paths.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let games_dir = absolute(games_dir);
        let catalogs: Vec<PathBuf> = catalogs.iter().map(|catalog| absolute(catalog)).collect();
        let (alive, ended) = oneshot::channel::<()>();
        let (watched_dir, watched_catalogs) = (games_dir.clone(), catalogs.clone());
        let handler = move |event: notify::Result<notify::Event>| {
            let _alive = &alive;
            match event {
                // Reading is not a change, and this peer itself reads.
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
                Ok(event) if event.need_rescan() => seen.add(Touched::Everything),
                Ok(event) => {
                    for path in &event.paths {
                        seen.add(touched(&watched_dir, &watched_catalogs, path));
                    }
                }
                Err(error) => {
                    tracing::debug!("the watcher of the games directory reports: {error}");
                    seen.add(Touched::Everything);
                }
            }
        };
        let mut begun = Self { watcher: None, games_dir, catalogs, complained: false };
        match RecommendedWatcher::new(handler, Config::default()) {
            Ok(watcher) => begun.watcher = Some(watcher),
            Err(error) => begun.complain(&error),
        }
        (begun, ended)
    }

    /// Watches every folder that matters, including new ones. Watching a folder again changes nothing.
    fn cover_everything(&mut self) -> Result<(), LocalError> {
        if self.watcher.is_none() {
            return Ok(());
        }
        let games_dir = self.games_dir.clone();
        let state_dir = games_dir.join(layout::STATE_DIR);
        let below = [layout::INTENTS_DIR, layout::RECEIPTS_DIR].map(|folder| state_dir.join(folder));
        for folder in [&games_dir, &state_dir].into_iter().chain(&below) {
            self.cover(folder);
        }
        // The folders of the catalogs, because editors replace the file.
        let folders: BTreeSet<PathBuf> =
            self.catalogs.iter().filter_map(|catalog| catalog.parent()).map(Path::to_owned).collect();
        for folder in folders {
            self.cover(&folder);
        }
        // Also folders whose names are not game ids: what is copied into one must be reported.
        let folders = std::fs::read_dir(&games_dir).map_err(LocalError::io("read", &games_dir))?;
        for folder in folders.flatten().take(limits::GAMES_MAX) {
            self.cover(&folder.path());
        }
        Ok(())
    }

    fn cover(&mut self, folder: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        if !folder.is_dir() {
            return;
        }
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {}
            // The folder has just been removed. Its parent reports when it is back.
            Err(_) if !folder.is_dir() => {}
            Err(error) => self.complain(&error),
        }
    }

    /// Warns once: the same reason holds for every other folder.
    fn complain(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(
                "changes in {} are noticed only every {} s: {error}",
                self.games_dir.display(),
                limits::LIBRARY_SCAN_INTERVAL.as_secs()
            );
        }
    }
}

/// Follows the library of a source.
pub(crate) struct LibraryWatcher {
    source: Arc<Source>,
    seen: Arc<Seen>,
    watches: Watches,
    ended: oneshot::Receiver<()>,
    /// What was read at the beginning.
    first: (Vec<GameOffer>, Vec<PassedOver>),
}

impl LibraryWatcher {
    /// Watches, then reads everything once, so that no change falls between the two. Blocking.
    pub(crate) fn begin(source: Arc<Source>) -> Result<Self, LocalError> {
        let seen = Arc::new(Seen::default());
        let catalogs = source.catalog.as_ref().map(|catalog| catalog.files()).unwrap_or_default();
        let (mut watches, ended) = Watches::begin(&source.games_dir, &catalogs, Arc::clone(&seen));
        watches.cover_everything()?;
        let first = source.scan_library()?;
        Ok(Self { source, seen, watches, ended, first })
    }

    /// Offers what was read at the beginning, and reports what is passed over.
    pub(crate) fn publish(&mut self) {
        let (offers, passed_over) = std::mem::take(&mut self.first);
        self.source.library.replace(offers);
        self.source.library.pass_over(passed_over);
    }

    /// Keeps the index up to date until `stop`. When it returns, the watcher's thread has ended.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        let Self { source, seen, mut watches, ended, .. } = self;
        let watching = watches.watcher.is_some();
        let mut next_scan = Instant::now() + limits::LIBRARY_SCAN_INTERVAL;
        loop {
            let scan = tokio::select! {
                () = stop.cancelled() => break,
                () = sleep_until(next_scan) => true,
                () = seen.settled() => false,
            };
            let mut pending = seen.take();
            pending.everything |= scan;
            if pending.everything {
                next_scan = Instant::now() + limits::LIBRARY_SCAN_INTERVAL;
            }
            let worker = Arc::clone(&source);
            let reading = source.tasks.spawn_blocking("library", move || {
                read(&worker, &mut watches, pending, scan);
                watches
            });
            match reading.await {
                Ok(read) => watches = read,
                Err(error) => {
                    tracing::error!("the library is no longer followed: {error}");
                    return;
                }
            }
        }
        drop(watches);
        if watching && timeout(limits::HELPER_STOP_DEADLINE, ended).await.is_err() {
            tracing::error!("the watcher of the games directory did not end");
        }
    }
}

/// Reads again what is pending. A slow scan also recovers what crashed operations left. Blocking.
fn read(source: &Source, watches: &mut Watches, pending: Pending, scan: bool) {
    if scan && let Err(error) = source.recover() {
        tracing::warn!("{error}");
    }
    if pending.everything {
        if let Err(error) = read_everything(source, watches) {
            tracing::warn!("the library is unchanged: {error}");
        }
        return;
    }
    let mut offers = Vec::new();
    for name in pending.folders {
        watches.cover(&watches.games_dir.join(&name));
        let (offer, passed_over) = source.scan_folder(&name);
        // While a game is copied, its archives are there before its sentinel: only a scan of everything reports that.
        let is_arriving = |passed: &PassedOver| passed.reason == PassedOverReason::NoSentinel;
        source.library.pass_over_folder(&name, passed_over.filter(|passed| !is_arriving(passed)));
        offers.extend(name.parse().ok().map(|game| (game, offer)));
    }
    source.library.replace_games(offers);
}

fn read_everything(source: &Source, watches: &mut Watches) -> Result<(), LocalError> {
    watches.cover_everything()?;
    let (offers, passed_over) = source.scan_library()?;
    source.library.replace(offers);
    source.library.pass_over(passed_over);
    Ok(())
}

#[cfg(test)]
mod tests;
