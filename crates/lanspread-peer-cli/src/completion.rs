//! Completion scripts of shells, generated from the arguments.
//!
//! What the generators leave out or get wrong is corrected here. Tests press the tab key in each shell for every command.

use clap::{Arg, Command};
use clap_complete::Shell;

/// The script that teaches the commands and options to a shell.
pub(crate) fn script(shell: Shell, mut command: Command) -> String {
    let name = command.get_name().to_owned();
    match shell {
        Shell::Bash => bash(&mut command, &name),
        Shell::Fish => {
            let script = generated(shell, &mut command, &name);
            let values = values_of_positionals(&command, &name);
            script + &values
        }
        Shell::Zsh => generated(shell, &mut with_escaped_names(command), &name),
        _ => generated(shell, &mut command, &name),
    }
}

/// In zsh, a colon ends the name of a value and begins what completes it. The generator does not escape those of a name
/// such as HOST:PORT, and zsh then looks for a program PORT.
fn with_escaped_names(command: Command) -> Command {
    let escape = |argument: Arg| {
        let names = argument.get_value_names().unwrap_or_default();
        let names: Vec<String> = names.iter().map(|name| name.replace(':', "\\:")).collect();
        if names.iter().any(|name| name.contains(':')) { argument.value_names(names) } else { argument }
    };
    command.mut_args(escape).mut_subcommands(with_escaped_names)
}

fn generated(shell: Shell, command: &mut Command, name: &str) -> String {
    // Into memory first: the generator panics when its writer fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, command, name.to_owned(), &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The generator spells the hyphens of a program's name in two ways, so that no subcommand is found under its label
/// (<https://github.com/clap-rs/clap/issues/6421>). It gets a name without hyphens, and only the registration at the end
/// of the script is for the real one.
fn bash(command: &mut Command, name: &str) -> String {
    let label = name.replace('-', "_");
    let script = generated(Shell::Bash, command, &label);
    let registered = |line: &str| match line.strip_suffix(&label) {
        Some(registration) if line.trim_start().starts_with("complete -F ") => {
            format!("{registration}{name}\n")
        }
        _ => format!("{line}\n"),
    };
    script.lines().map(registered).collect()
}

/// The fish generator knows the values of options only, and not those of arguments.
fn values_of_positionals(command: &Command, name: &str) -> String {
    let function = format!("__fish_{}_using_subcommand", name.replace('-', "_"));
    let mut script = String::new();
    for subcommand in command.get_subcommands() {
        let possible = subcommand.get_positionals().flat_map(Arg::get_possible_values);
        let shown = possible.filter(|value| !value.is_hide_set());
        let values: Vec<String> = shown.map(|value| value.get_name().to_owned()).collect();
        if !values.is_empty() {
            let (subcommand, values) = (subcommand.get_name(), values.join(" "));
            script += &format!("complete -c {name} -n \"{function} {subcommand}\" -f -a \"{values}\"\n");
        }
    }
    script
}
