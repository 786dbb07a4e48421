//! What a lying source can send instead of an honest story, and the code with which each lie must be refused.
//!
//! The lies of [`all`] are sent without waiting. Those of [`slow`] consist of waiting; the receiver's own tests have
//! more of that kind. Names are stable, so that a scenario can choose a lie.

use lanspread_proto::codec;
use lanspread_proto::message::{Refusal, RefusalCode, StreamItem, StreamMessage};
use lanspread_proto::queued::QueuePosition;
use lanspread_types::checksum::Checksum;
use lanspread_types::content::{ArchiveSummary, Totals};
use lanspread_types::limits::{
    CONTROL_FRAME_BYTES_MAX, DATA_CHUNK_BYTES, DATA_FRAME_BYTES_MAX, FOLDERS_ON_THE_WAY_MIN, GAME_BYTES_MAX,
};

use crate::lying_source::{Greeting, WrongHello, raw_frame};
use crate::step::Step;
use crate::story::{FilePlace, Story, copy, data, file, say};

mod against_a_manifest;

pub use against_a_manifest::against_a_manifest;

/// One lie.
#[derive(Debug, Clone)]
pub struct Lie {
    pub name: &'static str,
    /// Code with which the attempt must fail.
    pub code: &'static str,
    pub greeting: Greeting,
    pub stream: Vec<Step>,
}

const CHECKSUM: &str = "checksum-mismatch";
const PROTOCOL: &str = "protocol-violation";
const TOTALS: &str = "totals-mismatch";
const NAME: &str = "entry-name-refused";
const COPIES: &str = "copy-without-original";
const LOST: &str = "connection-lost";
const TIMEOUT: &str = "timeout";

/// All lies that are sent without waiting.
pub fn all(story: &Story) -> Vec<Lie> {
    let mut lies = Vec::new();
    lies.extend(about_content(story));
    lies.extend(about_order(story));
    lies.extend(about_totals(story));
    lies.extend(about_frames(story));
    lies.extend(about_names(story));
    lies.extend(about_copies(story));
    lies.extend(refusals(story));
    lies.extend(while_saying_hello(story));
    lies
}

/// Lies that a receiver only detects at its idle deadline.
pub fn slow(story: &Story) -> Vec<Lie> {
    vec![
        lie("silence", TIMEOUT, vec![Step::Silence]),
        lie("silence-in-file", TIMEOUT, story.after(story.last.end(), Step::Silence)),
        lie("silence-at-the-end", TIMEOUT, story.after(story.complete, Step::Silence)),
    ]
}

fn lie(name: &'static str, code: &'static str, stream: Vec<Step>) -> Lie {
    Lie { name, code, greeting: Greeting::Honest, stream }
}

/// The ways to change a story.
impl Story {
    /// With any change.
    fn changed(&self, change: impl FnOnce(&mut Vec<Step>)) -> Vec<Step> {
        let mut steps = self.steps.clone();
        change(&mut steps);
        steps
    }

    /// With one frame in place of another.
    fn replaced(&self, at: usize, step: Step) -> Vec<Step> {
        self.changed(|steps| steps[at] = step)
    }

    /// With this frame inserted before another.
    fn inserted(&self, at: usize, step: Step) -> Vec<Step> {
        self.changed(|steps| steps.insert(at, step))
    }

    /// Without one frame.
    fn without(&self, at: usize) -> Vec<Step> {
        self.changed(|steps| drop(steps.remove(at)))
    }

    /// Only this many frames, and then this step.
    fn after(&self, frames: usize, step: Step) -> Vec<Step> {
        let mut steps = self.cut(frames);
        steps.push(step);
        steps
    }

    /// Only this many frames.
    fn cut(&self, frames: usize) -> Vec<Step> {
        self.steps[..frames].to_vec()
    }

    /// With other totals at its beginning.
    fn begun_with(&self, archives: u64, totals: Totals) -> Vec<Step> {
        self.replaced(0, say(StreamMessage::Begin { archives, totals }))
    }

    /// With more entries at its end, which its totals include.
    fn with_entries(&self, entries: Vec<Step>) -> Vec<Step> {
        let mut more = Totals::default();
        for entry in &entries {
            more = more.checked_add(accounted_for(entry)).unwrap();
        }
        self.changed(|steps| {
            for at in [0, self.last_archive.start] {
                if let Step::Say(StreamItem::Control(
                    StreamMessage::Begin { totals, .. }
                    | StreamMessage::ArchiveBegin(ArchiveSummary { totals, .. }),
                )) = &mut steps[at]
                {
                    *totals = totals.checked_add(more).unwrap();
                }
            }
            steps.splice(self.last_archive.end..self.last_archive.end, entries);
        })
    }

    /// Changes one byte of a file's content; returns the number of the frame and its new content.
    fn wrong(&self, file: &FilePlace, from_end: bool) -> (usize, Step) {
        let at = if from_end { file.data.end - 1 } else { file.data.start };
        let Step::Say(StreamItem::Data(bytes)) = &self.steps[at] else { unreachable!("a file's data") };
        let mut bytes = bytes.to_vec();
        let byte = if from_end { bytes.len() - 1 } else { bytes.len() / 2 };
        bytes[byte] ^= 0x20;
        (at, data(&bytes))
    }
}

/// What a frame adds to the totals.
fn accounted_for(entry: &Step) -> Totals {
    let Step::Say(StreamItem::Control(message)) = entry else { return Totals::default() };
    match message {
        StreamMessage::FileBegin { size, .. } | StreamMessage::Copy { size, .. } => {
            Totals { files: 1, directories: 0, bytes: *size }
        }
        StreamMessage::Directory { .. } => Totals { files: 0, directories: 1, bytes: 0 },
        _ => Totals::default(),
    }
}

fn about_content(story: &Story) -> Vec<Lie> {
    let first = &story.first;
    let content = story.content(first);
    let (wrong_at, wrong_data) = story.wrong(first, false);
    let (wrong_end_at, wrong_end) = story.wrong(&story.last, true);
    let wrong_checksum = Checksum::of(&[&content[..], b"x"].concat());
    let begin = |checksum| {
        let StreamMessage::FileBegin { path, size, modified, executable, .. } = story.message(first.begin)
        else {
            unreachable!("a file's begin")
        };
        say(StreamMessage::FileBegin { path, size, checksum: Some(checksum), modified, executable })
    };
    let end = |checksum| say(StreamMessage::FileEnd { checksum });
    let data_at = first.data.start;
    let Step::Say(StreamItem::Data(frame)) = &story.steps[data_at] else { unreachable!("a file's data") };
    vec![
        lie("wrong-bytes", CHECKSUM, story.replaced(wrong_at, wrong_data.clone())),
        lie("wrong-last-byte", CHECKSUM, story.replaced(wrong_end_at, wrong_end)),
        lie("wrong-checksum-at-end", CHECKSUM, story.replaced(first.end(), end(wrong_checksum))),
        lie("other-content-with-its-checksum", CHECKSUM, {
            let mut other = story.clone();
            other.steps[wrong_at] = wrong_data;
            other.steps[first.end()] = end(Checksum::of(&other.content(first)));
            other.steps
        }),
        lie("wrong-checksum-at-begin", CHECKSUM, story.replaced(first.begin, begin(wrong_checksum))),
        lie("file-too-short", PROTOCOL, story.replaced(data_at, data(&frame[1..]))),
        lie("file-too-long", PROTOCOL, story.inserted(first.end(), data(b"x"))),
        lie("file-without-end", PROTOCOL, story.without(first.end())),
    ]
}

fn about_order(story: &Story) -> Vec<Lie> {
    let (first, last) = (&story.first, &story.last);
    let begin = || story.steps[0].clone();
    let complete = || say(StreamMessage::Complete);
    vec![
        lie("nothing-before-begin", PROTOCOL, story.without(0)),
        lie("data-first", PROTOCOL, vec![data(b"x")]),
        lie("data-without-file", PROTOCOL, story.after(first.begin, data(b"x"))),
        lie("second-begin", PROTOCOL, story.after(first.begin, begin())),
        lie("begin-again-after-archive", PROTOCOL, story.after(story.complete, begin())),
        lie("end-before-data", PROTOCOL, {
            story.changed(|steps| steps.swap(first.data.end - 1, first.data.end))
        }),
        lie("file-in-file", PROTOCOL, story.inserted(first.data.start, story.steps[last.begin].clone())),
        lie("archive-in-archive", PROTOCOL, {
            story.inserted(story.last_archive.start + 1, story.steps[story.last_archive.start].clone())
        }),
        lie("complete-in-file", PROTOCOL, story.after(first.data.start, complete())),
        lie("complete-in-archive", PROTOCOL, story.after(story.last_archive.end, complete())),
        lie("closed-before-complete", LOST, story.cut(story.complete)),
        lie("closed-in-file", LOST, story.cut(last.end())),
        lie("closed-at-once", LOST, Vec::new()),
        lie("endless-data", PROTOCOL, {
            story.after(first.data.start, Step::Flood(StreamItem::Data(vec![0x55; DATA_CHUNK_BYTES].into())))
        }),
    ]
}

fn about_totals(story: &Story) -> Vec<Lie> {
    let totals = story.totals;
    let more_bytes = Totals { bytes: totals.bytes + 1, ..totals };
    let fewer_bytes = Totals { bytes: totals.bytes - 1, ..totals };
    let fewer_files = Totals { files: totals.files - 1, ..totals };
    let fewer_folders = Totals { directories: 0, ..totals };
    let claims = |archives, totals| story.begun_with(archives, totals);
    let archives = story.archives;
    let (folder_at, end) = (story.folder.0, story.last_archive.end);
    let (first, last) = (&story.first, &story.last);
    let folder = |path: &str| say(StreamMessage::Directory { path: path.to_owned() });
    let again = StreamMessage::Directory { path: story.folder.1.clone() };
    let everything = Totals { files: u64::MAX, directories: u64::MAX, bytes: u64::MAX };
    vec![
        lie("extra-file", PROTOCOL, story.changed(|steps| drop(steps.splice(end..end, extra_file())))),
        lie("extra-folder", PROTOCOL, story.inserted(folder_at, folder("x"))),
        lie("same-folder-for-ever", PROTOCOL, {
            story.after(folder_at, Step::Flood(StreamItem::Control(again)))
        }),
        lie("missing-file", PROTOCOL, story.changed(|steps| drop(steps.drain(last.begin..=last.end())))),
        lie("missing-folder", PROTOCOL, story.without(folder_at)),
        lie("missing-archive", TOTALS, claims(archives + 1, totals)),
        lie("extra-archive", PROTOCOL, {
            story.inserted(story.complete, story.steps[story.last_archive.start].clone())
        }),
        lie("other-archive", PROTOCOL, {
            story.changed(|steps| {
                if let Step::Say(StreamItem::Control(StreamMessage::ArchiveBegin(summary))) =
                    &mut steps[story.last_archive.start]
                {
                    summary.name.insert(0, '_');
                }
            })
        }),
        lie("an-empty-game", TOTALS, {
            vec![
                say(StreamMessage::Begin { archives: 0, totals: Totals::default() }),
                say(StreamMessage::Complete),
            ]
        }),
        lie("only-folders", PROTOCOL, claims(archives, Totals { directories: 1, ..Totals::default() })),
        lie("folders-on-the-way", "too-many-folders", story.with_entries(deep_files())),
        lie("only-complete", TOTALS, vec![story.steps[0].clone(), say(StreamMessage::Complete)]),
        lie("more-bytes-announced", TOTALS, claims(archives, more_bytes)),
        lie("fewer-bytes-announced", PROTOCOL, claims(archives, fewer_bytes)),
        lie("fewer-files-announced", PROTOCOL, claims(archives, fewer_files)),
        lie("fewer-folders-announced", PROTOCOL, claims(archives, fewer_folders)),
        lie("more-archives-than-possible", PROTOCOL, claims(u64::MAX, totals)),
        lie("more-bytes-than-possible", PROTOCOL, {
            claims(archives, Totals { bytes: GAME_BYTES_MAX + 1, ..totals })
        }),
        lie("more-files-than-possible", PROTOCOL, claims(archives, everything)),
        lie("size-of-a-file-wraps", PROTOCOL, {
            let (path, size) = (first.path.clone(), u64::MAX);
            let begin =
                StreamMessage::FileBegin { path, size, checksum: None, modified: None, executable: false };
            story.replaced(first.begin, say(begin))
        }),
    ]
}

/// Empty files in folders that are no entries: thirty-two times as many as files.
fn deep_files() -> Vec<Step> {
    let path = |number: u64| format!("{number:x}/{}f", "d/".repeat(31));
    (0..FOLDERS_ON_THE_WAY_MIN / 16).flat_map(|number| named(&path(number), b"")).collect()
}

fn extra_file() -> Vec<Step> {
    named("x", b"")
}

fn named(path: &str, content: &[u8]) -> Vec<Step> {
    file(path, content, None, false)
}

/// A source that claims more than any disk holds, but within the limits, so only a check of the disk can refuse it.
pub fn more_than_fits(story: &Story) -> Lie {
    let claimed = Totals { bytes: GAME_BYTES_MAX, ..story.totals };
    lie("more-than-fits", "not-enough-space", story.begun_with(story.archives, claimed))
}

fn about_frames(story: &Story) -> Vec<Lie> {
    let after = |frames, step| story.after(frames, step);
    let long = |limit: usize, kind: u8| {
        let length = u32::try_from(limit + 1).unwrap();
        Step::Raw([&length.to_be_bytes()[..], &[kind]].concat())
    };
    let message = |message: &StreamMessage, extra: &[u8]| {
        Step::Raw(raw_frame(0, &[&codec::encode(message).unwrap()[..], extra].concat()))
    };
    let file_begun = story.first.data.start;
    vec![
        lie("long-control-frame", PROTOCOL, after(1, long(CONTROL_FRAME_BYTES_MAX, 0))),
        lie("long-data-frame", PROTOCOL, after(file_begun, long(DATA_FRAME_BYTES_MAX, 1))),
        lie("longest-frame", PROTOCOL, after(file_begun, Step::Raw(vec![0xff, 0xff, 0xff, 0xff, 1]))),
        lie("empty-control-frame", PROTOCOL, after(1, Step::Raw(raw_frame(0, b"")))),
        lie("empty-data-frame", PROTOCOL, after(file_begun, Step::Raw(raw_frame(1, b"")))),
        lie("unknown-frame-kind", PROTOCOL, after(1, Step::Raw(raw_frame(2, b"x")))),
        lie("unknown-message", PROTOCOL, after(1, Step::Raw(raw_frame(0, &[200])))),
        lie("trailing-bytes", PROTOCOL, after(0, message(&StreamMessage::KeepAlive, b"\0"))),
        lie("cut-message", PROTOCOL, after(1, Step::Raw(raw_frame(0, &[2, 5, b'a'])))),
        lie("endless-name", PROTOCOL, {
            after(2, Step::Raw(raw_frame(0, &[2, 253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])))
        }),
        lie("name-is-no-text", PROTOCOL, after(2, Step::Raw(raw_frame(0, &[2, 2, 0xc3, 0x28])))),
        lie("garbage", PROTOCOL, after(2, Step::Raw(b"\x7fELF what is this\r\n".repeat(50)))),
        lie("garbage-in-file", PROTOCOL, after(file_begun, Step::Raw(vec![0xaa; 4096]))),
        lie("cut-in-header", LOST, after(2, Step::Raw(vec![0, 0, 0]))),
        lie("cut-in-payload", LOST, after(2, Step::Raw(vec![0, 0, 0, 9, 0, 2]))),
    ]
}

fn about_names(story: &Story) -> Vec<Lie> {
    let (first, last) = (&story.first.path, &story.last.path);
    let folder = first.split('/').next().unwrap_or_default();
    let named = |path: &str| story.with_entries(named(path, b"escaped"));
    let twice = |one: &str, other: &str| {
        story.with_entries([file(one, b"one", None, false), file(other, b"two", None, false)].concat())
    };
    let long = "x".repeat(256);
    let deep = vec!["d"; 65].join("/");
    vec![
        lie("name-parent", NAME, named("../escaped.txt")),
        lie("name-parent-inside", NAME, named(&format!("{folder}/../../escaped.txt"))),
        lie("name-absolute", NAME, named("/tmp/lanspread-escaped.txt")),
        lie("name-device", NAME, named(&format!("{folder}/CON.txt"))),
        lie("name-backslash", NAME, named("a\\b")),
        lie("name-drive", NAME, named("C:x")),
        lie("name-stream", NAME, named(&format!("{last}:hidden"))),
        lie("name-empty", NAME, named("")),
        lie("name-empty-component", NAME, named(&format!("{folder}//x"))),
        lie("name-control-character", NAME, named("a\u{1b}[2Jb")),
        lie("name-nul", NAME, named("a\0b")),
        lie("name-trailing-dot", NAME, named(&format!("{folder}./x"))),
        lie("name-long", NAME, named(&long)),
        lie("name-deep", NAME, named(&deep)),
        lie("name-staging", NAME, named(".local.installing/x")),
        lie("name-state", NAME, named(".lanspread/receipts/small.jsonl")),
        lie("folder-parent", NAME, {
            story.with_entries(vec![say(StreamMessage::Directory { path: "..".into() })])
        }),
        lie("name-twice", NAME, named(last)),
        lie("name-of-copy", NAME, {
            let copied = copy("x", first, story.first.size, None);
            story.with_entries([vec![copied], file("x", b"other", None, false)].concat())
        }),
        lie("name-case", NAME, named(&swapped_case(last))),
        lie("name-folder-case", NAME, named(&format!("{}/three.bin", swapped_case(folder)))),
        lie("name-normalisation", NAME, twice("caf\u{e9}", "cafe\u{301}")),
        lie("name-folding", NAME, twice("stra\u{df}e", "STRASSE")),
        lie("file-as-folder", NAME, named(&format!("{last}/x"))),
        lie("folder-as-file", NAME, named(&story.folder.1)),
    ]
}

/// Another name that a file system without case takes for the same.
fn swapped_case(name: &str) -> String {
    let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    name.chars().map(swap).collect()
}

fn about_copies(story: &Story) -> Vec<Lie> {
    let length = story.first.size;
    let first = &story.first.path;
    let copied =
        |path: &str, original: &str, size| story.with_entries(vec![copy(path, original, size, None)]);
    vec![
        lie("copy-of-unknown", COPIES, copied("x", "not/here.bin", length)),
        lie("copy-of-itself", COPIES, copied("x", "x", length)),
        lie("copy-of-folder", COPIES, copied("x", &story.folder.1, 0)),
        lie("copy-of-other-size", COPIES, copied("x", first, length - 1)),
        lie("copy-from-outside", NAME, copied("x", "../../etc/passwd", length)),
        lie("copy-to-outside", NAME, copied("../x", first, length)),
        lie("copy-onto-file", NAME, copied(&story.last.path, first, length)),
    ]
}

fn refusals(story: &Story) -> Vec<Lie> {
    let failed = |code| say(StreamMessage::Failed(Refusal::new(code, "no")));
    let queued = say(StreamMessage::Queued(QueuePosition { ahead: 1, in_ms: None }));
    vec![
        lie("busy", "busy", vec![failed(RefusalCode::Busy)]),
        lie("queued-in-the-middle", PROTOCOL, story.after(story.last.end(), queued)),
        lie("not-offered-any-more", "not-offered", vec![failed(RefusalCode::NotOffered)]),
        lie("damaged-in-the-middle", "archive-damaged", {
            story.after(story.last.end(), failed(RefusalCode::ArchiveDamaged))
        }),
        lie(
            "stopping-at-the-end",
            "source-stopping",
            story.after(story.complete, failed(RefusalCode::Stopping)),
        ),
    ]
}

fn while_saying_hello(story: &Story) -> Vec<Lie> {
    let greeting = |name, code, greeting| Lie { name, code, greeting, stream: story.steps.clone() };
    let hello = |name, wrong| greeting(name, PROTOCOL, Greeting::Hello(wrong));
    vec![
        greeting("another-peer", "other-peer", Greeting::AnotherPeer),
        greeting("another-party", "other-party", Greeting::AnotherParty),
        greeting("another-version", "protocol-version", Greeting::AnotherVersion),
        greeting("first-version", "protocol-version", Greeting::FirstVersion),
        greeting("another-protocol", "not-lanspread", Greeting::AnotherProtocol),
        greeting("clear-text", "not-lanspread", Greeting::ClearText),
        greeting("nothing", LOST, Greeting::Nothing),
        greeting("no-proof", LOST, Greeting::OnlyTls),
        greeting("no-hello", "turned-away", Greeting::OnlyProof),
        hello("hello-of-first-version", WrongHello::OfFirstVersion),
        hello("hello-too-long", WrongHello::TooLong),
        hello("hello-with-endless-name", WrongHello::EndlessName),
        hello("hello-with-bad-name", WrongHello::BadName),
        hello("hello-of-data", WrongHello::Data),
        hello("hello-in-long-frame", WrongHello::LongFrame),
    ]
}
