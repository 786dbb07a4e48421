//! A buffered reader that only goes forward, with a look ahead.

use std::io::{self, Read, Seek, SeekFrom};

use crate::error::{Error, Result};

/// Large enough that a read costs little beside decoding what it brings.
const BUFFER_BYTES: usize = 256 * 1024;

/// A reader that can leave bytes out.
pub(crate) trait Skip: Read {
    /// Goes forward by `count` bytes. Returns how many of them were there.
    fn skip(&mut self, count: u64) -> io::Result<u64>;
}

/// Leaves bytes out by reading them.
pub(crate) struct Forward<R>(pub(crate) R);

impl<R: Read> Read for Forward<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl<R: Read> Skip for Forward<R> {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        io::copy(&mut self.0.by_ref().take(count), &mut io::sink())
    }
}

/// Leaves bytes out by seeking.
pub(crate) struct Seeking<R> {
    reader: R,
    position: u64,
    length: u64,
}

impl<R: Read + Seek> Seeking<R> {
    pub(crate) fn new(mut reader: R) -> io::Result<Self> {
        let position = reader.stream_position()?;
        let length = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(position))?;
        Ok(Self { reader, position, length })
    }
}

impl<R: Read> Read for Seeking<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(out)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<R: Read + Seek> Skip for Seeking<R> {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let count = count.min(self.length.saturating_sub(self.position));
        self.position += count;
        self.reader.seek(SeekFrom::Start(self.position))?;
        Ok(count)
    }
}

/// Parts of a volume, each with its offset. Between them nothing can be read, but anything can be left out.
pub(crate) struct Parts<'a> {
    /// In the order of their offsets.
    parts: Vec<(u64, &'a [u8])>,
    position: u64,
}

impl<'a> Parts<'a> {
    /// Begins at the first part.
    pub(crate) fn new(mut parts: Vec<(u64, &'a [u8])>) -> Self {
        parts.sort_by_key(|(offset, _)| *offset);
        let position = parts.first().map_or(0, |(offset, _)| *offset);
        Self { parts, position }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The bytes from here to the end of their part, none if they are not there.
    fn here(&self) -> &'a [u8] {
        let after = self.parts.partition_point(|(offset, _)| *offset <= self.position);
        let Some((offset, bytes)) = after.checked_sub(1).and_then(|at| self.parts.get(at)) else {
            return &[];
        };
        usize::try_from(self.position - offset).ok().and_then(|from| bytes.get(from..)).unwrap_or_default()
    }
}

impl Read for Parts<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.here().read(out)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Skip for Parts<'_> {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let before = self.position;
        self.position = before.saturating_add(count);
        Ok(self.position - before)
    }
}

/// The input of one volume.
pub(crate) struct Input<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes of the volume before `buffer[start]`.
    offset: u64,
}

impl<R: Read> Input<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self::with_buffer(reader, BUFFER_BYTES)
    }

    /// With a buffer of another size: headers that are far apart want short reads.
    pub(crate) fn with_buffer(reader: R, bytes: usize) -> Self {
        let buffer = vec![0; bytes].into_boxed_slice();
        Self { reader, buffer, start: 0, end: 0, offset: 0 }
    }

    /// Its first byte is not that of the volume.
    pub(crate) fn starting_at(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Bytes of the volume that were consumed.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes without consuming them: `count` of them, fewer only before the end of the input.
    pub(crate) fn peek(&mut self, count: usize) -> Result<&[u8]> {
        debug_assert!(count <= self.buffer.len(), "a look ahead beyond the buffer");
        if self.end - self.start < count {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < count {
                let got = read_some(&mut self.reader, &mut self.buffer[self.end..])?;
                if got == 0 {
                    break;
                }
                self.end += got;
            }
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + count)])
    }

    /// Consumes bytes that `peek` has shown.
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start, "consumes what was not shown");
        self.start += count;
        self.offset += count as u64;
    }

    /// Adds `count` bytes to `out`; `what` names them if the input ends before. `out` grows only with what was read, not
    /// with what was claimed.
    pub(crate) fn append(&mut self, out: &mut Vec<u8>, mut count: usize, what: &'static str) -> Result<()> {
        while count > 0 {
            if self.start == self.end && self.peek(1)?.is_empty() {
                return Err(Error::Truncated { what, offset: self.offset });
            }
            let now = count.min(self.end - self.start);
            out.extend_from_slice(&self.buffer[self.start..self.start + now]);
            self.consume(now);
            count -= now;
        }
        Ok(())
    }
}

impl<R: Skip> Input<R> {
    /// Leaves out `count` bytes of data.
    pub(crate) fn skip_data(&mut self, count: u64) -> Result<()> {
        let buffered = (self.end - self.start) as u64;
        if count <= buffered {
            // Not more than the buffer holds.
            #[allow(clippy::cast_possible_truncation)]
            self.consume(count as usize);
            return Ok(());
        }
        self.consume(self.end - self.start);
        let wanted = count - buffered;
        let got = self.reader.skip(wanted).map_err(Error::Read)?;
        self.offset += got;
        if got < wanted {
            return Err(Error::Truncated { what: "the data of a header", offset: self.offset });
        }
        Ok(())
    }
}

fn read_some(reader: &mut impl Read, out: &mut [u8]) -> Result<usize> {
    loop {
        match reader.read(out) {
            // A reader that claims more than it was given room for must not make us read elsewhere.
            Ok(count) => return Ok(count.min(out.len())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Read(error)),
        }
    }
}

impl<S: Skip + ?Sized> Skip for Box<S> {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        (**self).skip(count)
    }
}
