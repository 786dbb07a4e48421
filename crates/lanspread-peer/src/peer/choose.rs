//! Chooses the validated sources of one game from the peers that are known or discovered.

use std::sync::Arc;

use lanspread_types::ids::{GameId, GameVersion};
use tokio_util::sync::CancellationToken;

use crate::discovery::ask;
use crate::discovery::ask::Answers;
use crate::discovery::search::Search;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::operation::OperationOptions;
use crate::trust::catalog::{Catalog, LiveCatalog};
use crate::trust::select::{PeerOffer, SelectError, Selection, SourceOrder, select};

impl Peer {
    /// Refuses a game that is not in the catalog.
    pub(super) fn check_in_catalog(&self, game: &GameId) -> Result<(), PeerError> {
        if let Some(catalog) = &self.inner.catalog
            && catalog.current().game(game).is_none()
        {
            return Err(PeerError::NotInCatalog { game: game.clone(), catalog: catalog.path().to_owned() });
        }
        Ok(())
    }

    /// The version that the catalog expects, if there is a catalog and the game is in it.
    pub(super) fn wanted_version(&self, game: &GameId) -> Option<GameVersion> {
        let catalog = self.inner.catalog.as_ref()?.current();
        catalog.game(game).map(|known| known.version.clone())
    }

    /// The catalog as it is now, if there is one.
    pub(crate) fn catalog(&self) -> Option<Arc<Catalog>> {
        self.inner.catalog.as_deref().map(LiveCatalog::current)
    }

    /// Asks the peers for the game and chooses the validated ones.
    pub(crate) async fn choose(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: &CancellationToken,
    ) -> Result<Selection, PeerError> {
        let at_hand = self.peers_at_hand(&options.peers)?;
        let ours = self.endpoint();
        let wanted = self.wanted_version(game);
        let mut search = Search::for_game(options.discovery, self.inner.discovery_port);
        if self.knows_its_neighbours() {
            search = search.after_those_at_hand();
        }
        // Boxed, because it is by far the largest part of every operation that needs peers.
        let asking = Box::pin(ask::details(&at_hand, &ours, game, wanted.as_ref(), search));
        let Some(answers) = cancel.run_until_cancelled(asking).await else {
            return Err(PeerError::Cancelled);
        };
        let Answers { offers, named, mut refusals, searched } = answers;
        if searched.asked == 0 {
            return Err(PeerError::NoPeers { searched: Box::new(searched) });
        }
        let order = SourceOrder { named, ours: ours.id(), game };
        match select(offers, wanted.as_ref(), &order) {
            Ok(mut selection) => {
                selection.dropped.append(&mut refusals);
                for answer in &selection.dropped {
                    tracing::info!("{} is not a source of {game}: {}", answer.peer, answer.reason);
                }
                for copy in &selection.copies {
                    tracing::warn!("{}: {}", copy.peer, copy.reason);
                }
                log_selection(game, &selection, wanted.is_some());
                Ok(selection)
            }
            Err(SelectError::NotOffered(dropped)) => {
                refusals.extend(dropped);
                let (game, searched) = (game.clone(), Box::new(searched));
                Err(PeerError::NotOffered { game, peers: refusals, searched })
            }
            Err(SelectError::Ambiguous(groups)) => Err(PeerError::Ambiguous { game: game.clone(), groups }),
        }
    }
}

fn log_selection(game: &GameId, selection: &Selection, by_catalog: bool) {
    let shown = |source: &PeerOffer| format!("{} ({})", source.name, source.address);
    let sources: Vec<String> = selection.sources.iter().map(shown).collect();
    let why = if by_catalog { "which the catalog expects" } else { "which most peers have" };
    tracing::info!(
        "{game}: version {}, {why}, from peers with the same files, in this order: {}",
        selection.version,
        sources.join(", ")
    );
}
