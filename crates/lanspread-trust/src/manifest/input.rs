//! Reads the parts of a manifest one after the other, and never more than there is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use lanspread_types::checksum::ContentDigest;

use crate::manifest::error::ManifestProblem;

/// Bytes that can be read by position.
pub trait Stored {
    /// Fills the buffer with the bytes from this position on.
    ///
    /// # Errors
    /// Those of the system; there are fewer bytes.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()>;
}

impl Stored for File {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.read_exact_at(buffer, position)
    }
}

impl Stored for [u8] {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let begin = usize::try_from(position).ok();
        let end = begin.and_then(|begin| begin.checked_add(buffer.len()));
        let bytes = begin.zip(end).and_then(|(begin, end)| self.get(begin..end));
        bytes.map(|bytes| buffer.copy_from_slice(bytes)).ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

impl<S: Stored + ?Sized> Stored for &S {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        (**self).read_at(buffer, position)
    }
}

const BUFFER_BYTES: u64 = 64 * 1024;

/// A position in a manifest.
pub(super) struct Input<'s, S: ?Sized> {
    stored: &'s S,
    position: u64,
    /// Where the manifest ends.
    end: u64,
    buffer: Vec<u8>,
    /// Position of the first byte of the buffer.
    buffer_at: u64,
}

impl<'s, S: Stored + ?Sized> Input<'s, S> {
    pub(super) fn new(stored: &'s S, bytes: u64) -> Self {
        Self { stored, position: 0, end: bytes, buffer: Vec::new(), buffer_at: 0 }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn left(&self) -> u64 {
        self.end - self.position
    }

    /// Passes over bytes.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), ManifestProblem> {
        if bytes > self.left() {
            return Err(ManifestProblem::Cut(self.end));
        }
        self.position += bytes;
        Ok(())
    }

    /// The next bytes. Callers have bounded their number.
    pub(super) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, ManifestProblem> {
        if count as u64 > self.left() {
            return Err(ManifestProblem::Cut(self.end));
        }
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let rest = self.buffered()?;
            let take = rest.len().min(count - bytes.len());
            bytes.extend_from_slice(&rest[..take]);
            self.position += take as u64;
        }
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ManifestProblem> {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes(N)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, ManifestProblem> {
        let byte = self.buffered()?[0];
        self.position += 1;
        Ok(byte)
    }

    pub(super) fn digest(&mut self) -> Result<ContentDigest, ManifestProblem> {
        self.array().map(ContentDigest)
    }

    /// A number in its shortest form.
    pub(super) fn number(&mut self) -> Result<u64, ManifestProblem> {
        let begin = self.position;
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let fits = (bits << shift) >> shift == bits;
            let is_last = byte & 0x80 == 0;
            let is_padding = is_last && byte == 0 && shift > 0;
            if !fits || is_padding {
                break;
            }
            number |= bits << shift;
            if is_last {
                return Ok(number);
            }
        }
        Err(ManifestProblem::Number(begin))
    }

    /// A number of at most `limit`.
    pub(super) fn at_most(&mut self, what: &'static str, limit: u64) -> Result<u64, ManifestProblem> {
        let got = self.number()?;
        if got > limit { Err(ManifestProblem::Limit { what, limit, got }) } else { Ok(got) }
    }

    /// The same for numbers of things in memory.
    pub(super) fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, ManifestProblem> {
        let got = self.at_most(what, limit as u64)?;
        usize::try_from(got).map_err(|_| ManifestProblem::Limit { what, limit: limit as u64, got })
    }

    pub(super) fn text(&mut self, what: &'static str, bytes_max: usize) -> Result<String, ManifestProblem> {
        let length = self.count(what, bytes_max)?;
        let begin = self.position;
        String::from_utf8(self.bytes(length)?).map_err(|_| ManifestProblem::NotUnicode(begin))
    }

    /// The bytes from the position on that are in memory; at least one.
    fn buffered(&mut self) -> Result<&[u8], ManifestProblem> {
        if self.left() == 0 {
            return Err(ManifestProblem::Cut(self.end));
        }
        let is_inside = (self.buffer_at..self.buffer_at + self.buffer.len() as u64).contains(&self.position);
        if !is_inside {
            let bytes = usize::try_from(self.left().min(BUFFER_BYTES)).unwrap_or(0);
            self.buffer.resize(bytes, 0);
            self.stored.read_at(&mut self.buffer, self.position)?;
            self.buffer_at = self.position;
        }
        let skip = usize::try_from(self.position - self.buffer_at).unwrap_or(0);
        Ok(&self.buffer[skip..])
    }
}
