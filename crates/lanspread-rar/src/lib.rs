//! A fast decoder of RAR 5 and RAR 7 archives in safe Rust.
//!
//! It reads an archive once, from its beginning to its end, from anything that is [`Read`](std::io::Read): a file, a
//! socket, a part of another file. It writes no files and follows no links; what a name or a link means is up to the
//! caller.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use lanspread_rar::{ArchiveDecoder, Limits};
//!
//! let archive = std::fs::File::open("game.rar")?;
//! let mut decoder = ArchiveDecoder::new(archive, Limits::default(), 2)?;
//! while let Some(member) = decoder.next_member()? {
//!     let name = member.header().name_lossy();
//!     let mut bytes = 0;
//!     member.copy_to(|piece| {
//!         bytes += piece.len();
//!         Ok(())
//!     })?;
//!     println!("{name}: {bytes} bytes, verified");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Headers`] lists an archive without decoding anything, from a file, a stream, or a header map.
//!
//! # What it reads
//!
//! All of RAR 5 except encryption: every method, solid or not, all filters, volumes, self-extracting archives, CRC-32 and
//! BLAKE2sp, links and references (which are reported, not followed), archives with comments, recovery records and
//! quick-open lists (which are skipped). Of RAR 7 its dictionaries of any size and its larger distances, within
//! [`Limits::dictionary_bytes`]. An archive of RAR 4 or older is refused with an error of its own, and so is an
//! encrypted one.
//!
//! # What an archive cannot do
//!
//! Archives are untrusted. The decoder never panics on one, its memory is bounded by [`Limits`], and every number from
//! the archive is checked before it is used. What a member gives is verified with its size and its checksum, if it has
//! one, before [`Member::next_piece`] says that it is complete. An archive that ends before its end record is refused,
//! because members could be missing.
//!
//! # How it works
//!
//! Packed data is a chain of blocks. One stage turns the bits of a block into literals and operations; a block depends
//! on others only by its tables and by four distances and one length, which can be filled in later, so this stage runs
//! on several threads, solid or not. The other stage executes the operations in order, on the caller's thread, in a
//! ring that is dictionary and output buffer at once.

#![forbid(unsafe_code)]

mod batch;
mod bits;
mod block;
mod checksum;
mod codes;
mod container;
mod decoder;
mod entries;
mod entropy;
mod error;
mod extra;
mod fields;
mod filter;
mod header;
mod headers;
mod input;
mod interleave;
mod limits;
mod member;
mod parse;
mod schedule;
mod source;
mod tables;
mod volume;
mod window;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use decoder::{ArchiveDecoder, Member};
pub use error::{DataError, Error, Result};
pub use header::{
    Compression, EndHeader, FileHeader, Header, HeaderBlock, Host, MainHeader, Redirection, RedirectionKind,
    Service, Timestamp,
};
pub use headers::Headers;
pub use limits::Limits;
pub use volume::{VolumeReader, Volumes};
