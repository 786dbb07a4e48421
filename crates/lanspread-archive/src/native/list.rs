//! Turns parsed headers into a checked listing.

use lanspread_types::checksum::Checksum;
use lanspread_types::content::{ArchiveFormat, UnixSeconds};
use lanspread_types::limits;
use rars::{ArchiveFamily, ArchiveMember, ArchiveMemberDetail, AttrSource};

use crate::error::ArchiveError;
use crate::listing::{Common, ListingBuilder};
use crate::native::translate;
use crate::provider::ArchiveListing;
use crate::set::ArchiveSet;
use crate::time;

// File types of `st_mode` (POSIX `<sys/stat.h>`).
const MODE_TYPE: u64 = 0o170_000;
const MODE_REGULAR: u64 = 0o100_000;
const MODE_DIRECTORY: u64 = 0o040_000;
const MODE_SYMBOLIC_LINK: u64 = 0o120_000;
const MODE_ANY_EXECUTE: u64 = 0o111;

// Redirection types of RAR 5 (RARLAB, "RAR 5.0 archive format", file system redirection record).
const REDIRECTION_HARD_LINK: u64 = 4;
const REDIRECTION_FILE_COPY: u64 = 5;

/// Lists the entries of all volumes and refuses what must not be installed.
pub(super) fn list(archive: &ArchiveSet, volumes: &[rars::Archive]) -> Result<ArchiveListing, ArchiveError> {
    let format = check_volumes(archive, volumes)?;
    let members = whole_members(archive, volumes)?;
    if members.last().is_some_and(|member| member.meta.is_split_after) {
        return Err(volume_missing(archive, "its last file continues in another volume"));
    }
    let mut builder = ListingBuilder::new(archive.name());
    let mut solid = is_solid(&volumes[0]);
    for member in &members {
        solid |= member.is_solid();
        add(&mut builder, archive, format, member)?;
    }
    Ok(builder.finish(format, solid))
}

/// The entries of all volumes, each once. The parts of a split file have checksums of their own; the last part has that
/// of the whole file.
fn whole_members(
    archive: &ArchiveSet,
    volumes: &[rars::Archive],
) -> Result<Vec<ArchiveMember>, ArchiveError> {
    let mut members: Vec<ArchiveMember> = Vec::new();
    for member in volumes.iter().flat_map(rars::Archive::members) {
        if !member.meta.is_split_before {
            members.push(member);
            continue;
        }
        match members.last_mut() {
            Some(first) if first.meta.is_split_after && first.meta.name == member.meta.name => {
                first.meta.is_split_after = member.meta.is_split_after;
                first.detail = member.detail;
            }
            _ => return Err(volume_missing(archive, "a file begins in a volume that is missing")),
        }
    }
    Ok(members)
}

/// Checks each volume as a whole: format, end record, place in its set, dictionary size.
fn check_volumes(archive: &ArchiveSet, volumes: &[rars::Archive]) -> Result<ArchiveFormat, ArchiveError> {
    let mut format = None;
    for (index, volume) in volumes.iter().enumerate() {
        let is_last = index + 1 == volumes.len();
        let end = match volume {
            rars::Archive::Rar15To40(rar4) => end_of_rar4(rar4),
            rars::Archive::Rar50Plus(rar5) => {
                check_rar5(archive, rar5, index)?;
                end_of_rar5(rar5)
            }
            // RAR 1.3 has no CRC-32 to compare its content with.
            other => {
                return Err(ArchiveError::NotAnArchive {
                    archive: archive.name().to_owned(),
                    reason: format!("{:?} is not supported", other.family()),
                });
            }
        };
        let this = if volume.family() == ArchiveFamily::Rar50Plus {
            ArchiveFormat::Rar5
        } else {
            ArchiveFormat::Rar4
        };
        if *format.get_or_insert(this) != this {
            return Err(ArchiveError::corrupt(archive.name(), "its volumes are of different formats"));
        }
        match end {
            // An archive cut exactly between two entries would decode as listed, and the rest would be missing.
            EndRecord::Missing => {
                return Err(ArchiveError::corrupt(archive.name(), "it ends before its end record"));
            }
            EndRecord::NextVolume if is_last => {
                return Err(volume_missing(
                    archive,
                    "the last volume found is marked as followed by another",
                ));
            }
            EndRecord::Last if !is_last => {
                return Err(ArchiveError::corrupt(
                    archive.name(),
                    "a volume before the last one is marked as the last",
                ));
            }
            EndRecord::NextVolume | EndRecord::Last | EndRecord::Unknown => {}
        }
    }
    format.ok_or_else(|| ArchiveError::corrupt(archive.name(), "it has no volumes"))
}

fn check_rar5(archive: &ArchiveSet, rar5: &rars::rar50::Archive, index: usize) -> Result<(), ArchiveError> {
    let number = rar5.main.volume_number.unwrap_or(0);
    if rar5.main.is_volume() && number != index as u64 {
        let reason = format!("volume {} was found where volume {} belongs", number + 1, index + 1);
        return Err(volume_missing(archive, &reason));
    }
    for file in
        rar5.files().filter(|file| !file.is_stored() && !file.is_directory() && !file.is_redirection())
    {
        let info = file.decoded_compression_info().map_err(|error| translate::error(archive, &error))?;
        if info.dictionary_size > limits::DICTIONARY_BYTES_MAX {
            return Err(ArchiveError::Limit {
                archive: archive.name().to_owned(),
                what: "bytes of dictionary",
                limit: limits::DICTIONARY_BYTES_MAX,
                got: info.dictionary_size,
            });
        }
    }
    Ok(())
}

/// How a volume ends.
enum EndRecord {
    Missing,
    NextVolume,
    Last,
    /// RAR 4 archives may lack the end record (`rar -en`, RAR 2 and other writers).
    Unknown,
}

fn end_of_rar5(rar5: &rars::rar50::Archive) -> EndRecord {
    match rar5.blocks.last() {
        Some(rars::rar50::Block::End(end)) if end.has_next_volume() => EndRecord::NextVolume,
        Some(rars::rar50::Block::End(_)) => EndRecord::Last,
        _ => EndRecord::Missing,
    }
}

fn end_of_rar4(rar4: &rars::rar15_40::Archive) -> EndRecord {
    /// `EARC_NEXT_VOLUME` of the end-of-archive block.
    const NEXT_VOLUME: u16 = 1;
    match rar4.blocks.last() {
        Some(rars::rar15_40::Block::End(end)) if end.flags & NEXT_VOLUME != 0 => EndRecord::NextVolume,
        Some(rars::rar15_40::Block::End(_)) => EndRecord::Last,
        _ => EndRecord::Unknown,
    }
}

fn is_solid(volume: &rars::Archive) -> bool {
    match volume {
        rars::Archive::Rar15To40(rar4) => rar4.main.is_solid(),
        rars::Archive::Rar50Plus(rar5) => rar5.main.is_solid(),
        _ => false,
    }
}

fn add(
    builder: &mut ListingBuilder,
    archive: &ArchiveSet,
    format: ArchiveFormat,
    member: &ArchiveMember,
) -> Result<(), ArchiveError> {
    let meta = &member.meta;
    if meta.is_encrypted {
        return Err(ArchiveError::Encrypted { archive: archive.name().to_owned() });
    }
    let name = name_text(builder, format, &meta.name)?;
    let mode = (meta.attr_source() == AttrSource::Unix).then_some(meta.file_attr);
    let common = Common {
        name: &name,
        modified: modified(member),
        executable: mode.is_some_and(|mode| mode & MODE_ANY_EXECUTE != 0),
    };
    if let ArchiveMemberDetail::Rar50Plus { redirection: Some(redirection), .. } = &member.detail {
        let original = name_text(builder, format, &redirection.target_name)?;
        return match redirection.redirection_type {
            REDIRECTION_HARD_LINK | REDIRECTION_FILE_COPY => builder.copy(&common, &original),
            _ => Err(builder.unsupported("the symbolic link", &name)),
        };
    }
    match mode.map_or(0, |mode| mode & MODE_TYPE) {
        MODE_SYMBOLIC_LINK => return Err(builder.unsupported("the symbolic link", &name)),
        0 | MODE_REGULAR | MODE_DIRECTORY => {}
        _ => return Err(builder.unsupported("the special file", &name)),
    }
    if meta.is_directory {
        return builder.directory(&name);
    }
    builder.file(&common, meta.unpacked_size, stored_checksum(member))
}

/// The stored CRC-32, if there is one.
fn stored_checksum(member: &ArchiveMember) -> Option<Checksum> {
    let crc32 = match &member.detail {
        ArchiveMemberDetail::Rar15To40 { crc32, .. } => Some(*crc32),
        ArchiveMemberDetail::Rar50Plus { crc32, .. } => *crc32,
        _ => None,
    };
    crc32.map(Checksum::from_crc32)
}

fn modified(member: &ArchiveMember) -> Option<UnixSeconds> {
    let raw = member.meta.file_time?;
    match member.meta.family {
        ArchiveFamily::Rar50Plus => Some(UnixSeconds::from(raw)),
        _ => time::dos_seconds(raw, member.meta.mtime_refinement.is_some_and(|detail| detail.add_second)),
    }
}

/// Names of RAR 5 are UTF-8 with `/`; those of RAR 4 separate with `\`, which no name in RAR 4 can hold. `rar` stores
/// bytes that were not text as U+FFFE and private characters, so their meaning is lost.
fn name_text(builder: &ListingBuilder, format: ArchiveFormat, raw: &[u8]) -> Result<String, ArchiveError> {
    let text = std::str::from_utf8(raw).map_err(|_| builder.not_unicode(raw))?;
    if text.contains('\u{fffe}') {
        return Err(builder.not_unicode(raw));
    }
    Ok(match format {
        ArchiveFormat::Rar5 => text.to_owned(),
        ArchiveFormat::Rar4 => text.replace('\\', "/"),
    })
}

fn volume_missing(archive: &ArchiveSet, reason: &str) -> ArchiveError {
    ArchiveError::VolumeMissing { archive: archive.name().to_owned(), reason: reason.to_owned() }
}
