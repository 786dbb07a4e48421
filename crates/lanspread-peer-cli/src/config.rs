//! The config file: defaults for options, in TOML, under the long names of the options.
//!
//! Each value becomes the default of every option of that name in every command, before the command line is read. The
//! order "command line, variable, file, built-in" is therefore the parser's own, and a new option needs no code here.
//! An option that *another* option or a group requires must still be given outside the file.

mod settings;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use lanspread_peer::ErrorCategory;
use lanspread_peer::limits::CONFIG_FILE_BYTES_MAX;
use lanspread_peer::regular_file::{FileError, read_of_user};

use self::settings::Settings;
use crate::arguments::{Arguments, Global, WrittenIn};
use crate::exit::Failure;
use crate::hints;

/// Path of the file below each folder of config files.
const FILE_NAME: &str = "lanspread/lanspread.toml";
/// Folder of the settings for the whole machine.
const SYSTEM_DIR: &str = "/etc";

/// The request that the command line, the variables and the config file make together.
pub(crate) struct Asked {
    pub(crate) arguments: Arguments,
    /// The config file that was read.
    pub(crate) config_file: Option<PathBuf>,
}

/// Why no command runs.
pub(crate) enum ArgumentsError {
    /// The command line is wrong, or asks for help.
    Usage(clap::Error),
    /// The config file is wrong.
    ConfigFile(Failure),
}

impl From<clap::Error> for ArgumentsError {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

/// Reads the command line, with the config file as its defaults.
pub(crate) fn ask(words: &[OsString]) -> Result<Asked, ArgumentsError> {
    // The first pass requires nothing, because the file can give what is missing. Help and misspelt options end here,
    // whatever the file contains.
    let global = Global::from_arg_matches(&relaxed(Arguments::command()).try_get_matches_from(words)?)?;
    let loaded = load(global.config.as_deref()).map_err(ArgumentsError::ConfigFile)?;
    let (config_file, settings) = loaded.unzip();
    let command = settings.unwrap_or_default().as_defaults(Arguments::command());
    let matches = command.try_get_matches_from(words)?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    if is_default(&matches, "games_dir") {
        arguments.global.games_dir_from = WrittenIn::ConfigFile;
    }
    Ok(Asked { arguments, config_file })
}

/// Whether the option of the chosen command has a value that is neither on the command line nor in a variable.
fn is_default(matches: &ArgMatches, option: &str) -> bool {
    let Some((_, of_command)) = matches.subcommand() else { return false };
    of_command.ids().any(|id| id.as_str() == option)
        && of_command.value_source(option) == Some(ValueSource::DefaultValue)
}

fn relaxed(command: clap::Command) -> clap::Command {
    // Arguments without a long name, such as games, cannot be in the file.
    let relax =
        |argument: clap::Arg| if argument.is_positional() { argument } else { argument.required(false) };
    command.mut_args(relax).mut_subcommands(relaxed)
}

/// Reads and checks the file that was named, or else the first of the default files that exists.
fn load(named: Option<&Path>) -> Result<Option<(PathBuf, Settings)>, Failure> {
    let candidates = match named {
        Some(path) => vec![path.to_owned()],
        None => default_paths(std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME")),
    };
    for path in candidates {
        match read(&path) {
            Ok(text) => {
                let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
                let checked = Settings::parse(&text, &Arguments::command(), home.as_deref());
                let settings =
                    checked.map_err(|reason| failure(&path, &reason, Some(hints::WRONG_SETTING)))?;
                return Ok(Some((path, settings)));
            }
            Err(ReadError::Missing(_)) if named.is_none() => {}
            Err(ReadError::Missing(reason) | ReadError::Unusable(reason)) => {
                return Err(failure(&path, &reason, None));
            }
        }
    }
    Ok(None)
}

/// The files to try if none was named: the user's, then the machine's. Relative folders do not count.
fn default_paths(config_home: Option<OsString>, home: Option<OsString>) -> Vec<PathBuf> {
    let absolute = |folder: OsString| Some(PathBuf::from(folder)).filter(|folder| folder.is_absolute());
    let of_user = config_home.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".config")));
    let folders = of_user.into_iter().chain([PathBuf::from(SYSTEM_DIR)]);
    folders.map(|folder| folder.join(FILE_NAME)).collect()
}

enum ReadError {
    Missing(String),
    Unusable(String),
}

fn read(path: &Path) -> Result<String, ReadError> {
    let unreadable = |error: std::io::Error| {
        // A folder that this user cannot look into (such as a HOME that `su` kept) does not hold the user's settings.
        // But a file that exists and cannot be read is an error.
        let is_out_of_sight =
            || path.metadata().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => ReadError::Missing(error.to_string()),
            ErrorKind::PermissionDenied if is_out_of_sight() => ReadError::Missing(error.to_string()),
            _ => ReadError::Unusable(error.to_string()),
        }
    };
    // How a user says on a command line that no file is to be read.
    if path == Path::new("/dev/null") {
        return Ok(String::new());
    }
    let bytes = match read_of_user(path, CONFIG_FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(FileError::Io(error)) => return Err(unreadable(error)),
        Err(other) => return Err(ReadError::Unusable(other.to_string())),
    };
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        ReadError::Unusable(format!("line {line}: it is not UTF-8 text"))
    })
}

fn failure(path: &Path, reason: &str, cause: Option<&'static str>) -> Failure {
    let message = format!("config file {}: {reason}", path.display()).replace(['\n', '\r'], " ");
    Failure::new("config-file", cause, message, ErrorCategory::Usage)
}
