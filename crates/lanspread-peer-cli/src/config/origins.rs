//! The value of every option, and where it comes from. Nothing here reads the environment or the disk.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use lanspread_peer::{ErrorCategory, OptionSetting, SourceUrl};

use super::settings::{Settings, accept, key_of};
use crate::exit::Failure;

/// The values of an option can contain credentials.
const WITH_CREDENTIALS: &str = "sources";

/// What surrounds the command line.
pub(super) struct Surroundings<'a> {
    pub(super) file: Option<(&'a Path, &'a Settings)>,
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The default that the program finds out when it runs.
    pub(super) found_out: &'a dyn Fn(&str) -> Option<String>,
}

/// Every option that can be in a config file, in the order of the names.
///
/// # Errors
/// A variable has a value that its option does not take.
pub(super) fn all(
    command: &Command,
    matches: &ArgMatches,
    around: &Surroundings<'_>,
) -> Result<Vec<OptionSetting>, Failure> {
    let mut options = BTreeMap::new();
    collect(command, &mut options);
    options.iter().map(|(key, options)| one(key, options, matches, around)).collect()
}

/// The options of a command and of those below it, by key.
fn collect<'a>(command: &'a Command, found: &mut BTreeMap<&'a str, Vec<&'a Arg>>) {
    for option in command.get_arguments() {
        if let Some(key) = key_of(option) {
            found.entry(key).or_default().push(option);
        }
    }
    for subcommand in command.get_subcommands() {
        collect(subcommand, found);
    }
}

fn one(
    key: &str,
    options: &[&Arg],
    matches: &ArgMatches,
    around: &Surroundings<'_>,
) -> Result<OptionSetting, Failure> {
    // An option can have a default in one command only.
    let with_default = options.iter().find(|option| !option.get_default_values().is_empty());
    let Some(option) = with_default.or(options.first()) else {
        unreachable!("a key is found with its option")
    };
    let setting = |values: Vec<String>, origin: &'static str| OptionSetting {
        key: key.to_owned(),
        values: if key == WITH_CREDENTIALS { values.iter().map(|url| shown(url)).collect() } else { values },
        origin: origin.into(),
        variable: None,
        path: None,
        line: None,
    };
    if let Some(values) = on_command_line(matches, option) {
        return Ok(setting(values, "command-line"));
    }
    if let Some((name, text)) = variable(option, around) {
        let values = values_of_variable(option, &name, &text)?;
        return Ok(OptionSetting { variable: Some(name), ..setting(values, "variable") });
    }
    let of_file = |(path, settings)| {
        let (values, line) = options.iter().find_map(|option| Settings::of(settings, option))?;
        let path: &Path = path;
        Some(OptionSetting {
            path: Some(path.to_string_lossy().into_owned()),
            line: u64::try_from(line).ok(),
            ..setting(values, "file")
        })
    };
    Ok(around.file.and_then(of_file).unwrap_or_else(|| {
        let built_in = built_in(option);
        let values =
            if built_in.is_empty() { (around.found_out)(key).into_iter().collect() } else { built_in };
        setting(values, "default")
    }))
}

/// The values of an option of every command, if it is on the command line.
fn on_command_line(matches: &ArgMatches, option: &Arg) -> Option<Vec<String>> {
    let id = option.get_id().as_str();
    let is_here = matches.ids().any(|other| other.as_str() == id);
    if !is_here || matches.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    Some(match option.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => vec![matches.get_flag(id).to_string()],
        ArgAction::Count => vec![matches.get_count(id).to_string()],
        _ => matches.get_raw(id)?.map(|value| value.to_string_lossy().into_owned()).collect(),
    })
}

fn variable(option: &Arg, around: &Surroundings<'_>) -> Option<(String, String)> {
    let name = option.get_env()?.to_str()?;
    let value = (around.variable)(name)?;
    Some((name.to_owned(), value.to_string_lossy().into_owned()))
}

fn values_of_variable(option: &Arg, name: &str, text: &str) -> Result<Vec<String>, Failure> {
    let checked = if matches!(option.get_action(), ArgAction::SetTrue | ArgAction::SetFalse) {
        flag(text).map(|on| vec![on.to_string()])
    } else {
        let values = match option.get_value_delimiter() {
            Some(delimiter) => text.split(delimiter).map(str::to_owned).collect(),
            None => vec![text.to_owned()],
        };
        accept(option, text).map(|()| values)
    };
    checked.map_err(|reason| {
        let message = format!("the variable {name}: {reason}");
        Failure::new("usage", None, message, ErrorCategory::Usage)
    })
}

/// What a flag makes of the text of its variable.
fn flag(text: &str) -> Result<bool, String> {
    let alone = Arg::new("value").allow_hyphen_values(true).value_parser(BoolishValueParser::new());
    let parsed = Command::new("").no_binary_name(true).arg(alone).try_get_matches_from([text]);
    match parsed {
        Ok(matches) => Ok(matches.get_one::<bool>("value").copied().unwrap_or_default()),
        Err(_) => Err(format!("`{text}` is neither true nor false")),
    }
}

fn built_in(option: &Arg) -> Vec<String> {
    match option.get_action() {
        ArgAction::SetTrue => vec![false.to_string()],
        ArgAction::SetFalse => vec![true.to_string()],
        ArgAction::Count => vec![0.to_string()],
        _ => option.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect(),
    }
}

/// A URL without its credentials. What is no URL could be anything.
fn shown(url: &str) -> String {
    url.parse::<SourceUrl>().map_or_else(|_| "…".to_owned(), |url| url.to_string())
}
