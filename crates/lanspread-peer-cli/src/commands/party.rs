//! `party`: makes this machine a member of a party.
//!
//! A running daemon keeps the party that it was started with: its number in discovery and its connections were
//! made under that one. It is named, so that the user restarts it.

use std::io::{BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};

use lanspread_peer::{
    Answer, ContentDigest, ErrorCategory, PartyFileError, PartyKey, PartyLine, PartyLineError,
    PartyLineShown, PartyStored, PeerError, TrustError, default_state_dir, key_file, limits, party_file,
    running_daemons,
};

use crate::arguments::{Global, PartyCommand, PartyJoin, PartyNew, PartyShow};
use crate::exit::{CommandResult, Failure};
use crate::output::{Output, print_qr, print_secret};

pub(crate) fn run(global: &Global, output: Output, command: PartyCommand) -> CommandResult {
    match command {
        PartyCommand::New(new) => make(global, output, &new),
        PartyCommand::Join(join) => self::join(global, output, join),
        PartyCommand::Show(show) => self::show(global, output, &show),
        PartyCommand::Leave => leave(global, output),
    }
}

fn make(global: &Global, output: Output, arguments: &PartyNew) -> CommandResult {
    let state_dir = changeable(global)?;
    let catalog_signer = if arguments.with_catalog_key {
        Some(*key_file::load_of_state(&state_dir)?.public().bytes())
    } else {
        None
    };
    let key = PartyKey::random().map_err(TrustError::NoRandomNumbers)?;
    let line = PartyLine { key, catalog_signer };
    let stored = party_file::store(&state_dir, &line, arguments.replacing.replace)?;
    let change = if stored == PartyStored::Replaced { "replaced" } else { "made" };
    let (path, daemons) = (party_file::path_in(&state_dir), daemons_of(&state_dir)?);
    output.report(&answer(&line, change, &path, true, daemons))?;
    if is_for_people(output) && !arguments.no_qr {
        print_qr(&line.text())?;
    }
    Ok(())
}

fn join(global: &Global, output: Output, arguments: PartyJoin) -> CommandResult {
    let state_dir = changeable(global)?;
    let text = match arguments.line {
        Some(line) if line != "-" => line,
        _ => read_line(output)?,
    };
    let line = PartyLine::parse(&text)?;
    let (change, daemons) = match party_file::store(&state_dir, &line, arguments.replacing.replace)? {
        PartyStored::New => ("joined", daemons_of(&state_dir)?),
        PartyStored::Replaced => ("replaced", daemons_of(&state_dir)?),
        PartyStored::Unchanged => ("unchanged", Vec::new()),
    };
    output.report(&answer(&line, change, &party_file::path_in(&state_dir), false, daemons))?;
    Ok(())
}

fn show(global: &Global, output: Output, arguments: &PartyShow) -> CommandResult {
    let state_dir = state_dir(global)?;
    let (line, path) = if let Some(file) = &global.party_file {
        (party_file::load_named(file)?, file.clone())
    } else {
        let line = party_file::load_of_state(&state_dir)?.ok_or_else(no_party)?;
        (line, party_file::path_in(&state_dir))
    };
    let may_show = arguments.print || std::io::stdout().is_terminal();
    if arguments.print && !output.json {
        print_secret(&line.text())?;
    } else {
        output.report(&answer(&line, "shown", &path, may_show, Vec::new()))?;
        if !may_show {
            output.note("the line is a secret: it is shown on a terminal, or with --print");
        }
    }
    if arguments.qr && may_show && !output.json {
        print_qr(&line.text())?;
    }
    Ok(())
}

fn leave(global: &Global, output: Output) -> CommandResult {
    let state_dir = changeable(global)?;
    let path = party_file::path_in(&state_dir);
    if !path.try_exists().unwrap_or(true) {
        return Err(no_party());
    }
    let left = party_file::remove(&state_dir)?;
    output.report(&Answer::Party {
        party: left.map(|line| line.key.name()).unwrap_or_default(),
        change: "left".into(),
        path: text_of(&path),
        catalog_signer: None,
        line: None,
        daemons_to_restart: daemons_of(&state_dir)?,
    })?;
    Ok(())
}

/// What there is to say about a party line of this machine, with the line itself if it is `shown`.
fn answer(
    line: &PartyLine,
    change: &'static str,
    path: &Path,
    shown: bool,
    daemons_to_restart: Vec<String>,
) -> Answer {
    Answer::Party {
        party: line.key.name(),
        change: change.into(),
        path: text_of(path),
        catalog_signer: line.catalog_signer.map(|key| ContentDigest(key).to_string()),
        line: shown.then(|| PartyLineShown(line.text().reveal().to_owned())),
        daemons_to_restart,
    }
}

/// Reads one line from standard input.
pub(super) fn read_line(output: Output) -> Result<String, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        output.note("the party line:");
    }
    let mut line = Vec::new();
    let failed = |reason: String| {
        let message = format!("the party line cannot be read from standard input: {reason}");
        Failure::new("party-line", None, message, ErrorCategory::Usage)
    };
    let read = input.lock().take(limits::PARTY_FILE_BYTES_MAX).read_until(b'\n', &mut line);
    read.map_err(|error| failed(error.to_string()))?;
    if line.is_empty() {
        return Err(failed("there is none".to_owned()));
    }
    String::from_utf8(line).map_err(|_| failed("it is no text".to_owned()))
}

/// Whether a person reads the output, and may photograph it.
fn is_for_people(output: Output) -> bool {
    !output.json && std::io::stdout().is_terminal()
}

/// The state directory whose party is to be changed. A party that comes from a file that was named is changed there.
pub(super) fn changeable(global: &Global) -> Result<PathBuf, Failure> {
    match &global.party_file {
        None => state_dir(global),
        Some(file) => {
            let message = format!("the party of this machine comes from {}", file.display());
            Err(Failure::new("party-from-file", None, message, ErrorCategory::Usage))
        }
    }
}

pub(super) fn state_dir(global: &Global) -> Result<PathBuf, Failure> {
    let chosen = global.state_dir.clone().or_else(default_state_dir);
    chosen.ok_or_else(|| PeerError::from(TrustError::NoStateDir).into())
}

/// The games directories of the daemons that run with a state directory.
fn daemons_of(state_dir: &Path) -> Result<Vec<String>, Failure> {
    let Some(user_state_dir) = default_state_dir() else { return Ok(Vec::new()) };
    let state_dir = std::path::absolute(state_dir)?;
    let running = running_daemons(&user_state_dir).into_iter();
    Ok(running
        .filter(|daemon| daemon.state_dir == state_dir)
        .map(|daemon| text_of(&daemon.games_dir))
        .collect())
}

fn no_party() -> Failure {
    let message = "this machine is of no party".to_owned();
    Failure::new("no-party", None, message, ErrorCategory::Refused)
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl From<PartyLineError> for Failure {
    fn from(problem: PartyLineError) -> Self {
        let message = format!("this is no party line: {problem}");
        Self::new("party-line", None, message, ErrorCategory::Usage)
    }
}

impl From<PartyFileError> for Failure {
    fn from(error: PartyFileError) -> Self {
        PeerError::from(TrustError::from(error)).into()
    }
}
