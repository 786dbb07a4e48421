//! Which variable an option has. Every variable is spelt like its option, so there is one spelling and no table of names.

use clap::{Command, CommandFactory};

use super::Arguments;

/// The variable that an option has, or would have if it were not for one call.
pub(crate) fn spelt_like(long: &str) -> String {
    format!("LANSPREAD_{}", long.replace('-', "_").to_ascii_uppercase())
}

/// Whether an option of this command, or of one below it, has this variable.
pub(crate) fn is_variable(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|option| option.get_env().is_some_and(|variable| variable == name))
        || command.get_subcommands().any(|subcommand| is_variable(subcommand, name))
}

/// The variable of the option that is written like this, if it has one in any command.
pub(crate) fn variable_of(option: &str) -> Option<String> {
    let name = spelt_like(option.strip_prefix("--")?);
    is_variable(&Arguments::command(), &name).then_some(name)
}
