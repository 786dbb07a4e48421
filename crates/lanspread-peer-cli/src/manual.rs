//! The manual pages, one for each command, generated from the arguments. They do not depend on the machine or its
//! terminal.
//!
//! A page is text for the macros *man* of troff. Sources: `groff_man(7)`, and `mandoc(1)` for what both understand.

mod layout;
mod roff;

use clap::{Arg, ArgAction, Command};

use self::layout::{Block, blocks};
use self::roff::{Page, bold, italic, prose};
use crate::help::{self, FILES, VARIABLES};

/// Pages of programs are in this section.
const SECTION: &str = "1";

/// A page, and the name of its file.
pub(crate) struct ManualPage {
    pub(crate) file_name: String,
    pub(crate) text: String,
}

/// The pages of a command and of everything below it.
pub(crate) fn pages(command: Command, version: &str) -> Vec<ManualPage> {
    let mut command = command.disable_help_subcommand(true);
    // Gives every subcommand its full name, and the options of every command.
    command.build();
    let root = command.get_name().to_owned();
    let mut pages = Vec::new();
    add(&mut pages, &command, None, &root, version);
    pages
}

fn add(pages: &mut Vec<ManualPage>, command: &Command, above: Option<&str>, root: &str, version: &str) {
    if command.is_hide_set() {
        return;
    }
    let name = page_name(command);
    let text = page(command, &name, above, root, version);
    pages.push(ManualPage { file_name: format!("{name}.{SECTION}"), text });
    for subcommand in command.get_subcommands() {
        add(pages, subcommand, Some(&name), root, version);
    }
}

/// The words of the command, joined: `lanspread-peer-cli-peers-add`.
fn page_name(command: &Command) -> String {
    command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-")
}

fn page(command: &Command, name: &str, above: Option<&str>, root: &str, version: &str) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let after = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    let blocks = blocks(after.as_deref().unwrap_or_default());
    let mut page = Page::new(name, SECTION, &format!("lanspread {version}"));
    page.section("NAME");
    page.line(&format!("{} \\- {}", roff::escape(name), prose(&uncapitalised(&about))));
    page.section("SYNOPSIS");
    synopsis(&mut page, command);
    page.section("DESCRIPTION");
    let long = command.get_long_about().map_or(about, ToString::to_string);
    page.paragraph(&prose(&format!("{}.", long.trim_end_matches('.'))));
    for block in &blocks {
        if let Block::Prose(text) = block {
            page.paragraph(&prose(text));
        }
    }
    commands(&mut page, command);
    options(&mut page, command);
    for block in &blocks {
        if let Block::Listing { title, lines } = block
            // It has a section of its own in every page.
            && title != help::EXIT_STATUS_TITLE
        {
            page.section(&title.to_uppercase());
            page.verbatim(lines);
        }
    }
    page.section("EXIT STATUS");
    for (status, meaning) in help::EXIT_STATUS {
        page.item(&bold(&status.to_string()), &prose(meaning));
    }
    environment(&mut page, command);
    page.section("FILES");
    for (path, what) in FILES {
        page.item(&italic(path), &prose(what));
    }
    see_also(&mut page, command, above, root);
    page.text()
}

/// What follows a name in the section NAME is part of a sentence.
fn uncapitalised(about: &str) -> String {
    let mut characters = about.chars();
    let first = characters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}

/// Options that only this command has are named, those of several commands are not: that would be a page by itself.
fn synopsis(page: &mut Page, command: &Command) {
    let mut words = vec![bold(command.get_bin_name().unwrap_or(command.get_name()))];
    let named = |option: &&Arg| {
        !option.is_positional() && !is_built_in(option) && !option.is_global_set() && !option.is_hide_set()
    };
    let own = |option: &&Arg| option.get_help_heading().is_none() || option.is_required_set();
    for option in command.get_arguments().filter(named).filter(own) {
        let word = spelling(option, false);
        words.push(if option.is_required_set() { word } else { format!("[{word}]") });
    }
    words.push(format!("[{}]", italic("OPTION")) + "...");
    for positional in command.get_positionals().filter(|positional| !positional.is_hide_set()) {
        let word = value_names(positional);
        words.push(if positional.is_required_set() { word } else { format!("[{word}]") });
    }
    if command.has_subcommands() {
        let word = italic("COMMAND");
        words.push(if command.is_subcommand_required_set() { word } else { format!("[{word}]") });
    }
    page.line(&words.join(" "));
}

fn commands(page: &mut Page, command: &Command) {
    let shown: Vec<&Command> = command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    if shown.is_empty() {
        return;
    }
    page.section("COMMANDS");
    for subcommand in shown {
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        let aliases: Vec<&str> = subcommand.get_visible_aliases().collect();
        let also =
            if aliases.is_empty() { String::new() } else { format!(" (also: {})", aliases.join(", ")) };
        page.item(&bold(subcommand.get_name()), &prose(&format!("{about}{also}")));
    }
}

/// The arguments, then the options in the groups of `--help`.
fn options(page: &mut Page, command: &Command) {
    let shown: Vec<&Arg> = command.get_arguments().filter(|argument| !argument.is_hide_set()).collect();
    let positionals: Vec<&Arg> = shown.iter().copied().filter(|argument| argument.is_positional()).collect();
    if !positionals.is_empty() {
        page.section("ARGUMENTS");
        for argument in positionals {
            page.item(&value_names(argument), &meaning(argument));
        }
    }
    page.section("OPTIONS");
    let options: Vec<&Arg> = shown.into_iter().filter(|argument| !argument.is_positional()).collect();
    let mut headings = vec![None];
    for option in &options {
        if !headings.contains(&option.get_help_heading()) {
            headings.push(option.get_help_heading());
        }
    }
    for heading in headings {
        if let Some(heading) = heading {
            page.subsection(heading);
        }
        for option in options.iter().filter(|option| option.get_help_heading() == heading) {
            page.item(&spelling(option, true), &meaning(option));
        }
    }
}

fn is_built_in(argument: &Arg) -> bool {
    matches!(
        argument.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    )
}

/// `-v, --verbose...`; `--peer HOST:PORT`
fn spelling(option: &Arg, with_short: bool) -> String {
    let short = option.get_short().filter(|_| with_short).map(|short| bold(&format!("-{short}")));
    let long = option.get_long().map(|long| bold(&format!("--{long}")));
    let mut spelling = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    if option.get_action().takes_values() {
        spelling += " ";
        spelling += &value_names(option);
    } else if matches!(option.get_action(), ArgAction::Count) {
        spelling += "...";
    }
    spelling
}

/// `GAME...`
fn value_names(argument: &Arg) -> String {
    let names: Vec<String> = match argument.get_value_names() {
        Some(names) => names.iter().map(|name| italic(name)).collect(),
        None => vec![italic(&argument.get_id().as_str().to_uppercase())],
    };
    // An option that may be given several times says so in its help.
    let is_list = argument.is_positional() && matches!(argument.get_action(), ArgAction::Append);
    names.join(" ") + if is_list { "..." } else { "" }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut meaning = prose(&help);
    if !argument.get_action().takes_values() {
        return meaning;
    }
    let possible = argument.get_possible_values();
    let shown =
        possible.iter().filter(|value| !value.is_hide_set() && !argument.is_hide_possible_values_set());
    let words: Vec<String> = shown
        .map(|value| match value.get_help() {
            Some(help) => format!("{} ({})", bold(value.get_name()), prose(&help.to_string())),
            None => bold(value.get_name()),
        })
        .collect();
    if !words.is_empty() {
        meaning += &format!(". One of {}", words.join(", "));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| bold(&value.to_string_lossy())).collect();
    if !defaults.is_empty() {
        meaning += &format!(" [default: {}]", defaults.join(", "));
    }
    meaning
}

fn environment(page: &mut Page, command: &Command) {
    page.section("ENVIRONMENT");
    page.paragraph(&prose("The command line wins over a variable, and a variable over the config file."));
    for option in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        if let Some(variable) = option.get_env() {
            page.item(&bold(&variable.to_string_lossy()), &format!("As {}", spelling(option, false)));
        }
    }
    for (variable, what) in VARIABLES {
        page.item(&bold(variable), &prose(what));
    }
}

fn see_also(page: &mut Page, command: &Command, above: Option<&str>, root: &str) {
    page.section("SEE ALSO");
    let below = command.get_subcommands().filter(|command| !command.is_hide_set()).map(page_name);
    let mut names: Vec<String> = above.map(str::to_owned).into_iter().chain(below).collect();
    if above.is_some_and(|above| above != root) {
        names.insert(0, root.to_owned());
    }
    let references: Vec<String> = names.iter().map(|name| format!("{}({SECTION})", bold(name))).collect();
    page.line(&references.join(", "));
    page.paragraph(&prose(
        "The operator's guide and the table of all events are in /usr/share/doc/lanspread-peer/docs.",
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(command: Command, file_name: &str) -> String {
        let pages = pages(command, "1.2");
        let names: Vec<&str> = pages.iter().map(|page| page.file_name.as_str()).collect();
        let found = pages.iter().find(|page| page.file_name == file_name);
        found.unwrap_or_else(|| panic!("{names:?}")).text.clone()
    }

    #[test]
    fn a_page_has_the_values_of_options_and_the_sections_of_a_manual() {
        let games =
            Arg::new("games").value_name("GAME").required(true).num_args(1..).action(ArgAction::Append);
        let out = Arg::new("out").long("out").value_name("DIR").required(true).help("Folder");
        let names = Arg::new("names").long("names").value_parser(["a", "b"]).default_value("a").help("Names");
        let peer =
            Arg::new("peer").long("peer").value_name("HOST:PORT").help_heading("Sources").env("X_PEER");
        let json = Arg::new("json").short('j').long("json").global(true).action(ArgAction::SetTrue);
        let inner = Command::new("add").about("Adds `games`").args([games, out, names, peer]);
        let inner = inner.after_help("Example:\n  root add .x   it\n    -y\n\nMore about it.");
        let root = Command::new("root").subcommand_required(true).arg(json).subcommand(inner);
        let page = page_of(root.clone(), "root-add.1");
        let mut at = 0;
        for expected in [
            ".TH \"root\\-add\" \"1\" \"\" \"lanspread 1.2\"",
            ".SH \"NAME\"\nroot\\-add \\- adds \\fBgames\\fR\n",
            ".SH \"SYNOPSIS\"\n\\fBroot add\\fR \\fB\\-\\-out\\fR \\fIDIR\\fR [\\fB\\-\\-names\\fR \\fINAMES\\fR] [\\fIOPTION\\fR]... \\fIGAME\\fR...\n",
            "\nMore about it.\n",
            ".SH \"ARGUMENTS\"\n.TP\n\\fIGAME\\fR...\n",
            ".SH \"OPTIONS\"\n",
            "Names. One of \\fBa\\fR, \\fBb\\fR [default: \\fBa\\fR]\n",
            ".SS \"Sources\"\n.TP\n\\fB\\-\\-peer\\fR \\fIHOST:PORT\\fR\n",
            ".SH \"EXAMPLE\"\n.nf\nroot add .x   it\n  \\-y\n.fi\n",
            ".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\n",
            ".SH \"ENVIRONMENT\"\n",
            "\\fBX_PEER\\fR\nAs \\fB\\-\\-peer\\fR \\fIHOST:PORT\\fR\n",
            ".SH \"FILES\"\n",
            ".SH \"SEE ALSO\"\n\\fBroot\\fR(1)\n",
        ] {
            let found = page[at..].find(expected);
            at += found.unwrap_or_else(|| panic!("{expected:?} is not at its place in:\n{page}"));
        }
        let page = page_of(root, "root.1");
        assert!(page.contains("\\fBroot\\fR [\\fIOPTION\\fR]... \\fICOMMAND\\fR\n"), "{page}");
        assert!(page.contains("\\fBroot\\-add\\fR(1)\n"), "{page}");
    }
}
