//! Completion scripts of shells, generated from the arguments.
//!
//! What the generators leave out or get wrong is corrected here. Tests press the tab key in each shell for every command.

pub(crate) mod position;

use clap::{Arg, Command};
use clap_complete::Shell;

use self::position::wanted;

/// The other name under which the program can be installed.
const SHORT_NAME: &str = "lanspread";

/// The script that teaches the commands and options to a shell. What only the machine knows, such as the ids of games, the
/// script gets from the hidden command `candidates`.
pub(crate) fn script(shell: Shell, command: &Command) -> String {
    let mut command = without_hidden_commands(command);
    let name = command.get_name().to_owned();
    match shell {
        Shell::Bash => bash(&mut command, &name),
        Shell::Fish => fish(&mut command, &name),
        Shell::Zsh => zsh(command, &name),
        _ => generated(shell, &mut command, &name),
    }
}

/// The generators list hidden commands too.
fn without_hidden_commands(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned();
    let mut visible = Command::new(command.get_name().to_owned())
        .args(command.get_arguments().cloned())
        .subcommands(shown)
        .subcommand_required(command.is_subcommand_required_set());
    if let Some(about) = command.get_about() {
        visible = visible.about(about.clone());
    }
    match command.get_version() {
        Some(version) => visible.version(version.to_owned()),
        None => visible,
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

/// The text with a line after the one that begins the function of the script.
fn with_first_step(script: &str, begin: &str, step: &str) -> String {
    script.replacen(&format!("{begin}\n"), &format!("{begin}\n{step}\n"), 1)
}

/// Words are split at colons before the function gets them, so it reads the line by itself, and offers what follows the
/// last colon.
const BASH_CANDIDATES: &str = r#"
_lanspread_candidates() {
    local line=${COMP_LINE:0:COMP_POINT} words=() found word cur prefix=
    (( COMP_CWORD > 1 )) || return 1
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    while (( ${#words[@]} )) && [[ ${words[0]} != "$1" ]]; do words=("${words[@]:1}"); done
    (( ${#words[@]} > 2 )) || return 1
    cur=${words[${#words[@]} - 1]}
    [[ $cur == -* ]] && return 1
    found=$("$1" candidates -- "${words[@]:1}" 2>/dev/null) || return 1
    [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]] && prefix=${cur%"${cur##*:}"}
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        [[ -n $word && $word == "$cur"* ]] && COMPREPLY+=("${word#"$prefix"}")
    done <<<"$found"
    (( ${#COMPREPLY[@]} ))
}
"#;

/// The generator spells the hyphens of a program's name in two ways, so that no subcommand is found under its label
/// (<https://github.com/clap-rs/clap/issues/6421>). It gets a name without hyphens, and only the registration at the end
/// of the script is for the real names.
fn bash(command: &mut Command, name: &str) -> String {
    let label = name.replace('-', "_");
    let script = generated(Shell::Bash, command, &label);
    let script =
        with_first_step(&script, &format!("_{label}() {{"), "    _lanspread_candidates \"$1\" && return 0");
    let registered = |line: &str| match line.strip_suffix(&label) {
        Some(registration) if line.trim_start().starts_with("complete -F ") => {
            format!("{registration}{name} {SHORT_NAME}\n")
        }
        _ => format!("{line}\n"),
    };
    BASH_CANDIDATES.trim_start().to_owned() + &script.lines().map(registered).collect::<String>()
}

const ZSH_CANDIDATES: &str = r#"    if (( CURRENT > 2 )) && [[ $PREFIX != -* ]]; then
        local -a candidates described
        candidates=("${(@f)$(${(Q)words[1]} candidates -- "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
        candidates=(${candidates:#})
        described=("${(@)candidates/$'\t'/  -- }")
        candidates=("${(@)candidates%%$'\t'*}")
        (( $#candidates )) && compadd -l -d described -a candidates && return 0
    fi"#;

fn zsh(command: Command, name: &str) -> String {
    let script = generated(Shell::Zsh, &mut with_escaped_names(command), name);
    let script = with_first_step(&script, &format!("_{name}() {{"), ZSH_CANDIDATES);
    script
        .replacen(&format!("#compdef {name}\n"), &format!("#compdef {name} {SHORT_NAME}\n"), 1)
        .replace(&format!("compdef _{name} {name}\n"), &format!("compdef _{name} {name} {SHORT_NAME}\n"))
}

fn fish(command: &mut Command, name: &str) -> String {
    let script = generated(Shell::Fish, command, name);
    let candidates = format!("__fish_{}_candidates", name.replace('-', "_"));
    let mut whole = format!(
        "function {candidates}\n    set -l words (commandline -opc)\n    set -l current (commandline -ct)\n    test -n \"$current\"; or set current \"\"\n    command $words[1] candidates -- $words[2..] $current 2>/dev/null\nend\n\n"
    );
    let longs = options_with_candidates(command);
    let has_candidates = |line: &str| {
        line.ends_with(" -r -f") && longs.iter().any(|long| line.contains(&format!(" -l {long} ")))
    };
    for line in script.lines() {
        whole += line;
        if has_candidates(line) {
            whole += &format!(" -a \"({candidates})\"");
        }
        whole += "\n";
    }
    values_of_positionals(command, name, &candidates, &[], &mut whole);
    whole + &format!("complete -c {SHORT_NAME} -w {name}\n")
}

/// The long names of the options whose values only the machine knows.
fn options_with_candidates(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter(|option| wanted(command, option).is_some());
    let own = own.filter_map(|option| option.get_long().map(str::to_owned));
    let below = command.get_subcommands().flat_map(options_with_candidates);
    let mut longs: Vec<String> = own.chain(below).collect();
    longs.sort();
    longs.dedup();
    longs
}

/// The fish generator knows the values of options only, and not those of arguments. `path` has the names of each command
/// above, the aliases included.
fn values_of_positionals(
    command: &Command,
    name: &str,
    candidates: &str,
    path: &[&str],
    script: &mut String,
) {
    let function = format!("__fish_{}_using_subcommand", name.replace('-', "_"));
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let names = subcommand.get_name_and_visible_aliases().join(" ");
        let path: Vec<&str> = path.iter().copied().chain([&*names]).collect();
        let possible = subcommand.get_positionals().flat_map(Arg::get_possible_values);
        let shown = possible.filter(|value| !value.is_hide_set());
        let mut values: Vec<String> = shown.map(|value| value.get_name().to_owned()).collect();
        // If one of them is a file, fish has to offer files.
        let is_known = |argument: &Arg| wanted(subcommand, argument).is_some();
        if subcommand.get_positionals().next().is_some() && subcommand.get_positionals().all(is_known) {
            values.push(format!("({candidates})"));
        }
        if !values.is_empty() {
            let seen = path[1..]
                .iter()
                .fold(String::new(), |seen, words| seen + "; and __fish_seen_subcommand_from " + words);
            for first in path[0].split(' ') {
                let condition = format!("{function} {first}{seen}");
                *script += &format!("complete -c {name} -n \"{condition}\" -f -a \"{}\"\n", values.join(" "));
            }
        }
        values_of_positionals(subcommand, name, candidates, &path, script);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::arguments::Arguments;

    /// The generated parts are found by what they look like.
    #[test]
    fn every_script_asks_for_candidates() {
        for (shell, calls) in [(Shell::Bash, 2), (Shell::Zsh, 1)] {
            let script = script(shell, &Arguments::command());
            assert_eq!(
                script.matches("candidates -- ").count() + script.matches("_lanspread_candidates \"").count(),
                calls
            );
            assert!(script.contains("lanspread-peer-cli lanspread\n"), "{shell}");
        }
        let fish = script(Shell::Fish, &Arguments::command());
        let with_candidates = |beginning: &str| {
            fish.lines().any(|line| {
                line.contains(beginning) && line.ends_with("(__fish_lanspread_peer_cli_candidates)\"")
            })
        };
        assert!(
            with_candidates("using_subcommand install\" -l peer ")
                && with_candidates("using_subcommand install\" -f")
        );
        assert!(with_candidates("using_subcommand peers; and __fish_seen_subcommand_from remove\" -f"));
    }
}
