//! One game: from its files to its manifest.

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use lanspread_archive::list::dictionary_bytes;
use lanspread_archive::provider::ArchiveProvider;
use lanspread_store::StoreError;
use lanspread_store::packing::{ListedGame, PackedFiles, changed, of_archive};
use lanspread_store::state::file_stamps::{FileStamps, now_seconds};
use lanspread_store::state::game_state::GameState;
use lanspread_trust::catalog::{CatalogContent, CatalogGame, ManifestReference, disagreement};
use lanspread_trust::draft_file::DraftFile;
use lanspread_trust::manifest::{Manifest, ManifestFile, encode, file_name};
use lanspread_types::checksum::{ContentDigest, ContentHasher};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion};
use tokio_util::sync::CancellationToken;

use crate::catalog_build::cache::Cache;
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
        let opened = if let Some(known) = known {
            known
        } else {
            let (manifest, packed) = self.read(&state, &version, &stamps, observer, cancel)?;
            store(&manifest, &packed, |digest| self.manifests.join(file_name(digest)))?
        };
        if !is_known {
            lock(cache).remember(game, stamps, opened.digest(), now_seconds());
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

    /// Reads a game twice: its root files, and what its archives install.
    pub(super) fn read(
        &self,
        state: &GameState,
        version: &GameVersion,
        stamps: &FileStamps,
        observer: &Arc<dyn BuildObserver>,
        cancel: &CancellationToken,
    ) -> Result<(Manifest, PackedFiles), PeerError> {
        // What a receiver would refuse is refused before anything is read.
        let listed = ListedGame::read(state, self.provider, cancel)?;
        let Some(_memory) = self.memory.take(dictionary_bytes(&listed.archives), cancel) else {
            return Err(PeerError::Cancelled);
        };
        let bytes_total = state.root_bytes().saturating_add(listed.totals.bytes);
        let progress = Progress::new(&state.game, bytes_total, observer);
        let packed = PackedFiles::read(state, &listed, stamps, &mut |bytes| progress.add(bytes), cancel)?;
        let sink = Rc::new(RefCell::new(DigestSink::new(progress)));
        for archive in listed.archives {
            let extracted = archive.extract(self.provider, sink.clone(), cancel);
            extracted.map_err(|error| of_archive(&state.game, error, cancel))?;
        }
        let entries = sink.borrow().entries();
        let entries =
            entries.ok_or_else(|| PeerError::Internal("the sums of a listing overflow".to_owned()))?;
        if FileStamps::read(&state.root, &state.root_files)? != *stamps {
            return Err(changed(state).into());
        }
        let (game, version) = (state.game.clone(), version.clone());
        let (root_files, archives) = (state.root_files.clone(), packed.archives());
        Ok((Manifest { game, version, root_files, archives, entries }, packed))
    }
}

/// Writes the manifest, and reads it back as every other program will.
pub(super) fn store(
    manifest: &Manifest,
    blocks: &PackedFiles,
    place: impl FnOnce(&ContentDigest) -> PathBuf,
) -> Result<ManifestFile, PeerError> {
    let mut hasher = DigestWriter::default();
    let written = encode(manifest, blocks, &mut hasher);
    let DigestWriter { digest, bytes } = hasher;
    let digest = digest.finish();
    let path = place(&digest);
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
