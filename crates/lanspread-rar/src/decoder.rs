//! The decoder as its users see it.

use std::io::{self, Read};

use crate::error::{Error, Result};
use crate::header::{FileHeader, MainHeader};
use crate::limits::Limits;
use crate::member::{Engine, Piece};
use crate::source::PackedSource;
use crate::volume::{Archive, SingleVolume, Volumes};

/// Decodes an archive from its beginning to its end.
///
/// The archive is only ever read forward. With more than one thread, it is also read ahead, on other threads.
///
/// To cancel, let the reader or the sink return an error. Dropping the decoder waits for its threads, so a reader that
/// can block for long must itself be ended first.
pub struct ArchiveDecoder {
    engine: Engine,
    main: MainHeader,
}

impl ArchiveDecoder {
    /// Decodes the archive that `reader` has, on up to `threads` threads. The caller's is one of them.
    ///
    /// # Errors
    ///
    /// If this is no archive of RAR 5 or RAR 7, or its headers are encrypted.
    pub fn new(reader: impl Read + Send + 'static, limits: Limits, threads: usize) -> Result<Self> {
        Self::with_volumes(SingleVolume(Some(Box::new(reader))), limits, threads)
    }

    /// Decodes an archive of several volumes.
    ///
    /// # Errors
    ///
    /// Like [`ArchiveDecoder::new`], of the first volume.
    pub fn with_volumes(volumes: impl Volumes + 'static, limits: Limits, threads: usize) -> Result<Self> {
        Self::of_members(volumes, limits, threads, |_| true)
    }

    /// Decodes only the members that `keeps` chooses. The data of the others is left out without a look at it, so anything
    /// may be in its place. In a solid archive nothing is left out: each member needs those before it.
    ///
    /// # Errors
    ///
    /// Like [`ArchiveDecoder::with_volumes`].
    pub fn of_members(
        volumes: impl Volumes + 'static,
        limits: Limits,
        threads: usize,
        keeps: impl Fn(&FileHeader) -> bool + Send + 'static,
    ) -> Result<Self> {
        let member_bytes = limits.member_bytes;
        let archive = Archive::open(Box::new(volumes), limits)?;
        let main = archive.main();
        let source = PackedSource::of_members(archive, Box::new(keeps));
        Ok(Self { engine: Engine::new(source, threads.saturating_sub(1), member_bytes), main })
    }

    /// The main header of the first volume.
    pub fn main(&self) -> &MainHeader {
        &self.main
    }

    /// The next member, or `None` after the archive's end record.
    ///
    /// What was not read of the member before is left out. In a solid archive it has to be decoded nevertheless. It is
    /// not verified.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the archive up to this member. After an error, no further member can be had.
    pub fn next_member(&mut self) -> Result<Option<Member<'_>>> {
        let Some(header) = self.engine.next_member(self.main.is_solid)? else { return Ok(None) };
        let header = Box::new(header.clone());
        Ok(Some(Member { engine: &mut self.engine, header, unread: None }))
    }
}

impl std::fmt::Debug for ArchiveDecoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ArchiveDecoder").field("main", &self.main).finish_non_exhaustive()
    }
}

/// A member of the archive, whose data can be read once.
pub struct Member<'a> {
    engine: &'a mut Engine,
    header: Box<FileHeader>,
    /// A piece that [`Read`] has given only the beginning of, and how much.
    unread: Option<(Piece, usize)>,
}

impl Member<'_> {
    /// What the archive says about it.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// The next piece of its data, or `None` at its end, when size and checksums have been compared.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the data. Pieces that came before are then not to be trusted.
    pub fn next_piece(&mut self) -> Result<Option<&[u8]>> {
        if let Some((piece, taken)) = self.unread.take() {
            return Ok(Some(&self.engine.bytes(&piece)[taken..]));
        }
        Ok(match self.engine.next_piece()? {
            Some(piece) => Some(self.engine.bytes(&piece)),
            None => None,
        })
    }

    /// Returns all its data to `sink`, in order and in pieces of up to a few MiB, and verifies it.
    ///
    /// # Errors
    ///
    /// Like [`Member::next_piece`], and [`Error::Sink`] with the error that the sink returns.
    pub fn copy_to(mut self, mut sink: impl FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
        loop {
            let refusal = match self.next_piece()? {
                Some(bytes) => sink(bytes).err(),
                None => return Ok(()),
            };
            if let Some(refusal) = refusal {
                self.engine.fail();
                return Err(Error::Sink(refusal));
            }
        }
    }
}

/// Reads the data, and returns the end of it only after size and checksums have been compared. Errors are
/// [`io::Error`]s that have an [`Error`] inside.
impl Read for Member<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (piece, taken) = match self.unread.take() {
            Some(unread) => unread,
            None => match self.engine.next_piece().map_err(into_io)? {
                Some(piece) => (piece, 0),
                None => return Ok(0),
            },
        };
        let bytes = &self.engine.bytes(&piece)[taken..];
        let count = bytes.len().min(out.len());
        out[..count].copy_from_slice(&bytes[..count]);
        if count < bytes.len() {
            self.unread = Some((piece, taken + count));
        }
        Ok(count)
    }
}

fn into_io(error: Error) -> io::Error {
    let kind = match &error {
        Error::Read(error) => error.kind(),
        Error::Truncated { .. } | Error::EndMissing { .. } => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

impl std::fmt::Debug for Member<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Member").field("header", &self.header).finish_non_exhaustive()
    }
}
