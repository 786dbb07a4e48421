//! `install --stream --dry-run`: what a streamed install would do, without doing it.

use std::path::PathBuf;

use lanspread_store::install::replace::{Replace, permit};
use lanspread_store::state::booking;
use lanspread_store::state::booking::Estimate;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_types::content::Totals;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion};
use tokio_util::sync::CancellationToken;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::stream_install::SourcePeer;
use crate::report::failure::{AttemptFailure, PeerAnswer};
use crate::report::operation::OperationOptions;
use crate::transport::dial::dial;
use crate::trust::select::Selection;

/// What a streamed install would do.
#[derive(Debug, Clone)]
pub struct StreamInstallPlan {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// The validated peers, in the order in which they would be tried.
    pub sources: Vec<SourcePeer>,
    /// The other peers, and why they are not sources.
    pub dropped: Vec<PeerAnswer>,
    /// What the first source that answers would stream.
    pub totals: Totals,
    /// Bytes that the install needs, with room for names and a margin.
    pub needed_bytes: u64,
    /// Bytes that may still be written below the games directory.
    pub free_bytes: u64,
    /// Files and folders that the install needs, with a margin.
    pub needed_inodes: u64,
    /// Files and folders that may still be created there; `None` if the file system does not say.
    pub free_inodes: Option<u64>,
    /// The games directory.
    pub games_dir: PathBuf,
}

impl StreamInstallPlan {
    /// The error with which the install would end, if it does not fit.
    pub(crate) fn missing_space(&self) -> Option<LocalError> {
        let path = self.games_dir.clone();
        let Self { needed_bytes, free_bytes, needed_inodes, free_inodes, .. } = *self;
        if free_bytes < needed_bytes {
            return Some(LocalError::NotEnoughSpace { path, needed_bytes, free_bytes, booked_bytes: 0 });
        }
        let free_inodes = free_inodes.filter(|free_inodes| *free_inodes < needed_inodes)?;
        Some(LocalError::NotEnoughInodes { path, needed_inodes, free_inodes, booked_inodes: 0 })
    }
}

impl Peer {
    /// Returns what [`Self::stream_install_game`] would do, and changes nothing.
    ///
    /// # Errors
    /// As for the install itself, except that too little space is not an error but shows in the plan.
    pub async fn plan_stream_install(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: &CancellationToken,
    ) -> Result<StreamInstallPlan, PeerError> {
        self.check_in_catalog(game)?;
        let (games_dir, wanted) = (self.inner.games_dir.clone(), game.clone());
        let games = self
            .blocking("plan", move || {
                let games = GamesDir::open(&games_dir)?;
                let new = Replace { allowed: false, force: false, over_verified: false };
                permit(&games, &wanted, new)?;
                Ok(games)
            })
            .await?;
        let selection = self.choose(game, options, cancel).await?;
        let totals = self.totals(game, &selection).await?;
        let Estimate { needed_bytes, free_bytes, needed_inodes, free_inodes } =
            booking::estimate(&games, totals)?;
        Ok(StreamInstallPlan {
            game: game.clone(),
            version: selection.version,
            sources: selection.sources.iter().map(SourcePeer::from).collect(),
            dropped: selection.dropped,
            totals,
            needed_bytes,
            free_bytes,
            needed_inodes,
            free_inodes,
            games_dir: self.inner.games_dir.clone(),
        })
    }

    /// Asks the validated peers in order until one answers with the totals of its stream.
    async fn totals(&self, game: &GameId, selection: &Selection) -> Result<Totals, PeerError> {
        let mut attempts = Vec::new();
        let listed = self.trusted_manifest(game).await?;
        for source in &selection.sources {
            // What they are is known without asking.
            if let Some(listed) = listed.as_ref().filter(|listed| source.entries == Some(listed.digest())) {
                return Ok(listed.manifest().entries.totals());
            }
            let ask = async {
                let mut dialled = dial(&source.address.into(), &self.endpoint(), Some(source.id)).await?;
                dialled.totals(game, &selection.version).await
            };
            match ask.await {
                Ok((_archives, totals)) => return Ok(totals),
                Err(error) => {
                    attempts.push(AttemptFailure::new(&source.name, error.code(), error.to_string()));
                }
            }
        }
        Err(PeerError::AllSourcesFailed { game: game.clone(), attempts })
    }
}
