//! Turns headers into a checked listing.

use std::io::SeekFrom;

use lanspread_rar::{FileHeader, Header, Headers, Host, Limits, MainHeader, RedirectionKind};
use lanspread_types::checksum::Checksum;
use lanspread_types::content::{ArchiveFormat, UnixSeconds};
use lanspread_types::text::printable;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::listing::{Common, ListingBuilder, until_nul};
use crate::native::rar5::failure;
use crate::native::reader::{Cancellable, unreadable};
use crate::provider::ArchiveListing;
use crate::set::{ArchiveSet, Volume};

// File types of `st_mode` (POSIX `<sys/stat.h>`).
const MODE_TYPE: u64 = 0o170_000;
const MODE_REGULAR: u64 = 0o100_000;
const MODE_DIRECTORY: u64 = 0o040_000;
const MODE_SYMBOLIC_LINK: u64 = 0o120_000;
const MODE_ANY_EXECUTE: u64 = 0o111;

/// Collects the entries of all volumes and refuses what must not be installed.
pub(super) struct List<'a> {
    archive: &'a ArchiveSet,
    cancel: &'a CancellationToken,
    limits: &'a Limits,
    builder: ListingBuilder,
    solid: bool,
    /// The part of a file in the volume before, if it continues.
    split: Option<Box<FileHeader>>,
    /// Why it is refused. Headers are read to their end nevertheless: damage that explains more counts before it.
    refusal: Option<ArchiveError>,
}

impl<'a> List<'a> {
    pub(super) fn new(archive: &'a ArchiveSet, cancel: &'a CancellationToken, limits: &'a Limits) -> Self {
        let builder = ListingBuilder::new(archive.name(), limits.dictionary_bytes);
        Self { archive, cancel, limits, builder, solid: false, split: None, refusal: None }
    }

    /// Takes the next volume. `false` if the first one is of RAR 4 or older.
    pub(super) fn volume(&mut self, number: usize, volume: &mut dyn Volume) -> Result<bool, ArchiveError> {
        volume.seek(SeekFrom::Start(0)).map_err(|source| unreadable(self.archive, number, source))?;
        let headers = match Headers::seek(Cancellable::new(volume, self.cancel), self.limits.clone()) {
            Err(lanspread_rar::Error::Rar4) if number == 0 => return Ok(false),
            Err(lanspread_rar::Error::Rar4) => {
                return Err(self.corrupt("its volumes are of different formats"));
            }
            opened => opened.map_err(|error| failure::of(self.archive, error))?,
        };
        let (mut begun, mut continues, mut misplaced) = (false, false, None);
        for header in headers {
            match header.map_err(|error| failure::of(self.archive, error))? {
                Header::Main(main) if !begun => {
                    begun = true;
                    self.solid |= number == 0 && main.is_solid;
                    misplaced = self.misplaced(number, &main);
                }
                _ if !begun => return Err(self.corrupt("its main header is missing")),
                Header::Main(_) => return Err(self.corrupt("a volume has a second main header")),
                // Nothing more is listed.
                Header::File(_) if self.refusal.is_some() => {}
                Header::File(file) if file.is_encrypted => {
                    self.refusal = Some(ArchiveError::Encrypted { archive: self.archive.name().to_owned() });
                }
                Header::File(file) => {
                    self.refusal = misplaced.take().or_else(|| self.part(file).err());
                }
                Header::End(end) => continues = end.has_next_volume,
                // Comments, recovery records, access rights, and what later versions may add.
                _ => {}
            }
        }
        if self.refusal.is_none() {
            self.refusal = misplaced;
        }
        if self.refusal.is_some() {
            return Ok(true);
        }
        let is_last = number + 1 == self.archive.volumes();
        match (continues, is_last) {
            (true, true) => Err(self.missing("the last volume found is marked as followed by another")),
            (false, false) => Err(self.corrupt("a volume before the last one is marked as the last")),
            _ => Ok(true),
        }
    }

    pub(super) fn finish(self) -> Result<ArchiveListing, ArchiveError> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        if self.split.is_some() {
            return Err(self.missing("its last file continues in another volume"));
        }
        self.builder.finish(ArchiveFormat::Rar5, self.solid)
    }

    /// The refusal of a volume that is not the one that belongs here.
    fn misplaced(&self, number: usize, main: &MainHeader) -> Option<ArchiveError> {
        let stated = main.volume_number.unwrap_or(0);
        (main.is_volume && stated != number as u64).then(|| {
            let stated = stated.saturating_add(1);
            self.missing(&format!("volume {stated} was found where volume {} belongs", number + 1))
        })
    }

    /// Takes a file, or its part in this volume. Each part has a checksum of its own; the last part has that of the whole
    /// file.
    fn part(&mut self, file: Box<FileHeader>) -> Result<(), ArchiveError> {
        match (self.split.take(), file.block.split_before) {
            (None, false) => {}
            (Some(first), true) if is_same_file(&first, &file) => {}
            (None, true) => return Err(self.missing("a file begins in a volume that is missing")),
            (Some(_), _) => return Err(self.missing("a split file does not continue in the next volume")),
        }
        if !file.compression.is_stored() && !file.is_directory && file.redirection.is_none() {
            self.builder.dictionary(file.compression.dictionary_bytes)?;
        }
        if file.block.split_after {
            self.split = Some(file);
            return Ok(());
        }
        self.add(&file)
    }

    fn add(&mut self, file: &FileHeader) -> Result<(), ArchiveError> {
        if is_left_out(file) {
            return Ok(());
        }
        let builder = &mut self.builder;
        let name = builder.text(until_nul(&file.name))?;
        let mode = if file.host == Host::Unix { file.attributes } else { 0 };
        let common = Common { name, modified: modified(file), executable: mode & MODE_ANY_EXECUTE != 0 };
        if let Some(redirection) = &file.redirection {
            let what = match redirection.kind {
                RedirectionKind::HardLink | RedirectionKind::FileCopy => {
                    let original = builder.text(until_nul(&redirection.target))?;
                    return builder.copy(&common, original);
                }
                RedirectionKind::UnixSymlink | RedirectionKind::WindowsSymlink => "the symbolic link",
                RedirectionKind::WindowsJunction => "the junction",
                _ => "the link of an unknown kind",
            };
            return Err(builder.unsupported(what, name));
        }
        match mode & MODE_TYPE {
            MODE_SYMBOLIC_LINK => return Err(builder.unsupported("the symbolic link", name)),
            0 | MODE_REGULAR | MODE_DIRECTORY => {}
            _ => return Err(builder.unsupported("the special file", name)),
        }
        if file.is_directory {
            return builder.directory(name);
        }
        let Some(size) = file.unpacked_bytes else {
            let (archive, entry) = (self.archive.name().to_owned(), Some(printable(name, 200)));
            let reason = "its size is not stored, as for data that was packed from a pipe".to_owned();
            return Err(ArchiveError::Corrupt { archive, entry, reason });
        };
        builder.file(&common, size, file.crc32.map(Checksum::from_crc32))
    }

    fn corrupt(&self, reason: &str) -> ArchiveError {
        ArchiveError::corrupt(self.archive.name(), reason)
    }

    fn missing(&self, reason: &str) -> ArchiveError {
        ArchiveError::VolumeMissing { archive: self.archive.name().to_owned(), reason: reason.to_owned() }
    }
}

/// Whether this is an older version of a file (`rar -ver`), which nothing unpacks unless it is asked to.
pub(super) fn is_left_out(file: &FileHeader) -> bool {
    file.version.is_some_and(|version| version != 0)
}

/// The name under which an entry was listed; empty if it cannot have been.
pub(super) fn name_of(file: &FileHeader) -> &str {
    std::str::from_utf8(until_nul(&file.name)).unwrap_or_default()
}

fn is_same_file(part: &FileHeader, next: &FileHeader) -> bool {
    part.name == next.name && part.unpacked_bytes == next.unpacked_bytes
}

/// `None` for a time that does not exist: Windows writes zero for none, and no calendar has years of five digits.
fn modified(file: &FileHeader) -> Option<UnixSeconds> {
    const ZERO_OF_WINDOWS: UnixSeconds = -11_644_473_600;
    const YEAR_10000: UnixSeconds = 253_402_300_800;
    let seconds = file.modified?.seconds;
    (ZERO_OF_WINDOWS + 1..YEAR_10000).contains(&seconds).then_some(seconds)
}
