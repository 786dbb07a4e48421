//! A failed command: its exit status, and its one line on stderr.

use std::borrow::Cow;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use lanspread_peer::{
    Code, ControlError, ErrorCategory, GameId, OperationFailure, PeerError, SavedPeersError,
};

use crate::arguments::variable_of;
use crate::hints;

/// A failed command, as it is printed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) hint: Option<Cow<'static, str>>,
    /// The game that it is about, if the command was asked for games.
    pub(crate) game: Option<GameId>,
    pub(crate) status: u8,
    /// Nothing is left to print: it was printed when it happened, or there is no reader.
    pub(crate) is_reported: bool,
}

/// What became of a request for several games.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) done: Vec<GameId>,
    pub(crate) failed: Vec<GameId>,
    /// The exit status of the command.
    pub(crate) status: u8,
    /// The user ended it.
    pub(crate) is_interrupted: bool,
}

/// A failed request that is tried again.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) game: GameId,
    pub(crate) failure: Failure,
    /// Counts from 1.
    pub(crate) number: u64,
    /// How many further tries there are in all.
    pub(crate) retries: u64,
    /// Until then.
    pub(crate) delay: Duration,
}

/// The exit status of a check that found something to update.
pub(crate) const OUTDATED: u8 = 10;
/// The exit status of a command whose time has passed, as `timeout` has it.
pub(crate) const TIMED_OUT: u8 = 124;

/// The result of every command.
pub(crate) type CommandResult = Result<(), Failure>;

/// The exit status of each class of failure.
fn status(category: ErrorCategory) -> u8 {
    match category {
        ErrorCategory::Usage => 2,
        ErrorCategory::NotOffered => 3,
        ErrorCategory::SourcesFailed => 4,
        ErrorCategory::Refused => 5,
        ErrorCategory::Content => 6,
        ErrorCategory::Local => 7,
        ErrorCategory::NoPlace => 8,
        ErrorCategory::Interrupted => 130,
        // Also what a newer library calls by a name of its own.
        _ => 1,
    }
}

impl Failure {
    /// A failure that the command itself found.
    pub(crate) fn new(
        code: &'static str,
        cause: Option<&str>,
        message: String,
        category: ErrorCategory,
    ) -> Self {
        let hint = hints::hint(code, cause).map(Cow::Borrowed);
        let status = status(category);
        Self { code: code.into(), message, hint, game: None, status, is_reported: false }
    }

    /// The same failure, of the request for this game.
    pub(crate) fn of_game(mut self, game: &GameId) -> Self {
        self.hint = self.hint.map(|hint| hints::for_game(&hint, game).into());
        self.game = Some(game.clone());
        self
    }

    /// The same failure, after it has been printed.
    pub(crate) fn reported(self) -> Self {
        Self { is_reported: true, ..self }
    }

    /// The one line: what, where, and what to do.
    pub(crate) fn line(&self) -> String {
        format!("error: {}", hints::with_hint(&self.message, self.hint.as_deref()))
    }

    /// The line of one of several games. Most messages name their game by themselves.
    pub(crate) fn line_of_game(&self) -> String {
        match self.game.as_ref().filter(|game| !is_named(game, &self.message)) {
            Some(game) => Self { message: format!("{game}: {}", self.message), ..self.clone() }.line(),
            None => self.line(),
        }
    }

    /// Whether the same request may succeed later, although no user has done anything about the failure.
    pub(crate) fn may_pass(&self) -> bool {
        let is_about_sources =
            [ErrorCategory::NotOffered, ErrorCategory::SourcesFailed, ErrorCategory::NoPlace]
                .into_iter()
                .any(|category| self.status == status(category));
        is_about_sources || matches!(&*self.code, "in-progress" | "queue-full" | "freeing-space")
    }

    pub(crate) fn is_interruption(&self) -> bool {
        self.status == status(ErrorCategory::Interrupted)
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl From<OperationFailure> for Failure {
    fn from(failure: OperationFailure) -> Self {
        let OperationFailure { code, message, cause, category, .. } = failure;
        let hint = hints::hint(&code, cause.as_deref()).map(Cow::Borrowed);
        Self { code, message, hint, game: None, status: status(category), is_reported: false }
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        OperationFailure::from(error).into()
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        OperationFailure::from(error).into()
    }
}

impl From<SavedPeersError> for Failure {
    fn from(error: SavedPeersError) -> Self {
        PeerError::from(error).into()
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        // The first paragraph says what is wrong. Tips and usage follow.
        let rendered = error.render().to_string();
        let paragraph = rendered.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        let line = words.join(" ");
        let message = line.strip_prefix("error: ").unwrap_or(&line).to_owned();
        let failure = Self::new("usage", None, message, ErrorCategory::Usage);
        if let Some(flag) = flag_with_a_value(&error) {
            let hint = variable_of(flag).map(|variable| {
                format!("to switch it off where the config file switches it on, set {variable}=false").into()
            });
            return Self { message: format!("{flag} takes no value"), hint, ..failure };
        }
        match meant(&error) {
            Some(meant) => Self { hint: Some(format!("did you mean `{meant}`?").into()), ..failure },
            None => failure,
        }
    }
}

/// Whether a message has the game's id as a word of its own: every message contains an id such as `a`.
fn is_named(game: &GameId, message: &str) -> bool {
    let is_of_word = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.');
    message.split(|character| !is_of_word(character)).any(|word| word == game.as_str())
}

/// The flag that was given a value, as in `--json=false`.
fn flag_with_a_value(error: &clap::Error) -> Option<&str> {
    match (error.kind(), error.get(ContextKind::InvalidArg)?) {
        (ErrorKind::TooManyValues, ContextValue::String(flag)) => flag.split_whitespace().next(),
        _ => None,
    }
}

/// The command, option or value that is spelt most like what was typed.
fn meant(error: &clap::Error) -> Option<&str> {
    let kinds = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(meant) => Some(meant.as_str()),
        // The most similar one is last.
        ContextValue::Strings(meant) => meant.last().map(String::as_str),
        _ => None,
    })
}

impl From<io::Error> for Failure {
    /// A reader of stdout that has gone, as in `list | head -1`, has what it wanted: the command ends quietly.
    fn from(error: io::Error) -> Self {
        let message = format!("cannot write the output: {error}");
        let failure = Self::new("output", None, message, ErrorCategory::Unexpected);
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { status: 0, ..failure.reported() },
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_failures_names_its_game_once() {
        let failed = |game: &str, message: &str| {
            let failure = Failure::new("x", None, message.to_owned(), ErrorCategory::Refused);
            failure.of_game(&game.parse().unwrap()).line_of_game()
        };
        assert_eq!(failed("a", "cancelled"), "error: a: cancelled");
        assert_eq!(failed("cnctw", "no peer offers cnctw: den: no"), "error: no peer offers cnctw: den: no");
        assert_eq!(failed("cnc", "cnctw is not here"), "error: cnc: cnctw is not here");
    }

    #[test]
    fn the_help_says_what_each_exit_status_means() {
        use ErrorCategory as E;
        let categories = [
            E::Unexpected,
            E::Usage,
            E::NotOffered,
            E::SourcesFailed,
            E::Refused,
            E::Content,
            E::Local,
            E::NoPlace,
            E::Interrupted,
        ];
        let mut used: Vec<u8> = [0, OUTDATED, TIMED_OUT].into_iter().chain(categories.map(status)).collect();
        used.sort_unstable();
        let described: Vec<u8> = crate::help::EXIT_STATUS.iter().map(|(status, _)| *status).collect();
        assert_eq!(described, used);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is_one() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((gone.status, gone.is_reported), (0, true));
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!((full.status, full.is_reported), (1, false));
    }
}
