//! What a lying source can say instead of the small game, and what each lie must be answered with.
//!
//! Every lie here is told in one go; the ones that are told by waiting stand in `install/stream/tests.rs`. Names are
//! stable, so that a scenario can ask for one.

use super::lying_source::{Greeting, Step, raw_frame};
use super::small_game::{
    COPY, EMPTY_FOLDER, FIRST_CONTENT, FIRST_FILE, LAST_CONTENT, LAST_FILE, copy, data, file, frame, say,
    stream, stream_of, totals,
};
use crate::archive::provider::Totals;
use crate::limits::{CONTROL_FRAME_BYTES_MAX, DATA_FRAME_BYTES_MAX, GAME_BYTES_MAX};
use crate::wire::codec;
use crate::wire::message::{Refusal, RefusalCode, StreamItem, StreamMessage};

/// One lie.
#[derive(Debug, Clone)]
pub(crate) struct Lie {
    pub(crate) name: &'static str,
    /// Code with which the attempt must fail.
    pub(crate) code: &'static str,
    pub(crate) greeting: Greeting,
    pub(crate) stream: Vec<Step>,
}

const CHECKSUM: &str = "checksum-mismatch";
const PROTOCOL: &str = "protocol-violation";
const TOTALS: &str = "totals-mismatch";
const NAME: &str = "entry-name-refused";
const COPIES: &str = "copy-without-original";
const LOST: &str = "connection-lost";

/// All lies.
pub(crate) fn all() -> Vec<Lie> {
    let mut lies = Vec::new();
    lies.extend(about_content());
    lies.extend(about_order());
    lies.extend(about_totals());
    lies.extend(about_frames());
    lies.extend(about_names());
    lies.extend(about_copies());
    lies.extend(refusals());
    lies.extend(while_saying_hello());
    lies
}

fn lie(name: &'static str, code: &'static str, stream: Vec<Step>) -> Lie {
    Lie { name, code, greeting: Greeting::Honest, stream }
}

/// The honest stream with a change.
fn changed(change: impl FnOnce(&mut Vec<Step>)) -> Vec<Step> {
    let mut steps = stream();
    change(&mut steps);
    steps
}

/// The honest stream with one frame in place of another.
fn replaced(at: usize, step: Step) -> Vec<Step> {
    changed(|steps| steps[at] = step)
}

/// The honest stream with something else than its first frames of this many.
fn after(frames: usize, step: Step) -> Vec<Step> {
    changed(|steps| {
        steps.truncate(frames);
        steps.push(step);
    })
}

/// The honest stream with more entries that its totals account for.
fn with_entries(entries: Vec<Step>) -> Vec<Step> {
    let mut sums = totals();
    for entry in &entries {
        let more = match entry {
            Step::Say(StreamItem::Control(
                StreamMessage::FileBegin { size, .. } | StreamMessage::Copy { size, .. },
            )) => Totals { files: 1, directories: 0, bytes: *size },
            Step::Say(StreamItem::Control(StreamMessage::Directory { .. })) => {
                Totals { files: 0, directories: 1, bytes: 0 }
            }
            _ => Totals::default(),
        };
        sums = sums.checked_add(more).unwrap();
    }
    let honest = &stream()[frame::DIRECTORY..frame::ARCHIVE_END];
    stream_of(honest.iter().cloned().chain(entries).collect(), sums)
}

fn about_content() -> Vec<Lie> {
    let mut wrong = FIRST_CONTENT.to_vec();
    wrong[7] ^= 0x20;
    let mut wrong_end = LAST_CONTENT.to_vec();
    *wrong_end.last_mut().unwrap() ^= 1;
    let end = |content: &[u8]| say(StreamMessage::FileEnd { crc32: crc32fast::hash(content) });
    vec![
        lie("wrong-bytes", CHECKSUM, replaced(frame::FIRST_DATA, data(&wrong))),
        lie("wrong-last-byte", CHECKSUM, replaced(frame::LAST_DATA, data(&wrong_end))),
        lie("wrong-checksum-at-end", CHECKSUM, replaced(frame::FIRST_FILE_END, end(&wrong))),
        lie(
            "other-content-with-its-checksum",
            CHECKSUM,
            changed(|steps| {
                steps[frame::FIRST_DATA] = data(&wrong);
                steps[frame::FIRST_FILE_END] = end(&wrong);
            }),
        ),
        lie(
            "wrong-checksum-at-begin",
            CHECKSUM,
            replaced(
                frame::FIRST_FILE_BEGIN,
                file(FIRST_FILE, &wrong, false).swap_remove(0), // same size, other checksum
            ),
        ),
        lie("file-too-short", PROTOCOL, replaced(frame::FIRST_DATA, data(&FIRST_CONTENT[1..]))),
        lie("file-too-long", PROTOCOL, replaced(frame::FIRST_DATA, data(&[FIRST_CONTENT, b"x"].concat()))),
        lie("file-without-end", PROTOCOL, changed(|steps| drop(steps.remove(frame::FIRST_FILE_END)))),
    ]
}

fn about_order() -> Vec<Lie> {
    let begin = || stream().swap_remove(frame::BEGIN);
    vec![
        lie("nothing-before-begin", PROTOCOL, changed(|steps| drop(steps.remove(frame::BEGIN)))),
        lie("data-first", PROTOCOL, vec![data(b"x")]),
        lie("data-without-file", PROTOCOL, after(frame::FIRST_FILE_BEGIN, data(b"x"))),
        lie("second-begin", PROTOCOL, after(frame::FIRST_FILE_BEGIN, begin())),
        lie("begin-again-after-archive", PROTOCOL, after(frame::COMPLETE, begin())),
        lie(
            "end-before-data",
            PROTOCOL,
            changed(|steps| steps.swap(frame::FIRST_DATA, frame::FIRST_FILE_END)),
        ),
        lie("file-in-file", PROTOCOL, {
            changed(|steps| steps.insert(frame::FIRST_DATA, steps[frame::LAST_FILE_BEGIN].clone()))
        }),
        lie("archive-in-archive", PROTOCOL, {
            changed(|steps| steps.insert(frame::DIRECTORY, steps[frame::ARCHIVE_BEGIN].clone()))
        }),
        lie("complete-in-file", PROTOCOL, after(frame::FIRST_DATA, say(StreamMessage::Complete))),
        lie("complete-in-archive", PROTOCOL, after(frame::ARCHIVE_END, say(StreamMessage::Complete))),
        lie("closed-before-complete", LOST, changed(|steps| steps.truncate(frame::COMPLETE))),
        lie("closed-in-file", LOST, changed(|steps| steps.truncate(frame::LAST_FILE_END))),
        lie("closed-at-once", LOST, Vec::new()),
    ]
}

fn about_totals() -> Vec<Lie> {
    let begin = |archives, totals| say(StreamMessage::Begin { archives, totals });
    let more_bytes = Totals { bytes: totals().bytes + 1, ..totals() };
    let fewer_bytes = Totals { bytes: totals().bytes - 1, ..totals() };
    let fewer_files = Totals { files: totals().files - 1, ..totals() };
    let fewer_folders = Totals { directories: 0, ..totals() };
    let extra = |change: fn(&mut Vec<Step>)| {
        changed(|steps| {
            change(steps);
        })
    };
    vec![
        lie("extra-file", PROTOCOL, {
            extra(|steps| drop(steps.splice(frame::ARCHIVE_END..frame::ARCHIVE_END, file("x", b"", false))))
        }),
        lie("extra-folder", PROTOCOL, {
            extra(|steps| steps.insert(frame::DIRECTORY, say(StreamMessage::Directory { path: "x".into() })))
        }),
        lie("same-folder-for-ever", PROTOCOL, {
            extra(|steps| {
                let again = steps[frame::DIRECTORY].clone();
                drop(steps.splice(frame::FIRST_FILE_BEGIN.., vec![again; 1000]));
            })
        }),
        lie("missing-file", PROTOCOL, {
            extra(|steps| drop(steps.drain(frame::LAST_FILE_BEGIN..=frame::LAST_FILE_END)))
        }),
        lie("missing-folder", PROTOCOL, extra(|steps| drop(steps.remove(frame::DIRECTORY)))),
        lie("missing-archive", TOTALS, replaced(frame::BEGIN, begin(2, totals()))),
        lie("extra-archive", TOTALS, {
            extra(|steps| steps.insert(frame::COMPLETE, steps[frame::ARCHIVE_BEGIN].clone()))
        }),
        lie("only-complete", TOTALS, vec![begin(1, totals()), say(StreamMessage::Complete)]),
        lie("more-bytes-announced", TOTALS, replaced(frame::BEGIN, begin(1, more_bytes))),
        lie("fewer-bytes-announced", PROTOCOL, replaced(frame::BEGIN, begin(1, fewer_bytes))),
        lie("fewer-files-announced", PROTOCOL, replaced(frame::BEGIN, begin(1, fewer_files))),
        lie("fewer-folders-announced", PROTOCOL, replaced(frame::BEGIN, begin(1, fewer_folders))),
        lie("more-archives-than-possible", PROTOCOL, replaced(frame::BEGIN, begin(u64::MAX, totals()))),
        lie("more-bytes-than-possible", PROTOCOL, {
            replaced(frame::BEGIN, begin(1, Totals { bytes: GAME_BYTES_MAX + 1, ..totals() }))
        }),
        lie("more-files-than-possible", PROTOCOL, {
            replaced(
                frame::BEGIN,
                begin(1, Totals { files: u64::MAX, directories: u64::MAX, bytes: u64::MAX }),
            )
        }),
        lie("size-of-a-file-wraps", PROTOCOL, {
            replaced(
                frame::FIRST_FILE_BEGIN,
                say(StreamMessage::FileBegin {
                    path: FIRST_FILE.to_owned(),
                    size: u64::MAX,
                    crc32: None,
                    modified: None,
                    executable: false,
                }),
            )
        }),
    ]
}

/// A source that claims more than any disk holds: within the limits, so only the disk can tell.
pub(crate) fn more_than_fits() -> Lie {
    let claimed = Totals { bytes: GAME_BYTES_MAX, ..totals() };
    let begin = say(StreamMessage::Begin { archives: 1, totals: claimed });
    lie("more-than-fits", "not-enough-space", replaced(frame::BEGIN, begin))
}

fn about_frames() -> Vec<Lie> {
    let long = |limit: usize, kind: u8| {
        let length = u32::try_from(limit + 1).unwrap();
        Step::Raw([&length.to_be_bytes()[..], &[kind]].concat())
    };
    let message = |message: &StreamMessage, extra: &[u8]| {
        Step::Raw(raw_frame(0, &[&codec::encode(message).unwrap()[..], extra].concat()))
    };
    let file_begun = frame::FIRST_DATA;
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

fn about_names() -> Vec<Lie> {
    let named = |path: &str| with_entries(file(path, b"escaped", false));
    let twice = |one: &str, other: &str| {
        with_entries([file(one, b"one", false), file(other, b"two", false)].concat())
    };
    let long = "x".repeat(256);
    let deep = vec!["d"; 65].join("/");
    vec![
        lie("name-parent", NAME, named("../escaped.txt")),
        lie("name-parent-inside", NAME, named("data/../../escaped.txt")),
        lie("name-absolute", NAME, named("/tmp/lanspread-escaped.txt")),
        lie("name-device", NAME, named("data/CON.txt")),
        lie("name-backslash", NAME, named("a\\b")),
        lie("name-drive", NAME, named("C:x")),
        lie("name-stream", NAME, named("run.sh:hidden")),
        lie("name-empty", NAME, named("")),
        lie("name-empty-component", NAME, named("data//x")),
        lie("name-control-character", NAME, named("a\u{1b}[2Jb")),
        lie("name-nul", NAME, named("a\0b")),
        lie("name-trailing-dot", NAME, named("data./x")),
        lie("name-long", NAME, named(&long)),
        lie("name-deep", NAME, named(&deep)),
        lie("name-staging", NAME, named(".local.installing/x")),
        lie("name-state", NAME, named(".lanspread/receipts/small.jsonl")),
        lie("folder-parent", NAME, with_entries(vec![say(StreamMessage::Directory { path: "..".into() })])),
        lie("name-twice", NAME, named(LAST_FILE)),
        lie("name-of-copy", NAME, named(COPY)),
        lie("name-case", NAME, named("RUN.SH")),
        lie("name-folder-case", NAME, named("DATA/three.bin")),
        lie("name-normalisation", NAME, twice("caf\u{e9}", "cafe\u{301}")),
        lie("name-folding", NAME, twice("stra\u{df}e", "STRASSE")),
        lie("file-as-folder", NAME, named("run.sh/x")),
        lie("folder-as-file", NAME, named(EMPTY_FOLDER)),
    ]
}

fn about_copies() -> Vec<Lie> {
    let length = FIRST_CONTENT.len() as u64;
    let copied = |path: &str, original: &str, size| with_entries(vec![copy(path, original, size)]);
    vec![
        lie("copy-of-unknown", COPIES, copied("x", "data/three.bin", length)),
        lie("copy-of-itself", COPIES, copied("x", "x", length)),
        lie("copy-of-folder", COPIES, copied("x", EMPTY_FOLDER, 0)),
        lie("copy-of-other-size", COPIES, copied("x", FIRST_FILE, length - 1)),
        lie("copy-from-outside", NAME, copied("x", "../../etc/passwd", length)),
        lie("copy-to-outside", NAME, copied("../x", FIRST_FILE, length)),
        lie("copy-onto-file", NAME, copied(LAST_FILE, FIRST_FILE, length)),
    ]
}

fn refusals() -> Vec<Lie> {
    let failed = |code| say(StreamMessage::Failed(Refusal::new(code, "no")));
    vec![
        lie("busy", "busy", vec![failed(RefusalCode::Busy)]),
        lie("not-offered-any-more", "not-offered", vec![failed(RefusalCode::NotOffered)]),
        lie("damaged-in-the-middle", "archive-damaged", {
            after(frame::LAST_FILE_END, failed(RefusalCode::ArchiveDamaged))
        }),
        lie("stopping-at-the-end", "source-stopping", after(frame::COMPLETE, failed(RefusalCode::Stopping))),
    ]
}

fn while_saying_hello() -> Vec<Lie> {
    let greeting = |name, code, greeting| Lie { name, code, greeting, stream: stream() };
    vec![
        greeting("another-peer", "other-peer", Greeting::AnotherPeer),
        greeting("another-version", "protocol-version", Greeting::AnotherVersion),
        greeting("another-protocol", "not-lanspread", Greeting::AnotherProtocol),
        greeting("no-hello", LOST, Greeting::Nothing),
    ]
}
