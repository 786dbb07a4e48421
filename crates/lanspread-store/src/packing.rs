//! What a manifest says about root files: the digests of their chunks, their archives and the headers of these. It is
//! read and hashed, and nothing is decoded, so a source can make a packing list of what it serves. What an installed tree
//! would be, only an organiser finds out.

use std::io::{self, Read, Write};
use std::path::Path;

use lanspread_archive::header_map::HeaderMap;
use lanspread_archive::list::{ListedArchive, list, listings};
use lanspread_archive::provider::{ArchiveProvider, ProviderChoice};
use lanspread_archive::set::ArchiveSet;
use lanspread_archive::{ArchiveError, SinkError, names, provider_with_dictionary};
use lanspread_trust::manifest::{Blocks, Manifest, ManifestArchive, ManifestEntries, chunk_bytes};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{RootFile, Totals};
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::is_archive_name;
use lanspread_types::limits;
use lanspread_types::regular_file::open_of_user;
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;
use crate::state::file_stamps::FileStamps;
use crate::state::game_state::GameState;

/// The archives of a game, listed. A receiver would not refuse them for what is in the listings.
pub struct ListedGame {
    /// Which files form which archive.
    pub sets: Vec<ArchiveSet>,
    /// What is in each of them.
    pub archives: Vec<ListedArchive>,
    /// The sums over all of them.
    pub totals: Totals,
}

impl ListedGame {
    /// Lists the archives of a downloaded game.
    ///
    /// # Errors
    /// [`StoreError::Archive`] and [`StoreError::NoFiles`] if a receiver would refuse them; [`StoreError::Cancelled`].
    pub fn read(
        state: &GameState,
        provider: &dyn ArchiveProvider,
        cancel: &CancellationToken,
    ) -> Result<Self, StoreError> {
        let failed = |error| of_archive(&state.game, error, cancel);
        let sets = state.archives().map_err(|gap| {
            let archive = gap.found.first().unwrap_or(&gap.set).clone();
            failed(ArchiveError::VolumeMissing { archive, reason: gap.to_string() })
        })?;
        let (archives, totals) = list(provider, &sets, cancel).map_err(failed)?;
        if totals.files == 0 {
            return Err(StoreError::NoFiles { game: state.game.clone(), path: state.root.clone() });
        }
        names::check(&listings(&archives), NamePolicy::Portable).map_err(failed)?;
        Ok(Self { sets, archives, totals })
    }
}

/// What was read of the root files of a game.
pub struct PackedFiles {
    archives: Vec<ManifestArchive>,
    chunks: Vec<ContentDigest>,
    headers: Vec<HeaderMap>,
}

impl PackedFiles {
    /// Reads all root files, from the first byte to the last, and calls `progress` with the bytes of each chunk. They must
    /// be those of the stamps; whether they still are afterwards, the caller looks when it has read all that it wants.
    ///
    /// # Errors
    /// [`StoreError::Local`], also if a file is another one now; [`StoreError::Archive`] if there is more than a manifest
    /// carries; [`StoreError::Cancelled`].
    pub fn read(
        state: &GameState,
        listed: &ListedGame,
        stamps: &FileStamps,
        progress: &mut dyn FnMut(u64),
        cancel: &CancellationToken,
    ) -> Result<Self, StoreError> {
        let chunks = read_chunks(state, stamps, progress, cancel)?;
        let failed = |error| of_archive(&state.game, error, cancel);
        let headers = header_maps(&listed.sets, cancel).map_err(failed)?;
        let archives = archives_of(&state.root_files, listed, &headers);
        let archives = archives
            .ok_or_else(|| StoreError::Internal("an archive is no root file of its game".to_owned()))?;
        Ok(Self { archives, chunks, headers })
    }

    /// The archives, as a manifest has them.
    pub fn archives(&self) -> Vec<ManifestArchive> {
        self.archives.clone()
    }
}

impl Blocks for PackedFiles {
    fn write_chunks(&self, out: &mut dyn Write) -> io::Result<()> {
        self.chunks.iter().try_for_each(|digest| out.write_all(&digest.0))
    }

    fn write_headers(&self, archive: usize, out: &mut dyn Write) -> io::Result<()> {
        self.headers.get(archive).map_or(Ok(()), |headers| out.write_all(headers.bytes()))
    }
}

/// Makes the packing list of a downloaded game. It depends on the root files alone: the decoder of this program lists the
/// archives, whichever one this machine decodes with.
///
/// # Errors
/// As [`ListedGame::read`] and [`PackedFiles::read`]; [`StoreError::Local`] if the files have changed meanwhile.
pub fn packing_list(
    state: &GameState,
    stamps: &FileStamps,
    progress: &mut dyn FnMut(u64),
    cancel: &CancellationToken,
) -> Result<(Manifest, PackedFiles), StoreError> {
    let game = &state.game;
    let version = state.version.clone().filter(|_| state.root_files.len() > 1);
    let not_downloaded = || StoreError::NotDownloaded { game: game.clone(), path: state.root.clone() };
    let version = version.ok_or_else(not_downloaded)?;
    // What a receiver may use of a dictionary is its own limit.
    let provider = provider_with_dictionary(&ProviderChoice::Native, limits::DICTIONARY_BYTES_MAX);
    let listed = ListedGame::read(state, provider.as_ref(), cancel)?;
    let packed = PackedFiles::read(state, &listed, stamps, progress, cancel)?;
    if FileStamps::read(&state.root, &state.root_files)? != *stamps {
        return Err(changed(state));
    }
    let (game, root_files) = (game.clone(), state.root_files.clone());
    let (archives, entries) = (packed.archives(), ManifestEntries::default());
    Ok((Manifest { game, version, root_files, archives, entries }, packed))
}

fn read_chunks(
    state: &GameState,
    stamps: &FileStamps,
    progress: &mut dyn FnMut(u64),
    cancel: &CancellationToken,
) -> Result<Vec<ContentDigest>, StoreError> {
    let chunk = chunk_bytes(state.root_bytes());
    if state.root_bytes() / u64::from(chunk) * 32 > limits::MANIFEST_BYTES_MAX {
        let (got, limit) = (state.root_bytes(), limits::MANIFEST_BYTES_MAX / 32 * u64::from(chunk));
        let (archive, what) = (state.game.to_string(), "bytes of root files, for one manifest");
        let source = ArchiveError::Limit { archive, what, limit, got };
        return Err(StoreError::Archive { game: state.game.clone(), source });
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
                return Err(StoreError::Cancelled);
            }
            let take = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            match opened.read_exact(&mut buffer[..take]) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed(state)),
                read => read.map_err(failed)?,
            }
            digests.push(ContentDigest::of(&buffer[..take]));
            left -= take as u64;
            progress(take as u64);
        }
    }
    Ok(digests)
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

fn archives_of(
    root_files: &[RootFile],
    listed: &ListedGame,
    headers: &[HeaderMap],
) -> Option<Vec<ManifestArchive>> {
    let archives = listed.sets.iter().zip(&listed.archives).zip(headers).map(|((set, listed), headers)| {
        let listing = listed.listing();
        Some(ManifestArchive {
            files: volumes_of(set, root_files)?,
            format: listing.summary.format,
            solid: listing.summary.solid,
            dictionary_bytes: listing.dictionary_bytes,
            headers: headers.ranges().to_vec(),
        })
    });
    archives.collect()
}

/// The volumes of each archive of these root files, by their places among them, as [`GameState::archives`] groups them.
/// `None` if they do not form whole archives.
pub fn volumes(root_files: &[RootFile]) -> Option<Vec<Vec<usize>>> {
    let names = root_files.iter().map(|file| file.name.as_str()).filter(|name| is_archive_name(name));
    let sets = ArchiveSet::group(Path::new(""), names).ok()?;
    sets.iter().map(|set| volumes_of(set, root_files)).collect()
}

/// The volumes of an archive by their places among the root files.
fn volumes_of(set: &ArchiveSet, root_files: &[RootFile]) -> Option<Vec<usize>> {
    let place = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        root_files.iter().position(|file| file.name == name)
    };
    set.paths().map(|path| place(&path)).collect()
}

/// Tells faults of an archive from those of this machine's disk and from a cancellation.
pub fn of_archive(game: &GameId, error: ArchiveError, cancel: &CancellationToken) -> StoreError {
    match error {
        _ if cancel.is_cancelled() => StoreError::Cancelled,
        ArchiveError::Cancelled => StoreError::Cancelled,
        ArchiveError::Sink(SinkError::Local(error)) => error.into(),
        source => StoreError::Archive { game: game.clone(), source },
    }
}

/// The error about files that changed while they were read.
pub fn changed(state: &GameState) -> StoreError {
    let path = state.root.clone();
    let error = io::Error::new(io::ErrorKind::InvalidData, "its files changed while they were read");
    LocalError::io("read", path)(error).into()
}

#[cfg(test)]
mod tests;
