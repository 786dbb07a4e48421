//! Whom to ask, and whom to believe: from the peers at hand to the validated sources of one game.

use tokio_util::sync::CancellationToken;

use super::Peer;
use crate::error::PeerError;
use crate::game::{GameId, GameVersion};
use crate::install::gather;
use crate::install::select::{SelectError, Selection, select};
use crate::limits;
use crate::operation::OperationOptions;

impl Peer {
    /// Refuses a game that is not one of the catalog.
    pub(super) fn check_in_catalog(&self, game: &GameId) -> Result<(), PeerError> {
        if let Some(catalog) = &self.inner.catalog
            && catalog.game(game).is_none()
        {
            return Err(PeerError::NotInCatalog { game: game.clone(), catalog: catalog.path().to_owned() });
        }
        Ok(())
    }

    /// The version that the catalog wants, if it says so.
    pub(super) fn wanted_version(&self, game: &GameId) -> Option<&GameVersion> {
        self.inner.catalog.as_ref().and_then(|catalog| catalog.game(game)).map(|known| &known.version)
    }

    /// Asks the peers and chooses the validated ones.
    pub(super) async fn choose(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: &CancellationToken,
    ) -> Result<Selection, PeerError> {
        if options.peers.is_empty() {
            return Err(PeerError::NoPeers);
        }
        if options.peers.len() > limits::PEERS_MAX {
            return Err(PeerError::Config(format!(
                "{} peers; the limit is {}",
                options.peers.len(),
                limits::PEERS_MAX
            )));
        }
        let ours = self.hello();
        let asking = gather::details(&options.peers, &ours, game);
        let Some((offers, mut answers)) = cancel.run_until_cancelled(asking).await else {
            return Err(PeerError::Cancelled);
        };
        match select(offers, self.wanted_version(game)) {
            Ok(mut selection) => {
                selection.dropped.append(&mut answers);
                for answer in &selection.dropped {
                    tracing::info!("{} is no source of {game}: {}", answer.peer, answer.reason);
                }
                Ok(selection)
            }
            Err(SelectError::NotOffered(dropped)) => {
                answers.extend(dropped);
                Err(PeerError::NotOffered { game: game.clone(), peers: answers })
            }
            Err(SelectError::Ambiguous(groups)) => Err(PeerError::Ambiguous { game: game.clone(), groups }),
        }
    }
}
