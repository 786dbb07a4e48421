//! From the catalog that was there and the games that were read to the next catalog. Pure, apart from the time it is made.

use std::collections::BTreeMap;

use lanspread_trust::catalog::{CatalogContent, CatalogGame, CatalogHead, CatalogTime};
use lanspread_types::ids::{CatalogName, GameId};
use lanspread_types::limits::CATALOG_VERSION_MAX;
use lanspread_types::source_url::SourceUrl;

/// The next catalog.
pub(super) struct Merged {
    pub(super) content: CatalogContent,
    pub(super) version: u64,
    /// Games that are no longer in it.
    pub(super) removed: Vec<GameId>,
    /// Whether it says something that the one before did not.
    pub(super) is_new: bool,
}

/// Puts the games that were read into the catalog. If they were `all` games of the directory, the others leave it, but
/// those that failed keep what they had: a bad disk must not take a game out of the catalog.
pub(super) fn merge(
    before: Option<&CatalogContent>,
    built: BTreeMap<GameId, CatalogGame>,
    failed: &[&GameId],
    all: bool,
    name: Option<&CatalogName>,
    sources: &[SourceUrl],
    is_edited: bool,
) -> Result<Merged, String> {
    let known = before.map(|before| before.games.clone()).unwrap_or_default();
    let stays = |game: &GameId| !all || built.contains_key(game) || failed.contains(&game);
    let removed: Vec<GameId> = known.keys().filter(|game| !stays(game)).cloned().collect();
    let mut games: BTreeMap<_, _> = known.into_iter().filter(|(game, _)| stays(game)).collect();
    games.extend(built);
    let head = before.and_then(|before| before.head.as_ref());
    let name = name.or(head.and_then(|head| head.name.as_ref())).cloned();
    let sources = match sources {
        [] => head.map(|head| head.sources.clone()).unwrap_or_default(),
        sources => sources.to_vec(),
    };
    let is_same = |head: &CatalogHead| {
        head.name == name && head.sources == sources && before.is_some_and(|before| before.games == games)
    };
    if let Some(head) = head.filter(|head| !is_edited && is_same(head)) {
        let (version, content) = (head.version, CatalogContent { head: Some(head.clone()), games });
        return Ok(Merged { content, version, removed, is_new: false });
    }
    let version = head.map_or(0, |head| head.version) + 1;
    if version > CATALOG_VERSION_MAX {
        return Err(format!("its version {CATALOG_VERSION_MAX} is the last one there can be"));
    }
    let expires = head.and_then(|head| head.expires);
    let head = CatalogHead { version, name, made: Some(CatalogTime::now()), expires, sources };
    Ok(Merged { content: CatalogContent { head: Some(head), games }, version, removed, is_new: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(version: &str) -> CatalogGame {
        let version = version.parse().unwrap();
        CatalogGame { name: "G".to_owned(), version, manifest: None, bytes: None, unpacked_bytes: None }
    }

    fn games(games: &[(&str, &str)]) -> BTreeMap<GameId, CatalogGame> {
        games.iter().map(|(id, version)| (id.parse().unwrap(), game(version))).collect()
    }

    fn catalog(version: u64, list: &[(&str, &str)]) -> CatalogContent {
        let head = CatalogHead { version, name: None, made: None, expires: None, sources: Vec::new() };
        CatalogContent { head: Some(head), games: games(list) }
    }

    fn merged(
        before: Option<&CatalogContent>,
        built: &[(&str, &str)],
        failed: &[&str],
        all: bool,
    ) -> (u64, bool, Vec<String>, Vec<String>) {
        let failed: Vec<GameId> = failed.iter().map(|game| game.parse().unwrap()).collect();
        let failed: Vec<&GameId> = failed.iter().collect();
        let merged = merge(before, games(built), &failed, all, None, &[], false).unwrap();
        let words = |ids: Vec<&GameId>| ids.into_iter().map(ToString::to_string).collect();
        let removed = words(merged.removed.iter().collect());
        (merged.version, merged.is_new, words(merged.content.games.keys().collect()), removed)
    }

    #[test]
    fn the_version_counts_what_changed() {
        let before = catalog(7, &[("a", "1"), ("b", "1")]);
        let none: Vec<String> = Vec::new();
        let both = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(merged(None, &[("a", "1"), ("b", "1")], &[], true), (1, true, both.clone(), none.clone()));
        let same = merged(Some(&before), &[("a", "1"), ("b", "1")], &[], true);
        assert_eq!(same, (7, false, both.clone(), none.clone()));
        let newer = merged(Some(&before), &[("a", "2"), ("b", "1")], &[], true);
        assert_eq!(newer, (8, true, both.clone(), none.clone()));
        let gone = merged(Some(&before), &[("a", "1")], &[], true);
        assert_eq!(gone, (8, true, vec!["a".to_owned()], vec!["b".to_owned()]));
        // Only one game was asked for, or one could not be read.
        assert_eq!(merged(Some(&before), &[("a", "1")], &[], false), (7, false, both.clone(), none.clone()));
        assert_eq!(merged(Some(&before), &[("a", "1")], &["b"], true), (7, false, both, none));
    }

    #[test]
    fn an_edited_catalog_and_one_of_schema_1_get_a_version_of_their_own() {
        let before = catalog(7, &[("a", "1")]);
        let edited = merge(Some(&before), games(&[("a", "1")]), &[], true, None, &[], true).unwrap();
        assert_eq!((edited.version, edited.is_new), (8, true));
        let name: CatalogName = "Summer".parse().unwrap();
        let named = merge(Some(&before), games(&[("a", "1")]), &[], true, Some(&name), &[], false).unwrap();
        assert_eq!((named.version, named.content.head.unwrap().name), (8, Some(name)));
        let sources: Vec<SourceUrl> = vec!["http://games.lan/".parse().unwrap()];
        let with_sources =
            merge(Some(&before), games(&[("a", "1")]), &[], true, None, &sources, false).unwrap();
        assert_eq!((with_sources.version, with_sources.is_new), (8, true));
        let kept =
            merge(Some(&with_sources.content), games(&[("a", "1")]), &[], true, None, &[], false).unwrap();
        assert_eq!((kept.version, kept.content.head.unwrap().sources), (8, sources));
        let old = CatalogContent { head: None, games: games(&[("a", "1")]) };
        let first = merge(Some(&old), games(&[("a", "1")]), &[], true, None, &[], false).unwrap();
        assert_eq!((first.version, first.is_new), (1, true));
        let last = catalog(CATALOG_VERSION_MAX, &[]);
        assert!(merge(Some(&last), games(&[("a", "1")]), &[], true, None, &[], false).is_err());
    }
}
