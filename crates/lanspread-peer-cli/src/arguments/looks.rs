//! How what people read looks.

use clap::{Args, ValueEnum};

use crate::help::heading::OUTPUT;

/// How what people read looks.
#[derive(Debug, Args)]
pub(crate) struct Looks {
    /// Whether words are coloured; `auto` asks `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR` and the terminal, in this order
    #[arg(long, global = true, help_heading = OUTPUT, env = "LANSPREAD_COLOR", value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
    /// Unit of rates while something is going on: bytes, as of disks, or bits, as of networks. Limits and the line at the end
    /// of a transfer have both
    #[arg(long, global = true, help_heading = OUTPUT, env = "LANSPREAD_UNITS", value_enum, default_value_t, value_name = "UNIT")]
    pub(crate) units: RateUnit,
}

/// Whether words are coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal that shows colours, unless a variable decides it
    #[default]
    Auto,
    /// Also in a file or a pipe
    Always,
    /// Nowhere
    Never,
}

/// The unit of a rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RateUnit {
    /// MiB/s
    #[default]
    Bytes,
    /// Mbit/s
    Bits,
}

impl ColorChoice {
    /// The choice on a command line that is not parsed yet, or else in the variable. The help and what is wrong with the
    /// command line are printed without it being parsed to the end.
    pub(crate) fn written(words: &[String], variable: Option<&str>) -> Option<Self> {
        let mut words = words.iter().map(String::as_str).take_while(|word| *word != "--");
        let on_command_line =
            words.find_map(|word| word.strip_prefix("--color")).and_then(|rest| match rest {
                "" => words.next(),
                rest => rest.strip_prefix('='),
            });
        Self::from_str(on_command_line.or(variable)?, false).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_is_found_before_the_command_line_is_parsed() {
        for (line, variable, expected) in [
            ("list --color never", None, Some(ColorChoice::Never)),
            ("--color=always list", Some("never"), Some(ColorChoice::Always)),
            ("list", Some("never"), Some(ColorChoice::Never)),
            ("list -- --color never", None, None),
            ("list --color", None, None),
            ("list --color sometimes", None, None),
            ("list --colour never", None, None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(ColorChoice::written(&words, variable), expected, "{line}");
        }
    }
}
