//! Where in the volumes the data of entries is, from their headers alone.

use lanspread_rar::{FileHeader, Header, Headers};
use lanspread_types::content::DataRange;
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::native::rar5::{failure, limits_of_volume, list};
use crate::native::reader::{Cancellable, OpenVolume};
use crate::provider::WantedEntries;
use crate::set::ArchiveSet;

/// The data that is read to decode the entries that are wanted: theirs, or in a solid archive everything up to the last of
/// them. `None` if it is an archive of RAR 4 or older.
pub(in crate::native) fn places(
    archive: &ArchiveSet,
    open: &OpenVolume<'_>,
    wanted: &WantedEntries,
    dictionary_bytes_max: u64,
    cancel: &CancellationToken,
) -> Result<Option<Vec<DataRange>>, ArchiveError> {
    let failed = |error| failure::of(archive, error);
    let mut found = Found::default();
    for number in 0..archive.volumes() {
        let volume = open(number)?;
        let limits = limits_of_volume(dictionary_bytes_max);
        let headers = match Headers::seek(Cancellable::new(volume, cancel), limits) {
            Err(lanspread_rar::Error::Rar4) => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        for header in headers {
            match header.map_err(failed)? {
                Header::Main(main) => found.is_solid |= number == 0 && main.is_solid,
                Header::File(file) => found.part(number, &file, wanted),
                _ => {}
            }
        }
    }
    Ok(Some(found.finish()))
}

/// The data of files, in the order of the archive.
#[derive(Default)]
struct Found {
    is_solid: bool,
    /// The data of each part of a file, and whether it is wanted.
    parts: Vec<(DataRange, bool)>,
}

impl Found {
    fn part(&mut self, volume: usize, file: &FileHeader, wanted: &WantedEntries) {
        if file.is_directory || file.redirection.is_some() {
            return;
        }
        let name = list::name_of(file);
        let is_wanted = !list::is_left_out(file)
            && EntryPath::parse(name, NamePolicy::Native).is_ok_and(|path| wanted(&path));
        let (offset, length) = (file.block.offset + file.block.header_bytes, file.block.data_bytes);
        if length > 0 {
            self.parts.push((DataRange { volume, offset, length }, is_wanted));
        }
    }

    fn finish(self) -> Vec<DataRange> {
        let Self { is_solid, parts } = self;
        let end = if is_solid {
            parts.iter().rposition(|(_, is_wanted)| *is_wanted).map_or(0, |last| last + 1)
        } else {
            parts.len()
        };
        parts
            .into_iter()
            .take(end)
            .filter(|(_, is_wanted)| is_solid || *is_wanted)
            .map(|(range, _)| range)
            .collect()
    }
}

#[cfg(test)]
mod tests;
