//! The command reference as Markdown, made of the arguments. Nothing in it depends on the machine or its terminal.

use clap::{Arg, ArgAction, Command};

const OPENING: &str = "\
# Commands

<!-- Made by `lanspread-peer-cli reference`; change the help texts and make it again, not this file. -->

Every option can stand on the command line, in the `LANSPREAD_*` variable named beside it, or in the config file under
its long name without the dashes (`--config` itself cannot). The command line wins over the variable, the variable over
the file, and the file over the built-in default.
";

/// The page for a command and everything below it.
pub(crate) fn markdown(command: Command) -> String {
    let mut command = command.disable_help_subcommand(true);
    // Gives every subcommand its full name.
    command.build();
    let mut page = OPENING.to_owned();
    section(&mut page, &mut command, true);
    page
}

fn section(page: &mut String, command: &mut Command, is_root: bool) {
    if command.is_hide_set() {
        return;
    }
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    *page += &format!("\n## `{name}`\n");
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        *page += &format!("\n{}\n", prose(&about.to_string()));
    }
    let usage = command.render_usage().to_string();
    *page += &format!("\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ").trim_end());
    let shown = || command.get_arguments().filter(|argument| !argument.is_hide_set());
    table(page, "Argument", shown().filter(|argument| argument.is_positional()));
    // Those of every command are said once, at the root.
    let is_own = |option: &&Arg| !option.is_positional() && (is_root || !option.is_global_set());
    table(page, if is_root { "Option of every command" } else { "Option" }, shown().filter(is_own));
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        *page += &format!("\n```text\n{}\n```\n", after.to_string().trim_end());
    }
    for subcommand in command.get_subcommands_mut() {
        section(page, subcommand, false);
    }
}

fn table<'a>(page: &mut String, what: &str, arguments: impl Iterator<Item = &'a Arg>) {
    let is_built_in = |argument: &&Arg| {
        matches!(
            argument.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        )
    };
    let rows: Vec<&Arg> = arguments.filter(|argument| !is_built_in(argument)).collect();
    if rows.is_empty() {
        return;
    }
    *page += &format!("\n| {what} | Variable | Default | Meaning |\n|---|---|---|---|\n");
    for argument in rows {
        let variable = argument.get_env().map(|name| code(&name.to_string_lossy())).unwrap_or_default();
        *page += &format!(
            "| {} | {variable} | {} | {} |\n",
            spelling(argument),
            default(argument),
            meaning(argument)
        );
    }
}

/// `-v`, `--verbose`; `--peer <HOST:PORT>`; `<GAME>...`
fn spelling(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| code(&format!("-{short}")));
    // As the help shows it, but for the brackets that say "optional": the usage above the table has them.
    let long = code(&argument.to_string());
    short.into_iter().chain([long]).collect::<Vec<_>>().join(", ")
}

fn default(argument: &Arg) -> String {
    if argument.is_required_set() {
        return "required".to_owned();
    }
    // A flag's "false" says nothing.
    if !argument.get_action().takes_values() {
        return String::new();
    }
    let values = argument.get_default_values().iter().map(|value| code(&value.to_string_lossy()));
    values.collect::<Vec<_>>().join(", ")
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut meaning = prose(&help);
    if argument.get_action().takes_values() && !argument.is_hide_possible_values_set() {
        let possible = argument.get_possible_values();
        let shown = possible.iter().filter(|value| !value.is_hide_set());
        let words: Vec<String> = shown
            .map(|value| match value.get_help() {
                Some(help) => format!("{} ({})", code(value.get_name()), prose(&help.to_string())),
                None => code(value.get_name()),
            })
            .collect();
        if !words.is_empty() {
            meaning += &format!(". One of {}", words.join(", "));
        }
    }
    meaning
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// Help text on one line of Markdown: what Markdown would take for its own is escaped.
fn prose(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().flat_map(|c| "|<*_".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_can_be_said_is_in_the_reference() {
        let peer =
            Arg::new("peer").long("peer").value_name("HOST:PORT").env("LANSPREAD_PEER").help("Ask <it>");
        let names =
            Arg::new("names").long("names").value_parser(["portable", "native"]).default_value("portable");
        let secret = Arg::new("secret").long("secret").hide(true);
        let inner = Command::new("add")
            .about("Adds")
            .arg(Arg::new("GAME").required(true))
            .after_help("Example:\n  add x");
        let json = Arg::new("json").short('j').long("json").global(true).action(ArgAction::SetTrue);
        let page = markdown(
            Command::new("root")
                .arg(json)
                .subcommand(Command::new("peers").arg(peer).arg(names).arg(secret).subcommand(inner)),
        );
        for expected in [
            "\n## `root`\n",
            "| `-j`, `--json` |  |  |  |\n",
            "\n## `root peers`\n",
            "| `--peer <HOST:PORT>` | `LANSPREAD_PEER` |  | Ask \\<it> |\n",
            "| `--names <names>` |  | `portable` | . One of `portable`, `native` |\n",
            "\n## `root peers add`\n\nAdds\n\n```text\nroot peers add [OPTIONS] <GAME>\n```\n",
            "| `<GAME>` |  | required |  |\n",
            "\n```text\nExample:\n  add x\n```\n",
        ] {
            assert!(page.contains(expected), "{expected:?} is not in:\n{page}");
        }
        assert_eq!(page.matches("--json").count(), 1, "an option of every command is said once:\n{page}");
        assert!(!page.contains("secret") && !page.contains("--help"), "{page}");
    }
}
