//! What an *ensure* or an *absent* did, in words. Nothing here does I/O.

use lanspread_peer::{DetachedOperation, EnsureAction, Ensured, GameUpdate};

use crate::exit::Retry;

pub(super) fn ensured(ensured: &Ensured) -> String {
    let Ensured { game, present, version, action, note, .. } = ensured;
    if !present {
        return match action {
            EnsureAction::None => format!("{game} is not here: unchanged"),
            _ => format!("{game} is removed: changed"),
        };
    }
    let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let note = note.as_deref().map(|note| format!("; {}", note_words(note))).unwrap_or_default();
    match action {
        EnsureAction::None => format!("{game}{version} is as it should be: unchanged{note}"),
        action => format!("{game}{version} is {action}: changed{note}"),
    }
}

fn note_words(note: &str) -> String {
    match note {
        "newer-here" => "peers have an older version, and this one stays".to_owned(),
        "no-peers" => "version not compared: no peer answered".to_owned(),
        "not-offered" | "no-server-manifest" => "version not compared: no peer offers it".to_owned(),
        "ambiguous-metadata" => "version not compared: the peers disagree".to_owned(),
        other => format!("version not compared: {other}"),
    }
}

/// A request that failed and is made again.
pub(super) fn retry(retry: &Retry) -> String {
    let Retry { game, failure, number, retries, delay } = retry;
    let delay = humantime::format_duration(*delay);
    format!("{game}: {}; try {number} of {retries} follows in {delay}", failure.message)
}

/// What an update would do.
pub(super) fn update(update: &GameUpdate) -> String {
    let GameUpdate { game, title, version, installed_version, wanted, outdated, note } = update;
    let here = match (version, installed_version) {
        (Some(version), Some(installed)) if version != installed => {
            format!("{version} downloaded, {installed} installed")
        }
        (version, installed) => {
            version.as_ref().or(installed.as_ref()).map_or("-".to_owned(), ToString::to_string)
        }
    };
    let what = match (wanted, outdated, note.as_deref()) {
        (Some(wanted), true, _) => format!("update to {wanted}"),
        (Some(_), false, _) => "current".to_owned(),
        (None, _, Some("not-in-catalog")) => "not in the catalog".to_owned(),
        (None, _, Some(note)) => note_words(note),
        (None, _, None) => "version not compared".to_owned(),
    };
    format!("{game}  {here}  {what}{}", title.as_ref().map(|title| format!("  {title}")).unwrap_or_default())
}

/// An operation that the daemon does on its own.
pub(super) fn detached(started: &DetachedOperation) -> String {
    let DetachedOperation { operation, kind, game, joined } = started;
    let joined = if *joined { ", which was requested before" } else { "" };
    format!("operation {operation}: {kind} {game}{joined}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_game_has_a_line_that_says_whether_it_has_changed() {
        let says = |present, version: Option<&str>, action: EnsureAction, note: Option<&'static str>| {
            ensured(&Ensured {
                game: "g".parse().unwrap(),
                present,
                version: version.map(|version| version.parse().unwrap()),
                changed: action != EnsureAction::None,
                action,
                note: note.map(Into::into),
            })
        };
        for (said, expected) in [
            (says(true, Some("1"), EnsureAction::None, None), "g 1 is as it should be: unchanged"),
            (
                says(true, Some("1"), EnsureAction::None, Some("no-peers")),
                "g 1 is as it should be: unchanged; version not compared: no peer answered",
            ),
            (
                says(true, Some("2"), EnsureAction::Repaired, Some("newer-here")),
                "g 2 is repaired: changed; peers have an older version, and this one stays",
            ),
            (says(true, None, EnsureAction::None, None), "g is as it should be: unchanged"),
            (says(false, None, EnsureAction::None, None), "g is not here: unchanged"),
            (says(false, None, EnsureAction::Removed, None), "g is removed: changed"),
        ] {
            assert_eq!(said, expected);
        }
    }
}
