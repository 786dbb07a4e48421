//! The manifests of a catalog: files beside it, named by their digests.

use std::path::Path;

use lanspread_types::ids::GameId;

use crate::catalog::CatalogGame;
use crate::manifest::{Manifest, ManifestError, ManifestFile, ManifestProblem, file_name};

/// The folder of the manifests, beside the catalog.
pub const MANIFESTS_DIR: &str = "manifests";

/// Opens the manifest of a game of the catalog in this folder; `None` if the catalog names none, or its file is not there.
///
/// # Errors
/// [`ManifestError`], also if the manifest and the catalog do not agree.
pub fn open_manifest(
    folder: &Path,
    game: &GameId,
    known: &CatalogGame,
) -> Result<Option<ManifestFile>, ManifestError> {
    let Some(reference) = known.manifest else { return Ok(None) };
    let path = folder.join(MANIFESTS_DIR).join(file_name(&reference.digest));
    let opened = match ManifestFile::open(&path, &reference.digest, Some(reference.bytes)) {
        Err(error) if error.is_absent() => return Ok(None),
        opened => opened?,
    };
    if !opened.manifest().has_tree() {
        return Err(ManifestError::Refused { path, problem: ManifestProblem::NoTree });
    }
    match disagreement(game, known, opened.manifest()) {
        Some(what) => Err(ManifestError::Refused { path, problem: ManifestProblem::Rule(what) }),
        None => Ok(Some(opened)),
    }
}

/// What the catalog says of a game and its manifest does not, as a sentence about the manifest.
pub fn disagreement(game: &GameId, known: &CatalogGame, manifest: &Manifest) -> Option<String> {
    let differs = |what, expected: &dyn std::fmt::Display, got: &dyn std::fmt::Display| {
        Some(format!("its {what} is {got}, the catalog says {expected} for {game}"))
    };
    if manifest.game != *game {
        return differs("game", game, &manifest.game);
    }
    if manifest.version != known.version {
        return differs("version", &known.version, &manifest.version);
    }
    let (bytes, unpacked) = (manifest.root_bytes(), manifest.entries.totals().bytes);
    for (what, known, got) in
        [("size", known.bytes, bytes), ("unpacked size", known.unpacked_bytes, unpacked)]
    {
        if let Some(expected) = known.filter(|expected| *expected != got) {
            return differs(what, &expected, &got);
        }
    }
    None
}
