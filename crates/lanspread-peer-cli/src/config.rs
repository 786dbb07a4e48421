//! The config file: defaults for options, in TOML, under the long names of the options.
//!
//! Each value becomes the default of every option of that name in every command, before the command line is read. The
//! order "command line, variable, file, built-in" is therefore the parser's own, and a new option needs no code here.
//! An option that *another* option or a group requires must still be given outside the file.

mod one_call;
mod origins;
mod settings;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use lanspread_peer::limits::CONFIG_FILE_BYTES_MAX;
use lanspread_peer::regular_file::{FileError, read_of_user};
use lanspread_peer::{ConfigFilePath, ErrorCategory, OptionSetting, PeerName};

use self::origins::Surroundings;
use self::settings::Settings;
use crate::arguments::{Arguments, ColorChoice, Global, WrittenIn};
use crate::exit::Failure;
use crate::hints;

/// Path of the file below each folder of config files.
const FILE_NAME: &str = "lanspread/lanspread.toml";
/// Folder of the settings for the whole machine.
const SYSTEM_DIR: &str = "/etc";

/// Whether to colour, as far as a command line that is not parsed yet and the variable say.
pub(crate) fn color_written(words: &[OsString]) -> Option<ColorChoice> {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    ColorChoice::written(&words, std::env::var("LANSPREAD_COLOR").ok().as_deref())
}

/// The request that the command line, the variables and the config file make together.
pub(crate) struct Asked {
    pub(crate) arguments: Arguments,
    pub(crate) given: Given,
}

/// Where the arguments come from.
pub(crate) struct Given {
    matches: ArgMatches,
    /// The config file that was read, and what it says.
    loaded: Option<(PathBuf, Settings)>,
}

impl Given {
    /// The config file that was read.
    pub(crate) fn config_file(&self) -> Option<&Path> {
        self.loaded.as_ref().map(|(path, _)| path.as_path())
    }

    /// Whether an option of the chosen command is on the command line or in a variable.
    pub(crate) fn is_written(&self, option: &str) -> bool {
        let source = chosen(&self.matches, option).and_then(|matches| matches.value_source(option));
        source.is_some_and(|source| source != ValueSource::DefaultValue)
    }

    /// The value of every option that can be in a config file, and where it comes from. `found_out` has the defaults that
    /// are not the same on every machine.
    pub(crate) fn settings(
        &self,
        found_out: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<OptionSetting>, Failure> {
        let around = Surroundings {
            file: self.loaded.as_ref().map(|(path, settings)| (path.as_path(), settings)),
            variable: &|name| std::env::var_os(name),
            found_out,
        };
        origins::all(&Arguments::command(), &self.matches, &around)
    }
}

/// Why no command runs.
pub(crate) enum ArgumentsError {
    /// The command line is wrong, or asks for help.
    Usage(clap::Error),
    /// The config file or a variable is wrong.
    Setting(Failure),
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
    let first = relaxed(Arguments::command()).try_get_matches_from(words)?;
    one_call::refuse(&Arguments::command(), &first, &|name| std::env::var_os(name))
        .map_err(ArgumentsError::Setting)?;
    let global = Global::from_arg_matches(&first)?;
    let loaded = match use_of_file(&first) {
        UseOfFile::None => None,
        usage => load(global.config.as_deref(), usage).map_err(ArgumentsError::Setting)?,
    };
    let mut command = Arguments::command();
    if let Some((_, settings)) = &loaded {
        command = settings.as_defaults(command);
    }
    let matches = command.try_get_matches_from(words)?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    if is_default(&matches, "games_dir") {
        arguments.global.games_dir_from = WrittenIn::ConfigFile;
    }
    Ok(Asked { arguments, given: Given { matches, loaded } })
}

/// Whether the option of the chosen command has a value that is neither on the command line nor in a variable.
fn is_default(matches: &ArgMatches, option: &str) -> bool {
    let source = chosen(matches, option).and_then(|matches| matches.value_source(option));
    source == Some(ValueSource::DefaultValue)
}

/// The arguments of the chosen command, if it has that option.
fn chosen<'a>(matches: &'a ArgMatches, option: &str) -> Option<&'a ArgMatches> {
    let (_, of_command) = matches.subcommand()?;
    of_command.ids().any(|id| id.as_str() == option).then_some(of_command)
}

/// What a command wants of the config file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UseOfFile {
    /// It says where it is. A wrong file is no reason not to.
    None,
    /// It writes the file that is named.
    Written,
    /// It reads the file, which exists if it is named.
    Read,
}

fn use_of_file(matches: &ArgMatches) -> UseOfFile {
    match matches.subcommand() {
        Some(("init", _)) => UseOfFile::Written,
        Some(("config", of_config)) if of_config.subcommand_name() == Some("path") => UseOfFile::None,
        _ => UseOfFile::Read,
    }
}

/// The config file of this user, whether it exists or not: the one that was named, or else the one in the folder for
/// the user's settings.
pub(crate) fn path_of_user(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = named
        .map(Path::to_owned)
        .or_else(|| path_below_user(std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME")));
    path.ok_or_else(|| {
        let message = "no folder for a config file: neither XDG_CONFIG_HOME nor HOME is set".to_owned();
        Failure::new("config-file", Some(hints::NO_HOME), message, ErrorCategory::Usage)
    })
}

/// The config file that commands read, or else the one that `init` writes.
pub(crate) fn path_to_read(named: Option<&Path>) -> Result<ConfigFilePath, Failure> {
    let of_user = path_of_user(named);
    let exists = |path: &PathBuf| !matches!(read(path), Err(ReadError::Missing(_)));
    let found = candidates(named).into_iter().find(exists);
    let (path, exists) = match found {
        Some(path) => (path, true),
        None => (of_user?, false),
    };
    Ok(ConfigFilePath { path: path.to_string_lossy().into_owned(), exists })
}

fn relaxed(command: clap::Command) -> clap::Command {
    // Arguments without a long name, such as games, cannot be in the file.
    let relax =
        |argument: clap::Arg| if argument.is_positional() { argument } else { argument.required(false) };
    command.mut_args(relax).mut_subcommands(relaxed)
}

/// Reads and checks the file that was named, or else the first of the default files that exists.
fn load(named: Option<&Path>, usage: UseOfFile) -> Result<Option<(PathBuf, Settings)>, Failure> {
    for path in candidates(named) {
        match read(&path) {
            Ok(text) => {
                let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
                let checked = Settings::parse(&text, &Arguments::command(), home.as_deref());
                let settings =
                    checked.map_err(|reason| failure(&path, &reason, Some(hints::WRONG_SETTING)))?;
                return Ok(Some((path, settings)));
            }
            Err(ReadError::Missing(_)) if named.is_none() || usage == UseOfFile::Written => {}
            Err(ReadError::Missing(reason) | ReadError::Unusable(reason)) => {
                return Err(failure(&path, &reason, None));
            }
        }
    }
    Ok(None)
}

fn candidates(named: Option<&Path>) -> Vec<PathBuf> {
    match named {
        Some(path) => vec![path.to_owned()],
        None => default_paths(std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME")),
    }
}

/// The files to try if none was named: the user's, then the machine's.
fn default_paths(config_home: Option<OsString>, home: Option<OsString>) -> Vec<PathBuf> {
    let of_machine = Path::new(SYSTEM_DIR).join(FILE_NAME);
    path_below_user(config_home, home).into_iter().chain([of_machine]).collect()
}

/// The file in the folder for the user's settings. Relative folders do not count.
fn path_below_user(config_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |folder: OsString| Some(PathBuf::from(folder)).filter(|folder| folder.is_absolute());
    let folder = config_home.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".config")));
    Some(folder?.join(FILE_NAME))
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

/// The text of a config file with these settings. The path is from the root, and text without control characters.
pub(crate) fn text(games_dir: &Path, name: Option<&PeerName>) -> Result<String, Failure> {
    // Without control characters, a string of JSON is one of TOML.
    let quoted = |text: &str| serde_json::to_string(text).map_err(std::io::Error::from);
    let mut text = "\
# Written by `lanspread-peer-cli init`. A key is the long name of an option; `lanspread-peer-cli config show` lists
# them all.
"
    .to_owned();
    text += &format!("games-dir = {}\n", quoted(&games_dir.to_string_lossy())?);
    if let Some(name) = name {
        text += &format!("name = {}\n", quoted(name.as_str())?);
    }
    Ok(text)
}

fn failure(path: &Path, reason: &str, cause: Option<&'static str>) -> Failure {
    let message = format!("config file {}: {reason}", path.display()).replace(['\n', '\r'], " ");
    Failure::new("config-file", cause, message, ErrorCategory::Usage)
}
