//! The bounds. Each is a little above what is counted today; one more copy, call or buffer passes it.
//!
//! If an improvement lowers a count, lower its bound in the same commit. If a change needs a higher one, say here why.

use crate::traced::{
    CLOSES, DESCRIPTORS, FOLDERS, MEMORY, OPENS, READS, RECEIVES, SEEKS, SENDS, STATUS, THREADS, TIMES,
    WAITS, WRITES,
};

/// System calls of one kind per MiB or per file.
pub(crate) struct Bounds {
    pub(crate) named: &'static [(&'static str, f64)],
    /// For each other kind: calls that come now and then, such as those of a buffer that grows.
    pub(crate) unnamed: f64,
}

// A thread more or less in one of two runs, on a busy machine, makes this difference: over 32 MiB, and over 1000 files.
const UNNAMED_PER_MIB: f64 = 1.5;
const UNNAMED_PER_FILE: f64 = 0.02;
// How often threads find each other asleep depends on the machine and on the tracer. These bounds notice only that
// waking became the work itself.
const WAITS_PER_MIB: (&str, f64) = (WAITS, 150.0);
const WAITS_PER_FILE: (&str, f64) = (WAITS, 2.0);
// Starting a thread takes some ten calls, and a thread that had nothing to do for ten seconds ends.
const THREADS_PER_MIB: (&str, f64) = (THREADS, 3.0);
const THREADS_PER_FILE: (&str, f64) = (THREADS, 0.1);
// The allocator asks for memory and gives it back as threads come and go.
const MEMORY_PER_MIB: (&str, f64) = (MEMORY, 1.5);
const MEMORY_PER_FILE: (&str, f64) = (MEMORY, 0.1);

pub(crate) const STREAM_SOURCE_PER_MIB: Bounds = Bounds {
    named: &[
        // The archive in pieces of 256 KiB.
        (READS, 4.8),
        // Four records of TLS at a time; the kernel takes some in two parts.
        // Sockets say that they have room before the last bytes were sent, in smaller steps.
        (SENDS, 30.0),
        WAITS_PER_MIB,
        THREADS_PER_MIB,
        MEMORY_PER_MIB,
    ],
    unnamed: UNNAMED_PER_MIB,
};

pub(crate) const STREAM_SOURCE_PER_FILE: Bounds = Bounds {
    named: &[
        // The listing reads 8 KiB at a time, each with some headers; decoding reads the archive again in large pieces.
        (READS, 0.16),
        // The listing passes over the data.
        (SEEKS, 0.15),
        // Frames of a hundred files travel together.
        (SENDS, 0.05),
        WAITS_PER_FILE,
        THREADS_PER_FILE,
        MEMORY_PER_FILE,
    ],
    unnamed: UNNAMED_PER_FILE,
};

pub(crate) const STREAM_RECEIVER_PER_MIB: Bounds = Bounds {
    named: &[
        // A frame of 256 KiB arrives in two buffers of that size, and each part is written.
        (WRITES, 9.2),
        // A record of TLS at a time, 16 KiB.
        (RECEIVES, 80.0),
        WAITS_PER_MIB,
        THREADS_PER_MIB,
        MEMORY_PER_MIB,
    ],
    unnamed: UNNAMED_PER_MIB,
};

/// A file is created, written in one call, gets its time and is closed.
const PER_SMALL_FILE: [(&str, f64); 6] = [
    (OPENS, 1.02),
    // cap-std asks for the mode of each descriptor.
    (DESCRIPTORS, 1.03),
    // Its content, and the receipt now and then.
    (WRITES, 1.05),
    (TIMES, 1.02),
    (CLOSES, 1.05),
    // Of a hundred files each.
    (FOLDERS, 0.02),
];

pub(crate) const STREAM_RECEIVER_PER_FILE: Bounds = {
    let [a, b, c, d, e, f] = PER_SMALL_FILE;
    Bounds {
        named: &[
            a,
            b,
            c,
            d,
            e,
            f,
            // A record of TLS holds many small files; on a busy machine it arrives in parts.
            (RECEIVES, 0.2),
            WAITS_PER_FILE,
            THREADS_PER_FILE,
            MEMORY_PER_FILE,
        ],
        unnamed: UNNAMED_PER_FILE,
    }
};

pub(crate) const LOCAL_INSTALL_PER_MIB: Bounds = Bounds {
    named: &[
        (READS, 4.8),
        // Stored content in pieces of 64 KiB; packed content in those of the decoder, 256 KiB.
        (WRITES, 17.5),
        WAITS_PER_MIB,
        THREADS_PER_MIB,
        MEMORY_PER_MIB,
    ],
    unnamed: UNNAMED_PER_MIB,
};

pub(crate) const LOCAL_INSTALL_PER_FILE: Bounds = {
    let [a, b, c, d, e, f] = PER_SMALL_FILE;
    Bounds {
        named: &[
            a,
            b,
            c,
            d,
            e,
            f,
            (READS, 0.16),
            (SEEKS, 0.15),
            WAITS_PER_FILE,
            THREADS_PER_FILE,
            MEMORY_PER_FILE,
        ],
        unnamed: UNNAMED_PER_FILE,
    }
};

// A small game has four chunks of a MiB.

/// Also that of a relay.
pub(crate) const PACKED_SOURCE_PER_MIB: Bounds = Bounds {
    named: &[
        // A chunk in one piece.
        (READS, 4.8),
        // Whether the file is still the announced one, before and after each chunk.
        (STATUS, 9.6),
        // Four records of TLS at a time, as of a stream. Counted: 20.6 to 23.0.
        (SENDS, 30.0),
        // A request for each chunk.
        (RECEIVES, 4.8),
        WAITS_PER_MIB,
        THREADS_PER_MIB,
        MEMORY_PER_MIB,
    ],
    unnamed: UNNAMED_PER_MIB,
};

/// The window of these games holds all of them: the memory of each chunk is taken once, and given back at the end.
const WINDOW_PER_MIB: (&str, f64) = (MEMORY, 10.0);

pub(crate) const PACKED_RECEIVER_PER_MIB: Bounds = Bounds {
    named: &[
        // A batch of decoded content in one piece. Counted: 4.3.
        (WRITES, 5.0),
        // A record of TLS at a time, 16 KiB. Counted: 72.2 to 74.0.
        (RECEIVES, 80.0),
        // The digest of each chunk, from the manifest.
        (READS, 4.8),
        // A request for each chunk.
        (SENDS, 4.8),
        WAITS_PER_MIB,
        THREADS_PER_MIB,
        WINDOW_PER_MIB,
    ],
    unnamed: UNNAMED_PER_MIB,
};

pub(crate) const RELAY_PER_MIB: Bounds = Bounds {
    named: &[
        (WRITES, 5.0),
        (RECEIVES, 84.8),
        (READS, 4.8),
        // What a receiver sends, and what a source does. Counted: 24.2.
        (SENDS, 34.8),
        WAITS_PER_MIB,
        THREADS_PER_MIB,
        WINDOW_PER_MIB,
    ],
    unnamed: UNNAMED_PER_MIB,
};

pub(crate) const DOWNLOAD_SOURCE_PER_MIB: Bounds = Bounds {
    named: &[(READS, 4.8), (SENDS, 30.0), WAITS_PER_MIB, THREADS_PER_MIB, MEMORY_PER_MIB],
    unnamed: UNNAMED_PER_MIB,
};

pub(crate) const DOWNLOAD_RECEIVER_PER_MIB: Bounds = Bounds {
    named: &[(WRITES, 4.8), (RECEIVES, 80.0), WAITS_PER_MIB, THREADS_PER_MIB, MEMORY_PER_MIB],
    unnamed: UNNAMED_PER_MIB,
};

// Copies in memory of each byte of content. The system's own, between files, sockets and programs, are not counted.
// TLS costs one at the source and two at the receiver, which is what `rustls` does.

/// What is packed, half of it here, is copied once, and what is unpacked goes from the window into the frame.
/// TLS copies it into the record that it encrypts.
pub(crate) const COPIES_STREAM_SOURCE: f64 = 2.9;
/// Content arrives in the frame that is written; only what came together with a header is copied, and how much that is
/// depends on how fast the two sides are. TLS keeps what it has decrypted, and hands out a copy.
pub(crate) const COPIES_STREAM_RECEIVER: f64 = 2.7;
/// From the archive's read buffer into the decoder's packed bytes, which are written.
pub(crate) const COPIES_LOCAL_INSTALL: f64 = 1.1;
/// TLS copies a chunk into the records that it encrypts. Counted: 1.01.
pub(crate) const COPIES_PACKED_SOURCE: f64 = 1.1;
/// Twice by TLS, from the window to the decoder, inside it, and from it into the batch that is written. The rest is what
/// TLS moves if a record arrives in parts. Counted: 5.1.
pub(crate) const COPIES_PACKED_RECEIVER: f64 = 5.7;
/// As a receiver, and once more for its follower. Counted: 6.4, of which 0.4 are records in parts.
pub(crate) const COPIES_RELAY: f64 = 6.7;
/// A frame is read from the file and sent.
/// TLS copies it into the record that it encrypts.
pub(crate) const COPIES_DOWNLOAD_SOURCE: f64 = 1.1;
/// As the receiver of a stream.
pub(crate) const COPIES_DOWNLOAD_RECEIVER: f64 = 2.7;

// Peak memory, without the pages of the program's own file.

/// What `rar` uses if it is not asked for another.
pub(crate) const DICTIONARY_MIB: f64 = 32.0;
/// Beside the dictionary: room beside it (6 MiB), the jobs of two threads (6 MiB), frames on their way (4 MiB).
pub(crate) const SOURCE_MEMORY_MIB: f64 = DICTIONARY_MIB + 20.0;
/// Frames on their way to the disk, of which there are more when it is slow.
pub(crate) const RECEIVER_MEMORY_MIB: f64 = 14.0;
/// As a source, without frames on their way.
pub(crate) const LOCAL_INSTALL_MEMORY_MIB: f64 = DICTIONARY_MIB + 17.0;

/// The smallest that can be chosen.
pub(crate) const WINDOW_MIB: f64 = 16.0;
/// As an install from archives, with a chunk that is on its way beside the window. Counted: 63.5 MiB.
pub(crate) const PACKED_RECEIVER_MEMORY_MIB: f64 = DICTIONARY_MIB + WINDOW_MIB + 17.0;
/// Chunks between disk and socket. Counted: 3.9 MiB.
pub(crate) const PACKED_SOURCE_MEMORY_MIB: f64 = 6.0;

/// The program's own pages in a release build, of which the kernel maps those beside a used one, too.
const PROGRAM_MIB: f64 = 17.0;
// What users are promised.
const _: () = assert!(SOURCE_MEMORY_MIB + PROGRAM_MIB <= DICTIONARY_MIB + 40.0);
const _: () = assert!(RECEIVER_MEMORY_MIB + PROGRAM_MIB <= 32.0);
