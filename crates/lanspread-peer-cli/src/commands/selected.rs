//! From the games and patterns of a command line to ids.

use lanspread_peer::{
    Answer, AskOptions, CancellationToken, ControlReply, ControlRequest, GameId, GamePattern, GamesAmong,
    MatchedGame,
};

use crate::backend::Backend;
use crate::exit::Failure;

/// The games that a command line names: each once, in its order, those of a pattern sorted by id.
pub(super) struct Selection<'w> {
    pub(super) wanted: &'w [GamePattern],
    /// Every game is wanted.
    pub(super) all: Option<GamesAmong>,
    /// Among which games a pattern is looked for.
    pub(super) among: GamesAmong,
    /// Whether a pattern has to fit a game.
    pub(super) must_match: bool,
    /// Which peers are asked.
    pub(super) ask: AskOptions,
}

impl Selection<'_> {
    pub(super) async fn games(&self, backend: &Backend<'_>) -> Result<Vec<GameId>, Failure> {
        if let Some(among) = self.all {
            return self.matching(backend, GamePattern::every(), among, false).await;
        }
        let mut games = Vec::new();
        for wanted in self.wanted {
            let fitting = match wanted {
                GamePattern::One(game) => vec![game.clone()],
                GamePattern::Many(_) => {
                    self.matching(backend, wanted.clone(), self.among, self.must_match).await?
                }
            };
            for game in fitting {
                if !games.contains(&game) {
                    games.push(game);
                }
            }
        }
        Ok(games)
    }

    async fn matching(
        &self,
        backend: &Backend<'_>,
        pattern: GamePattern,
        among: GamesAmong,
        must_match: bool,
    ) -> Result<Vec<GameId>, Failure> {
        let (patterns, ask) = (vec![pattern], self.ask.clone());
        let request = ControlRequest::Games { patterns, among, must_match, ask };
        let mut games = Vec::new();
        let replies = backend.ask(request).await?;
        replies
            .each(&CancellationToken::new(), async |reply| {
                if let ControlReply::Report { report: Answer::MatchedGame(MatchedGame { game }) } = reply {
                    games.push(game);
                }
                Ok(())
            })
            .await?;
        Ok(games)
    }
}
