//! The headers of RAR 5: what they say.
//!
//! Source: RARLAB, "RAR 5.0 archive format" (the technote), <https://www.rarlab.com/technote.htm>.

/// One header of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Header {
    /// The first header of a volume.
    Main(MainHeader),
    /// A file, directory, link or reference.
    File(Box<FileHeader>),
    /// A service record: a comment, recovery data, a quick-open list, access rights. All are skipped.
    Service(Service),
    /// The last header of a volume.
    End(EndHeader),
    /// A header of a type that the format does not define yet.
    Unknown(HeaderBlock),
}

impl Header {
    /// What all headers have.
    pub fn block(&self) -> &HeaderBlock {
        match self {
            Self::Main(main) => &main.block,
            Self::File(file) => &file.block,
            Self::Service(service) => &service.block,
            Self::End(end) => &end.block,
            Self::Unknown(block) => block,
        }
    }
}

/// What all headers have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderBlock {
    /// Where the header begins in its volume.
    pub offset: u64,
    /// Its type number.
    pub kind: u64,
    /// Bytes of the header itself.
    pub header_bytes: u64,
    /// Bytes of data after the header.
    pub data_bytes: u64,
    /// The data began in the volume before.
    pub split_before: bool,
    /// The data continues in the next volume.
    pub split_after: bool,
}

/// The main header of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
// Independent flags of the format.
#[allow(clippy::struct_excessive_bools)]
pub struct MainHeader {
    /// What all headers have.
    pub block: HeaderBlock,
    /// The archive consists of volumes.
    pub is_volume: bool,
    /// Number of the volume, counted from 0. The first one does not state it.
    pub volume_number: Option<u64>,
    /// Members may need the ones before them.
    pub is_solid: bool,
    /// There is a recovery record.
    pub has_recovery_record: bool,
    /// The archive is marked as not to be changed.
    pub is_locked: bool,
}

/// A file, directory, link or reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// What all headers have.
    pub block: HeaderBlock,
    /// The name, with `/` between folders. It is UTF-8 unless the archive is damaged or malicious, and can be anything:
    /// absolute, with `..`, with control characters.
    pub name: Vec<u8>,
    /// It is a directory.
    pub is_directory: bool,
    /// The unpacked size. `rar` does not know it for what it packs from standard input, except in the last volume.
    pub unpacked_bytes: Option<u64>,
    /// Attributes of the host system: `st_mode` on Unix, `dwFileAttributes` on Windows.
    pub attributes: u64,
    /// The host system.
    pub host: Host,
    /// Time of the last change.
    pub modified: Option<Timestamp>,
    /// CRC-32 of the unpacked data; of the packed data of this volume if the data continues in the next.
    pub crc32: Option<u32>,
    /// BLAKE2sp digest of the same.
    pub blake2sp: Option<[u8; 32]>,
    /// How the data is packed.
    pub compression: Compression,
    /// The data is encrypted.
    pub is_encrypted: bool,
    /// It is a link or a reference, and has no data.
    pub redirection: Option<Redirection>,
    /// Number of the version, if it is an older version of a file (`rar -ver`).
    pub version: Option<u64>,
}

impl FileHeader {
    /// The name for messages.
    pub fn name_lossy(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// The host system of a member, which says how to read its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Windows.
    Windows,
    /// Unix.
    Unix,
    /// Another number.
    Other(u64),
}

/// A time, counted from 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds in addition.
    pub nanoseconds: u32,
}

/// How a member is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// Method: 0 is stored, 1 to 5 are compressed, which makes no difference to a decoder.
    pub method: u8,
    /// The member needs what came before it.
    pub is_solid: bool,
    /// Distances can be larger than 4 GiB (RAR 7).
    pub has_large_distances: bool,
    /// Bytes of dictionary.
    pub dictionary_bytes: u64,
}

impl Compression {
    /// The data is not compressed.
    pub fn is_stored(&self) -> bool {
        self.method == 0
    }
}

/// Where a link or reference leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// Its kind.
    pub kind: RedirectionKind,
    /// The target is a directory.
    pub is_directory: bool,
    /// The target's name: a member of this archive, or any path.
    pub target: Vec<u8>,
}

/// Kinds of links and references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectionKind {
    /// A symbolic link of Unix.
    UnixSymlink,
    /// A symbolic link of Windows.
    WindowsSymlink,
    /// A junction of Windows.
    WindowsJunction,
    /// A hard link to an earlier member.
    HardLink,
    /// A copy of an earlier member (`rar -oi`).
    FileCopy,
    /// Another number.
    Other(u64),
}

/// A service record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What all headers have.
    pub block: HeaderBlock,
    /// Its name: `CMT`, `QO`, `RR`, `ACL`, `STM` or another.
    pub name: Vec<u8>,
}

/// The end of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndHeader {
    /// What all headers have.
    pub block: HeaderBlock,
    /// Another volume follows.
    pub has_next_volume: bool,
}
