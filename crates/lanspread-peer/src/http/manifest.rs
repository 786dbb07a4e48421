//! The manifest beside the files of a server. It is no more trusted than the server, unless a catalog names its digest.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use lanspread_trust::draft_file::DraftFile;
use lanspread_trust::manifest::{ManifestFile, ManifestProblem};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
pub(crate) use lanspread_types::layout::MANIFEST_NAME;
use lanspread_types::limits;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, timeout_at};

use super::error::{HttpError, HttpProblem};
use super::get::get;
use super::server::HttpServer;
use crate::task::{NoResult, Tasks};
use crate::transport::handed_on::due_in;

/// Why a server has no manifest of a game.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoManifest {
    /// The request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// What came is no manifest, or not the one that was asked for.
    #[error("{url}: {problem}")]
    Refused {
        /// Where it came from.
        url: String,
        /// What is wrong with it.
        problem: ManifestProblem,
    },
    /// It is about something else.
    #[error("{url}: it is the manifest of {got}, not of {expected}")]
    OtherGame {
        /// Where it came from.
        url: String,
        /// The game that was asked for.
        expected: GameId,
        /// The game that it is about.
        got: GameId,
    },
    /// This machine.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// This machine.
    #[error("the thread of a manifest has no result: {0}")]
    Thread(#[from] NoResult),
}

impl NoManifest {
    /// What is wrong, without the server, which the reader knows.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Http(HttpError { problem, .. }) => format!("{MANIFEST_NAME}: {problem}"),
            Self::Refused { problem, .. } => format!("{MANIFEST_NAME}: {problem}"),
            Self::OtherGame { got, .. } => format!("{MANIFEST_NAME} is that of {got}"),
            Self::Local(_) | Self::Thread(_) => self.to_string(),
        }
    }
}

/// What a server may take of this machine for one manifest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) bytes_max: u64,
    /// For the whole manifest. What has arrived adds to it.
    pub(super) deadline: Duration,
}

/// Fetches the manifest of a game from a server: any manifest of it, or the `expected` one. While it is checked, it is in a
/// file without a name, in this folder.
///
/// # Errors
/// [`NoManifest`].
pub(crate) async fn manifest_of(
    server: &HttpServer,
    game: &GameId,
    expected: Option<ContentDigest>,
    folder: &Path,
    tasks: &Tasks,
) -> Result<ManifestFile, NoManifest> {
    let bounds = Bounds { bytes_max: limits::MANIFEST_BYTES_MAX, deadline: limits::HTTP_MANIFEST_DEADLINE };
    manifest_within(bounds, server, game, expected, folder, tasks).await
}

/// The same, within other bounds.
pub(super) async fn manifest_within(
    bounds: Bounds,
    server: &HttpServer,
    game: &GameId,
    expected: Option<ContentDigest>,
    folder: &Path,
    tasks: &Tasks,
) -> Result<ManifestFile, NoManifest> {
    let url = server.url_of(MANIFEST_NAME)?;
    let mut response = get(server.client(), &url, &[]).await?;
    if response.head().status != 200 {
        let problem = response.head().refusal();
        return Err(server.failure(response, problem).await.into());
    }
    let failed = |problem| HttpError::new(&url, problem);
    response.head().check_plain().map_err(failed)?;
    let too_long = |got| NoManifest::Refused {
        url: url.to_string(),
        problem: ManifestProblem::Limit { what: "bytes", limit: bounds.bytes_max, got },
    };
    let announced: Option<u64> =
        response.head().field("content-length").and_then(|length| length.parse().ok());
    if let Some(got) = announced.filter(|bytes| *bytes > bounds.bytes_max) {
        return Err(too_long(got));
    }
    let (parts, mut arriving) = mpsc::channel::<bytes::Bytes>(limits::PARTS_AHEAD);
    let path = folder.join(format!("{game}-{MANIFEST_NAME}"));
    let writing = tasks.spawn_blocking("server-manifest", move || {
        let mut file = nameless(&path)?;
        while let Some(part) = arriving.blocking_recv() {
            file.write_all(&part).map_err(LocalError::io("write", &path))?;
        }
        Ok::<_, LocalError>(file)
    });
    let begun = Instant::now();
    let fetching = async {
        let mut bytes = 0;
        loop {
            // As of a peer: a length that is only announced gives no time.
            let after = bounds.deadline + due_in(bytes);
            let late = |_| failed(HttpProblem::Timeout { what: "whole manifest", after });
            let Some(part) = timeout_at(begun + after, response.next()).await.map_err(late)?? else { break };
            bytes += part.len() as u64;
            if bytes > bounds.bytes_max {
                return Err(too_long(bytes));
            }
            // If the writer has gone, it says why.
            if parts.send(part).await.is_err() {
                break;
            }
        }
        Ok(bytes)
    };
    let fetched: Result<u64, NoManifest> = fetching.await;
    drop(parts);
    let file = writing.await??;
    let bytes = fetched?;
    let checking =
        tasks.spawn_blocking("server-manifest", move || ManifestFile::check(file, bytes, expected.as_ref()));
    let checked = checking.await?;
    let url = url.to_string();
    let manifest = checked.map_err(|problem| NoManifest::Refused { url: url.clone(), problem })?;
    if manifest.manifest().game != *game {
        let got = manifest.manifest().game.clone();
        return Err(NoManifest::OtherGame { url, expected: game.clone(), got });
    }
    Ok(manifest)
}

/// A file that no other process finds, and that is gone when it is closed.
fn nameless(path: &Path) -> Result<File, LocalError> {
    let mut draft = DraftFile::create(path, 0o600)?;
    draft.file().try_clone().map_err(LocalError::io("open", path))
}
