//! `install`: unpacks the archives of the game root to `local/`.

use std::sync::Arc;
use std::time::Instant;

use lanspread_store::install::replace::Replace;
use lanspread_store::install::unpack::{Unpack, UnpackObserver, unpack};
use lanspread_types::content::{ArchiveSummary, Totals};
use lanspread_types::ids::{GameId, GameVersion, PeerName};
use tokio_util::sync::CancellationToken;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::outcome::{milliseconds, reported};
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::operation::OperationOptions;

impl Peer {
    /// Installs a game from its archives on this machine. Nothing is downloaded.
    ///
    /// # Errors
    /// [`PeerError::Store`] if the game is not downloaded, is already installed, or has an archive that cannot be
    /// unpacked; [`PeerError::Local`]; and the errors of every operation.
    pub async fn install_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<(), PeerError> {
        self.operate(game, options, &cancel, |peer, context| async move {
            peer.install_from_archives(&context, false).await
        })
        .await
    }

    /// Runs the install as part of an operation. With `replace`, it may replace an installed tree.
    pub(super) async fn install_from_archives(
        &self,
        context: &OperationContext,
        replace: bool,
    ) -> Result<(), PeerError> {
        let begun = Instant::now();
        let game = &context.game;
        let unpacked = self.contain(context, self.unpack(context, replace)).await;
        reported(
            &context.events,
            unpacked,
            |(version, totals)| PeerEvent::InstallFinished {
                game: game.clone(),
                version: version.clone(),
                files: totals.files,
                bytes: totals.bytes,
                duration_ms: milliseconds(begun.elapsed()),
            },
            |code, message| PeerEvent::InstallFailed { game: game.clone(), code, message },
        )
        .map(|_| ())
    }

    async fn unpack(
        &self,
        context: &OperationContext,
        replace: bool,
    ) -> Result<(GameVersion, Totals), PeerError> {
        let locked = self.lock_and_recover(context).await?;
        let (policy, replace) =
            (context.options.names, Replace { allowed: replace, force: context.options.force });
        let (name, id) = (self.name().clone(), self.id());
        let provider = self.inner.source.provider.clone();
        let told = UnpackEvents {
            game: context.game.clone(),
            peer: name.clone(),
            events: context.events.clone(),
            is_finishing: false,
        };
        let unpacking = locked.run("install", move |games, game, cancel| {
            let (games, game, cancel) = (Arc::clone(games), game.clone(), cancel.clone());
            Ok(unpack(&Unpack { games, game, policy, replace, name, id, provider, cancel }, told)?)
        });
        unpacking.await
    }
}

/// Reports the steps of an install from archives as events.
struct UnpackEvents {
    game: GameId,
    peer: PeerName,
    events: EventSender,
    /// Whether it was reported that all bytes are unpacked.
    is_finishing: bool,
}

impl UnpackObserver for UnpackEvents {
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
        if bytes == bytes_total && !self.is_finishing {
            self.is_finishing = true;
            self.events.report(PeerEvent::Finishing { game: self.game.clone(), bytes });
        }
    }
}
