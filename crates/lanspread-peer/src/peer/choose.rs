//! Chooses the validated sources of one game from the peers that are known or discovered.

use std::sync::Arc;

use lanspread_proto::handshake::Admission;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::ids::{GameId, GameVersion, PeerId};
use tokio_util::sync::CancellationToken;

use crate::discovery::ask;
use crate::discovery::ask::{Answers, Belief, LateOffers};
use crate::discovery::search::Search;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::network_search::check_discovery;
use crate::report::operation::{DiscoveryMode, OperationOptions};
use crate::trust::catalog::Catalog;
use crate::trust::peer_rules::PeerRules;
use crate::trust::select::{PeerOffer, SelectError, Selection, SourceOrder, select};

impl Peer {
    /// Refuses a game that is not in the catalog.
    pub(super) fn check_in_catalog(&self, game: &GameId) -> Result<(), PeerError> {
        let Some(catalog) = &self.inner.catalog else { return Ok(()) };
        let catalog = catalog.current()?;
        if catalog.game(game).is_none() {
            return Err(PeerError::NotInCatalog { game: game.clone(), catalog: catalog.path().to_owned() });
        }
        Ok(())
    }

    /// The version that the catalog expects, if there is a catalog and the game is in it.
    pub(super) fn wanted_version(&self, game: &GameId) -> Option<GameVersion> {
        self.catalog()?.game(game).map(|known| known.version.clone())
    }

    /// The catalog as it is now, if there is one.
    pub(crate) fn catalog(&self) -> Option<Arc<Catalog>> {
        self.inner.catalog.as_deref()?.current().ok()
    }

    /// The version that most peers have or, if none offers the game, the one of the manifest that a server has beside it.
    pub(super) async fn version_of_peers(
        &self,
        context: &OperationContext,
    ) -> Result<GameVersion, PeerError> {
        let OperationContext { game, options, cancel, .. } = context;
        match self.choose(game, options, cancel).await {
            Ok(selection) => Ok(selection.version),
            Err(no_peer) => {
                let listed = self.unsigned_manifest(context, &self.servers(context), no_peer).await?;
                Ok(listed.manifest().version.clone())
            }
        }
    }

    /// Whether a peer may send what an operation fetches.
    pub(super) fn may_be_source(&self, options: &OperationOptions, id: &PeerId) -> bool {
        may_be_source(&self.inner.rules, options, id)
    }

    fn belief(&self, version: Option<GameVersion>, manifest: Option<Arc<ManifestFile>>) -> Belief {
        Belief { version, manifest, penalties: Arc::new(self.inner.penalties.current()) }
    }

    /// What is known of a game that is in no catalog.
    #[cfg(test)]
    pub(super) fn belief_without_catalog(&self) -> Belief {
        self.belief(None, None)
    }

    /// Asks the peers for the game and chooses the validated ones by the manifest that is here now, if there is one.
    pub(crate) async fn choose(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: &CancellationToken,
    ) -> Result<Selection, PeerError> {
        let manifest = self.trusted_manifest(game).await?;
        self.choose_by(manifest, game, options, cancel).await
    }

    /// The same by a manifest that the caller has. What arrives must be checked against the manifest by which its source
    /// was chosen: if the catalog changed between the two, honest sources would be taken for liars.
    pub(super) async fn choose_by(
        &self,
        manifest: Option<Arc<ManifestFile>>,
        game: &GameId,
        options: &OperationOptions,
        cancel: &CancellationToken,
    ) -> Result<Selection, PeerError> {
        let chosen = self.choose_and_later(manifest, game, options, cancel).await;
        chosen.map(|(selection, _)| selection)
    }

    /// The same, with the offers that were not awaited.
    pub(super) async fn choose_and_later(
        &self,
        manifest: Option<Arc<ManifestFile>>,
        game: &GameId,
        options: &OperationOptions,
        cancel: &CancellationToken,
    ) -> Result<(Selection, LateOffers), PeerError> {
        check_discovery(options.discovery != DiscoveryMode::Off)?;
        let at_hand = self.peers_at_hand(&options.peers)?;
        let mut ours = self.endpoint();
        let (rules, by_operation) = (Arc::clone(&self.inner.rules), options.clone());
        ours.introduction.admission = Admission::of(move |id| may_be_source(&rules, &by_operation, id));
        let listed = manifest.as_ref().map(|manifest| manifest.manifest().version.clone());
        let asked_for = options.version.exactly().cloned();
        let wanted = asked_for.or(listed).or_else(|| self.wanted_version(game));
        let belief = self.belief(wanted.clone(), manifest);
        let mut search = Search::for_game(options.discovery, self.inner.discovery_port);
        if self.knows_its_neighbours() {
            search = search.after_those_at_hand();
        }
        // Boxed, because it is by far the largest part of every operation that needs peers.
        let asking = Box::pin(ask::details(&at_hand, &ours, game, &belief, search));
        let Some(answers) = cancel.run_until_cancelled(asking).await else {
            return Err(PeerError::Cancelled);
        };
        let Answers { offers, named, mut refusals, searched, late } = answers;
        if searched.asked == 0 {
            return Err(PeerError::NoPeers { searched: Box::new(searched) });
        }
        let order = SourceOrder { named, ours: ours.id(), game };
        match select(offers, wanted.as_ref(), belief.manifest(), &order) {
            Ok(mut selection) => {
                selection.dropped.append(&mut refusals);
                for answer in &selection.dropped {
                    tracing::info!("{} is not a source of {game}: {}", answer.peer, answer.reason);
                }
                for copy in &selection.copies {
                    tracing::warn!("{}: {}", copy.peer, copy.reason);
                }
                log_selection(game, &selection, &belief);
                Ok((selection, late))
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

fn may_be_source(rules: &PeerRules, options: &OperationOptions, id: &PeerId) -> bool {
    let is_named = options.only_from.is_empty() || options.only_from.contains(id);
    is_named && rules.admits_to(&options.admission, id)
}

fn log_selection(game: &GameId, selection: &Selection, belief: &Belief) {
    let shown = |source: &PeerOffer| format!("{} ({})", source.name, source.address);
    let sources: Vec<String> = selection.sources.iter().map(shown).collect();
    let why = match (&belief.manifest, &belief.version) {
        (Some(_), _) => "from peers with the files of the catalog's manifest",
        (None, Some(_)) => "which the catalog expects, from peers with the same files",
        (None, None) => "which most peers have, from peers with the same files",
    };
    tracing::info!("{game}: version {}, {why}, in this order: {}", selection.version, sources.join(", "));
}
