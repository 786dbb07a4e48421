//! `init`: sets this machine up. It asks for what matters on a new machine, and writes the config file.
//!
//! Nothing is changed before all answers are here and checked. The config file comes last: if anything fails before, the
//! next `init` begins from the start.

mod questions;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use lanspread_peer::limits::CONFIG_FILE_BYTES_MAX;
use lanspread_peer::regular_file::read_of_user;
use lanspread_peer::{
    Answer, ErrorCategory, LocalError, MachineSetUp, PartyLine, PeerError, PeerName, draft_file, party_file,
};

use self::questions::{PartyWish, Questions};
use super::party;
use crate::arguments::{Global, Init, PartyCommand, PartyJoin, PartyNew, Replacing};
use crate::config::{self, Given};
use crate::exit::{CommandResult, Failure};
use crate::games_dir::ChosenGamesDir;
use crate::output::Output;

/// Everybody may read the settings of a machine; they hold no secret that `init` writes.
const CONFIG_FILE_PERMISSIONS: u32 = 0o644;
/// What a user has written there may be one.
const OLD_FILE_PERMISSIONS: u32 = 0o600;

/// What the user wants.
struct Wishes {
    games_dir: PathBuf,
    /// None is the name of the host.
    name: Option<PeerName>,
    party: PartyWish,
}

/// Whether the program was started by a person, without a word, on a machine that is not set up for this user.
pub(crate) fn is_wanted_by_newcomer() -> bool {
    let is_person = io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    let is_named = std::env::var_os("LANSPREAD_CONFIG").is_some();
    is_person && !is_named && config::path_of_user(None).is_ok_and(|path| path.symlink_metadata().is_err())
}

pub(crate) fn run(global: &Global, output: Output, init: Init, given: &Given) -> CommandResult {
    let path = config::path_of_user(global.config.as_deref())?;
    // A link stays, and what it leads to is written.
    let path = path.canonicalize().unwrap_or(path);
    let asks = !init.yes && io::stdin().is_terminal() && io::stderr().is_terminal();
    if !asks && !init.yes {
        let message = "this command asks questions, and there is no terminal".to_owned();
        return Err(Failure::new("no-answers", None, message, ErrorCategory::Usage));
    }
    let mut questions = asks.then(|| Questions::new(io::stdin().lock(), io::stderr()));
    let is_there = path.symlink_metadata().is_ok();
    if is_there && !init.replace {
        let goes_ahead = match &mut questions {
            Some(questions) => questions.replace(&path)?,
            None => false,
        };
        if !goes_ahead {
            let message = format!("there is a config file already: {}", path.display());
            return Err(Failure::new("config-exists", None, message, ErrorCategory::Refused));
        }
    }
    let wishes = wishes(global, output, init, given, questions)?;

    let games_dir_created = ChosenGamesDir::set_up(&wishes.games_dir)?;
    let party = enter(global, output, wishes.party)?;
    let old_config_file = if is_there { Some(keep(&path)?) } else { None };
    write(&path, &config::text(&wishes.games_dir, wishes.name.as_ref())?)?;
    output.report(&Answer::MachineSetUp(MachineSetUp {
        config_file: path.to_string_lossy().into_owned(),
        old_config_file,
        games_dir: wishes.games_dir.to_string_lossy().into_owned(),
        games_dir_created,
        name: wishes.name,
        party,
    }))?;
    Ok(())
}

/// What the command line and the variables say, and the answers to everything else.
fn wishes<I: io::BufRead, O: io::Write>(
    global: &Global,
    output: Output,
    init: Init,
    given: &Given,
    mut questions: Option<Questions<I, O>>,
) -> Result<Wishes, Failure> {
    let default_games_dir = ChosenGamesDir::to_serve(init.games.games_dir.as_deref())?.path;
    let games_dir = match &mut questions {
        Some(questions) if !given.is_written("games_dir") => questions.games_dir(&default_games_dir)?,
        _ => questions::absolute(&default_games_dir)?,
    };
    let name = match &mut questions {
        Some(questions) if !given.is_written("name") => questions.name(init.name.as_ref())?,
        _ => init.name,
    };
    let party = match (init.party, &mut questions) {
        (Some(text), _) if text == "-" => questions::party(&party::read_line(output)?)?,
        (Some(text), _) => questions::party(&text)?,
        (None, Some(questions)) if party_here(global)?.is_none() => questions.party()?,
        (None, _) => PartyWish::AsItIs,
    };
    if !matches!(party, PartyWish::AsItIs) {
        party::changeable(global)?;
    }
    Ok(Wishes { games_dir, name, party })
}

/// The party of this machine.
fn party_here(global: &Global) -> Result<Option<PartyLine>, Failure> {
    match &global.party_file {
        Some(file) => Ok(Some(party_file::load_named(file)?)),
        None => Ok(party_file::load_of_state(&party::state_dir(global)?)?),
    }
}

/// Makes this machine a member as wished. Returns the name of the party that it is of then.
fn enter(global: &Global, output: Output, wish: PartyWish) -> Result<Option<String>, Failure> {
    let replacing = Replacing { replace: false };
    match wish {
        PartyWish::AsItIs => {}
        PartyWish::New => {
            let new = PartyNew { replacing, with_catalog_key: false, no_qr: false };
            party::run(global, output, PartyCommand::New(new))?;
        }
        PartyWish::Join(line) => {
            let line = Some(line.text().reveal().to_owned());
            party::run(global, output, PartyCommand::Join(PartyJoin { line, replacing }))?;
        }
    }
    Ok(party_here(global)?.map(|line| line.key.name()))
}

/// Copies the file that is there, and returns where the copy is.
fn keep(path: &Path) -> Result<String, Failure> {
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    let old = PathBuf::from(old);
    let bytes = read_of_user(path, CONFIG_FILE_BYTES_MAX).map_err(|error| {
        let message = format!("config file {}: {error}", path.display());
        Failure::new("config-file", None, message, ErrorCategory::Usage)
    })?;
    draft_file::replace(&old, &bytes, OLD_FILE_PERMISSIONS).map_err(PeerError::from)?;
    Ok(old.to_string_lossy().into_owned())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|error| PeerError::from(LocalError::io("create the folder", folder)(error)))?;
    }
    Ok(draft_file::replace(path, text.as_bytes(), CONFIG_FILE_PERMISSIONS).map_err(PeerError::from)?)
}
