//! Which parts of archives that are not here are needed for the entries of a tree.

use std::path::Path;
use std::sync::Arc;

use lanspread_archive::ArchiveError;
use lanspread_archive::header_map::HeaderMap;
use lanspread_archive::set::ArchiveSet;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::is_archive_name;
use tokio_util::sync::CancellationToken;

use crate::download::partials::{Partials, RepairKind, RepairParts};
use crate::error::StoreError;
use crate::install::tree_repair::TreeRepair;
use crate::repair::root::chunk_bytes;
use crate::state::chunks::Chunks;
use crate::state::listed_chunks::ListedChunks;

/// The parts of the archives of a list that have what a repair wants. None if they cannot be told apart: the list lacks the
/// headers of an archive, or its format does not say where an entry begins.
///
/// # Errors
/// [`StoreError::Archive`] if an archive cannot be listed; if the list cannot be read.
pub fn parts_of_tree(
    game: &GameId,
    repair: &Arc<TreeRepair>,
    list: &ListedChunks,
    dictionary_bytes_max: u64,
    cancel: &CancellationToken,
) -> Result<Option<RepairParts>, StoreError> {
    let failed = |source| StoreError::Archive { game: game.clone(), source };
    let manifest = list.list().manifest();
    let files = manifest.root_files.clone();
    let chunk_bytes = chunk_bytes(list, &files);
    let chunks = Chunks::of(&files, chunk_bytes);
    let (mut is_needed, mut is_made) = (vec![false; chunks.all().len()], vec![false; files.len()]);
    for (number, archive) in manifest.archives.iter().enumerate() {
        let Some((set, headers)) = headers_of(list.list(), number)? else { return Ok(None) };
        let sizes: Vec<u64> = archive.files.iter().map(|file| files[*file].size).collect();
        let wanted = repair.wanted();
        let listing = headers.list(&set, &sizes, dictionary_bytes_max, cancel).map_err(failed)?;
        if !listing.has_any(&wanted) {
            continue;
        }
        let places = headers.places(&set, &sizes, &wanted, dictionary_bytes_max, cancel).map_err(failed)?;
        let Some(places) = places else { return Ok(None) };
        for file in &archive.files {
            is_made[*file] = true;
        }
        for place in places {
            let file = archive.files[place.volume];
            let begin = place.offset / chunk_bytes;
            let end = (place.offset + place.length).div_ceil(chunk_bytes);
            for index in begin..end {
                if let Some(chunk) = chunks.containing(file, index * chunk_bytes) {
                    is_needed[chunk.id] = true;
                }
            }
        }
    }
    let version = manifest.version.clone();
    Ok(Some(RepairParts { version, files, chunk_bytes, is_needed, is_made, kind: RepairKind::Tree }))
}

/// An archive of a list and its headers; none if the list does not have them.
fn headers_of(list: &ManifestFile, number: usize) -> Result<Option<(ArchiveSet, HeaderMap)>, StoreError> {
    let archive = &list.manifest().archives[number];
    let name = |file: &usize| list.manifest().root_files[*file].name.as_str();
    let sets = ArchiveSet::group(Path::new(""), archive.files.iter().map(name));
    let Some(set) = sets.ok().and_then(|mut sets| if sets.len() == 1 { sets.pop() } else { None }) else {
        return Ok(None);
    };
    let bytes = list.headers(number).map_err(LocalError::io("read", set.name()))?;
    let headers = HeaderMap::new(archive.headers.clone(), bytes);
    Ok(headers.filter(|headers| !headers.ranges().is_empty()).map(|headers| (set, headers)))
}

/// Puts the headers of the archives, which the list has, beside the parts that were fetched. Returns the archives, which can
/// then be decoded where those parts are.
///
/// # Errors
/// If a file cannot be written, or the list cannot be read.
pub fn put_headers(
    list: &ManifestFile,
    partials: &Partials,
    parts: &RepairParts,
) -> Result<Vec<ArchiveSet>, StoreError> {
    let manifest = list.manifest();
    let mut names = Vec::new();
    for (number, archive) in manifest.archives.iter().enumerate() {
        if !archive.files.iter().all(|file| parts.is_made[*file]) {
            continue;
        }
        let Some((_, headers)) = headers_of(list, number)? else { continue };
        for (range, bytes) in headers.parts() {
            partials.put(archive.files[range.volume], range.offset, bytes)?;
        }
        names.extend(archive.files.iter().map(|file| manifest.root_files[*file].name.as_str()));
    }
    let names = names.into_iter().filter(|name| is_archive_name(name));
    ArchiveSet::group(partials.folder(), names).map_err(|gap| {
        let archive = gap.found.first().unwrap_or(&gap.set).clone();
        let source = ArchiveError::VolumeMissing { archive, reason: gap.to_string() };
        StoreError::Archive { game: manifest.game.clone(), source }
    })
}
