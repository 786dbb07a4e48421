//! What an update would change: compared, and nothing is done.

use std::collections::{BTreeMap, BTreeSet};

use lanspread_store::state::game_state::GameState;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use lanspread_types::text::printable;
use tokio_util::sync::CancellationToken;

use crate::operations::OperationContext;
use crate::peer::client::PeerOffers;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::update::is_outdated;
use crate::report::failure::Code;
use crate::report::operation::{AskOptions, OperationOptions};
use crate::report::script_answers::GameUpdate;

impl Peer {
    /// What an update of each of these games would do, or of all games on this machine. With a catalog no peer is asked,
    /// unless newer catalogs come from peers.
    ///
    /// # Errors
    /// [`PeerError::Local`] if the games directory cannot be read, the errors of a catalog, and [`PeerError::NoGame`] for a
    /// game that is not here.
    pub(crate) async fn updates(
        &self,
        games: &[GameId],
        ask: &AskOptions,
    ) -> Result<Vec<GameUpdate>, PeerError> {
        let here = self.scan_games().await?.games;
        if let Some(game) = games.iter().find(|game| !here.iter().any(|state| state.game == **game)) {
            return Err(PeerError::NoGame { what: game.to_string() });
        }
        let is_asked_for = |state: &GameState| games.is_empty() || games.contains(&state.game);
        let here: Vec<GameState> = here
            .into_iter()
            .filter(|state| (state.installed || state.downloaded()) && is_asked_for(state))
            .collect();
        let Some(first) = here.first() else { return Ok(Vec::new()) };
        let context = OperationContext {
            game: first.game.clone(),
            options: OperationOptions::default().with_peers(ask.peers.clone()).with_discovery(ask.discovery),
            events: self.inner.events.of_operation(None),
            cancel: CancellationToken::new(),
        };
        self.newer_catalog(&context).await?;
        if let Some(live) = &self.inner.catalog {
            let catalog = live.current()?;
            let of_catalog = |state: &GameState| match catalog.game(&state.game) {
                Some(known) => {
                    let title = printable(&known.name, limits::CATALOG_TITLE_CHARS_SHOWN_MAX);
                    GameUpdate { title: Some(title), ..update_of(state, Ok(known.version.clone())) }
                }
                None => update_of(state, Err("not-in-catalog".into())),
            };
            return Ok(here.iter().map(of_catalog).collect());
        }
        let found = match self.discover(ask).await {
            Ok(found) => Ok(found),
            Err(error @ (PeerError::NoPeers { .. } | PeerError::Peer { .. })) => {
                Err(Code::from(error.code()))
            }
            Err(error) => return Err(error),
        };
        let wanted = |game: &GameId| match &found {
            Ok(found) => version_of_most(&found.peers, game),
            Err(code) => Err(code.clone()),
        };
        Ok(here.iter().map(|state| update_of(state, wanted(&state.game))).collect())
    }
}

fn update_of(state: &GameState, wanted: Result<GameVersion, Code>) -> GameUpdate {
    let (wanted, note) = match wanted {
        Ok(wanted) => (Some(wanted), None),
        Err(note) => (None, Some(note)),
    };
    GameUpdate {
        game: state.game.clone(),
        title: None,
        version: state.version.clone(),
        installed_version: state.installed_version.clone(),
        outdated: wanted.as_ref().is_some_and(|wanted| is_outdated(state, wanted)),
        wanted,
        note,
    }
}

/// The version in which most identities offer a game. An update also compares their files, and which peers are believed.
fn version_of_most(peers: &[PeerOffers], game: &GameId) -> Result<GameVersion, Code> {
    let mut offers: BTreeMap<&GameVersion, BTreeSet<_>> = BTreeMap::new();
    for peer in peers {
        for offer in peer.games.iter().filter(|offer| offer.game == *game) {
            offers.entry(&offer.version).or_default().insert(peer.id);
        }
    }
    let most = offers.values().map(BTreeSet::len).max().ok_or("not-offered")?;
    let mut winners = offers.iter().filter(|(_, peers)| peers.len() == most);
    match (winners.next(), winners.next()) {
        (Some((version, _)), None) => Ok((*version).clone()),
        _ => Err("ambiguous-metadata".into()),
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::content::GameOffer;
    use lanspread_types::ids::PeerId;

    use super::*;

    #[test]
    fn the_version_of_most_identities_counts() {
        let game: GameId = "g".parse().unwrap();
        let peer = |id: u8, version: &str| PeerOffers {
            name: "pc".parse().unwrap(),
            id: PeerId::from([id; 16]),
            instance: id.into(),
            address: ([10, 0, 0, id], 1).into(),
            games: vec![GameOffer {
                game: game.clone(),
                version: version.parse().unwrap(),
                bytes: 1,
                entries: false,
            }],
        };
        let version = |peers: &[PeerOffers]| {
            version_of_most(peers, &game).map(|version| version.to_string()).map_err(|code| code.to_string())
        };
        assert_eq!(version(&[]), Err("not-offered".to_owned()));
        assert_eq!(version(&[peer(1, "2"), peer(2, "1"), peer(3, "2")]), Ok("2".to_owned()));
        assert_eq!(version(&[peer(1, "2"), peer(2, "1")]), Err("ambiguous-metadata".to_owned()));
        // Two runs of one identity have one vote.
        assert_eq!(
            version(&[peer(1, "2"), peer(1, "2"), peer(2, "1")]),
            Err("ambiguous-metadata".to_owned())
        );
        assert_eq!(version_of_most(&[peer(1, "1")], &"other".parse().unwrap()), Err("not-offered".into()));
    }
}
