//! Makes packing lists, on a blocking thread.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lanspread_store::StoreError;
use lanspread_store::packing::packing_list;
use lanspread_store::state::file_stamps::FileStamps;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::packing_lists;
use lanspread_store::state::packing_lists::MadeOf;
use lanspread_trust::manifest::{ManifestFile, encode};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::report::event::PeerEvent;
use crate::report::packing_list::MadePackingList;
use crate::source::Source;
use crate::source::packing_lists::{KeptList, Known};

/// Why there is no list now.
enum NoList {
    /// The peer ends, or there is a list already. If the files cannot be read, the next request has them tried again.
    NotNow,
    /// So many bytes of files are too young: one more change would not show yet.
    Young(u64, FileStamps),
    /// The game is not downloaded.
    Gone,
    /// Of exactly these files there is none.
    Never(MadeOf, String),
}

/// How the time of one list is spent.
struct Pace {
    chunk_begun: Instant,
    /// Reading, without pauses and what interrupted it.
    pure: Duration,
    read: u64,
}

/// Makes all lists that can be made now, and removes those whose game is gone.
pub(super) fn all_that_is_due(source: &Source, cancel: &CancellationToken) {
    let withdrawn = std::mem::take(&mut source.packing_lists.lock().withdrawn);
    if let Ok(games) = GamesDir::open(&source.games_dir) {
        let offered = source.library.current();
        let kept = packing_lists::kept(&games).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            Vec::new()
        });
        let kept = kept.into_iter().filter(|game| !offered.offers.contains_key(game));
        for game in withdrawn.into_iter().chain(kept) {
            forget_if_gone(source, &games, &game);
        }
    }
    while !cancel.is_cancelled() && make_next(source, cancel) {}
}

/// A game that an operation keeps from being offered for a while is still there.
fn forget_if_gone(source: &Source, games: &GamesDir, game: &GameId) {
    let state = GameState::read(&source.games_dir, game);
    if state.is_ok_and(|state| state.is_none_or(|state| !state.downloaded())) {
        let mut lists = source.packing_lists.lock();
        lists.known.remove(game);
        lists.young.remove(game);
        drop(lists);
        packing_lists::forget(games, game);
    }
}

/// Makes the next list; `false` if no game can be taken now.
fn make_next(source: &Source, cancel: &CancellationToken) -> bool {
    let Some(game) = source.packing_lists.lock().queue.take(Instant::now()) else { return false };
    let mut pace = Pace { chunk_begun: Instant::now(), pure: Duration::ZERO, read: 0 };
    let made = make(source, &game, &mut pace, cancel);
    let mut lists = source.packing_lists.lock();
    let is_asked = lists.queue.is_asked();
    lists.queue.done(pace.pure);
    match made {
        Ok(known) => _ = lists.known.insert(game.clone(), known),
        Err(NoList::NotNow) => {}
        Err(NoList::Young(bytes, files)) => {
            let readable_from = lists.readable_from(&game, &files);
            lists.queue.add(&game, bytes, readable_from);
            if is_asked {
                lists.queue.ask(&game);
            }
            lists.young.insert(game, files);
            return true;
        }
        Err(NoList::Gone) => _ = lists.known.remove(&game),
        Err(NoList::Never(made_of, reason)) => {
            tracing::info!("{game} has no packing list: {reason}");
            lists.known.insert(game.clone(), Known { made_of, list: None });
        }
    }
    lists.young.remove(&game);
    true
}

/// Finds or makes the list of a game.
fn make(
    source: &Source,
    game: &GameId,
    pace: &mut Pace,
    cancel: &CancellationToken,
) -> Result<Known, NoList> {
    let begun = Instant::now();
    let unreadable = |error: LocalError| {
        tracing::warn!("the packing list of {game} is not made now: {error}");
        NoList::NotNow
    };
    let state = GameState::read(&source.games_dir, game).map_err(unreadable)?.ok_or(NoList::Gone)?;
    let version = state.version.clone().ok_or(NoList::Gone)?;
    let files = FileStamps::read(&state.root, &state.root_files).map_err(unreadable)?;
    let named = source.named_manifest(game, &version);
    if source.packing_lists.lock().known(game, &files, named).is_some_and(|known| known.list.is_some()) {
        return Err(NoList::NotNow);
    }
    let games = GamesDir::open(&source.games_dir).map_err(unreadable)?;
    let read = MadeOf { files, manifest: None };
    let derived = named.map(|manifest| MadeOf { manifest: Some(manifest), ..read.clone() });
    for made_of in derived.iter().chain([&read]) {
        match packing_lists::find(&games, game, made_of) {
            Ok(Some(list)) => {
                let list = Some(KeptList { digest: list.digest(), in_memory: None });
                return Ok(Known { made_of: made_of.clone(), list });
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("the packing list of {game} is made again: {error}"),
        }
    }
    if source.packing_lists.lock().readable_from(game, &read.files) > Instant::now() {
        return Err(NoList::Young(state.root_bytes(), read.files));
    }
    let manifest = trusted_manifest(source, &state, &version);
    let derive = manifest.map(|manifest| (manifest.digest(), list_of(&manifest)));
    let (made_of, content) = match derive {
        Some((digest, Ok(Some(content)))) => (MadeOf { manifest: Some(digest), ..read }, content),
        Some((_, Err(error))) => return Err(unreadable(LocalError::io("read", &state.root)(error))),
        Some((_, Ok(None))) | None => {
            let content = read_list(source, &state, &read.files, pace, cancel);
            let content = content.map_err(|error| not_made(read.clone(), error))?;
            (read, content)
        }
    };
    let digest = ContentDigest::of(&content);
    // What no receiver would accept is not handed on, such as names that not every system can hold.
    if let Err(problem) = ManifestFile::check(&content[..], content.len() as u64, Some(&digest)) {
        return Err(NoList::Never(made_of, problem.to_string()));
    }
    let kept = keep(source, &games, game, &made_of, digest, content)?;
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    source.events.report(PeerEvent::PackingListMade(MadePackingList {
        game: game.clone(),
        version,
        manifest: digest,
        read_bytes: pace.read,
        duration_ms,
    }));
    Ok(Known { made_of, list: Some(kept) })
}

/// Derives the list of a manifest. `None` if it has none, or a larger one than receivers take.
fn list_of(manifest: &ManifestFile) -> io::Result<Option<Vec<u8>>> {
    let mut content = Bounded::default();
    match manifest.write_packing_list(&mut content) {
        Ok(true) => Ok(Some(content.bytes)),
        Ok(false) => Ok(None),
        Err(_) if content.is_full => Ok(None),
        Err(error) => Err(error),
    }
}

/// The manifest that the catalog names, if it is here and lists exactly these files.
fn trusted_manifest(source: &Source, state: &GameState, version: &GameVersion) -> Option<ManifestFile> {
    let catalog = source.catalog.as_ref()?.current().ok()?;
    let known = catalog.game(&state.game).filter(|known| known.version == *version)?;
    let named = source.manifests.as_ref()?.named(&catalog, &state.game, known);
    let opened = named.unwrap_or_else(|error| {
        tracing::warn!("the packing list of {} is not derived: {error}", state.game);
        None
    });
    // Both are sorted by name.
    opened.filter(|opened| opened.manifest().root_files == state.root_files)
}

/// Reads the files of a game for its list. A game that a peer waits for interrupts one for which none does.
fn read_list(
    source: &Source,
    state: &GameState,
    files: &FileStamps,
    pace: &mut Pace,
    cancel: &CancellationToken,
) -> Result<Vec<u8>, StoreError> {
    let mut progress = |bytes| {
        let took = pace.chunk_begun.elapsed();
        pace.pure += took;
        pace.read += bytes;
        let is_asked = {
            let mut lists = source.packing_lists.lock();
            lists.queue.read(bytes);
            lists.queue.is_asked()
        };
        if !is_asked {
            while !cancel.is_cancelled() && make_next(source, cancel) {}
            if source.active_transfers() > 0 && !cancel.is_cancelled() {
                // Low priority beside transfers: the disk and the processor are theirs for the rest of the time.
                let rest = took.saturating_mul(limits::PACKING_SHARE_BESIDE_TRANSFERS - 1);
                std::thread::sleep(rest.min(limits::PACKING_PAUSE_MAX));
            }
        }
        pace.chunk_begun = Instant::now();
    };
    let (list, packed) = packing_list(state, files, &mut progress, cancel)?;
    let mut content = Bounded::default();
    match encode(&list, &packed, &mut content) {
        Ok(()) => Ok(content.bytes),
        Err(error) => Err(LocalError::io("list", &state.root)(error).into()),
    }
}

fn not_made(made_of: MadeOf, error: StoreError) -> NoList {
    match error {
        StoreError::Cancelled => NoList::NotNow,
        StoreError::NotDownloaded { .. } => NoList::Gone,
        error => NoList::Never(made_of, error.to_string()),
    }
}

/// On the disk, or else in memory if there is room.
fn keep(
    source: &Source,
    games: &GamesDir,
    game: &GameId,
    made_of: &MadeOf,
    digest: ContentDigest,
    content: Vec<u8>,
) -> Result<KeptList, NoList> {
    let Err(error) = packing_lists::keep(games, game, made_of, digest, &content) else {
        return Ok(KeptList { digest, in_memory: None });
    };
    let mut lists = source.packing_lists.lock();
    if !std::mem::replace(&mut lists.complained, true) {
        tracing::warn!("packing lists are held in memory only, and large ones are not: {error}");
    }
    let in_memory = lists.bytes_in_memory().saturating_add(content.len() as u64);
    if in_memory > limits::PACKING_LISTS_IN_MEMORY_BYTES_MAX {
        return Err(NoList::Never(made_of.clone(), format!("there is no room for it in memory: {error}")));
    }
    Ok(KeptList { digest, in_memory: Some(Arc::from(content)) })
}

/// A list in memory, of no more bytes than a receiver takes.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > limits::PACKING_LIST_BYTES_MAX {
            self.is_full = true;
            let limit = limits::PACKING_LIST_BYTES_MAX;
            return Err(io::Error::other(format!("a packing list has at most {limit} bytes")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
