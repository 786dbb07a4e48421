//! What an archive may ask for.

/// Bounds on everything an archive can claim. Each is checked before anything is allocated or read for the claim.
///
/// The decoder's memory is the dictionary, up to [`dictionary_bytes`](Self::dictionary_bytes) and touched only as far
/// as data was unpacked, plus about 12 MiB, plus about 5 MiB for each further thread. Blocks that no known writer makes
/// can take up to 36 MiB more.
///
/// This memory is used again and again: after the first few hundred KiB of packed data, a block allocates nothing, and a
/// member about a dozen small pieces for its header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest dictionary that is allocated. `rar` uses 32 MiB by default and offers up to 64 GiB.
    pub dictionary_bytes: u64,
    /// The largest unpacked size of one member.
    pub member_bytes: u64,
    /// Headers in all volumes together, those of service records included.
    pub headers: u64,
    /// Bytes of headers in all volumes together. One header is at most 2 MiB, which the format itself bounds.
    pub header_bytes: u64,
    /// Volumes of one archive.
    pub volumes: u64,
    /// Bytes before the signature: the program of a self-extracting archive.
    pub prefix_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // What a machine with a few GiB of memory can give to one archive.
            dictionary_bytes: 1 << 30,
            member_bytes: u64::MAX,
            headers: 4_000_000,
            header_bytes: 1 << 30,
            volumes: 65_535,
            // The self-extracting modules that `rar` ships are below 1 MiB.
            prefix_bytes: 4 << 20,
        }
    }
}
