//! Decides whether a game may be served. Pure.

use lanspread_proto::message::{Refusal, RefusalCode};
use lanspread_types::checksum::ContentDigest;
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

/// Everything that decides whether the installed files of a game may be served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntriesInput<'a> {
    pub(crate) game: &'a GameId,
    /// Whether the user allows it.
    pub(crate) shares_installed: bool,
    /// What the catalog says about the game: its version and its manifest. None without a catalog, or if it is not in it.
    pub(crate) listed: Option<(&'a GameVersion, Option<ContentDigest>)>,
    /// Whether the game is downloaded: its archives are served then, and nothing else.
    pub(crate) downloaded: bool,
    /// The version of the installed tree, and the manifest that verified it; none if there is no verified tree.
    pub(crate) installed: Option<(&'a GameVersion, ContentDigest)>,
    /// Whether an operation on this machine holds the game.
    pub(crate) operation: bool,
    /// What the receiver wants; none if any will do.
    pub(crate) wanted: Option<(&'a GameVersion, ContentDigest)>,
}

/// The version and the manifest of the installed files that may be served, or why none may.
pub(crate) fn decide_entries(input: EntriesInput<'_>) -> Result<(GameVersion, ContentDigest), Refusal> {
    let refuse = |code, message: String| Err(Refusal::new(code, &message));
    let game = input.game;
    let Some(installed) = input.installed.filter(|_| input.shares_installed && !input.downloaded) else {
        return refuse(RefusalCode::NotOffered, format!("it does not offer installed files of {game}"));
    };
    // The manifest of the catalog is the only one that receivers believe.
    match input.listed {
        Some((version, Some(manifest))) if (version, manifest) == installed => {}
        Some((version, Some(_))) if version != installed.0 => {
            let message = format!("it has {game} in version {}, its catalog says {version}", installed.0);
            return refuse(RefusalCode::OtherVersion, message);
        }
        _ => {
            let message = format!("its installed files of {game} are not those of its catalog's manifest");
            return refuse(RefusalCode::NotOffered, message);
        }
    }
    if input.operation {
        return Err(in_progress(game));
    }
    match input.wanted {
        Some((version, _)) if version != installed.0 => {
            let message = format!("it has {game} in version {}, not {version}", installed.0);
            refuse(RefusalCode::OtherVersion, message)
        }
        Some((_, manifest)) if manifest != installed.1 => {
            let message = format!("its installed files of {game} are those of another manifest");
            refuse(RefusalCode::NotOffered, message)
        }
        _ => Ok((installed.0.clone(), installed.1)),
    }
}

/// The refusal while an operation holds the game.
pub(crate) fn in_progress(game: &GameId) -> Refusal {
    Refusal::new(RefusalCode::NotOffered, &format!("an operation on {game} is in progress"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination: installed files are served exactly when the user allows it, they are verified by the manifest
    /// that the catalog names for this version, the archives are not here, no operation holds the game and the receiver
    /// wants them.
    #[test]
    fn installed_files_are_served_only_when_every_condition_holds() {
        let game: GameId = "g".parse().unwrap();
        let (one, two): (GameVersion, GameVersion) = ("1".parse().unwrap(), "2".parse().unwrap());
        let (ours, other) = (ContentDigest([1; 32]), ContentDigest([2; 32]));
        let listed = [
            (None, false),
            (Some((&one, None)), false),
            (Some((&one, Some(other))), false),
            (Some((&two, Some(ours))), false),
            (Some((&one, Some(ours))), true),
        ];
        let wanted = [
            (None, true),
            (Some((&one, ours)), true),
            (Some((&two, ours)), false),
            (Some((&one, other)), false),
        ];
        for (listed, is_listed) in listed {
            for (wanted, is_wanted) in wanted {
                for bits in 0..16 {
                    let [shares_installed, downloaded, is_verified, operation] =
                        [0, 1, 2, 3].map(|bit| bits >> bit & 1 == 1);
                    let installed = is_verified.then_some((&one, ours));
                    let game = &game;
                    let input = EntriesInput {
                        game,
                        shares_installed,
                        listed,
                        downloaded,
                        installed,
                        operation,
                        wanted,
                    };
                    let expected = shares_installed
                        && !downloaded
                        && is_verified
                        && !operation
                        && is_listed
                        && is_wanted;
                    assert_eq!(decide_entries(input).is_ok(), expected, "{input:?}");
                }
            }
        }
    }

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
