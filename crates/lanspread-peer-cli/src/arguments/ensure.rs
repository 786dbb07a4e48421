//! The arguments of `ensure` and `absent`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueHint};
use lanspread_peer::{GameForm, GamePattern, WantedVersion, WordError};

use crate::arguments::games::{DryRun, Fetching, Force, GamesPlace, NamesAccepted};
use crate::arguments::options::{Decoder, StreamOptions};

/// `ensure`
#[derive(Debug, Args)]
pub(crate) struct Ensure {
    /// Ids of the games or patterns in quotes, such as 'cnc*', each with the version that is wanted: a version, `any` for
    /// whatever is here, or nothing for the one of the catalog or, without a catalog, the one that most peers have
    #[arg(required_unless_present_any = ["file", "all"], value_hint = ValueHint::Other, value_name = "GAME[@VERSION]")]
    pub(crate) games_wanted: Vec<WantedGame>,
    /// All games of the catalog
    #[arg(long)]
    pub(crate) all: bool,
    /// Room file that says which games are wanted and which are not (TOML)
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) form: FormChoice,
    /// Read all bytes of what is here, and not only the names and sizes of files
    #[arg(long)]
    pub(crate) verify: bool,
    #[command(flatten)]
    pub(crate) place: GamesPlace,
    #[command(flatten)]
    pub(crate) fetching: Fetching,
    #[command(flatten)]
    pub(crate) names: NamesAccepted,
    #[command(flatten)]
    pub(crate) decoder: Decoder,
    #[command(flatten)]
    pub(crate) streaming: StreamOptions,
    #[command(flatten)]
    pub(crate) force: Force,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

/// What of a game is to be on this machine.
#[derive(Debug, Args)]
pub(crate) struct FormChoice {
    /// Install the games without their archives [default: with them if they are here already]
    #[arg(long)]
    streamed: bool,
    /// Have the archives of the games too, so that they are shared
    #[arg(long, conflicts_with = "streamed")]
    archives: bool,
}

impl FormChoice {
    pub(crate) fn form(&self) -> GameForm {
        match (self.streamed, self.archives) {
            (true, _) => GameForm::Streamed,
            (false, true) => GameForm::Archives,
            (false, false) => GameForm::AsHere,
        }
    }
}

/// `absent`
#[derive(Debug, Args)]
pub(crate) struct Absent {
    /// Ids of the games, or patterns in quotes, such as 'cnc*'
    #[arg(required_unless_present = "all", value_hint = ValueHint::Other, value_name = "GAME")]
    pub(crate) games_wanted: Vec<GamePattern>,
    /// All games on this machine
    #[arg(long, conflicts_with = "games_wanted")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) place: GamesPlace,
    #[command(flatten)]
    pub(crate) force: Force,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

/// A game and the version that is wanted, as `GAME@VERSION`. No game id holds an `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedGame {
    pub(crate) game: GamePattern,
    pub(crate) version: WantedVersion,
}

impl FromStr for WantedGame {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (game, version) = match text.split_once('@') {
            Some((game, version)) => (game, version.parse()?),
            None => (text, WantedVersion::Current),
        };
        Ok(Self { game: game.parse()?, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_game_has_the_version_after_the_first_at_sign() {
        let read =
            |text: &str| text.parse::<WantedGame>().map(|wanted| (wanted.game.to_string(), wanted.version));
        let exactly = |version: &str| WantedVersion::Exactly { version: version.parse().unwrap() };
        assert_eq!(read("a"), Ok(("a".to_owned(), WantedVersion::Current)));
        assert_eq!(read("a@any"), Ok(("a".to_owned(), WantedVersion::Any)));
        assert_eq!(read("a@1@2"), Ok(("a".to_owned(), exactly("1@2"))));
        for bad in ["", "@1", "a@", "a/b", "a b@1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
