//! Which games a pattern means: those here, of the catalog, or offered by peers.

use std::collections::BTreeSet;

use lanspread_types::ids::GameId;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::game_pattern::{GamePattern, GamesAmong};
use crate::report::operation::AskOptions;

impl Peer {
    /// The games that fit any of the patterns, sorted by id. With `must_match`, each pattern has to fit one.
    ///
    /// # Errors
    /// [`PeerError::NoGame`] for a pattern that fits none; [`PeerError::Config`] if the games of a catalog are wanted and
    /// there is no catalog; [`PeerError::NoPeers`]; [`PeerError::Local`].
    pub(crate) async fn matching(
        &self,
        patterns: &[GamePattern],
        among: GamesAmong,
        must_match: bool,
        ask: &AskOptions,
    ) -> Result<Vec<GameId>, PeerError> {
        let games = self.games_among(among, ask).await?;
        let fitting = |pattern: &GamePattern| games.iter().any(|game| pattern.fits(game));
        if let Some(pattern) = patterns.iter().find(|pattern| must_match && !fitting(pattern)) {
            return Err(PeerError::NoGame { what: pattern.to_string() });
        }
        Ok(games.into_iter().filter(|game| patterns.iter().any(|pattern| pattern.fits(game))).collect())
    }

    async fn games_among(&self, among: GamesAmong, ask: &AskOptions) -> Result<BTreeSet<GameId>, PeerError> {
        let of_catalog = match &self.inner.catalog {
            Some(live) if among != GamesAmong::Here => Some(live.current()?),
            _ => None,
        };
        if let Some(catalog) = of_catalog {
            return Ok(catalog.content().games.keys().cloned().collect());
        }
        let mut games = BTreeSet::new();
        if matches!(among, GamesAmong::Here | GamesAmong::Known) {
            games.extend(self.scan_games().await?.games.into_iter().map(|state| state.game));
        }
        match among {
            GamesAmong::Here => {}
            GamesAmong::Catalog => {
                return Err(PeerError::Config("there is no catalog that says what all games are".to_owned()));
            }
            GamesAmong::Offered | GamesAmong::Known => match self.discover(ask).await {
                Ok(found) => games.extend(found.games().into_iter().map(|offered| offered.game)),
                // The games on this machine are enough if there are some.
                Err(PeerError::NoPeers { .. } | PeerError::Peer { .. }) if !games.is_empty() => {}
                Err(error) => return Err(error),
            },
        }
        Ok(games)
    }
}
