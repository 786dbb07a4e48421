//! Which offered game a user may have meant. Pure.

use lanspread_types::ids::GameId;

/// The offered id that is most like the wanted one, if it is like it: the same but for upper and lower case, or a few
/// letters that are wrong, missing, added or exchanged. With equal likeness, the first in the alphabet.
pub(crate) fn similar<'g>(wanted: &GameId, offered: impl IntoIterator<Item = &'g GameId>) -> Option<GameId> {
    let spelled = wanted.as_str().to_ascii_lowercase();
    // One mistake in a short word, and one more for every five letters.
    let most = (spelled.len() / 5).max(1);
    let near = offered.into_iter().filter(|game| *game != wanted).filter_map(|game| {
        let mistakes = mistakes(&spelled, &game.as_str().to_ascii_lowercase(), most)?;
        Some((mistakes, game))
    });
    near.min().map(|(_, game)| game.clone())
}

/// How many letters must be changed, added, left out or exchanged with their neighbours to make one word of the other;
/// none if it is more than `most` (restricted Damerau-Levenshtein distance).
fn mistakes(one: &str, other: &str, most: usize) -> Option<usize> {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, theirs) in other.iter().enumerate() {
            let changed = last[column] + usize::from(letter != theirs);
            let mut least = changed.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && one[row - 1] == *theirs && other[column - 1] == *letter {
                least = least.min(before_last[column - 1] + 1);
            }
            current.push(least);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().filter(|mistakes| *mistakes <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_game_is_recognised_and_another_one_is_not() {
        let offered: Vec<GameId> =
            ["cnctw", "alpha-arena", "alpha-racer", "quake3", "q2"].map(|id| id.parse().unwrap()).to_vec();
        let meant =
            |wanted: &str| similar(&wanted.parse().unwrap(), &offered).map(|game| game.as_str().to_owned());
        for (wanted, game) in [
            ("cnctv", "cnctw"),
            ("CnCTW", "cnctw"),
            ("cncwt", "cnctw"),
            ("cnct", "cnctw"),
            ("ccnctw", "cnctw"),
            ("alpha-raecr", "alpha-racer"),
            ("alpharacer", "alpha-racer"),
            ("alpha-area", "alpha-arena"),
            ("q3", "q2"),
        ] {
            assert_eq!(meant(wanted).as_deref(), Some(game), "{wanted}");
        }
        for wanted in ["cnctw", "cnc", "starcraft", "alpha", "quake-arena", "x"] {
            assert_eq!(meant(wanted), None, "{wanted}");
        }
    }
}
