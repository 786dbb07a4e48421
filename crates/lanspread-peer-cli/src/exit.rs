//! A failed command: its exit status, and its one line on stderr.

use std::process::ExitCode;

use lanspread_peer::{Code, ControlError, ErrorCategory, OperationFailure, PeerError, SavedPeersError};

use crate::hints;

/// A failed command, as it is printed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
    pub(crate) status: u8,
}

/// The result of every command.
pub(crate) type CommandResult = Result<(), Failure>;

/// The exit status of each class of failure.
fn status(category: ErrorCategory) -> u8 {
    match category {
        ErrorCategory::Unexpected => 1,
        ErrorCategory::Usage => 2,
        ErrorCategory::NotOffered => 3,
        ErrorCategory::SourcesFailed => 4,
        ErrorCategory::Refused => 5,
        ErrorCategory::Content => 6,
        ErrorCategory::Local => 7,
        ErrorCategory::Interrupted => 130,
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
        let hint = hints::hint(code, cause);
        Self { code: code.into(), message, hint, status: status(category) }
    }

    /// The one line: what, where, and what to do.
    pub(crate) fn line(&self) -> String {
        format!("error: {}", hints::with_hint(&self.message, self.hint))
    }

    /// Whether the command was ended before it was done.
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
        let hint = hints::hint(&code, cause.as_deref());
        Self { code, message, hint, status: status(category) }
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
        // The first paragraph says what is wrong. Usage and tips follow.
        let rendered = error.render().to_string();
        let paragraph = rendered.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        let line = words.join(" ");
        let message = line.strip_prefix("error: ").unwrap_or(&line).to_owned();
        Self::new("usage", None, message, ErrorCategory::Usage)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let message = format!("cannot write the output: {error}");
        Self::new("output", None, message, ErrorCategory::Unexpected)
    }
}
