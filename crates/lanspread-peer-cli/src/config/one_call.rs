//! Variables that are spelt like an option for one call. Nothing here reads the environment.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command};
use lanspread_peer::ErrorCategory;

use crate::arguments::{is_variable, spelt_like};
use crate::exit::Failure;

/// Refuses the variable of an option of the chosen command that is for one call. It would have no effect, and the person
/// who set it believes that it has one.
///
/// # Errors
/// Such a variable is set and not empty.
pub(super) fn refuse(
    root: &Command,
    matches: &ArgMatches,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(), Failure> {
    let (mut command, mut matches) = (root, matches);
    while let Some((name, below)) = matches.subcommand() {
        let Some(subcommand) = command.find_subcommand(name) else { break };
        (command, matches) = (subcommand, below);
    }
    for option in command.get_arguments().filter(|option| is_for_one_call(option)) {
        let Some(long) = option.get_long() else { continue };
        let name = spelt_like(long);
        let is_set = variable(&name).is_some_and(|value| !value.is_empty());
        if is_set && !is_variable(root, &name) {
            let message = format!("the variable {name}: `--{long}` is for one call");
            let failure = Failure::new("usage", None, message, ErrorCategory::Usage);
            let hint = format!("unset it, and give --{long} on the command line");
            return Err(Failure { hint: Some(hint.into()), ..failure });
        }
    }
    Ok(())
}

/// Whether an option can only be on the command line: neither in a variable nor in the config file.
pub(super) fn is_for_one_call(option: &Arg) -> bool {
    let is_built_in = matches!(
        option.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    );
    !is_built_in && option.get_env().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        Command::new("root")
            .subcommand(
                Command::new("install").arg(flag("dry-run")).arg(flag("no-relay").env("LANSPREAD_NO_RELAY")),
            )
            .subcommand(
                Command::new("peers").subcommand(Command::new("trust").arg(Arg::new("name").long("name"))),
            )
            .subcommand(Command::new("serve").arg(Arg::new("name").long("name").env("LANSPREAD_NAME")))
    }

    fn refused(words: &[&str], variable: &str, value: &str) -> Option<String> {
        let root = command();
        let matches = root.clone().try_get_matches_from([&["root"], words].concat()).unwrap();
        let set = |name: &str| (name == variable).then(|| value.into());
        refuse(&root, &matches, &set).err().map(|failure| failure.line())
    }

    /// It would have no effect, and the person who set it believes that it has one.
    #[test]
    fn the_variable_of_an_option_for_one_call_is_refused_and_no_other() {
        let line = refused(&["install"], "LANSPREAD_DRY_RUN", "1").unwrap();
        let expected = "error: the variable LANSPREAD_DRY_RUN: `--dry-run` is for one call \
            (unset it, and give --dry-run on the command line)";
        assert_eq!(line, expected);
        assert_eq!(refused(&["install"], "LANSPREAD_DRY_RUN", ""), None, "empty is not set");
        assert_eq!(refused(&["install"], "LANSPREAD_NO_RELAY", "1"), None, "an option with a variable");
        assert_eq!(refused(&["serve"], "LANSPREAD_DRY_RUN", "1"), None, "no option of this command");
        assert_eq!(refused(&["peers", "trust"], "LANSPREAD_NAME", "den"), None, "the variable of `serve`");
    }
}
