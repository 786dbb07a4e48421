//! `verify`: compares the files on this machine with what was recorded.

use lanspread_store::error::{Damage, StoreError};
use lanspread_store::state::game_state::GameState;
use lanspread_store::verify::comparison::{Difference, Problem, VerifyObserver, compare};
use lanspread_store::verify::{INSTALLED, parts};
use lanspread_types::ids::GameId;
use tokio_util::sync::CancellationToken;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::operation::OperationOptions;
use crate::report::repair::VerifyFinished;

impl Peer {
    /// Compares a game with what was recorded when it was downloaded or installed. If the catalog names a manifest of the
    /// downloaded version, the downloaded files are compared with that.
    ///
    /// # Errors
    /// [`StoreError::Differences`] if files are missing or differ, [`StoreError::NotVerifiable`] without a record,
    /// [`StoreError::NotInstalled`] if there is nothing to compare, [`PeerError::Local`], and the errors of every
    /// operation.
    pub async fn verify_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<(), PeerError> {
        self.operate(game, options, &cancel, |peer, context| async move { peer.verify(&context).await }).await
    }

    /// Runs the comparison as part of an operation.
    pub(super) async fn verify(&self, context: &OperationContext) -> Result<(), PeerError> {
        let locked = self.lock_and_recover(context).await?;
        let manifest = self.trusted_manifest(&context.game).await?;
        let mut told = VerifyEvents {
            game: context.game.clone(),
            events: context.events.clone(),
            tree_differs: false,
            download_differs: false,
        };
        let comparing = locked.run("verify", move |games, game, cancel| {
            let parts = parts(games, game, manifest.as_ref())?;
            let counts = compare(&parts, &mut told, cancel)?;
            let state = GameState::read(games.path(), game)?;
            let is_downloaded = state.as_ref().is_some_and(GameState::downloaded);
            let damage = Damage::of(told.tree_differs, told.download_differs, is_downloaded);
            Ok::<_, PeerError>((counts, damage, state.and_then(|state| state.installed_trust)))
        });
        let (counts, damage, trust) = comparing.await?;
        let game = context.game.clone();
        context.events.report(PeerEvent::VerifyFinished(VerifyFinished {
            game: game.clone(),
            files: counts.files,
            bytes: counts.bytes,
            differences: counts.differences,
            added: counts.added,
            trust,
        }));
        match counts.differences {
            0 => Ok(()),
            differences => Err(StoreError::Differences { game, differences, damage }.into()),
        }
    }
}

/// Reports a comparison as events.
struct VerifyEvents {
    game: GameId,
    events: EventSender,
    tree_differs: bool,
    download_differs: bool,
}

impl VerifyObserver for VerifyEvents {
    fn progress(&mut self, bytes: u64, bytes_total: u64) {
        self.events.report(PeerEvent::VerifyProgress { game: self.game.clone(), bytes, bytes_total });
    }

    fn difference(&mut self, Difference { part, path, problem }: Difference) {
        if problem != Problem::Added {
            let differs = if part == INSTALLED { &mut self.tree_differs } else { &mut self.download_differs };
            *differs = true;
        }
        let (game, problem) = (self.game.clone(), problem.code().into());
        self.events.report(PeerEvent::VerifyDifference { game, part: part.into(), path, problem });
    }
}
