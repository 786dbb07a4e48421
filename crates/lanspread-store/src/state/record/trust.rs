//! What the receipt of a download says about manifests.

use std::io::BufReader;

use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::InstallTrust;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::layout::DOWNLOADS_DIR;
use lanspread_types::regular_file::{if_present, open_ours};

use super::{Journal, Line, ReadError, Record, RecordHead, RecordKind, file_name, next_line, shown};
use crate::state::games_dir::GamesDir;

/// Records in a receipt, durably, that the downloaded files were compared with this manifest and are as it lists them.
pub(crate) fn found_as_listed(
    games: &GamesDir,
    game: &GameId,
    receipt: Record,
    manifest: ContentDigest,
) -> Result<(), LocalError> {
    if receipt.manifest == Some(manifest) {
        return Ok(());
    }
    let mut appended = Journal::append_to(games, game, RecordKind::Receipt, receipt)?;
    appended.listed_in(Some(manifest))?;
    appended.sync()
}

/// Whether the receipt of a game, if it is about this version, says that its files are as a manifest lists them. Reads the
/// lines about manifests only.
pub(crate) fn downloaded_trust(
    games: &GamesDir,
    game: &GameId,
    version: &GameVersion,
) -> Result<Option<InstallTrust>, LocalError> {
    let shown = shown(games, game, RecordKind::Receipt);
    let Some(downloads) = games.existing_state_folder(DOWNLOADS_DIR)? else { return Ok(None) };
    let opened = if_present(open_ours(&downloads, file_name(game, RecordKind::Receipt)));
    let Some(file) = opened.map_err(|error| error.of_ours("read", &shown))? else { return Ok(None) };
    let mut lines = BufReader::new(file);
    let mut next = || match next_line(&mut lines) {
        Ok(line) => Ok(line),
        Err(ReadError::Io(error)) => Err(LocalError::io("read", &shown)(error)),
        Err(ReadError::Foreign(what)) => Err(ForeignState { path: shown.clone(), what }.into()),
    };
    let head = next()?.and_then(|line| serde_json::from_slice::<RecordHead>(&line).ok());
    if head.is_none_or(|head| head.version != *version) {
        return Ok(None);
    }
    let mut trust = InstallTrust::Unverified;
    while let Some(line) = next()? {
        if !line.starts_with(br#"{"manifest""#) {
            continue;
        }
        trust = match serde_json::from_slice(&line) {
            Ok(Line::Manifest { sha256: Some(_) }) => InstallTrust::Verified,
            _ => InstallTrust::Unverified,
        };
    }
    Ok(Some(trust))
}
