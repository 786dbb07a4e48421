//! Turns parsed headers into a checked listing.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use lanspread_types::checksum::Checksum;
use lanspread_types::content::{ArchiveFormat, UnixSeconds};
use lanspread_types::text::printable;
use rars::rar15_40::{Archive, Block, FileHeader};

use crate::error::ArchiveError;
use crate::listing::{Common, ListingBuilder, until_nul};
use crate::provider::ArchiveListing;
use crate::set::ArchiveSet;
use crate::time;

// File types of `st_mode` (POSIX `<sys/stat.h>`).
const MODE_TYPE: u32 = 0o170_000;
const MODE_REGULAR: u32 = 0o100_000;
const MODE_DIRECTORY: u32 = 0o040_000;
const MODE_SYMBOLIC_LINK: u32 = 0o120_000;
const MODE_ANY_EXECUTE: u32 = 0o111;

// Facts of the format (RARLAB, `technote.txt` of RAR 4): host systems, flags of file and end headers.
const HOST_UNIX: u8 = 3;
/// The file is an older version, and its name ends in `;` and a number (`rar -ver`).
const FILE_VERSION: u16 = 0x0800;
/// The dictionary: 64 KiB, shifted by these bits.
const FILE_DICTIONARY_SHIFT: u16 = 5;
const FILE_DICTIONARY_BITS: u16 = 7;
const END_NEXT_VOLUME: u16 = 1;
/// Versions of the method (RAR 1.3 to 4): `rars` also decodes later ones, which no released RAR has written.
const METHOD_VERSIONS: RangeInclusive<u8> = 13..=29;
/// The signature is a header of its own.
const SIGNATURE_BYTES: u16 = 7;

/// What the headers hold.
pub(super) struct Listed {
    pub(super) listing: ArchiveListing,
    /// Stored names of older file versions, which are decoded and left out.
    pub(super) left_out: HashSet<Vec<u8>>,
}

/// Lists the entries of all volumes and refuses what must not be installed. `lengths` are those of the volumes.
pub(super) fn list(
    archive: &ArchiveSet,
    volumes: &[rars::Archive],
    lengths: &[u64],
    dictionary_bytes_max: u64,
) -> Result<Listed, ArchiveError> {
    let volumes = check_volumes(archive, volumes, lengths)?;
    let members = whole_members(archive, &volumes)?;
    let mut builder = ListingBuilder::new(archive.name(), dictionary_bytes_max);
    let mut left_out = HashSet::new();
    let mut unknown_method = None;
    for member in members {
        if !member.is_directory() && !member.is_stored() && !METHOD_VERSIONS.contains(&member.unp_ver) {
            unknown_method.get_or_insert(member);
        }
        if member.is_encrypted() {
            return Err(ArchiveError::Encrypted { archive: archive.name().to_owned() });
        }
        builder.dictionary(dictionary_bytes(member))?;
        if member.block.flags & FILE_VERSION == 0 {
            add(&mut builder, member)?;
        } else {
            left_out.insert(member.name.clone());
        }
    }
    if let Some(member) = unknown_method {
        let reason = format!("`{}` is packed by an unknown method", printable(&member.name_lossy(), 200));
        return Err(ArchiveError::NotAnArchive { archive: archive.name().to_owned(), reason });
    }
    let is_solid = volumes.first().is_some_and(|volume| volume.main.is_solid());
    let listing = builder.finish(ArchiveFormat::Rar4, is_solid)?;
    Ok(Listed { listing, left_out })
}

/// The last part of each file of all volumes. The parts of a split file have checksums of their own; the last part has
/// that of the whole file.
fn whole_members<'a>(
    archive: &ArchiveSet,
    volumes: &[&'a Archive],
) -> Result<Vec<&'a FileHeader>, ArchiveError> {
    let mut members: Vec<&FileHeader> = Vec::new();
    for part in volumes.iter().flat_map(|volume| volume.files()) {
        let before = members.last().copied().filter(|before| before.is_split_after());
        match (before, part.is_split_before()) {
            (None, false) => members.push(part),
            (Some(before), true) if before.name == part.name && before.unp_size == part.unp_size => {
                members.pop();
                members.push(part);
            }
            (None, true) => {
                return Err(volume_missing(archive, "a file begins in a volume that is missing"));
            }
            (Some(_), _) => {
                return Err(volume_missing(archive, "a split file does not continue in the next volume"));
            }
        }
    }
    if members.last().is_some_and(|member| member.is_split_after()) {
        return Err(volume_missing(archive, "its last file continues in another volume"));
    }
    Ok(members)
}

/// Checks each volume as a whole: format, place in its set, end.
fn check_volumes<'a>(
    archive: &ArchiveSet,
    volumes: &'a [rars::Archive],
    lengths: &[u64],
) -> Result<Vec<&'a Archive>, ArchiveError> {
    let mut checked = Vec::with_capacity(volumes.len());
    for (volume, length) in volumes.iter().zip(lengths) {
        let volume = of_known_format(archive, volume)?;
        checked.push(volume);
        let is_last = checked.len() == volumes.len();
        match (end_of(volume), is_last) {
            (Some(true), true) => {
                return Err(volume_missing(
                    archive,
                    "the last volume found is marked as followed by another",
                ));
            }
            (Some(false), false) => {
                return Err(ArchiveError::corrupt(
                    archive.name(),
                    "a volume before the last one is marked as the last",
                ));
            }
            // RAR 4 archives may lack the end record (`rar -en`, RAR 2 and other writers).
            (None, _) if bytes_in_headers(volume) < *length => {
                return Err(ArchiveError::corrupt(archive.name(), "it ends inside a header"));
            }
            _ => {}
        }
    }
    Ok(checked)
}

fn of_known_format<'a>(archive: &ArchiveSet, volume: &'a rars::Archive) -> Result<&'a Archive, ArchiveError> {
    match volume {
        rars::Archive::Rar15To40(volume) => Ok(volume),
        rars::Archive::Rar50Plus(_) => {
            Err(ArchiveError::corrupt(archive.name(), "its volumes are of different formats"))
        }
        // RAR 1.3 has no CRC-32 to compare its content with.
        other => Err(ArchiveError::NotAnArchive {
            archive: archive.name().to_owned(),
            reason: format!("{:?} is not supported", other.family()),
        }),
    }
}

/// Where the signature and the headers of a volume are, and how long they are. Old comments are inside of headers.
pub(super) fn places(archive: &ArchiveSet, volume: &rars::Archive) -> Result<Vec<(u64, u16)>, ArchiveError> {
    let volume = of_known_format(archive, volume)?;
    let start = volume.sfx_offset as u64;
    let main = (start + u64::from(SIGNATURE_BYTES), volume.main.head_size);
    let main_end = main.0 + u64::from(main.1);
    let mut places = vec![(start, SIGNATURE_BYTES), main];
    for block in &volume.blocks {
        let block = match block {
            Block::File(file) => &file.block,
            Block::NewSub(service) => &service.file.block,
            Block::Comment(comment) => &comment.block,
            Block::Protect(protect) => &protect.block,
            Block::End(block) | Block::Unknown(block) => block,
            // Not a kind that exists today.
            _ => return Err(ArchiveError::corrupt(archive.name(), "it has a header of an unknown kind")),
        };
        let offset = start + block.offset as u64;
        if offset >= main_end {
            places.push((offset, block.head_size));
        }
    }
    Ok(places)
}

/// Whether another volume follows, if there is an end record.
fn end_of(volume: &Archive) -> Option<bool> {
    match volume.blocks.last() {
        Some(Block::End(end)) => Some(end.flags & END_NEXT_VOLUME != 0),
        _ => None,
    }
}

/// Bytes of the volume up to the end of its last header and of the data after that.
fn bytes_in_headers(volume: &Archive) -> u64 {
    let start = volume.sfx_offset as u64;
    let block = match volume.blocks.last() {
        None => return start + u64::from(SIGNATURE_BYTES) + u64::from(volume.main.head_size),
        Some(Block::File(file)) => return file.packed_range.end as u64,
        Some(Block::NewSub(service)) => return service.file.packed_range.end as u64,
        Some(Block::Comment(comment)) => return comment.packed_range.end as u64,
        Some(Block::Protect(protect)) => return protect.data_range.end as u64,
        Some(Block::End(block) | Block::Unknown(block)) => block,
        // Not a kind that exists today.
        Some(_) => return u64::MAX,
    };
    start + block.offset as u64 + u64::from(block.head_size) + block.add_size.unwrap_or(0)
}

fn dictionary_bytes(file: &FileHeader) -> u64 {
    if file.is_stored() || file.is_directory() {
        return 0;
    }
    (64 << 10) << ((file.block.flags >> FILE_DICTIONARY_SHIFT) & FILE_DICTIONARY_BITS)
}

fn add(builder: &mut ListingBuilder, file: &FileHeader) -> Result<(), ArchiveError> {
    // After a NUL, the field has the name in compressed UTF-16.
    let is_wide = file.unicode_name.as_ref().is_some_and(|name| name.contains(&0));
    let name = to_slashes(builder.text_of_rar4(until_nul(&file.name), is_wide)?);
    let mode = if file.host_os == HOST_UNIX { file.attr } else { 0 };
    let common =
        Common { name: &name, modified: Some(modified(file)), executable: mode & MODE_ANY_EXECUTE != 0 };
    match mode & MODE_TYPE {
        MODE_SYMBOLIC_LINK => return Err(builder.unsupported("the symbolic link", &name)),
        0 | MODE_REGULAR | MODE_DIRECTORY => {}
        _ => return Err(builder.unsupported("the special file", &name)),
    }
    if file.is_directory() {
        return builder.directory(&name);
    }
    builder.file(&common, file.unp_size, Some(Checksum::from_crc32(file.file_crc)))
}

fn modified(file: &FileHeader) -> UnixSeconds {
    let detail = file.mtime_refinement();
    let odd_second = detail.is_some_and(|detail| detail.add_second);
    // Its 24 bits can hold more than a second.
    let whole_seconds = detail.map_or(0, |detail| detail.nanoseconds / 1_000_000_000);
    time::dos_seconds(file.file_time) + UnixSeconds::from(odd_second) + UnixSeconds::from(whole_seconds)
}

/// The name under which an entry was listed; empty if it cannot have been.
pub(super) fn name_of(stored: &[u8]) -> String {
    to_slashes(std::str::from_utf8(until_nul(stored)).unwrap_or_default())
}

/// Names of RAR 4 separate with `\`, which no name in RAR 4 can hold.
fn to_slashes(name: &str) -> String {
    name.replace('\\', "/")
}

fn volume_missing(archive: &ArchiveSet, reason: &str) -> ArchiveError {
    ArchiveError::VolumeMissing { archive: archive.name().to_owned(), reason: reason.to_owned() }
}
