//! Manifests: what the organiser of a catalog, or a source, has seen in one version of a game, byte for byte.
//!
//! Invariants:
//!
//! - A manifest is named by the SHA-256 of all its bytes. A reader checks length and digest first, then decodes, then
//!   encodes again and compares, so that one content has one manifest: lists are sorted, integers have
//!   their shortest form, and neither times nor names of programs are in it.
//! - Every count and length is checked before anything is allocated for it.
//! - Digests of chunks and header bytes stay in the file and are read by position. In memory are the root files, the
//!   places of the headers, and about 100 bytes for each entry.
//! - A manifest that decodes can be installed: its paths are safe and portable and do not collide, its sums are right, its
//!   root files are those of one game.
//! - A manifest without entries is a packing list. It has the headers of every archive, so that the same files have one
//!   packing list, be it made from them or from a manifest with a tree.
//!
//! ```text
//! manifest  = "LSPMANI\n" format:u16=1 hash:u8=1 game:text version:text chunk:u32
//!             count (name:text size)*             root files, sorted by name
//!             digest*                             of each chunk of each root file, in this order
//!             count archive*                      in the order of their first files
//!             count entry*                        sorted by path; none in a packing list
//!             files folders bytes                 totals of the entries
//! archive   = count file* format:u8 solid:u8 dictionary count (volume offset length)* byte*
//! entry     = path:text kind:u8 [size digest part*]      kind: 0 folder, 1 file, 2 executable file
//! text      = length byte*                        digest = 32 bytes
//! ```
//!
//! `u16` and `u32` are little-endian; every other number is a LEB128 integer of at most ten bytes in its shortest form.
//! `docs/manifest-format.md` describes the same for other programs.

mod check;
mod content;
mod decode;
mod encode;
mod error;
mod file;
mod input;
#[cfg(test)]
mod tests;

pub use check::{Deviation, ManifestCheck};
pub use content::{EntryContent, Manifest, ManifestArchive, ManifestEntries, ManifestEntry, chunk_bytes};
pub use encode::{Blocks, encode};
pub use error::{ManifestError, ManifestProblem};
pub use file::{MANIFEST_EXTENSION, ManifestFile, file_name};
pub use input::Stored;
