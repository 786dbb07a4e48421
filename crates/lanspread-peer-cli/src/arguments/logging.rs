//! The log.

use std::str::FromStr;

use clap::{Args, ValueEnum, ValueHint};
use tracing_subscriber::EnvFilter;

use crate::help::heading::OUTPUT;

/// What the log on stderr contains, and its form.
#[derive(Debug, Args)]
pub(crate) struct Logging {
    /// What to log, such as `info`, or `warn,lanspread_peer::packed=debug` [default: as -v and -q say]
    #[arg(long, global = true, help_heading = OUTPUT, env = "LANSPREAD_LOG", value_hint = ValueHint::Other, value_name = "FILTER")]
    pub(crate) log: Option<LogFilter>,
    /// Form of the lines on stderr: text, or one JSON object per line
    #[arg(long, global = true, help_heading = OUTPUT, env = "LANSPREAD_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

/// The form of the lines on stderr.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people; with a priority for the journal of systemd
    #[default]
    Text,
    /// For programs
    Json,
}

/// A filter of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("a filter is a level, or a list of MODULE=LEVEL: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_levels_and_modules() {
        for good in ["warn", "debug", "warn,lanspread_peer::packed=debug", "off"] {
            assert_eq!(good.parse::<LogFilter>().unwrap().as_str(), good);
        }
        for bad in ["warn,=", "lanspread_peer=loud", "a=b=c"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }
}
