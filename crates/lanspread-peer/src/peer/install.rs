//! `install`: from the archives of the game root to `local/`.

use std::time::Instant;

use lanspread_store::install::replace::Replace;
use lanspread_store::install::unpack::{Unpack, UnpackObserver, unpack};
use lanspread_types::content::{ArchiveSummary, Totals};
use lanspread_types::ids::{GameId, GameVersion, PeerName};
use tokio_util::sync::CancellationToken;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::operation::OperationOptions;

impl Peer {
    /// Installs a game from its archives, which are here. Nothing is downloaded.
    ///
    /// # Errors
    /// [`StoreError::NotDownloaded`], [`StoreError::AlreadyInstalled`], [`StoreError::Archive`], [`PeerError::Local`], and
    /// what every operation can fail with.
    pub async fn install_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<(), PeerError> {
        self.operate(game, options, &cancel, async |context| {
            self.install_from_archives(&context, false).await
        })
        .await
    }

    /// The install as an operation that runs. With `replace` it takes the place of an installed tree.
    pub(super) async fn install_from_archives(
        &self,
        context: &OperationContext,
        replace: bool,
    ) -> Result<(), PeerError> {
        let begun = Instant::now();
        let game = context.game.clone();
        match self.unpack(context, replace).await {
            Ok((version, totals)) => {
                context.events.report(PeerEvent::InstallFinished {
                    game,
                    version,
                    files: totals.files,
                    bytes: totals.bytes,
                    duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                });
                Ok(())
            }
            Err(error) => {
                context.events.report(PeerEvent::InstallFailed {
                    game,
                    code: error.code().into(),
                    message: error.to_string(),
                });
                Err(error)
            }
        }
    }

    async fn unpack(
        &self,
        context: &OperationContext,
        replace: bool,
    ) -> Result<(GameVersion, Totals), PeerError> {
        let (games, lock) = self.lock_and_recover(context).await?;
        let cancel = context.cancel.child_token();
        // Also when this future is dropped half-way.
        let _cancel_on_drop = cancel.clone().drop_guard();
        let install = Unpack {
            games,
            game: context.game.clone(),
            policy: context.options.names,
            replace: Replace { allowed: replace, force: context.options.force },
            name: self.inner.name.clone(),
            id: self.inner.id,
            provider: self.inner.source.provider.clone(),
            cancel,
        };
        let told = Told {
            game: context.game.clone(),
            peer: self.inner.name.clone(),
            events: context.events.clone(),
        };
        self.blocking("install", move || {
            let installed = unpack(&install, told);
            drop(lock);
            Ok(installed?)
        })
        .await
    }
}

/// Reports an install from archives as events.
struct Told {
    game: GameId,
    peer: PeerName,
    events: EventSender,
}

impl UnpackObserver for Told {
    fn begun(&mut self, version: &GameVersion, totals: Totals, replaces: bool) {
        self.events.report(PeerEvent::InstallBegin {
            game: self.game.clone(),
            version: version.clone(),
            bytes_total: totals.bytes,
            replaces,
        });
    }

    fn archive(&mut self, archive: &ArchiveSummary) {
        self.events.report(PeerEvent::archive_begin(&self.game, &self.peer, archive));
    }

    fn progress(&mut self, bytes: u64, bytes_total: u64) {
        self.events.report(PeerEvent::InstallProgress { game: self.game.clone(), bytes, bytes_total });
    }
}
