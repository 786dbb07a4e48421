//! Decides whether a game may be served. Pure.

use lanspread_proto::message::{Refusal, RefusalCode};
use lanspread_types::ids::{GameId, GameVersion};

/// Everything the decision depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GateInput<'a> {
    pub(crate) game: &'a GameId,
    /// Whether a catalog is in use, and the version it has for the game.
    pub(crate) catalog: CatalogSays<'a>,
    /// Version in the sentinel; none if the game is not downloaded on this machine.
    pub(crate) sentinel: Option<&'a GameVersion>,
    /// Whether an operation on this machine holds the game.
    pub(crate) operation: bool,
    /// Version the receiver wants; none if any will do.
    pub(crate) wanted: Option<&'a GameVersion>,
}

/// What the catalog says about a game.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CatalogSays<'a> {
    /// There is no catalog.
    Nothing,
    /// There is one, but the game is not in it.
    Unknown,
    /// The game's version.
    Version(&'a GameVersion),
}

/// The version that may be served, or why none may.
pub(crate) fn decide(input: GateInput<'_>) -> Result<&GameVersion, Refusal> {
    let refuse = |code, message: String| Err(Refusal::new(code, &message));
    let game = input.game;
    let Some(sentinel) = input.sentinel else {
        return refuse(RefusalCode::NotOffered, format!("it does not have {game}"));
    };
    match input.catalog {
        CatalogSays::Unknown => {
            return refuse(RefusalCode::NotOffered, format!("{game} is not in its catalog"));
        }
        CatalogSays::Version(version) if version != sentinel => {
            return refuse(
                RefusalCode::OtherVersion,
                format!("it has {game} in version {sentinel}, its catalog says {version}"),
            );
        }
        CatalogSays::Version(_) | CatalogSays::Nothing => {}
    }
    if input.operation {
        return Err(in_progress(game));
    }
    match input.wanted {
        Some(wanted) if wanted != sentinel => {
            refuse(RefusalCode::OtherVersion, format!("it has {game} in version {sentinel}, not {wanted}"))
        }
        _ => Ok(sentinel),
    }
}

/// The refusal while an operation holds the game.
pub(crate) fn in_progress(game: &GameId) -> Refusal {
    Refusal::new(RefusalCode::NotOffered, &format!("an operation on {game} is in progress"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination: a game is served exactly when the catalog agrees, the sentinel exists, no operation holds the
    /// game and the wanted version is the one in the sentinel.
    #[test]
    fn served_only_when_every_condition_holds() {
        let game: GameId = "g".parse().unwrap();
        let (one, two): (GameVersion, GameVersion) = ("1".parse().unwrap(), "2".parse().unwrap());
        let catalogs = [
            (CatalogSays::Nothing, true),
            (CatalogSays::Unknown, false),
            (CatalogSays::Version(&one), true),
            (CatalogSays::Version(&two), false),
        ];
        for (catalog, catalog_agrees) in catalogs {
            for sentinel in [None, Some(&one)] {
                for operation in [false, true] {
                    for (wanted, wanted_agrees) in [(None, true), (Some(&one), true), (Some(&two), false)] {
                        let input = GateInput { game: &game, catalog, sentinel, operation, wanted };
                        let expected = catalog_agrees && sentinel.is_some() && !operation && wanted_agrees;
                        assert_eq!(decide(input).is_ok(), expected, "{input:?}");
                    }
                }
            }
        }
    }
}
