//! The questions of `init`, one line each. An answer that cannot be is asked for again, with the reason.

use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};

use lanspread_peer::limits::ANSWER_BYTES_MAX;
use lanspread_peer::{ErrorCategory, PartyLine, PeerName};

use crate::exit::Failure;

/// What is to become of the party of this machine.
#[derive(Debug)]
pub(super) enum PartyWish {
    /// Nothing.
    AsItIs,
    New,
    Join(PartyLine),
}

/// A person who answers, and reads what is asked.
pub(super) struct Questions<I, O> {
    answers: I,
    asked: O,
    is_begun: bool,
}

impl<I: BufRead, O: Write> Questions<I, O> {
    pub(super) fn new(answers: I, asked: O) -> Self {
        Self { answers, asked, is_begun: false }
    }

    /// Whether the config file that is there may be replaced.
    pub(super) fn replace(&mut self, path: &Path) -> Result<bool, Failure> {
        let question = format!("{} exists. Replace it, and keep a copy", path.display());
        self.ask(&question, "no", |answer| match answer {
            "yes" | "y" => Ok(true),
            "no" | "n" => Ok(false),
            _ => Err(usage("answer yes or no".to_owned())),
        })
    }

    pub(super) fn games_dir(&mut self, default: &Path) -> Result<PathBuf, Failure> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        self.ask("Folder for the games", &default.to_string_lossy(), |answer| {
            match answer.strip_prefix("~/") {
                Some(rest) => absolute(&home.as_deref().unwrap_or(Path::new("/")).join(rest)),
                None => absolute(Path::new(answer)),
            }
        })
    }

    /// Without a name, the peer has that of its host.
    pub(super) fn name(&mut self, default: Option<&PeerName>) -> Result<Option<PeerName>, Failure> {
        const OF_HOST: &str = "the name of this machine";
        let shown = default.map_or(OF_HOST, PeerName::as_str).to_owned();
        self.ask("Name that other peers see", &shown, |answer| match answer {
            OF_HOST => Ok(None),
            name => {
                name.parse().map(Some).map_err(|error: lanspread_peer::WordError| usage(error.to_string()))
            }
        })
    }

    pub(super) fn party(&mut self) -> Result<PartyWish, Failure> {
        self.ask("Party: new, none, or the line of a party to join", "none", party)
    }

    /// Asks until there is an answer that can be. An empty one is the default.
    fn ask<T>(
        &mut self,
        question: &str,
        default: &str,
        understand: impl Fn(&str) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if !self.is_begun {
            self.is_begun = true;
            writeln!(
                self.asked,
                "Set up this machine: Enter takes what is in brackets, Ctrl-C changes nothing. `--help` lists all commands."
            )?;
        }
        loop {
            write!(self.asked, "{question} [{default}]: ")?;
            self.asked.flush()?;
            let line = self.line()?;
            let answer = if line.trim().is_empty() { default } else { line.trim() };
            match understand(answer) {
                Ok(understood) => return Ok(understood),
                Err(failure) => writeln!(self.asked, "  {}", failure.message)?,
            }
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = Vec::new();
        self.answers.by_ref().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            // Ctrl-D: the prompt has no end of line yet.
            writeln!(self.asked)?;
            let message = "the questions ended without an answer, and nothing was changed".to_owned();
            return Err(Failure::new("cancelled", None, message, ErrorCategory::Interrupted));
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

/// The path from the root, if a config file can hold it.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(path)?;
    match path.to_str() {
        Some(text) if !text.contains(char::is_control) => Ok(path),
        _ => Err(usage(format!("a config file cannot hold the path {}", path.display()))),
    }
}

/// `new`, `none` or a line.
pub(super) fn party(answer: &str) -> Result<PartyWish, Failure> {
    match answer.trim() {
        "new" => Ok(PartyWish::New),
        "none" => Ok(PartyWish::AsItIs),
        line => Ok(PartyWish::Join(PartyLine::parse(line)?)),
    }
}

fn usage(message: String) -> Failure {
    Failure::new("usage", None, message, ErrorCategory::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Asked<'a> = Questions<&'a [u8], Vec<u8>>;

    fn asked<'a, T>(
        answers: &'a str,
        ask: impl FnOnce(&mut Asked<'a>) -> Result<T, Failure>,
    ) -> (Result<T, Failure>, String) {
        let mut questions = Questions::new(answers.as_bytes(), Vec::new());
        let result = ask(&mut questions);
        (result, String::from_utf8(questions.asked).unwrap())
    }

    #[test]
    fn an_empty_answer_is_the_default() {
        let (games_dir, shown) = asked("\n", |ask| ask.games_dir(Path::new("/srv/games")));
        assert_eq!(games_dir.unwrap(), Path::new("/srv/games"));
        assert!(shown.ends_with("Folder for the games [/srv/games]: "), "{shown}");
        assert_eq!(asked("\n", |ask| ask.name(None)).0.unwrap(), None);
        let den: PeerName = "den".parse().unwrap();
        assert_eq!(asked("\n", |ask| ask.name(Some(&den))).0.unwrap(), Some(den));
        assert!(matches!(asked("\n", Questions::party).0.unwrap(), PartyWish::AsItIs));
        assert!(!asked("\n", |ask| ask.replace(Path::new("x"))).0.unwrap());
    }

    #[test]
    fn a_wrong_answer_is_asked_for_again_with_the_reason() {
        let (wish, shown) = asked("party1nonsense\n new \n", Questions::party);
        assert!(matches!(wish.unwrap(), PartyWish::New));
        assert!(
            shown.contains("this is no party line: ") && shown.matches("Party: ").count() == 2,
            "{shown}"
        );
        let (name, shown) = asked("\u{1b}[2J\nden\n", |ask| ask.name(None));
        assert_eq!(name.unwrap().unwrap().as_str(), "den");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        assert!(asked("maybe\nyes\n", |ask| ask.replace(Path::new("x"))).0.unwrap());
    }

    #[test]
    fn the_end_of_the_answers_is_an_interruption() {
        let failure = asked("", |ask| ask.games_dir(Path::new("/srv/games"))).0.unwrap_err();
        assert!(failure.is_interruption(), "{failure:?}");
        // An answer without an end is cut, not read for ever.
        let endless = "x".repeat(1 << 20);
        assert!(asked(&endless, |ask| ask.name(None)).0.unwrap_err().is_interruption());
    }
}
