//! Reads what `unrar lt -v` prints and builds the listing from it. Pure.
//!
//! ```text
//! UNRAR 6.21 freeware      Copyright (c) 1993-2023 Alexander Roshal
//!
//! Archive: game.part1.eti                 one heading per volume
//! Details: RAR 5, solid, volume 1
//!
//!         Name: data/big.bin              one block per entry and volume, ended by an empty line
//!         Type: File
//!         Size: 150000
//!        Ratio: -->                       continues in the next volume, which has `<->` or `<--`
//! ```
//!
//! Invariants: a line that does not match this form, a field that occurs twice or before `Type`, and a block without
//! its last field make the listing fail as not understood. Only fields with unknown names are ignored. Memory is
//! bounded by one line and the entries.
//!
//! The program prints names raw, including line feeds, so a name can imitate further lines. That gains nothing that an
//! ordinary archive could not have: every listed entry passes the same checks, and the decoded bytes must match the
//! listing.

mod block;

use std::mem;
use std::path::{Path, PathBuf};

use block::{Block, Part};
use lanspread_types::content::ArchiveFormat;
use lanspread_types::text::printable;

use crate::error::ArchiveError;
use crate::listing::ListingBuilder;
use crate::provider::ArchiveListing;

/// Longest line: `unrar` cuts names at 2048 characters of at most 4 bytes, the rest is for its other fields.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A listing being read.
pub(super) struct ListingText {
    program: PathBuf,
    archive: String,
    builder: ListingBuilder,
    /// Names of the volumes as the program read them.
    volumes: Vec<String>,
    format: Option<ArchiveFormat>,
    solid: bool,
    place: Place,
    /// A file whose last part is in a later volume.
    split: Option<Block>,
    /// The beginning of a line whose rest has not arrived.
    partial: Vec<u8>,
    lines: u64,
    /// Why the text is not understood. Its rest is then ignored, because the program itself may still report what is
    /// wrong.
    trouble: Option<ArchiveError>,
}

/// Where in the listing the next line is.
enum Place {
    /// Before the first heading; `introduced` if the program has printed its name.
    Banner { introduced: bool },
    /// After `Archive:`.
    Details,
    /// After `Details:`.
    Heading,
    /// After an empty line.
    Between,
    /// Inside an entry.
    Entry(Block),
}

impl ListingText {
    pub(super) fn new(program: &Path, archive: &str, dictionary_bytes_max: u64) -> Self {
        Self {
            program: program.to_owned(),
            archive: archive.to_owned(),
            builder: ListingBuilder::new(archive, dictionary_bytes_max),
            volumes: Vec::new(),
            format: None,
            solid: false,
            place: Place::Banner { introduced: false },
            split: None,
            partial: Vec::new(),
            lines: 0,
            trouble: None,
        }
    }

    /// Takes the next bytes of the text.
    ///
    /// # Errors
    /// If the archive is refused, whatever follows.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if self.trouble.is_some() {
                return Ok(());
            }
            let fits = piece.len().min(LINE_BYTES_MAX - self.partial.len());
            self.partial.extend_from_slice(&piece[..fits]);
            if fits < piece.len() {
                let line = mem::take(&mut self.partial);
                self.not_understood(&line, "it is too long");
                return Ok(());
            }
            if pieces.peek().is_some() {
                let line = mem::take(&mut self.partial);
                self.line(&line)?;
            }
        }
        Ok(())
    }

    /// Ends the text; `volumes` are the files it should have been read from.
    pub(super) fn finish<'v>(
        mut self,
        volumes: impl Iterator<Item = &'v str>,
    ) -> Result<ArchiveListing, ArchiveError> {
        let last = mem::take(&mut self.partial);
        if !last.is_empty() && self.trouble.is_none() {
            self.line(&last)?;
        }
        if let Place::Entry(block) = mem::replace(&mut self.place, Place::Between) {
            self.end_entry(block)?;
        }
        if let Some(trouble) = self.trouble {
            return Err(trouble);
        }
        let Some(format) = self.format else {
            let reason = "the program lists nothing".to_owned();
            return Err(ArchiveError::NotAnArchive { archive: self.archive, reason });
        };
        if let Some(block) = self.split {
            let name = printable(&String::from_utf8_lossy(block.name()), 200);
            let reason = format!("`{name}` continues in a volume that is missing");
            return Err(ArchiveError::VolumeMissing { archive: self.archive, reason });
        }
        check_volumes(self.archive, &self.volumes, volumes)?;
        self.builder.finish(format, self.solid)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), ArchiveError> {
        self.lines += 1;
        match mem::replace(&mut self.place, Place::Between) {
            Place::Banner { introduced } => self.banner(line, introduced),
            Place::Details => return self.details(line),
            Place::Heading if line.is_empty() => {}
            // Such as `Original name:`, which does not matter.
            Place::Heading => self.place = Place::Heading,
            Place::Between => self.begin(line),
            Place::Entry(block) if line.is_empty() => return self.end_entry(block),
            Place::Entry(mut block) => {
                if let Err(problem) = block.take(line) {
                    self.not_understood(line, problem);
                }
                self.place = Place::Entry(block);
            }
        }
        Ok(())
    }

    fn banner(&mut self, line: &[u8], introduced: bool) {
        let says_its_name = line.starts_with(b"UNRAR ") || line.starts_with(b"RAR ");
        self.place = Place::Banner { introduced: introduced || says_its_name };
        if line.is_empty() || says_its_name {
            return;
        }
        if !introduced {
            let reason = "it does not answer as RARLAB's `unrar` does".to_owned();
            let (program, archive) = (self.program.clone(), self.archive.clone());
            self.trouble = Some(ArchiveError::ProgramFailed { program, archive, reason });
        } else if line.ends_with(b" is not RAR archive") {
            let reason = "it has no RAR signature".to_owned();
            self.trouble = Some(ArchiveError::NotAnArchive { archive: self.archive.clone(), reason });
        } else if line.starts_with(b"Archive: ") {
            self.begin(line);
        }
    }

    fn begin(&mut self, line: &[u8]) {
        if let Some(name) = line.strip_prefix(b"Archive: ") {
            self.volumes.push(String::from_utf8_lossy(name).into_owned());
            self.place = Place::Details;
        } else if let Some(block) = Block::begin(line) {
            self.place = Place::Entry(block);
        } else if !line.is_empty() {
            self.not_understood(line, "no entry begins like this");
        }
    }

    fn details(&mut self, line: &[u8]) -> Result<(), ArchiveError> {
        self.place = Place::Heading;
        let text = line.strip_prefix(b"Details: ").and_then(|text| std::str::from_utf8(text).ok());
        let mut words = text.unwrap_or_default().split(", ");
        let format = match words.next() {
            Some("RAR 4") => ArchiveFormat::Rar4,
            Some("RAR 5" | "RAR 7") => ArchiveFormat::Rar5,
            _ => {
                let shown = printable(&String::from_utf8_lossy(line), 100);
                let reason = format!("this format of RAR is not known: `{shown}`");
                return Err(ArchiveError::NotAnArchive { archive: self.archive.clone(), reason });
            }
        };
        let first_volume = self.format.is_none();
        if *self.format.get_or_insert(format) != format {
            self.not_understood(line, "the volumes have different formats");
        }
        for word in words {
            match word {
                "encrypted headers" => return Err(ArchiveError::Encrypted { archive: self.archive.clone() }),
                "solid" if first_volume => self.solid = true,
                // Recovery records, locks, volume numbers and words of later versions do not change the content.
                _ => {}
            }
        }
        Ok(())
    }

    fn end_entry(&mut self, block: Block) -> Result<(), ArchiveError> {
        block.check_claims(&self.archive, &mut self.builder)?;
        if self.trouble.is_some() {
            return Ok(());
        }
        let whole = match (block.part(), self.split.take()) {
            (Part::Whole, None) => true,
            (Part::First, None) => false,
            (Part::Middle | Part::Last, Some(first)) if first.is_same_file(&block) => {
                block.part() == Part::Last
            }
            (Part::Middle | Part::Last, None) => {
                let name = printable(&String::from_utf8_lossy(block.name()), 200);
                let reason = format!("`{name}` begins in an earlier volume");
                return Err(ArchiveError::VolumeMissing { archive: self.archive.clone(), reason });
            }
            (_, Some(_)) => {
                self.not_understood(block.name(), "it is not the rest of the split file before it");
                return Ok(());
            }
        };
        if !whole {
            self.split = Some(block);
            return Ok(());
        }
        // Only the last part has the CRC-32 of the whole file.
        let format = self.format.unwrap_or(ArchiveFormat::Rar5);
        if let Some(problem) = block.add_to(&mut self.builder, format)? {
            self.not_understood(block.name(), problem);
        }
        Ok(())
    }

    fn not_understood(&mut self, line: &[u8], problem: &str) {
        let shown = printable(&String::from_utf8_lossy(line), 100);
        let reason = format!("line {} of its listing is not understood: {problem}: `{shown}`", self.lines);
        let archive = self.archive.clone();
        self.trouble.get_or_insert(ArchiveError::Corrupt { archive, entry: None, reason });
    }
}

/// Checks that the program, which finds the volumes itself by name, has read those of the set and no others.
fn check_volumes<'v>(
    archive: String,
    read: &[String],
    expected: impl Iterator<Item = &'v str>,
) -> Result<(), ArchiveError> {
    let mut read = read.iter();
    for volume in expected {
        match read.next() {
            Some(name) if name == volume => {}
            Some(name) => {
                let reason =
                    format!("`{}` was read instead of `{}`", printable(name, 200), printable(volume, 200));
                return Err(ArchiveError::VolumeMissing { archive, reason });
            }
            None => {
                let reason = format!("`{}` is not part of this set", printable(volume, 200));
                return Err(ArchiveError::Corrupt { archive, entry: None, reason });
            }
        }
    }
    match read.next() {
        None => Ok(()),
        Some(name) => {
            let reason = format!("it needs `{}`, which is not a volume of this set", printable(name, 200));
            Err(ArchiveError::VolumeMissing { archive, reason })
        }
    }
}

#[cfg(test)]
mod tests;
