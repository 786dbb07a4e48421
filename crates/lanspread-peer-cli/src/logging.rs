//! Lines on stderr: which ones the log writes, and in which form.
//!
//! On a terminal or in a file they are text, and those of the log carry their time. If stderr is the journal of systemd,
//! which has a time of its own, each line begins with its priority instead (`<4>`, as in sd-daemon(3)), so that
//! `journalctl -p warning` shows what matters. With `--log-format json` each line is an object.

use std::fmt;
use std::io::{self, Write};
use std::os::linux::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::arguments::{LogFormat, Logging};

/// How much a line matters; the numbers are the priorities of syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Critical = 2,
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

impl Severity {
    fn of_level(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// What the lines of this process look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    is_json: bool,
    /// Whether stderr is the journal, which takes a priority and has a time of its own.
    is_journal: bool,
}

static FORM: OnceLock<Form> = OnceLock::new();

fn form() -> Form {
    // A line that is written before the command line is read, or because it cannot be read, is text.
    FORM.get().copied().unwrap_or_else(|| Form { is_json: false, is_journal: is_stderr_the_journal() })
}

/// Whether lines on stderr are read by people at a terminal, or in a file that is like one.
pub(crate) fn is_plain() -> bool {
    form() == Form { is_json: false, is_journal: false }
}

/// Starts the log on stderr. The filter of the user decides what is written; without one, `-q` and `-v` choose its level.
pub(crate) fn start(logging: &Logging, quiet: bool, verbose: u8, in_colour: impl FnOnce() -> bool) {
    let form = Form { is_json: logging.log_format == LogFormat::Json, is_journal: is_stderr_the_journal() };
    let form = *FORM.get_or_init(|| form);
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = EnvFilter::new(logging.log.as_ref().map_or(level, |filter| filter.as_str()));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if is_plain() {
        log.with_ansi(in_colour()).with_target(false).init();
    } else {
        log.event_format(LineFormat(form)).init();
    }
}

/// Writes a line for people on stderr.
pub(crate) fn write(severity: Severity, text: &str) {
    let written = form().line(severity, text, None);
    // If even stderr is closed, there is no reader to report that to.
    let _ = io::stderr().lock().write_all(written.as_bytes());
}

impl Form {
    /// The text as it is written, with its end.
    fn line(self, severity: Severity, text: &str, at: Option<SystemTime>) -> String {
        let priority = if self.is_journal { format!("<{}>", severity as u8) } else { String::new() };
        if self.is_json {
            let time = humantime::format_rfc3339_millis(at.unwrap_or_else(SystemTime::now)).to_string();
            let object = serde_json::json!({ "time": time, "level": severity.as_str(), "message": text });
            return format!("{priority}{object}\n");
        }
        // The journal takes each line for a message of its own.
        text.lines().flat_map(|line| [&priority, line, "\n"]).collect()
    }
}

/// Writes an event of the log in the form of all lines.
struct LineFormat(Form);

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = EventText::default();
        event.record(&mut text);
        let EventText { message, fields } = text;
        let severity = Severity::of_level(*event.metadata().level());
        writer.write_str(&self.0.line(severity, &format!("{message}{fields}"), None))
    }
}

/// The message of an event, and its other fields.
#[derive(Default)]
struct EventText {
    message: String,
    fields: String,
}

impl Visit for EventText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.fields += &format!(" {}={value:?}", field.name());
        }
    }
}

/// Whether stderr is connected to the journal: systemd names the device and the inode of the socket that it opened
/// (`JOURNAL_STREAM`, systemd.exec(5)). A child may have been given another stderr, and then still has the variable.
fn is_stderr_the_journal() -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|named| {
        std::fs::metadata("/proc/self/fd/2")
            .is_ok_and(|stderr| is_named(&named, stderr.st_dev(), stderr.st_ino()))
    })
}

/// Whether `DEVICE:INODE` is this file.
fn is_named(named: &str, device: u64, inode: u64) -> bool {
    let numbers = named.split_once(':').map(|(device, inode)| (device.parse(), inode.parse()));
    numbers == Some((Ok(device), Ok(inode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn the_journal_gets_a_priority_at_every_line_and_no_time() {
        let form = Form { is_json: false, is_journal: true };
        assert_eq!(form.line(Severity::Warning, "one\ntwo", Some(AT)), "<4>one\n<4>two\n");
        assert_eq!(Form { is_journal: false, ..form }.line(Severity::Warning, "one", Some(AT)), "one\n");
    }

    #[test]
    fn a_json_line_is_one_object_whatever_the_text() {
        for is_journal in [false, true] {
            let line = Form { is_json: true, is_journal }.line(Severity::Error, "a \"b\"\nc", Some(AT));
            let object = line.strip_suffix('\n').unwrap();
            assert!(!object.contains('\n'));
            let object = if is_journal { object.strip_prefix("<3>").unwrap() } else { object };
            let object: serde_json::Value = serde_json::from_str(object).unwrap();
            let expected = serde_json::json!({
                "time": "1970-01-01T00:00:00.000Z", "level": "error", "message": "a \"b\"\nc",
            });
            assert_eq!(object, expected);
        }
    }

    #[test]
    fn only_the_file_that_systemd_named_is_the_journal() {
        assert!(is_named("8:1234", 8, 1234));
        for other in ["8:1235", "9:1234", "8", "", "8:", ":1234", "8:1234:1", "x:1234"] {
            assert!(!is_named(other, 8, 1234), "{other}");
        }
    }
}
