use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory;

use super::*;
use crate::help::heading;

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn the_default_dictionary_is_that_of_the_library() {
    let words = ["lanspread-peer-cli", "serve", "--games-dir", "x"];
    let Command::Serve(serve) = Arguments::try_parse_from(words).unwrap().command else { panic!() };
    assert_eq!(serve.decoder.max_dictionary.0, lanspread_peer::limits::DICTIONARY_BYTES_DEFAULT);
}

#[test]
fn only_an_option_that_is_not_for_one_call_has_a_variable() {
    assert_eq!(variable_of("--no-discovery").as_deref(), Some("LANSPREAD_NO_DISCOVERY"));
    assert_eq!(variable_of("--name").as_deref(), Some("LANSPREAD_NAME"));
    for none in ["--force", "--stream", "no-discovery", "-v"] {
        assert_eq!(variable_of(none), None, "{none}");
    }
}

/// Without a hint, shells offer the names of files for everything.
#[test]
fn every_value_says_how_a_shell_completes_it() {
    let root = Arguments::command();
    let mut waiting = vec![&root];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands());
        for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
            let is_known = argument.get_value_hint() != ValueHint::Unknown;
            let has_values = !argument.get_possible_values().is_empty();
            assert!(is_known || has_values, "{} {}", command.get_name(), argument.get_id());
        }
    }
}

/// Scripts rely on this.
#[test]
fn every_option_has_a_variable_that_is_not_for_one_call() {
    const FOR_ONE_CALL: &[&str] = &[
        "all",
        "on",
        "once",
        "check",
        "detach",
        "dry_run",
        "ended",
        "follow",
        "force",
        "game",
        "updates",
        "archives",
        "file",
        "streamed",
        "verify",
        "output",
        "without_tree",
        "accept_unverified",
        "clear",
        "down",
        "help",
        "key",
        "out",
        "out_dir",
        "print",
        "qr",
        "reason",
        "repair",
        "replace",
        "sources",
        "stream",
        "up",
        "version",
        "with_catalog_key",
        "party",
        "yes",
    ];
    let root = Arguments::command();
    let mut waiting = vec![&root];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands());
        for option in command.get_arguments().filter(|argument| !argument.is_positional()) {
            let (name, variable) = (option.get_id().as_str(), option.get_env());
            let is_for_one_call =
                FOR_ONE_CALL.contains(&name) || (command.get_name(), name) == ("trust", "name");
            assert_eq!(variable.is_none(), is_for_one_call, "{} {name}", command.get_name());
            let variable = variable.and_then(|name| name.to_str());
            let spelt = option.get_long().map(spelt_like);
            assert!(
                variable.is_none_or(|name| Some(name) == spelt.as_deref()),
                "{variable:?} is not {spelt:?}"
            );
        }
    }
}

/// The help of a command with many options is readable only if they are grouped, and in every command in the same way.
#[test]
fn options_of_several_commands_are_grouped_under_the_same_heading() {
    let root = Arguments::command();
    let mut headings: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    let mut waiting = vec![&root];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands());
        for option in command.get_arguments().filter(|argument| !argument.is_positional()) {
            let heading = option.get_help_heading();
            assert!(heading.is_none_or(|heading| heading::ALL.contains(&heading)), "{heading:?}");
            // What `serve` offers has a heading of its own, also where an option of that name is elsewhere.
            if heading != Some(heading::SERVING) {
                headings.entry(option.get_id().as_str()).or_default().insert(heading);
            }
        }
    }
    assert!(headings.len() > 30, "{headings:?}");
    for (name, headings) in headings {
        assert_eq!(headings.len(), 1, "--{name} is under several headings: {headings:?}");
    }
    for name in ["games_dir", "peers", "catalog", "json"] {
        let everywhere =
            root.get_arguments().chain(root.get_subcommands().flat_map(clap::Command::get_arguments));
        let mut named = everywhere.filter(|option| option.get_id() == name).peekable();
        assert!(named.peek().is_some() && named.all(|option| option.get_help_heading().is_some()), "{name}");
    }
}
