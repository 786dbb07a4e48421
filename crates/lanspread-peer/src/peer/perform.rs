//! Dispatches an operation by its kind: the one place that knows all kinds.

use lanspread_store::install::replace;
use lanspread_store::install::replace::Replace;
use lanspread_store::state::game_state::GameState;
use lanspread_types::ids::GameId;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::operation::OperationKind;

impl Peer {
    /// Performs one operation to its end.
    pub(crate) async fn perform_kind(
        &self,
        kind: OperationKind,
        context: &OperationContext,
    ) -> Result<(), PeerError> {
        match kind {
            OperationKind::StreamInstall => self.stream_install(context, false).await.map(|_| ()),
            OperationKind::Download => self.download_alone(context).await,
            OperationKind::Install => self.install(context).await,
            OperationKind::Update => self.update(context).await,
            OperationKind::Uninstall => self.uninstall(context).await,
            OperationKind::Remove => self.remove(context).await,
            OperationKind::Verify => self.verify(context).await,
            OperationKind::Repair => self.repair(context).await,
            OperationKind::Ensure => self.ensure(context).await.map(drop),
            OperationKind::Absent => self.absent(context).await.map(drop),
        }
    }

    /// Installs from the archives on this machine. If there are none, or not in the version that the catalog expects,
    /// they are downloaded first.
    async fn install(&self, context: &OperationContext) -> Result<(), PeerError> {
        let game = &context.game;
        self.newer_catalog(context).await?;
        self.check_in_catalog(game)?;
        // Checked before the download, because a refusal would make it useless.
        self.permit_install(context, Replace::NEW).await?;
        let relay = if self.has_wanted_archives(game).await? { None } else { self.download(context).await? };
        let installed = self.install_from_archives(context, false).await;
        self.linger(relay, &context.cancel).await;
        installed
    }

    /// Whether the game is downloaded, in the version that the catalog expects if there is a catalog.
    pub(super) async fn has_wanted_archives(&self, game: &GameId) -> Result<bool, PeerError> {
        let downloaded = self.game_state(game).await?.and_then(|state| state.version);
        let is_wanted = |version| self.wanted_version(game).is_none_or(|wanted| wanted == version);
        Ok(downloaded.is_some_and(is_wanted))
    }

    /// Refuses an install that may not replace the installed tree.
    pub(super) async fn permit_install(
        &self,
        context: &OperationContext,
        replace: Replace,
    ) -> Result<(), PeerError> {
        let permitting = self.look_at("permit", &context.game, move |games, game| {
            replace::permit(games, game, replace)?;
            Ok(())
        });
        permitting.await
    }

    /// Refuses to replace an installed tree: the user would lose files, or a verified tree would be replaced by one that no
    /// manifest verifies.
    pub(super) async fn permit_replace(&self, context: &OperationContext) -> Result<(), PeerError> {
        let OperationContext { game, options, .. } = context;
        let over_verified = options.accept_unverified || self.trusted_manifest(game).await?.is_some();
        let replace = Replace { allowed: true, force: options.force, over_verified };
        self.permit_install(context, replace).await
    }

    /// The state of a game on this machine.
    pub(super) async fn game_state(&self, game: &GameId) -> Result<Option<GameState>, PeerError> {
        let (games_dir, game) = (self.inner.games_dir.clone(), game.clone());
        self.blocking("state", move || Ok(GameState::read(&games_dir, &game)?)).await
    }
}
