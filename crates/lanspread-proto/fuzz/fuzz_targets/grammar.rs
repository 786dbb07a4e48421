//! The grammar of a stream: what it lets pass is counted once more, and never more or less than was announced.
#![no_main]

use lanspread_proto::grammar::StreamGrammar;
use lanspread_proto::message::{Refusal, RefusalCode, StreamMessage};
use lanspread_proto::queued::QueuePosition;
use lanspread_types::checksum::Checksum;
use lanspread_types::content::{ArchiveFormat, ArchiveSummary, Totals};
use lanspread_types::limits;
use libfuzzer_sys::fuzz_target;

/// Takes numbers off the input.
struct Input<'i>(&'i [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Most often a small number, so that sums come out right; at times one of the largest.
    fn number(&mut self) -> Option<u64> {
        Some(match self.byte()? {
            small @ 0..250 => u64::from(small),
            250 => limits::ENTRIES_MAX,
            251 => limits::GAME_BYTES_MAX,
            252 => limits::GAME_BYTES_MAX + 1,
            253 => 1 << 63,
            large => u64::MAX - u64::from(255 - large),
        })
    }

    fn totals(&mut self) -> Option<Totals> {
        Some(Totals { files: self.number()?, directories: self.number()?, bytes: self.number()? })
    }
}

/// What has passed, counted as plainly as can be.
#[derive(Default)]
struct Passed {
    announced: Option<(u64, Totals)>,
    archives: u64,
    entries: Totals,
    in_archive: Totals,
    of_archive: Totals,
    /// Bytes that the open file still misses.
    open: Option<u64>,
    ended: bool,
}

fn fuzz(input: &[u8]) -> Option<()> {
    let mut input = Input(input);
    // All archives have one name.
    let listed = input.byte()? % 4;
    let mut grammar = StreamGrammar::of_archives(vec!["a".to_owned(); usize::from(listed)]);
    let mut passed = Passed::default();
    loop {
        let (path, original) = ("a".to_owned(), "b".to_owned());
        let message = match input.byte()? % 12 {
            0 => StreamMessage::Begin { archives: input.number()?, totals: input.totals()? },
            1 => StreamMessage::ArchiveBegin(ArchiveSummary {
                name: path,
                format: ArchiveFormat::Rar5,
                solid: false,
                totals: input.totals()?,
            }),
            2 => StreamMessage::Directory { path },
            3 => {
                let size = input.number()?;
                StreamMessage::FileBegin { path, size, checksum: None, modified: None, executable: false }
            }
            4 => StreamMessage::FileEnd { checksum: Checksum::of(b"") },
            5 => StreamMessage::Copy {
                path,
                original,
                size: input.number()?,
                modified: None,
                executable: false,
            },
            6 => StreamMessage::ArchiveEnd,
            7 => StreamMessage::Complete,
            8 => StreamMessage::Failed(Refusal::new(RefusalCode::Busy, "busy")),
            9 => StreamMessage::KeepAlive,
            10 => StreamMessage::Queued(QueuePosition { ahead: 3, in_ms: None }),
            _ => {
                // Frames of data are never empty.
                let length = usize::from(input.byte()?) + 1;
                grammar.data(length).ok()?;
                passed.data(length as u64);
                continue;
            }
        };
        // A refused message ends the stream.
        grammar.control(&message).ok()?;
        passed.message(&message);
        passed.check(&grammar);
    }
}

impl Passed {
    fn data(&mut self, length: u64) {
        assert!(!self.ended);
        let missing = self.open.as_mut().expect("data of an open file");
        *missing = missing.checked_sub(length).expect("no more than the file announced");
    }

    fn message(&mut self, message: &StreamMessage) {
        assert!(!self.ended, "{} after the end", message.name());
        let inside = matches!(
            message,
            StreamMessage::FileEnd { .. } | StreamMessage::Failed(_) | StreamMessage::KeepAlive
        );
        assert!(self.open.is_none() || inside, "{} inside a file", message.name());
        match message {
            StreamMessage::Begin { archives, totals } => {
                assert!(self.announced.replace((*archives, *totals)).is_none(), "a second begin");
                assert!(totals.bytes <= limits::GAME_BYTES_MAX && totals.files <= limits::ENTRIES_MAX);
                assert!(totals.files > 0 && *archives < 4);
            }
            StreamMessage::ArchiveBegin(summary) => {
                self.archives += 1;
                (self.of_archive, self.in_archive) = (summary.totals, Totals::default());
            }
            StreamMessage::Directory { .. } => self.entry(Totals { directories: 1, ..Totals::default() }),
            StreamMessage::FileBegin { size, .. } => {
                self.entry(Totals { files: 1, bytes: *size, ..Totals::default() });
                self.open = Some(*size);
            }
            StreamMessage::Copy { size, .. } => {
                self.entry(Totals { files: 1, bytes: *size, ..Totals::default() });
            }
            StreamMessage::FileEnd { .. } => {
                assert_eq!(self.open.take(), Some(0), "a file ends when it is whole")
            }
            StreamMessage::ArchiveEnd => assert_eq!(self.in_archive, self.of_archive),
            StreamMessage::Complete => {
                assert_eq!(self.announced, Some((self.archives, self.entries)));
                self.ended = true;
            }
            StreamMessage::Failed(_) => self.ended = true,
            StreamMessage::KeepAlive => {}
            StreamMessage::Queued(_) => assert!(self.announced.is_none(), "queued after the begin"),
        }
    }

    fn entry(&mut self, entry: Totals) {
        for sum in [&mut self.entries, &mut self.in_archive] {
            *sum = sum.checked_add(entry).expect("sums that fit");
        }
    }

    fn check(&self, grammar: &StreamGrammar) {
        let missing = self.open.unwrap_or(0);
        let arrived = Totals { bytes: self.entries.bytes - missing, ..self.entries };
        assert_eq!(grammar.received(), arrived);
        let Some((archives, totals)) = self.announced else { return };
        let Totals { files, directories, bytes } = self.entries;
        assert!(files <= totals.files && directories <= totals.directories && bytes <= totals.bytes);
        assert!(self.archives <= archives);
    }
}

fuzz_target!(|input: &[u8]| {
    fuzz(input);
});
