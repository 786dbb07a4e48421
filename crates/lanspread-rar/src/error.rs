//! What can be wrong.

use std::io;

/// Why an archive could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The reader failed, or ended a cancelled read with an error.
    #[error("cannot read the archive: {0}")]
    Read(#[source] io::Error),
    /// The caller's sink refused the unpacked bytes.
    #[error("the unpacked data was refused: {0}")]
    Sink(#[source] io::Error),
    /// No RAR signature within [`Limits::prefix_bytes`](crate::Limits::prefix_bytes).
    #[error("not a RAR archive: no signature in the first {searched} bytes")]
    NotRar {
        /// Bytes searched.
        searched: u64,
    },
    /// The signature of RAR 1.5 to 4.
    #[error("the archive has the format of RAR 4 or older; RAR 5 is expected")]
    Rar4,
    /// Even the headers are encrypted.
    #[error("the archive's headers are encrypted")]
    EncryptedHeaders,
    /// The data of a member is encrypted.
    #[error("'{name}' is encrypted")]
    Encrypted {
        /// Name of the member.
        name: String,
    },
    /// The input ended inside something.
    #[error("the archive ends inside {what}, at byte {offset}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes of the volume up to its end.
        offset: u64,
    },
    /// The input ended between two headers. Members could be missing, so this is no proper end.
    #[error("the archive ends before its end record, at byte {offset}")]
    EndMissing {
        /// Bytes of the volume up to its end.
        offset: u64,
    },
    /// The checksum of a header does not match.
    #[error("the header at byte {offset} is damaged: its CRC-32 is {got:08x}, {expected:08x} is expected")]
    HeaderChecksum {
        /// Where the header begins in its volume.
        offset: u64,
        /// The CRC-32 that the header states.
        expected: u32,
        /// The CRC-32 of its bytes.
        got: u32,
    },
    /// A header contradicts the format.
    #[error("the header at byte {offset} is invalid: {reason}")]
    Header {
        /// Where the header begins in its volume.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The archive asks for more than the caller allows.
    #[error("the archive needs {got} {what}; at most {limit} are allowed")]
    Limit {
        /// What is limited, with its unit.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What the archive asks for.
        got: u64,
    },
    /// A value of the format that this version does not know.
    #[error("unknown {what} {got}")]
    Unsupported {
        /// Which field.
        what: &'static str,
        /// Its value.
        got: u64,
    },
    /// A further volume is needed and there is none.
    #[error("volume {number} of the archive is missing")]
    VolumeMissing {
        /// Number of the volume, counted from 1.
        number: u64,
    },
    /// A volume is not the one that belongs here.
    #[error("volume {got} was found where volume {expected} of the archive belongs")]
    VolumeOrder {
        /// Number of the volume that belongs here, counted from 1.
        expected: u64,
        /// Number that the volume states, counted from 1.
        got: u64,
    },
    /// A member that is split over volumes does not continue, or continues without a beginning.
    #[error("'{name}' is split over volumes, and volume {number} does not fit: {reason}")]
    Split {
        /// Name of the member.
        name: String,
        /// Number of the volume, counted from 1.
        number: u64,
        /// What does not fit.
        reason: &'static str,
    },
    /// The packed data of a member is damaged.
    #[error("the packed data of '{name}' is damaged: {source}")]
    Data {
        /// Name of the member.
        name: String,
        /// What was found.
        source: DataError,
    },
    /// The unpacked data has another size than the header states.
    #[error("'{name}' unpacks to {got} bytes{}; its header states {expected}", if *.more { " or more" } else { "" })]
    Size {
        /// Name of the member.
        name: String,
        /// The size that the header states.
        expected: u64,
        /// The size found.
        got: u64,
        /// Whether decoding stopped before the end.
        more: bool,
    },
    /// The unpacked data has another CRC-32 than the header states.
    #[error("the CRC-32 of '{name}' is {got:08x}; its header states {expected:08x}")]
    Crc32 {
        /// Name of the member.
        name: String,
        /// The CRC-32 that the header states.
        expected: u32,
        /// The CRC-32 of the unpacked data.
        got: u32,
    },
    /// The unpacked data has another BLAKE2sp digest than the header states.
    #[error("the BLAKE2sp digest of '{name}' does not match its header")]
    Blake2sp {
        /// Name of the member.
        name: String,
        /// The digest that the header states.
        expected: Box<[u8; 32]>,
        /// The digest of the unpacked data.
        got: Box<[u8; 32]>,
    },
    /// A solid member follows one that was skipped, so its dictionary is not there.
    #[error(
        "'{name}' needs the members before it, and one of them was skipped in an archive not marked as solid"
    )]
    Skipped {
        /// Name of the member.
        name: String,
    },
    /// The dictionary could not be allocated.
    #[error("cannot allocate a dictionary of {bytes} bytes")]
    Memory {
        /// Bytes asked for.
        bytes: u64,
    },
    /// An earlier call failed. What came before this member is not known, so no more can be decoded.
    #[error("the decoder has failed before")]
    Failed,
    /// A decoding thread ended unexpectedly.
    #[error("a decoding thread ended unexpectedly")]
    Worker,
}

/// What is wrong with packed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The checksum of a block header.
    #[error("a block header has the checksum {got:02x}, {expected:02x} is expected")]
    BlockChecksum {
        /// The checksum that the header states.
        expected: u8,
        /// The checksum of its bytes.
        got: u8,
    },
    /// The size field of a block header.
    #[error("a block header has a size field of 4 bytes; at most 3 are allowed")]
    BlockSizeField,
    /// The packed data ends inside a block.
    #[error("the packed data ends inside a block")]
    BlockTruncated,
    /// A block ends inside a symbol.
    #[error("a block ends inside a symbol")]
    BlockOverrun,
    /// A block without tables, and none before it had any.
    #[error("a block uses the tables of the block before it, and there is none")]
    TablesMissing,
    /// Tables begin with a repetition of the length before.
    #[error("the tables begin with a repetition")]
    TablesRepeatNothing,
    /// A code has more words than its lengths have room for.
    #[error("the code lengths are oversubscribed")]
    CodeOversubscribed,
    /// The data has a word that its code does not define.
    #[error("the data contains an undefined code word")]
    CodeUndefined,
    /// A match reaches back further than there is data.
    #[error("a match reaches {distance} bytes back; {available} are there")]
    Distance {
        /// How far the match reaches back.
        distance: u64,
        /// How far it may.
        available: u64,
    },
    /// A filter of a kind that RAR 5 does not have.
    #[error("unknown filter type {got}")]
    FilterType {
        /// The type found.
        got: u8,
    },
    /// A filter over more than 4 MiB.
    #[error("a filter covers {got} bytes; at most {limit} are allowed")]
    FilterLength {
        /// Bytes that the filter covers.
        got: u32,
        /// The most it may cover.
        limit: u32,
    },
    /// A filter begins inside the range of the one before.
    #[error("two filters overlap")]
    FilterOverlap,
    /// Too many filters wait for their data.
    #[error("more than {limit} filters wait for their data")]
    FilterCount {
        /// The most that may wait.
        limit: usize,
    },
    /// A filter covers bytes after the end of the member.
    #[error("a filter ends after the end of the member")]
    FilterEnd,
}

/// The result of reading an archive.
pub type Result<T, E = Error> = std::result::Result<T, E>;
