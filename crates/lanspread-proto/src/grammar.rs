//! Which frame may follow which in a stream. Pure: frames in, verdict out.
//!
//! It refuses data without an open file, bytes past the announced size, a file that ends early, a second begin,
//! anything after complete, more or less than the totals that the stream and each archive announced, other archives than
//! those of the validated list, and a game without files. So a lying source can waste at most what it announced, and the
//! receiver has checked that against its disk before the first byte. Folders that are not entries but lie on the way to
//! one are counted where they are created, by the staging sink of the receiver.

use lanspread_types::content::{ArchiveSummary, Totals};
use lanspread_types::limits;

use crate::error::WireError;
use crate::message::StreamMessage;

/// The state of one stream as its reader sees it.
#[derive(Debug)]
pub struct StreamGrammar {
    state: State,
    /// Names of the archives that must come, in this order.
    archives: Vec<String>,
    archives_received: usize,
    announced: Totals,
    /// Everything received so far, including the open archive.
    received: Totals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has arrived yet.
    Start,
    /// Between two archives.
    Between,
    /// Inside an archive, of whose totals `left` is still due.
    Archive { left: Totals },
    /// Inside a file, of which `missing` bytes are still due.
    File { left: Totals, missing: u64 },
    /// Complete or failed.
    Ended,
}

impl StreamGrammar {
    /// Before the first frame of a stream of these archives, in the order in which they stream.
    pub fn of_archives(archives: Vec<String>) -> Self {
        Self {
            state: State::Start,
            archives,
            archives_received: 0,
            announced: Totals::default(),
            received: Totals::default(),
        }
    }

    /// What was received so far. The bytes of a copy count when the copy is announced.
    pub fn received(&self) -> Totals {
        self.received
    }

    /// Checks a control message.
    ///
    /// # Errors
    /// If it may not follow, or exceeds what was announced or the limits.
    pub fn control(&mut self, message: &StreamMessage) -> Result<(), WireError> {
        self.state = match (self.state, message) {
            (State::Ended, _) => return Err(self.unexpected(message.name())),
            (state, StreamMessage::KeepAlive) => state,
            (_, StreamMessage::Failed(_)) => State::Ended,
            (State::Start, StreamMessage::Queued(_)) => State::Start,
            (State::Start, StreamMessage::Begin { archives, totals }) => self.begin(*archives, *totals)?,
            (State::Between, StreamMessage::ArchiveBegin(summary)) => self.archive_begin(summary)?,
            (State::Archive { left }, StreamMessage::Directory { .. }) => {
                State::Archive { left: self.take(left, Totals { directories: 1, ..Totals::default() })? }
            }
            (State::Archive { left }, StreamMessage::Copy { size, .. }) => State::Archive {
                left: self.take(left, Totals { files: 1, bytes: *size, ..Totals::default() })?,
            },
            (State::Archive { left }, StreamMessage::FileBegin { size, .. }) => {
                let file = Totals { files: 1, bytes: *size, ..Totals::default() };
                let left = self.take(left, file)?;
                // The bytes of a file count when they arrive.
                self.received.bytes -= *size;
                State::File { left, missing: *size }
            }
            (State::File { left, missing: 0 }, StreamMessage::FileEnd { .. }) => State::Archive { left },
            (State::Archive { left }, StreamMessage::ArchiveEnd) => Self::archive_end(left)?,
            (State::Between, StreamMessage::Complete) => self.complete()?,
            _ => return Err(self.unexpected(message.name())),
        };
        Ok(())
    }

    /// Checks `length` bytes of data.
    ///
    /// # Errors
    /// If no file is open, or the open file has fewer bytes left.
    pub fn data(&mut self, length: usize) -> Result<(), WireError> {
        let State::File { left, missing } = self.state else { return Err(self.unexpected("data")) };
        let Some(missing) = missing.checked_sub(length as u64) else {
            return Err(self.unexpected("data past the announced size"));
        };
        self.received.bytes += length as u64;
        self.state = State::File { left, missing };
        Ok(())
    }

    fn begin(&mut self, archives: u64, totals: Totals) -> Result<State, WireError> {
        let bounds = [
            ("archives", limits::ROOT_FILES_MAX as u64, archives),
            ("files", limits::ENTRIES_MAX, totals.files),
            ("folders", limits::ENTRIES_MAX, totals.directories),
            ("bytes", limits::GAME_BYTES_MAX, totals.bytes),
        ];
        for (what, limit, got) in bounds {
            if got > limit {
                return Err(WireError::Malformed(format!("{got} {what} announced; the limit is {limit}")));
            }
        }
        if archives != self.archives.len() as u64 {
            return Err(self.archives_differ(archives));
        }
        if totals.files == 0 {
            return Err(WireError::Malformed("a game without files is announced".to_owned()));
        }
        self.announced = totals;
        Ok(State::Between)
    }

    fn archive_begin(&mut self, summary: &ArchiveSummary) -> Result<State, WireError> {
        if self.archives.get(self.archives_received) != Some(&summary.name) {
            return Err(WireError::Unexpected {
                expected: "the archives of the validated list, in order",
                got: "another archive",
            });
        }
        self.archives_received += 1;
        Ok(State::Archive { left: summary.totals })
    }

    /// Counts an entry against its archive and against the stream.
    fn take(&mut self, left: Totals, entry: Totals) -> Result<Totals, WireError> {
        let left = subtract(left, entry).ok_or(WireError::Unexpected {
            expected: "no more than the archive announced",
            got: "another entry",
        })?;
        let received = self.received.checked_add(entry);
        let within = received.filter(|received| subtract(self.announced, *received).is_some());
        self.received = within.ok_or(WireError::Unexpected {
            expected: "no more than the stream announced",
            got: "another entry",
        })?;
        Ok(left)
    }

    fn archive_end(left: Totals) -> Result<State, WireError> {
        if left == Totals::default() {
            return Ok(State::Between);
        }
        Err(WireError::Unexpected { expected: "the rest of the archive", got: "archive end" })
    }

    fn complete(&self) -> Result<State, WireError> {
        if self.archives_received != self.archives.len() {
            return Err(self.archives_differ(self.archives_received as u64));
        }
        let pairs = [
            ("files", self.announced.files, self.received.files),
            ("folders", self.announced.directories, self.received.directories),
            ("bytes", self.announced.bytes, self.received.bytes),
        ];
        for (what, expected, got) in pairs {
            if expected != got {
                return Err(WireError::Totals { what, expected, got });
            }
        }
        Ok(State::Ended)
    }

    fn archives_differ(&self, got: u64) -> WireError {
        WireError::Totals { what: "archives", expected: self.archives.len() as u64, got }
    }

    fn unexpected(&self, got: &'static str) -> WireError {
        let expected = match self.state {
            State::Start => "stream begin",
            State::Between => "archive begin or complete",
            State::Archive { .. } => "an entry or archive end",
            State::File { missing: 0, .. } => "file end",
            State::File { .. } => "data of the open file",
            State::Ended => "nothing",
        };
        WireError::Unexpected { expected, got }
    }
}

fn subtract(from: Totals, entry: Totals) -> Option<Totals> {
    Some(Totals {
        files: from.files.checked_sub(entry.files)?,
        directories: from.directories.checked_sub(entry.directories)?,
        bytes: from.bytes.checked_sub(entry.bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use lanspread_types::checksum::Checksum;
    use lanspread_types::content::ArchiveFormat;

    use super::*;
    use crate::message::{Refusal, RefusalCode};
    use crate::queued::QueuePosition;

    #[derive(Debug, Clone)]
    enum Step {
        Control(StreamMessage),
        Data(usize),
    }
    use Step::{Control, Data};

    fn totals(files: u64, directories: u64, bytes: u64) -> Totals {
        Totals { files, directories, bytes }
    }

    fn archive(totals: Totals) -> Step {
        archive_named("a.eti", totals)
    }

    fn archive_named(name: &str, totals: Totals) -> Step {
        let name = name.to_owned();
        Control(StreamMessage::ArchiveBegin(ArchiveSummary {
            name,
            format: ArchiveFormat::Rar5,
            solid: false,
            totals,
        }))
    }

    fn file(size: u64) -> Step {
        let path = "f".to_owned();
        Control(StreamMessage::FileBegin { path, size, checksum: None, modified: None, executable: false })
    }

    fn copy(size: u64) -> Step {
        let (path, original) = ("c".to_owned(), "f".to_owned());
        Control(StreamMessage::Copy { path, original, size, modified: None, executable: false })
    }

    fn begin(archives: u64, totals: Totals) -> Step {
        Control(StreamMessage::Begin { archives, totals })
    }

    fn directory() -> Step {
        Control(StreamMessage::Directory { path: "d".to_owned() })
    }

    fn file_end() -> Step {
        Control(StreamMessage::FileEnd { checksum: Checksum::of(b"") })
    }

    fn archive_end() -> Step {
        Control(StreamMessage::ArchiveEnd)
    }

    fn complete() -> Step {
        Control(StreamMessage::Complete)
    }

    fn queued() -> Step {
        Control(StreamMessage::Queued(QueuePosition { ahead: 1, in_ms: None }))
    }

    /// Index of the first refused step.
    fn refused_at(steps: &[Step]) -> Option<usize> {
        refused_of(&["a.eti"], steps)
    }

    /// The same for a stream of these archives.
    fn refused_of(archives: &[&str], steps: &[Step]) -> Option<usize> {
        let archives = archives.iter().map(|name| (*name).to_owned()).collect();
        let mut grammar = StreamGrammar::of_archives(archives);
        steps.iter().position(|step| {
            match step {
                Control(message) => grammar.control(message),
                Data(length) => grammar.data(*length),
            }
            .is_err()
        })
    }

    fn good() -> Vec<Step> {
        vec![
            begin(1, totals(3, 1, 14)),
            archive(totals(3, 1, 14)),
            directory(),
            file(7),
            Data(3),
            Data(4),
            file_end(),
            copy(7),
            file(0),
            file_end(),
            archive_end(),
            complete(),
        ]
    }

    #[test]
    fn a_whole_stream_passes_with_keep_alives_anywhere() {
        assert_eq!(refused_at(&good()), None);
        let with_keep_alives: Vec<Step> =
            good().into_iter().flat_map(|step| [Control(StreamMessage::KeepAlive), step]).collect();
        assert_eq!(refused_at(&with_keep_alives), None);
        let after_a_queue: Vec<Step> = vec![queued(); 9].into_iter().chain(good()).collect();
        assert_eq!(refused_at(&after_a_queue), None);
    }

    /// A good stream with any frame left out or repeated is refused by its end at the latest.
    #[test]
    fn a_stream_without_a_frame_or_with_one_twice_is_refused() {
        let good = good();
        for index in 0..good.len() {
            let mut missing = good.clone();
            missing.remove(index);
            let incomplete = index + 1 == good.len();
            assert_eq!(refused_at(&missing).is_none(), incomplete, "without frame {index}");
            let mut doubled = good.clone();
            doubled.insert(index, good[index].clone());
            assert!(refused_at(&doubled).is_some(), "frame {index} twice");
        }
    }

    #[test]
    fn a_lying_source_is_refused_at_the_frame_that_lies() {
        let table = [
            (vec![Data(1)], 0, "data before begin"),
            (vec![begin(1, totals(1, 0, 1)), Data(1)], 1, "data with no open file"),
            (
                vec![begin(1, totals(1, 0, 1)), archive(totals(1, 0, 1)), file(1), Data(2)],
                3,
                "bytes past the size",
            ),
            (
                vec![begin(1, totals(1, 0, 2)), archive(totals(1, 0, 2)), file(2), Data(1), file_end()],
                4,
                "short file",
            ),
            (
                vec![
                    begin(1, totals(1, 0, 1)),
                    archive(totals(2, 0, 2)),
                    file(1),
                    Data(1),
                    file_end(),
                    file(1),
                ],
                5,
                "more files than the stream announced",
            ),
            (
                vec![begin(1, totals(1, 0, 1)), archive(totals(1, 0, 1)), file(2)],
                2,
                "a file larger than its archive",
            ),
            (
                vec![begin(1, totals(9, 0, 9)), archive(totals(0, 0, 0)), archive_end(), complete()],
                3,
                "less than announced",
            ),
            (
                vec![
                    begin(1, totals(1, 0, 0)),
                    archive(totals(0, 0, 0)),
                    archive_end(),
                    archive(totals(0, 0, 0)),
                ],
                3,
                "an archive too many",
            ),
            (vec![begin(1, totals(u64::MAX, 0, 0))], 0, "totals beyond the limits"),
            (vec![begin(1, totals(1, 0, 0)), begin(1, totals(1, 0, 0))], 1, "a second begin"),
            (vec![begin(1, totals(1, 0, 0)), queued()], 1, "a queue after the begin"),
            (vec![begin(0, totals(0, 0, 0)), complete()], 0, "nothing at all"),
            (vec![begin(1, totals(0, 1, 0))], 0, "a game of folders"),
            (vec![begin(1, totals(1, 0, 1)), archive_named("b.eti", totals(1, 0, 1))], 1, "another archive"),
        ];
        for (steps, at, why) in table {
            assert_eq!(refused_at(&steps), Some(at), "{why}");
        }
    }

    /// The archives are those of the list that the other peers confirmed: as many, by the same names, in order.
    #[test]
    fn the_archives_are_those_of_the_validated_list() {
        let archive = |name| {
            let one = totals(1, 0, 0);
            [archive_named(name, one), file(0), file_end(), archive_end()]
        };
        let stream = |names: &[&'static str]| {
            let mut steps = vec![begin(names.len() as u64, totals(names.len() as u64, 0, 0))];
            steps.extend(names.iter().flat_map(|name| archive(name)));
            steps.push(complete());
            steps
        };
        assert_eq!(refused_of(&["a.eti", "b.eti"], &stream(&["a.eti", "b.eti"])), None);
        for (names, at) in [
            (&["a.eti"][..], 0),
            (&["a.eti", "b.eti", "c.eti"], 0),
            (&["b.eti", "a.eti"], 1),
            (&["a.eti", "a.eti"], 5),
            (&["a.eti", "B.eti"], 5),
        ] {
            assert_eq!(refused_of(&["a.eti", "b.eti"], &stream(names)), Some(at), "{names:?}");
        }
        let fewer = [&stream(&["a.eti", "b.eti"])[..5], &[complete()]].concat();
        assert_eq!(refused_of(&["a.eti", "b.eti"], &fewer), Some(5), "an archive is missing");
    }

    #[test]
    fn nothing_follows_the_end() {
        let story = good();
        let (before, end) = story.split_at(story.len() - 1);
        for end in [end[0].clone(), Control(StreamMessage::Failed(Refusal::new(RefusalCode::Internal, "x")))]
        {
            for after in [Control(StreamMessage::KeepAlive), complete(), Data(1)] {
                let steps = [before, &[end.clone(), after]].concat();
                assert_eq!(refused_at(&steps), Some(steps.len() - 1));
            }
        }
    }
}
