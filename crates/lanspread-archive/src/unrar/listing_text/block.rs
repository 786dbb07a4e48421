//! One block of the listing: the fields of one entry, or of its part in one volume. Pure.

use lanspread_types::checksum::Checksum;
use lanspread_types::content::{ArchiveFormat, UnixSeconds};

use crate::error::ArchiveError;
use crate::listing::{Common, ListingBuilder};
use crate::time;

/// Field names are right-aligned in this many columns, followed by `: `.
const LABEL_BYTES: usize = 12;

/// The fields of one entry that matter.
pub(super) struct Block {
    name: Vec<u8>,
    kind: Option<Kind>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    part: Option<Part>,
    modified: Option<String>,
    attributes: Option<Attributes>,
    checksum: Option<Checksum>,
    dictionary_bytes: Option<u64>,
    encrypted: bool,
    old_version: bool,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    /// A file reference or hard link: a copy of its target.
    Copy,
    /// Never installed; the text names it in the refusal.
    Unsupported(&'static str),
}

/// Which part of a file is in this volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    First,
    Middle,
    Last,
}

/// What matters of the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Attributes {
    executable: bool,
    /// It is a symbolic link by its mode alone.
    link: bool,
}

/// Why a line is not understood.
type Problem = &'static str;

const TWICE: Problem = "this field occurs twice";

impl Block {
    /// A block begins with its name.
    pub(super) fn begin(line: &[u8]) -> Option<Self> {
        let (label, name) = field(line)?;
        (label == "Name").then(|| Self {
            name: name.to_owned(),
            kind: None,
            target: None,
            size: None,
            part: None,
            modified: None,
            attributes: None,
            checksum: None,
            dictionary_bytes: None,
            encrypted: false,
            old_version: false,
        })
    }

    /// Takes the next line.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), Problem> {
        let (label, value) = field(line).ok_or("no field looks like this")?;
        if self.kind.is_none() != (label == "Type") {
            return Err("`Type` must be the first field and occur once");
        }
        // All values except names are ASCII.
        let text = std::str::from_utf8(value).unwrap_or_default();
        match label {
            "Name" => Err(TWICE),
            "Type" => set(&mut self.kind, Kind::parse(text)),
            "Target" => set(&mut self.target, value.to_owned()),
            "Size" => set(&mut self.size, text.parse().map_err(|_| "the size is unknown")?),
            "Ratio" => set(&mut self.part, Part::parse(text)),
            "mtime" | "Modified" => set(&mut self.modified, text.to_owned()),
            "Attributes" => set(&mut self.attributes, Attributes::parse(text)),
            "CRC32" => set(&mut self.checksum, text.parse().map_err(|_| "this is not a CRC-32")?),
            "Compression" => {
                set(&mut self.dictionary_bytes, parse_dictionary(text).ok_or("the dictionary is unknown")?)
            }
            "CRC32 MAC" | "BLAKE2 MAC" => {
                self.encrypted = true;
                Ok(())
            }
            "Flags" => {
                self.encrypted |= text.split(' ').any(|flag| flag == "encrypted");
                Ok(())
            }
            "File version" => {
                self.old_version = true;
                Ok(())
            }
            // Other times, owners, packed sizes, checksums of parts, BLAKE2sp and fields of later versions.
            _ => Ok(()),
        }
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    pub(super) fn part(&self) -> Part {
        self.part.unwrap_or(Part::Whole)
    }

    /// Whether two parts in neighbouring volumes can belong to one file.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.name == other.name && self.kind == other.kind && self.size == other.size
    }

    /// Refuses an entry that needs a password or too much memory.
    pub(super) fn check_claims(
        &self,
        archive: &str,
        builder: &mut ListingBuilder,
    ) -> Result<(), ArchiveError> {
        if self.encrypted {
            return Err(ArchiveError::Encrypted { archive: archive.to_owned() });
        }
        match (self.kind, self.dictionary_bytes) {
            (Some(Kind::File), Some(bytes)) => builder.dictionary(bytes),
            _ => Ok(()),
        }
    }

    /// Adds the entry to the listing, or returns what the block lacks.
    pub(super) fn add_to(
        &self,
        builder: &mut ListingBuilder,
        format: ArchiveFormat,
    ) -> Result<Option<Problem>, ArchiveError> {
        // This is the last field that every block has.
        if self.dictionary_bytes.is_none() {
            return Ok(Some("the block is cut short"));
        }
        if self.old_version {
            return Ok(None);
        }
        let name = match format {
            ArchiveFormat::Rar4 => builder.text_of_rar4(&self.name, false)?,
            ArchiveFormat::Rar5 => builder.text(&self.name)?,
        };
        let modified = self.modified.as_deref().and_then(parse_time);
        let attributes = self.attributes.unwrap_or_default();
        let common = Common { name, modified, executable: attributes.executable };
        match (self.kind, &self.target, self.size) {
            (Some(Kind::Unsupported(what)), ..) => return Err(builder.unsupported(what, name)),
            (Some(Kind::File), None, _) if attributes.link => {
                return Err(builder.unsupported("the symbolic link", name));
            }
            (Some(Kind::Directory), None, _) => builder.directory(name)?,
            (Some(Kind::File), None, Some(size)) => builder.file(&common, size, self.checksum)?,
            (Some(Kind::Copy), Some(target), Some(_)) => {
                let original = builder.text(target)?;
                builder.copy(&common, original)?;
            }
            // The program shows kinds of links that it does not know like this.
            (Some(Kind::File | Kind::Directory), Some(_), _) => {
                return Err(builder.unsupported("the link of an unknown kind", name));
            }
            (None | Some(Kind::File | Kind::Copy), ..) => return Ok(Some("a field is missing")),
        }
        Ok(None)
    }
}

impl Kind {
    fn parse(text: &str) -> Self {
        match text {
            "File" => Self::File,
            "Directory" => Self::Directory,
            "File reference" | "Hard link" => Self::Copy,
            "Unix symbolic link" | "Windows symbolic link" => Self::Unsupported("the symbolic link"),
            "NTFS junction point" => Self::Unsupported("the junction"),
            _ => Self::Unsupported("the entry of an unknown kind"),
        }
    }
}

impl Part {
    fn parse(text: &str) -> Self {
        match text {
            "-->" => Self::First,
            "<->" => Self::Middle,
            "<--" => Self::Last,
            _ => Self::Whole,
        }
    }
}

fn set<T>(field: &mut Option<T>, value: T) -> Result<(), Problem> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(TWICE),
    }
}

/// Splits a line into label and value.
fn field(line: &[u8]) -> Option<(&str, &[u8])> {
    let (label, value) = line.split_at_checked(LABEL_BYTES)?;
    let label = std::str::from_utf8(label).ok()?.trim_start_matches(' ');
    let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -".contains(&byte));
    // The value begins right after the blank: names may begin with blanks of their own.
    (plain && !label.is_empty()).then_some((label, value.strip_prefix(b": ")?))
}

/// Parses `2025-01-31 23:59:59,123456789`; `None` for a date that does not exist.
fn parse_time(text: &str) -> Option<UnixSeconds> {
    let (seconds, _fraction) = text.split_once([',', '.']).unwrap_or((text, ""));
    let mut numbers = seconds.split(['-', ' ', ':']).map(|number| number.parse::<u32>().ok());
    let mut next = || numbers.next().flatten();
    let year = i64::from(next()?);
    time::unix_seconds(time::Fields {
        year,
        month: next()?,
        day: next()?,
        hour: next()?,
        minute: next()?,
        second: next()?,
    })
}

impl Attributes {
    /// Parses attributes such as `-rwxr-xr-x`; Windows has others, which say nothing of this.
    fn parse(text: &str) -> Self {
        let is_unix = text.len() == 10;
        let executable = is_unix && text.bytes().skip(1).any(|byte| b"xst".contains(&byte));
        Self { executable, link: is_unix && text.starts_with('l') }
    }
}

/// Parses the dictionary size of `RAR 5.0(v50) -m3 -md=32M`, in bytes. 7.x writes `32m` or `4g`, and no size for
/// directories, which have no dictionary. Stored files (`-m0`) do not use theirs.
fn parse_dictionary(text: &str) -> Option<u64> {
    if text.contains(" -m0 ") {
        return Some(0);
    }
    let Some((_, size)) = text.rsplit_once(" -md=") else { return Some(0) };
    let digits = size.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = size.split_at(digits);
    // A fraction is rounded up.
    let (fraction, unit) = match unit.strip_prefix('.') {
        Some(rest) => (1, rest.trim_start_matches(|character: char| character.is_ascii_digit())),
        None => (0, unit),
    };
    let unit_bytes: u64 = match unit {
        "" | "b" | "B" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_add(fraction)?.checked_mul(unit_bytes)
}
