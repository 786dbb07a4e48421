//! From a manifest to its bytes.

use std::io::{self, Write};

use lanspread_types::content::ArchiveFormat;

use crate::manifest::content::{EntryContent, Manifest};

pub(super) const MAGIC: &[u8; 8] = b"LSPMANI\n";
pub(super) const FORMAT: u16 = 1;
/// SHA-256.
pub(super) const HASH: u8 = 1;

pub(super) const FOLDER: u8 = 0;
pub(super) const FILE: u8 = 1;
pub(super) const EXECUTABLE: u8 = 2;

/// The bytes that a [`Manifest`] leaves where they are.
pub trait Blocks {
    /// Writes the digests of all chunks.
    ///
    /// # Errors
    /// Of either side.
    fn write_chunks(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Writes the header bytes of an archive.
    ///
    /// # Errors
    /// Of either side.
    fn write_headers(&self, archive: usize, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes a manifest.
///
/// # Errors
/// Those of `blocks` and of the writer.
pub fn encode(manifest: &Manifest, blocks: &dyn Blocks, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(&FORMAT.to_le_bytes())?;
    out.write_all(&[HASH])?;
    text(out, manifest.game.as_str())?;
    text(out, manifest.version.as_str())?;
    out.write_all(&manifest.chunk_bytes().to_le_bytes())?;
    number(out, manifest.root_files.len() as u64)?;
    for file in &manifest.root_files {
        text(out, &file.name)?;
        number(out, file.size)?;
    }
    blocks.write_chunks(out)?;
    archives(manifest, blocks, out)?;
    number(out, manifest.entries.len() as u64)?;
    for entry in manifest.entries.iter() {
        text(out, entry.path)?;
        match entry.content {
            EntryContent::Folder => out.write_all(&[FOLDER])?,
            EntryContent::File { size, executable, digest, parts } => {
                out.write_all(&[if executable { EXECUTABLE } else { FILE }])?;
                number(out, size)?;
                out.write_all(&digest.0)?;
                parts.iter().try_for_each(|part| out.write_all(&part.0))?;
            }
        }
    }
    let totals = manifest.entries.totals();
    [totals.files, totals.directories, totals.bytes].into_iter().try_for_each(|count| number(out, count))
}

fn archives(manifest: &Manifest, blocks: &dyn Blocks, out: &mut dyn Write) -> io::Result<()> {
    number(out, manifest.archives.len() as u64)?;
    for (index, archive) in manifest.archives.iter().enumerate() {
        number(out, archive.files.len() as u64)?;
        archive.files.iter().try_for_each(|file| number(out, *file as u64))?;
        out.write_all(&[format_number(archive.format), u8::from(archive.solid)])?;
        number(out, archive.dictionary_bytes)?;
        number(out, archive.headers.len() as u64)?;
        for range in &archive.headers {
            for count in [range.volume as u64, range.offset, range.length] {
                number(out, count)?;
            }
        }
        blocks.write_headers(index, out)?;
    }
    Ok(())
}

pub(super) fn format_number(format: ArchiveFormat) -> u8 {
    match format {
        ArchiveFormat::Rar4 => 4,
        ArchiveFormat::Rar5 => 5,
    }
}

fn text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    number(out, text.len() as u64)?;
    out.write_all(text.as_bytes())
}

/// LEB128, in its shortest form.
fn number(out: &mut dyn Write, mut number: u64) -> io::Result<()> {
    loop {
        let bits = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return out.write_all(&[bits]);
        }
        out.write_all(&[bits | 0x80])?;
    }
}
