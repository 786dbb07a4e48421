//! What the word is that a shell completes: a game, a peer, or nothing that only a running program knows.

use clap::{Arg, Command};

/// Something whose values only the machine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completed {
    /// A game that can be fetched.
    AnyGame,
    /// A game that is on this machine.
    LocalGame,
    /// A game with an operation.
    BusyGame,
    /// The address of a peer.
    PeerAddress,
    /// The identity of a peer.
    PeerId,
}

/// The end of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) wanted: Completed,
    /// Options before it that say where to look, by their long names.
    pub(crate) options: Vec<(String, String)>,
    /// The other words at the same place, such as the games before this one.
    pub(crate) beside: Vec<String>,
}

/// Reads a line up to the word that is completed, which is the last one. The command is built; `words` are without the
/// name of the program.
pub(crate) fn position(root: &Command, words: &[String]) -> Option<Position> {
    let (current, before) = words.split_last()?;
    let mut command = root;
    let mut waiting: Option<&Arg> = None;
    let mut options = Vec::new();
    let mut positionals: Vec<String> = Vec::new();
    let mut only_positionals = false;
    for word in before {
        if let Some(option) = waiting.take() {
            options.push((option.get_long().unwrap_or_default().to_owned(), word.clone()));
        } else if only_positionals || !word.starts_with('-') || word == "-" {
            match command.find_subcommand(word).filter(|_| positionals.is_empty()) {
                Some(subcommand) => command = subcommand,
                None => positionals.push(word.clone()),
            }
        } else if word == "--" {
            only_positionals = true;
        } else if let Some((long, value)) = word.strip_prefix("--").and_then(|word| word.split_once('=')) {
            options.push((long.to_owned(), value.to_owned()));
        } else {
            waiting = option(command, word).filter(|option| option.get_action().takes_values());
        }
    }
    let is_option = current.starts_with('-') && !only_positionals;
    let argument = match waiting {
        Some(option) => option,
        None if is_option => return None,
        None => positional(command, positionals.len())?,
    };
    let beside = if waiting.is_some() { Vec::new() } else { positionals };
    Some(Position { wanted: wanted(command, argument)?, options, beside })
}

/// The option that is spelt like this.
fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|option| match word.strip_prefix("--") {
        Some(long) => option.get_long() == Some(long),
        // Of several short ones, only the last can take a value.
        None => option.get_short().is_some() && option.get_short() == word.chars().last(),
    })
}

/// The argument at a place: the last one can take several words.
fn positional(command: &Command, place: usize) -> Option<&Arg> {
    let mut positionals: Vec<&Arg> = command.get_positionals().collect();
    positionals.sort_by_key(|argument| argument.get_index());
    let last = positionals.last().filter(|last| {
        let values_max = last.get_num_args().map_or(1, |range| range.max_values());
        values_max > 1 || matches!(last.get_action(), clap::ArgAction::Append)
    });
    positionals.get(place).or(last).copied()
}

/// What an argument takes, by the name of its value in the help.
pub(super) fn wanted(command: &Command, argument: &Arg) -> Option<Completed> {
    let names = argument.get_value_names()?;
    let is_named =
        |wanted: &str| names.iter().any(|name| name.split(['|', '[', '@']).any(|part| part == wanted));
    if is_named("GAME") {
        return Some(match command.get_name() {
            "install" | "download" | "ensure" | "list" => Completed::AnyGame,
            "cancel" | "wait" => Completed::BusyGame,
            _ => Completed::LocalGame,
        });
    }
    if is_named("HOST:PORT") || is_named("HOST") || is_named("PEER") {
        return Some(Completed::PeerAddress);
    }
    is_named("ID").then_some(Completed::PeerId)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::arguments::Arguments;

    fn at(line: &str) -> Option<Position> {
        let mut command = Arguments::command();
        command.build();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        position(&command, &words)
    }

    #[test]
    fn a_word_is_what_its_place_says() {
        for (line, expected) in [
            ("install ", Some(Completed::AnyGame)),
            ("install --stream cn", Some(Completed::AnyGame)),
            ("-q install --games-dir /x a b ", Some(Completed::AnyGame)),
            ("update --force ", Some(Completed::LocalGame)),
            ("cancel x", Some(Completed::BusyGame)),
            ("catalog build ", Some(Completed::LocalGame)),
            ("catalog show catalog.toml ", Some(Completed::LocalGame)),
            ("install x --peer ", Some(Completed::PeerAddress)),
            ("serve --deny-peer ", Some(Completed::PeerId)),
            ("peers remove ", Some(Completed::PeerAddress)),
            ("peers deny ", Some(Completed::PeerId)),
            ("install -- -x", Some(Completed::AnyGame)),
            // Not these: a shell knows them itself.
            ("", None),
            ("inst", None),
            ("install --", None),
            ("install -v", None),
            ("install --games-dir ", None),
            ("install --names ", None),
            ("completions ", None),
            ("catalog show ", None),
            ("peers deny x ", None),
        ] {
            assert_eq!(at(line).map(|position| position.wanted), expected, "{line:?}");
        }
        assert_eq!(position(&Arguments::command(), &[]), None);
    }

    #[test]
    fn the_options_and_the_words_before_it_are_known() {
        let position = at("install a --games-dir /x --state-dir=/y b c").unwrap();
        let expected = [("games-dir", "/x"), ("state-dir", "/y")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(position.options, expected);
        assert_eq!(position.beside, ["a", "b"]);
    }
}
