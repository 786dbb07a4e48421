//! Headers without data.

use std::io::{Read, Seek};

use crate::container::{Container, Spent};
use crate::error::{Error, Result};
use crate::header::Header;
use crate::input::{Forward, Input, Parts, Seeking, Skip};
use crate::limits::Limits;

/// Headers are far apart, so it would be wasteful to read much of the data after each.
const SEEKING_BUFFER_BYTES: usize = 8 * 1024;

/// Reads the headers of one volume and leaves out all data.
///
/// The limits on headers count for each volume alone here.
///
/// A *header map* has the signature and the headers of a volume, each with its offset, as [`Headers::with_map`] collects
/// them. It takes the place of the volume for everything that needs no data, for instance on another machine.
pub struct Headers<'a> {
    container: Container<Box<dyn Skip + 'a>>,
    limits: Limits,
    /// `None` if it is not wanted: it takes as much memory as the headers have bytes.
    map: Option<Vec<(u64, Vec<u8>)>>,
    is_done: bool,
}

impl<'a> Headers<'a> {
    /// Reads from a file, seeking over data.
    ///
    /// # Errors
    ///
    /// If this is no archive of RAR 5 or RAR 7, or cannot be read.
    pub fn seek(reader: impl Read + Seek + 'a, limits: Limits) -> Result<Self> {
        let reader = Seeking::new(reader).map_err(Error::Read)?;
        Self::new(Input::with_buffer(Box::new(reader), SEEKING_BUFFER_BYTES), limits)
    }

    /// Reads from anything, reading over data.
    ///
    /// # Errors
    ///
    /// Like [`Headers::seek`].
    pub fn read(reader: impl Read + 'a, limits: Limits) -> Result<Self> {
        Self::new(Input::new(Box::new(Forward(reader))), limits)
    }

    /// Reads from a header map: offsets in the volume, and the bytes from there on. The order does not matter, and parts
    /// may be larger or smaller than one header. What the parts do not have counts as the end of the volume.
    ///
    /// # Errors
    ///
    /// Like [`Headers::seek`].
    pub fn from_map(map: impl IntoIterator<Item = (u64, &'a [u8])>, limits: Limits) -> Result<Self> {
        let parts = Parts::new(map.into_iter().collect());
        let offset = parts.position();
        Self::new(Input::with_buffer(Box::new(parts) as _, SEEKING_BUFFER_BYTES).starting_at(offset), limits)
    }

    fn new(input: Input<Box<dyn Skip + 'a>>, limits: Limits) -> Result<Self> {
        let container = Container::open(input, &limits, Spent::default())?;
        Ok(Self { container, limits, map: None, is_done: false })
    }

    /// Collects a header map, beginning with the next header: call it before the first.
    #[must_use]
    pub fn with_map(mut self) -> Self {
        let signature = crate::container::SIGNATURE.to_vec();
        self.map = Some(vec![(self.container.offset() - signature.len() as u64, signature)]);
        self
    }

    /// The next header; `None` after the end record, and after an error.
    fn next_header(&mut self) -> Result<Option<Header>> {
        let header = self.container.next_header(&self.limits)?;
        if let (Some(map), Some(header)) = (&mut self.map, &header) {
            map.push((header.block().offset, self.container.header_bytes().to_vec()));
        }
        Ok(header)
    }

    /// The header map of the headers that were read so far, of at most [`Limits::header_bytes`]; empty without
    /// [`Headers::with_map`].
    pub fn header_map(&self) -> &[(u64, Vec<u8>)] {
        self.map.as_deref().unwrap_or_default()
    }

    /// The same, without a copy.
    pub fn into_header_map(self) -> Vec<(u64, Vec<u8>)> {
        self.map.unwrap_or_default()
    }
}

/// Every header up to the end record. A volume without one gives [`Error::EndMissing`]: it may have been cut.
impl Iterator for Headers<'_> {
    type Item = Result<Header>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let header = self.next_header().transpose();
        self.is_done = !matches!(header, Some(Ok(_)));
        header
    }
}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Headers").field("offset", &self.container.offset()).finish_non_exhaustive()
    }
}
