//! Which games directory a command works on.
//!
//! The one that was named wins. Otherwise it is the directory of the running daemon with the command's state directory,
//! then the one of the config file, then a folder below the user's data directory. A command says which one it took unless
//! a person wrote it down.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lanspread_peer::{
    ErrorCategory, LocalError, PeerError, RunningDaemon, default_state_dir, running_daemons,
};

use crate::arguments::{Global, WrittenIn};
use crate::exit::Failure;
use crate::output::Output;

/// The games directory of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ChosenGamesDir {
    pub(crate) path: PathBuf,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The command line, a variable or the config file.
    Written,
    /// The running daemon of this user.
    Daemon { pid: u32 },
    /// The folder below the user's data directory.
    BuiltIn,
}

impl ChosenGamesDir {
    /// The games directory for `serve`, which does not work for another daemon.
    pub(crate) fn to_serve(written: Option<&Path>) -> Result<Self, Failure> {
        match written {
            Some(path) => Ok(Self { path: path.to_owned(), origin: Origin::Written }),
            None => Self::built_in(),
        }
    }

    /// The games directory for a command that works on games.
    pub(crate) fn to_use(global: &Global, written: Option<&Path>) -> Result<Self, Failure> {
        match Self::known(global, written) {
            Some(known) => Ok(known),
            None => Self::built_in(),
        }
    }

    /// The games directory that was written down, or that the daemon of this command's state directory serves.
    pub(crate) fn known(global: &Global, written: Option<&Path>) -> Option<Self> {
        if let Some(path) = written.filter(|_| global.games_dir_from == WrittenIn::Command) {
            return Some(Self { path: path.to_owned(), origin: Origin::Written });
        }
        let daemon =
            running().into_iter().find(|daemon| is_of_this_peer(daemon, global.state_dir.as_deref()));
        let configured = || written.map(|path| Self { path: path.to_owned(), origin: Origin::Written });
        daemon.map(Self::from).or_else(configured)
    }

    /// The games directory for a command that only a daemon can answer: without any other choice, the only daemon of this
    /// user, whatever its state directory.
    pub(crate) fn of_daemon(global: &Global, written: Option<&Path>) -> Result<Self, Failure> {
        match Self::known(global, written) {
            Some(known) => Ok(known),
            None if global.state_dir.is_some() => Self::built_in(),
            None => only(running())?.map_or_else(Self::built_in, |daemon| Ok(daemon.into())),
        }
    }

    /// Creates the games directory that a user has chosen for this machine, and what is missing above it. Returns whether
    /// it was created.
    pub(crate) fn set_up(path: &Path) -> Result<bool, Failure> {
        let created = create(path, |path| fs::create_dir_all(path)).map_err(PeerError::from)?;
        if !path.is_dir() {
            let error = LocalError::io("use as games directory", path)(ErrorKind::NotADirectory.into());
            return Err(PeerError::from(error).into());
        }
        Ok(created)
    }

    fn built_in() -> Result<Self, Failure> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let path = below_data_dir(variable("XDG_DATA_HOME"), variable("HOME")).ok_or_else(|| {
            let message = "no games directory: neither XDG_DATA_HOME nor HOME is set".to_owned();
            Failure::new("no-games-dir", Some("no-home"), message, ErrorCategory::Usage)
        })?;
        Ok(Self { path, origin: Origin::BuiltIn })
    }

    /// Says which folder it is, unless a person wrote it down, and creates it if it is missing: the folder below the
    /// data directory always, another one if `fills` says that the command will put games into it, and only below a
    /// folder that exists. Returns whether it was created.
    pub(crate) fn open(&self, output: Output, fills: bool) -> Result<bool, Failure> {
        let path = self.path.display();
        let created = match self.origin {
            Origin::BuiltIn => create(&self.path, |path| fs::create_dir_all(path)),
            Origin::Written if fills && has_parent(&self.path) => {
                create(&self.path, |path| fs::create_dir(path))
            }
            Origin::Written | Origin::Daemon { .. } => Ok(false),
        };
        let created = created.map_err(PeerError::from)?;
        match (self.origin, created) {
            (Origin::Daemon { pid }, _) => {
                output.note(&format!("games directory: {path}, of the running daemon (process {pid})"));
            }
            (_, true) => output.note(&format!("games directory: {path}, created now")),
            (Origin::BuiltIn, false) => output.note(&format!("games directory: {path}")),
            (Origin::Written, false) => {}
        }
        let beside = if self.origin == Origin::BuiltIn { running() } else { Vec::new() };
        if !beside.is_empty() {
            output.note(&format!(
                "beside it, daemons of yours serve {}; --games-dir chooses one",
                names(&beside)
            ));
        }
        Ok(created)
    }

    /// Removes the folder that a command created and then could not fill.
    pub(crate) fn remove_if_empty(&self) {
        // Fails if it holds anything, which is fine.
        let _ = fs::remove_dir(&self.path);
    }
}

impl From<RunningDaemon> for ChosenGamesDir {
    fn from(daemon: RunningDaemon) -> Self {
        Self { path: daemon.games_dir, origin: Origin::Daemon { pid: daemon.pid } }
    }
}

/// The running daemons of this user.
fn running() -> Vec<RunningDaemon> {
    default_state_dir().as_deref().map(running_daemons).unwrap_or_default()
}

/// Whether the daemon has the state directory of this command. A daemon with another one is another peer: a command may
/// well want to install from it.
fn is_of_this_peer(daemon: &RunningDaemon, state_dir: Option<&Path>) -> bool {
    let ours = state_dir.map(Path::to_owned).or_else(default_state_dir);
    ours.and_then(|path| std::path::absolute(path).ok()).is_some_and(|ours| ours == daemon.state_dir)
}

fn only(mut running: Vec<RunningDaemon>) -> Result<Option<RunningDaemon>, Failure> {
    if running.len() > 1 {
        let message = format!("{} daemons of this user are running: {}", running.len(), names(&running));
        return Err(Failure::new("several-daemons", None, message, ErrorCategory::Usage));
    }
    Ok(running.pop())
}

fn names(daemons: &[RunningDaemon]) -> String {
    let name = |daemon: &RunningDaemon| format!("{} (process {})", daemon.games_dir.display(), daemon.pid);
    daemons.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// `$XDG_DATA_HOME/lanspread/games`, or `~/.local/share/lanspread/games`. Relative folders do not count.
/// Source: XDG Base Directory Specification 0.8.
fn below_data_dir(data_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |folder: PathBuf| Some(folder).filter(|folder| folder.is_absolute());
    let data =
        data_home.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".local/share")))?;
    Some(data.join("lanspread/games"))
}

fn has_parent(path: &Path) -> bool {
    // The parent of a relative path of one name is the current folder.
    path.parent().is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir())
}

fn create(path: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<bool, LocalError> {
    if path.exists() {
        return Ok(false);
    }
    match make(path) {
        Ok(()) => Ok(true),
        // Another command was faster, or it is something that is no folder: opening it says which.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(LocalError::io("create the games directory", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(state_dir: &str, games_dir: &str) -> RunningDaemon {
        RunningDaemon { pid: 7, games_dir: games_dir.into(), state_dir: state_dir.into() }
    }

    #[test]
    fn a_daemon_with_another_state_directory_is_another_peer() {
        let is_ours = |state_dir| is_of_this_peer(&daemon("/state", "/games"), Some(Path::new(state_dir)));
        assert!(is_ours("/state") && is_ours("/state/"));
        assert!(!is_ours("/other"));
    }

    #[test]
    fn several_daemons_are_named() {
        assert_eq!(only(vec![]).unwrap(), None);
        assert_eq!(only(vec![daemon("/s", "/a")]).unwrap(), Some(daemon("/s", "/a")));
        let failure = only(vec![daemon("/one", "/a"), daemon("/two", "/b")]).unwrap_err();
        assert!(
            failure.message.contains("2 daemons")
                && failure.message.contains("/a (process 7), /b (process 7)")
        );
    }

    #[test]
    fn the_built_in_folder_is_below_the_data_directory() {
        let folder = |data: Option<&str>, home: Option<&str>| {
            below_data_dir(data.map(Into::into), home.map(Into::into)).map(|path| path.display().to_string())
        };
        assert_eq!(folder(Some("/data"), Some("/home/me")).as_deref(), Some("/data/lanspread/games"));
        let below_home = Some("/home/me/.local/share/lanspread/games");
        assert_eq!(folder(None, Some("/home/me")).as_deref(), below_home);
        assert_eq!(folder(Some("relative"), Some("/home/me")).as_deref(), below_home);
        assert_eq!(folder(None, Some("relative")), None);
        assert_eq!(folder(None, None), None);
    }
}
