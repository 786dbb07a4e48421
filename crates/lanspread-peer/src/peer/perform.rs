//! From the kind of an operation to its road: the one place that knows them all.

use lanspread_store::install::replace;
use lanspread_store::install::replace::Replace;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_types::ids::GameId;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::operation::OperationKind;

impl Peer {
    /// Performs one operation to its end.
    pub(super) async fn perform_kind(
        &self,
        kind: OperationKind,
        context: &OperationContext,
    ) -> Result<(), PeerError> {
        match kind {
            OperationKind::StreamInstall => self.stream_install(context, false).await.map(|_| ()),
            OperationKind::Download => self.download(context).await,
            OperationKind::Install => self.install(context).await,
            OperationKind::Update => self.update(context).await,
            OperationKind::Uninstall => self.uninstall(context).await,
            OperationKind::Remove => self.remove(context).await,
            OperationKind::Verify => self.verify(context).await,
        }
    }

    /// Installs from the archives that are here; those that are not, or not in the version that the catalog wants, are
    /// downloaded first.
    async fn install(&self, context: &OperationContext) -> Result<(), PeerError> {
        let game = &context.game;
        self.check_in_catalog(game)?;
        // Before anything is fetched, because it may end here.
        self.permit_install(context, Replace { allowed: false, force: false }).await?;
        let downloaded = self.game_state(game).await?.and_then(|state| state.version);
        let is_wanted = |version| self.wanted_version(game).is_none_or(|wanted| wanted == version);
        if !downloaded.is_some_and(is_wanted) {
            self.download(context).await?;
        }
        self.install_from_archives(context, false).await
    }

    /// Refuses an install that may not take the place of what is here.
    pub(super) async fn permit_install(
        &self,
        context: &OperationContext,
        replace: Replace,
    ) -> Result<(), PeerError> {
        let (games_dir, game) = (self.inner.games_dir.clone(), context.game.clone());
        self.blocking("permit", move || {
            replace::permit(&GamesDir::open(&games_dir)?, &game, replace)?;
            Ok(())
        })
        .await
    }

    /// What is here of a game.
    pub(super) async fn game_state(&self, game: &GameId) -> Result<Option<GameState>, PeerError> {
        let (games_dir, game) = (self.inner.games_dir.clone(), game.clone());
        self.blocking("state", move || Ok(GameState::read(&games_dir, &game)?)).await
    }
}
