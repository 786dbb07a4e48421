//! One JSON object per line: `{"event": …, "time": …, …}`.

use std::io::{self, Write};
use std::time::SystemTime;

use lanspread_peer::{Answer, ReportedEvent};
use serde::Serialize;

use super::reporter::Reporter;
use crate::exit::Failure;
use crate::hints;

/// An object with the time at which it is printed.
#[derive(Serialize)]
struct Stamped<'a, T> {
    #[serde(flatten)]
    object: &'a T,
    /// RFC 3339, UTC, milliseconds.
    time: String,
}

/// An answer with the hint that the command adds to it.
#[derive(Serialize)]
struct Hinted<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    hint: Option<&'static str>,
}

/// A failed command.
#[derive(Serialize)]
#[serde(tag = "event", rename = "error")]
struct FailureObject<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    exit_status: u8,
}

/// Prints one object as one line.
fn print(object: &impl Serialize, at: SystemTime) -> io::Result<()> {
    let time = humantime::format_rfc3339_millis(at).to_string();
    let mut line = serde_json::to_vec(&Stamped { object, time })?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// Prints one object of an answer.
pub(super) fn print_answer(answer: &Answer) -> io::Result<()> {
    let now = SystemTime::now();
    match answer {
        Answer::NobodyFound { .. } => print(&Hinted { answer, hint: hints::of_report(answer) }, now),
        _ => print(answer, now),
    }
}

pub(super) fn print_failure(failure: &Failure) {
    let Failure { code, message, hint, status } = failure;
    let object = FailureObject { code, message, hint: *hint, exit_status: *status };
    if let Err(error) = print(&object, SystemTime::now()) {
        tracing::debug!("stdout: {error}");
    }
}

/// Prints every event.
pub(super) struct JsonReporter;

impl Reporter for JsonReporter {
    fn event(&mut self, event: &ReportedEvent) {
        // A closed stdout must not stop an install midway.
        if let Err(error) = print(&event.event, event.at) {
            tracing::debug!("stdout: {error}");
        }
    }
}
