//! What a process prints, read by a thread of its own, so that a test can give up on a process that says nothing.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Only a hang is silent for so long. Without it, a test that waits for what never comes holds up everything after it.
const SILENCE: Duration = Duration::from_mins(3);

/// The lines of a pipe. Reading ends when the process has closed it, or with the first line that is not UTF-8.
#[derive(Debug)]
pub(crate) struct Lines(Receiver<io::Result<String>>);

impl Lines {
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            loop {
                let mut line = String::new();
                let read = pipe.read_line(&mut line);
                let over = !matches!(read, Ok(1..));
                if !matches!(read, Ok(0)) && sender.send(read.map(|_| line)).is_err() || over {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// The next line with its end; `None` after the last one. `seen` is what to show of a process that hangs.
    #[track_caller]
    pub(crate) fn next_after(&self, seen: &str) -> Option<String> {
        match self.0.recv_timeout(SILENCE) {
            Ok(line) => Some(line.unwrap()),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("nothing was printed for {} s after:\n{seen}", SILENCE.as_secs())
            }
        }
    }

    #[track_caller]
    pub(crate) fn next(&self) -> Option<String> {
        self.next_after("")
    }

    /// Everything up to the end of the pipe, after what was `seen` before.
    #[track_caller]
    pub(crate) fn rest(&self, mut seen: String) -> String {
        while let Some(line) = self.next_after(&seen) {
            seen += &line;
        }
        seen
    }
}
