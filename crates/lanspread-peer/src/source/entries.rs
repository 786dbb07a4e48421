//! Serves the installed files of a game that has no archives here: only files that were verified by the manifest that the
//! catalog names, only while they are as they were then, and only if the user allows it.

use std::rc::Rc;
use std::sync::Arc;

use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode, StreamMessage};
use lanspread_store::share::{ShareError, SharedTree};
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::intent;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::GameOffer;
use lanspread_types::ids::{GameId, GameVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::frame_queue::FrameSender;
use super::gate::{EntriesInput, decide_entries};
use super::running::{Running, StreamEnd};
use super::sink::WireSink;
use super::{Source, stream, unreadable};
use crate::task::Tasks;

impl Source {
    /// The version and the manifest of the installed files that may be served, or why none may.
    pub(super) fn entries_offered(
        &self,
        game: &GameId,
        wanted: Option<(&GameVersion, ContentDigest)>,
    ) -> Result<(GameVersion, ContentDigest), Refusal> {
        let state = GameState::read(&self.games_dir, game).map_err(|error| unreadable(game, &error))?;
        let state = state
            .ok_or_else(|| Refusal::new(RefusalCode::NotOffered, &format!("it does not have {game}")))?;
        self.judge_entries(&state, wanted)
    }

    fn judge_entries(
        &self,
        state: &GameState,
        wanted: Option<(&GameVersion, ContentDigest)>,
    ) -> Result<(GameVersion, ContentDigest), Refusal> {
        let catalog = self.catalog.as_ref().and_then(|catalog| catalog.current().ok());
        let known = catalog.as_ref().and_then(|catalog| catalog.game(&state.game));
        let offered = decide_entries(EntriesInput {
            game: &state.game,
            shares_installed: self.shares_installed,
            listed: known.map(|known| (&known.version, known.manifest.map(|manifest| manifest.digest))),
            downloaded: state.downloaded(),
            installed: state.installed_version.as_ref().zip(state.installed_manifest),
            operation: intent::is_recorded(&self.games_dir, &state.game),
            wanted,
        })?;
        let is_here = self.manifests.as_ref().is_some_and(|manifests| {
            manifests.file(catalog.as_deref(), &offered.1).is_ok_and(|file| file.is_some())
        });
        if is_here {
            return Ok(offered);
        }
        let message = format!("the manifest of its installed files of {} is not here", state.game);
        Err(Refusal::new(RefusalCode::NotOffered, &message))
    }

    /// The offer of the installed files of a game, if there is one.
    pub(crate) fn offer_of_entries(&self, state: &GameState) -> Option<GameOffer> {
        let (version, _) = self.judge_entries(state, None).ok()?;
        let catalog = self.catalog.as_ref()?.current().ok()?;
        let bytes = catalog.game(&state.game)?.unpacked_bytes.unwrap_or(0);
        Some(GameOffer { game: state.game.clone(), version, bytes, entries: true })
    }

    /// Opens the installed files of a game that a receiver asks for.
    pub(super) fn open_entries(
        &self,
        game: &GameId,
        version: &GameVersion,
        manifest: ContentDigest,
    ) -> Result<SharedTree, Refusal> {
        self.entries_offered(game, Some((version, manifest)))?;
        let not_here = || {
            let message = format!("the manifest of its installed files of {game} is not here");
            Refusal::new(RefusalCode::NotOffered, &message)
        };
        let catalog = self.catalog.as_ref().and_then(|catalog| catalog.current().ok());
        let catalog = catalog.ok_or_else(not_here)?;
        let known = catalog.game(game).ok_or_else(not_here)?;
        let opened = self.manifests.as_ref().ok_or_else(not_here)?.named(&catalog, game, known);
        let opened = opened.map_err(|error| {
            tracing::warn!("the installed files of {game} cannot be served: {error}");
            not_here()
        })?;
        // Another catalog may be in force by now.
        let opened = opened.filter(|opened| opened.digest() == manifest).ok_or_else(not_here)?;
        SharedTree::open(&self.games_dir, game, Arc::new(opened)).map_err(|error| refusal(&error))
    }
}

/// Streams installed files over the connection.
pub(super) async fn send<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    tree: SharedTree,
    from_path: Option<String>,
    tasks: &Tasks,
    running: &Running<'_>,
) -> StreamEnd {
    running.expected().are(tree.totals(from_path.as_deref()).bytes);
    let push = move |frames: FrameSender, cancel: &CancellationToken| {
        push_all(&tree, from_path.as_deref(), frames, cancel).map_err(|error| refusal(&error))
    };
    stream::send_frames(connection, tasks, running, "entries", push).await
}

/// The thread that reads: looks at all files, announces the totals, then reads file by file.
fn push_all(
    tree: &SharedTree,
    from_path: Option<&str>,
    frames: FrameSender,
    cancel: &CancellationToken,
) -> Result<(), ShareError> {
    // Before anything is sent, so that a tree that was used costs its receiver next to nothing.
    tree.check(cancel)?;
    let archives = tree.archives(from_path).len() as u64;
    frames.control(&StreamMessage::Begin { archives, totals: tree.totals(from_path) })?;
    let frames = Rc::new(frames);
    tree.push(from_path, &mut WireSink(Rc::clone(&frames)), cancel)?;
    Ok(frames.control(&StreamMessage::Complete)?)
}

/// What a receiver learns. It may name entries, which the manifest lists, but never a path of this machine.
fn refusal(error: &ShareError) -> Refusal {
    let code = match error {
        ShareError::NotVerified => RefusalCode::NotOffered,
        ShareError::Changed { .. } => RefusalCode::Changed,
        ShareError::Cancelled => {
            return Refusal::new(RefusalCode::Stopping, "the source is stopping");
        }
        ShareError::Sink(_) => return Refusal::new(RefusalCode::Internal, "the source failed"),
        ShareError::Store(error) => {
            tracing::warn!("installed files cannot be read: {error}");
            return Refusal::new(RefusalCode::Internal, "it cannot read its installed files");
        }
    };
    Refusal::new(code, &error.to_string())
}
