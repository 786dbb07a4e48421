//! One game: from its files to its manifest.

use std::cell::RefCell;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use lanspread_archive::header_map::HeaderMap;
use lanspread_archive::list::{ListedArchive, dictionary_bytes, list, listings};
use lanspread_archive::provider::ArchiveProvider;
use lanspread_archive::set::ArchiveSet;
use lanspread_archive::{ArchiveError, SinkError, names};
use lanspread_store::StoreError;
use lanspread_store::state::game_state::GameState;
use lanspread_trust::catalog::{CatalogContent, CatalogGame, ManifestReference, disagreement};
use lanspread_trust::draft_file::DraftFile;
use lanspread_trust::manifest::{
    Blocks, Manifest, ManifestArchive, ManifestFile, chunk_bytes, encode, file_name,
};
use lanspread_types::checksum::{ContentDigest, ContentHasher};
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use lanspread_types::regular_file::open_of_user;
use tokio_util::sync::CancellationToken;

use crate::catalog_build::cache::{Cache, FileStamps};
use crate::catalog_build::digests::DigestSink;
use crate::catalog_build::observer::BuildObserver;
use crate::catalog_build::progress::Progress;
use crate::catalog_build::shared_memory::SharedMemory;
use crate::peer::error::PeerError;
use crate::report::built_manifest::BuiltManifest;
use crate::report::event::PeerEvent;

/// What reading each game takes.
pub(super) struct BuildGame<'b> {
    pub(super) games_dir: &'b Path,
    pub(super) manifests: &'b Path,
    pub(super) provider: &'b dyn ArchiveProvider,
    pub(super) memory: SharedMemory,
    /// The catalog that is there: titles are kept.
    pub(super) before: Option<&'b CatalogContent>,
}

/// A game that has a manifest.
#[derive(Debug)]
pub(super) struct BuiltGame {
    pub(super) entry: CatalogGame,
    /// Whether it was read, or known from the cache.
    read: bool,
    change: &'static str,
    files: u64,
    duration_ms: u64,
}

impl BuiltGame {
    pub(super) fn event(&self, game: &GameId) -> PeerEvent {
        let manifest = self.entry.manifest;
        PeerEvent::CatalogGameBuilt(BuiltManifest {
            game: game.clone(),
            version: self.entry.version.clone(),
            change: self.change.into(),
            read: self.read,
            manifest: manifest.map_or(ContentDigest([0; 32]), |manifest| manifest.digest),
            manifest_bytes: manifest.map_or(0, |manifest| manifest.bytes),
            bytes: self.entry.bytes.unwrap_or(0),
            unpacked_bytes: self.entry.unpacked_bytes.unwrap_or(0),
            files: self.files,
            duration_ms: self.duration_ms,
        })
    }
}

impl BuildGame<'_> {
    /// Reads a game, unless it is known.
    pub(super) fn run(
        &self,
        game: &GameId,
        cache: &Mutex<Cache>,
        observer: &Arc<dyn BuildObserver>,
        cancel: &CancellationToken,
    ) -> Result<BuiltGame, PeerError> {
        let begun = Instant::now();
        let state = GameState::read(self.games_dir, game)?;
        let state = state.filter(|state| state.root_files.len() > 1);
        let Some((version, state)) = state.and_then(|state| Some((state.version.clone()?, state))) else {
            let path = self.games_dir.join(game.as_str());
            return Err(StoreError::NotDownloaded { game: game.clone(), path }.into());
        };
        let stamps = FileStamps::read(&state.root, &state.root_files)?;
        let known = lock(cache).manifest_of(game, &stamps);
        let known = known.and_then(|digest| self.open_known(game, &version, &digest));
        let is_known = known.is_some();
        let opened = match known {
            Some(known) => known,
            None => self.read(&state, &version, &stamps, observer, cancel)?,
        };
        if !is_known {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
            lock(cache).remember(game, stamps, opened.digest(), now);
        }
        let before = self.before.and_then(|before| before.games.get(game));
        let manifest = opened.manifest();
        let totals = manifest.entries.totals();
        let entry = CatalogGame {
            name: before.map_or_else(|| game.to_string(), |before| before.name.clone()),
            version,
            manifest: Some(ManifestReference { digest: opened.digest(), bytes: opened.bytes() }),
            bytes: Some(manifest.root_bytes()),
            unpacked_bytes: Some(totals.bytes),
        };
        let change = match before {
            None => "added",
            Some(before) if *before == entry => "unchanged",
            Some(_) => "changed",
        };
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(BuiltGame { entry, read: !is_known, change, files: totals.files, duration_ms })
    }

    /// The manifest that the cache names, if it is there and still says what it should.
    fn open_known(
        &self,
        game: &GameId,
        version: &GameVersion,
        digest: &ContentDigest,
    ) -> Option<ManifestFile> {
        let opened = match ManifestFile::open(&self.manifests.join(file_name(digest)), digest, None) {
            Ok(opened) => opened,
            Err(error) if error.is_absent() => return None,
            Err(error) => {
                tracing::warn!("{game} is read again: {error}");
                return None;
            }
        };
        let (name, version) = (String::new(), version.clone());
        let expected = CatalogGame { name, version, manifest: None, bytes: None, unpacked_bytes: None };
        disagreement(game, &expected, opened.manifest()).is_none().then_some(opened)
    }

    fn read(
        &self,
        state: &GameState,
        version: &GameVersion,
        stamps: &FileStamps,
        observer: &Arc<dyn BuildObserver>,
        cancel: &CancellationToken,
    ) -> Result<ManifestFile, PeerError> {
        let game = &state.game;
        let failed = |error| of_archive(game, error, cancel);
        let sets = state.archives().map_err(|gap| {
            let archive = gap.found.first().unwrap_or(&gap.set).clone();
            failed(ArchiveError::VolumeMissing { archive, reason: gap.to_string() })
        })?;
        let (listed, totals) = list(self.provider, &sets, cancel).map_err(failed)?;
        if totals.files == 0 {
            return Err(StoreError::NoFiles { game: game.clone(), path: state.root.clone() }.into());
        }
        // What a receiver would refuse is refused before anything is read.
        names::check(&listings(&listed), NamePolicy::Portable).map_err(failed)?;
        let Some(_memory) = self.memory.take(dictionary_bytes(&listed), cancel) else {
            return Err(PeerError::Cancelled);
        };
        let bytes_total = state.root_bytes().saturating_add(totals.bytes);
        let progress = Progress::new(game, bytes_total, observer);
        let chunks = Chunks::read(state, stamps, &progress, cancel)?;
        let headers = header_maps(&sets, cancel).map_err(failed)?;
        let archives = archives_of(state, &sets, &listed, &headers)?;
        let sink = Rc::new(RefCell::new(DigestSink::new(progress)));
        for archive in listed {
            archive.extract(self.provider, sink.clone(), cancel).map_err(failed)?;
        }
        let entries = sink.borrow().entries();
        let entries =
            entries.ok_or_else(|| PeerError::Internal("the sums of a listing overflow".to_owned()))?;
        if FileStamps::read(&state.root, &state.root_files)? != *stamps {
            return Err(changed(state));
        }
        let (game, version) = (game.clone(), version.clone());
        let root_files = state.root_files.clone();
        let manifest = Manifest { game, version, root_files, archives, entries };
        self.store(&manifest, &BlocksOfGame { chunks, headers })
    }

    /// Writes the manifest, and reads it back as every other program will.
    fn store(&self, manifest: &Manifest, blocks: &BlocksOfGame) -> Result<ManifestFile, PeerError> {
        let mut hasher = DigestWriter::default();
        let written = encode(manifest, blocks, &mut hasher);
        let DigestWriter { digest, bytes } = hasher;
        let digest = digest.finish();
        let path = self.manifests.join(file_name(&digest));
        let failed = |error| LocalError::io("write", &path)(error);
        written.map_err(failed)?;
        let mut draft = DraftFile::create(&path, 0o644)?;
        let mut writer = BufWriter::new(draft.file());
        encode(manifest, blocks, &mut writer).and_then(|()| writer.flush()).map_err(failed)?;
        drop(writer);
        let copy = draft.file().try_clone().map_err(failed)?;
        let checked = ManifestFile::check(copy, bytes, Some(&digest));
        let checked = checked.map_err(|problem| {
            PeerError::Internal(format!("the manifest of {} cannot be read back: {problem}", manifest.game))
        })?;
        draft.finish()?;
        Ok(checked)
    }
}

/// The digests of all chunks of a game.
struct Chunks(Vec<ContentDigest>);

impl Chunks {
    /// Reads all root files, from the first byte to the last.
    fn read(
        state: &GameState,
        stamps: &FileStamps,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Self, PeerError> {
        let chunk = chunk_bytes(state.root_bytes());
        if state.root_bytes() / u64::from(chunk) * 32 > limits::MANIFEST_BYTES_MAX {
            let (got, limit) = (state.root_bytes(), limits::MANIFEST_BYTES_MAX / 32 * u64::from(chunk));
            let (archive, what) = (state.game.to_string(), "bytes of root files, for one manifest");
            let source = ArchiveError::Limit { archive, what, limit, got };
            return Err(StoreError::Archive { game: state.game.clone(), source }.into());
        }
        let mut buffer = vec![0; usize::try_from(chunk).unwrap_or(usize::MAX)];
        let mut digests = Vec::new();
        for file in &state.root_files {
            let path = state.root.join(&file.name);
            let failed = |error| LocalError::io("read", &path)(error);
            let mut opened = open_of_user(&path).map_err(|error| failed(error.into()))?;
            if !stamps.is_of(&file.name, &opened) {
                return Err(changed(state));
            }
            let mut left = file.size;
            while left > 0 {
                if cancel.is_cancelled() {
                    return Err(PeerError::Cancelled);
                }
                let take = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                match opened.read_exact(&mut buffer[..take]) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed(state)),
                    read => read.map_err(failed)?,
                }
                digests.push(ContentDigest::of(&buffer[..take]));
                left -= take as u64;
                progress.add(take as u64);
            }
        }
        Ok(Self(digests))
    }
}

/// What a manifest has besides what is in memory once it was read.
struct BlocksOfGame {
    chunks: Chunks,
    headers: Vec<HeaderMap>,
}

impl Blocks for BlocksOfGame {
    fn write_chunks(&self, out: &mut dyn Write) -> io::Result<()> {
        self.chunks.0.iter().try_for_each(|digest| out.write_all(&digest.0))
    }

    fn write_headers(&self, archive: usize, out: &mut dyn Write) -> io::Result<()> {
        self.headers.get(archive).map_or(Ok(()), |headers| out.write_all(headers.bytes()))
    }
}

/// The headers of all archives of a game, of no more bytes than one manifest carries.
fn header_maps(sets: &[ArchiveSet], cancel: &CancellationToken) -> Result<Vec<HeaderMap>, ArchiveError> {
    let mut left = limits::MANIFEST_HEADER_BYTES_MAX;
    let maps = sets.iter().map(|set| {
        let map = HeaderMap::read(set, left, cancel)?;
        left -= map.bytes().len() as u64;
        Ok(map)
    });
    maps.collect()
}

/// The archives of a game as the manifest has them.
fn archives_of(
    state: &GameState,
    sets: &[ArchiveSet],
    listed: &[ListedArchive],
    headers: &[HeaderMap],
) -> Result<Vec<ManifestArchive>, PeerError> {
    let place = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        state.root_files.iter().position(|file| Some(file.name.as_str()) == name)
    };
    let archives = sets.iter().zip(listed).zip(headers).map(|((set, listed), headers)| {
        let files: Option<Vec<usize>> = set.paths().map(|path| place(&path)).collect();
        let listing = listed.listing();
        Some(ManifestArchive {
            files: files?,
            format: listing.summary.format,
            solid: listing.summary.solid,
            dictionary_bytes: listing.dictionary_bytes,
            headers: headers.ranges().to_vec(),
        })
    });
    let archives: Option<Vec<ManifestArchive>> = archives.collect();
    archives.ok_or_else(|| PeerError::Internal("an archive is no root file of its game".to_owned()))
}

/// Tells faults of the archive from those of this machine's disk and from a cancellation.
fn of_archive(game: &GameId, error: ArchiveError, cancel: &CancellationToken) -> PeerError {
    match error {
        _ if cancel.is_cancelled() => PeerError::Cancelled,
        ArchiveError::Cancelled => PeerError::Cancelled,
        ArchiveError::Sink(SinkError::Local(error)) => error.into(),
        source => StoreError::Archive { game: game.clone(), source }.into(),
    }
}

fn changed(state: &GameState) -> PeerError {
    let path = state.root.clone();
    let error = io::Error::new(io::ErrorKind::InvalidData, "its files changed while they were read");
    LocalError::io("read", path)(error).into()
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The digest and the length of what is written.
#[derive(Default)]
struct DigestWriter {
    digest: ContentHasher,
    bytes: u64,
}

impl Write for DigestWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
