//! From an archive to jobs: pieces of packed data, in order, that can be decoded independently.

use std::ops::Range;
use std::sync::Arc;

use crate::batch::{Batch, Mark, Repeats};
use crate::bits::PADDING_BYTES;
use crate::block::{self, BlockHeader};
use crate::entropy::{self, Cursor, Work};
use crate::error::{DataError, Error, Result};
use crate::header::FileHeader;
use crate::tables::Tables;
use crate::volume::Archive;

/// A job takes blocks until it has this much packed data. Less makes threads wait for each other more often; with more,
/// packed data, operations and the dictionary compete for the processor's caches.
const JOB_BYTES: usize = 64 * 1024;
/// Items in a job: each may have tables of its own, at 17 KiB.
const JOB_ITEMS: usize = 192;
/// A larger block is a job of its own, and is decoded in parts on the thread that uses it up. Those of `rar` have less
/// than 64 KiB; the format allows 16 MiB.
pub(crate) const LARGE_BLOCK_BYTES: usize = 256 * 1024;
/// Stored data comes in pieces of this size.
const STORED_BYTES: usize = 64 * 1024;
/// Memory of a job that held a large block is given back instead of being used again.
const KEPT_BYTES: usize = 2 * LARGE_BLOCK_BYTES;

/// Part of an archive.
// Blocks are nearly all there is, and boxes would be allocated for each.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Item {
    /// A member begins.
    Member(Box<FileHeader>),
    /// Data that is packed.
    Block(PackedBlock),
    /// Data that is not packed.
    Stored(Range<usize>),
    /// Packed data that cannot be read.
    Damaged(DataError),
    /// The member ends; the header of its last part has its checksums.
    MemberEnd(Box<FileHeader>),
    /// Nothing can be read from here on.
    Failed(Error),
    /// The archive ends.
    End,
}

/// A block, not decoded or decoded.
pub(crate) struct PackedBlock {
    /// Its place in the job's packed bytes.
    bytes: Range<usize>,
    tables: Arc<Tables>,
    pub(crate) cursor: Cursor,
    /// The part of the job's batch that was decoded from it.
    pub(crate) decoded: Option<(Mark, Mark)>,
    /// Why decoding did not go on.
    pub(crate) failure: Option<DataError>,
}

/// Items that one thread reads and decodes at once.
#[derive(Default)]
pub(crate) struct Job {
    pub(crate) items: Vec<Item>,
    packed: Vec<u8>,
    batch: Option<Box<Batch>>,
}

impl Job {
    /// Bytes of packed data.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.packed.len()
    }

    pub(crate) fn stored(&self, range: Range<usize>) -> &[u8] {
        &self.packed[range]
    }

    /// The literals and operations of decoded blocks.
    pub(crate) fn batch(&self) -> Option<&Batch> {
        self.batch.as_deref()
    }

    /// Decodes as many blocks as the batch has room for. `aside` is for the second of two at the same time.
    pub(crate) fn decode(&mut self, aside: &mut Batch) {
        let batch = self.batch.get_or_insert_with(|| Box::new(Batch::new()));
        batch.clear();
        let mut blocks = self.items.iter_mut().filter_map(|item| match item {
            Item::Block(block) => Some(block),
            _ => None,
        });
        let mut taken = blocks.next();
        while let Some(block) = taken.take() {
            if block.bytes.len() > LARGE_BLOCK_BYTES {
                return;
            }
            let mut next = blocks.next();
            let is_good = match &mut next {
                Some(next) if block.can_interleave() && next.can_interleave() => {
                    let is_good = block.decode_with(next, &self.packed, batch, aside);
                    taken = blocks.next();
                    is_good
                }
                _ => {
                    taken = next;
                    block.decode(&self.packed, batch)
                }
            };
            // Without room for all of a block, there is none for the next either.
            if !is_good {
                return;
            }
        }
    }

    /// Decodes a block of this job, or as much of it as there is room for, into a batch that is used for nothing else.
    /// What it may repeat must be known.
    pub(crate) fn decode_block(&mut self, item: usize, batch: &mut Batch) {
        batch.clear();
        if let Some(Item::Block(block)) = self.items.get_mut(item) {
            block.failure = entropy::decode(&mut block.work(&self.packed), batch).err();
        }
    }

    /// Empties the job, and gives back the memory of a large block.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.packed.clear();
        if self.packed.capacity() > KEPT_BYTES {
            self.packed = Vec::new();
        }
    }
}

impl PackedBlock {
    /// Decodes the block and adds it to the batch. `false` if that was not possible to its end.
    fn decode(&mut self, packed: &[u8], batch: &mut Batch) -> bool {
        self.cursor.repeats = Repeats::INHERITED;
        let start = batch.end();
        self.failure = entropy::decode(&mut self.work(packed), batch).err();
        self.decoded = Some((start, batch.end()));
        self.failure.is_none() && self.cursor.is_at_end()
    }

    fn can_interleave(&self) -> bool {
        self.tables.is_mostly_literals && self.bytes.len() <= LARGE_BLOCK_BYTES
    }

    /// Decodes the block and the next one at the same time.
    fn decode_with(&mut self, next: &mut Self, packed: &[u8], batch: &mut Batch, aside: &mut Batch) -> bool {
        aside.clear();
        let start = batch.end();
        let begun = next.cursor;
        self.cursor.repeats = Repeats::INHERITED;
        next.cursor.repeats = Repeats::INHERITED;
        let [first, second] =
            entropy::decode_two(&mut self.work(packed), &mut next.work(packed), batch, aside);
        let middle = batch.end();
        self.failure = first.err();
        self.decoded = Some((start, middle));
        if self.failure.is_some() || !self.cursor.is_at_end() || !batch.append(aside) {
            // The next one is decoded again when its turn comes.
            next.cursor = begun;
            return false;
        }
        next.failure = second.err();
        next.decoded = Some((middle, batch.end()));
        next.failure.is_none() && next.cursor.is_at_end()
    }

    fn work<'a>(&'a mut self, packed: &'a [u8]) -> Work<'a> {
        let bytes = &packed[self.bytes.start..self.bytes.end + PADDING_BYTES];
        Work { bytes, tables: &self.tables, cursor: &mut self.cursor }
    }
}

/// Chooses members by their headers.
pub(crate) type Keeps = Box<dyn Fn(&FileHeader) -> bool + Send>;

/// Reads an archive's packed data, block by block.
pub(crate) struct PackedSource {
    archive: Archive,
    /// Which members are read, if they do not need each other.
    keeps: Keeps,
    place: Place,
    /// Tables of the last block that had any, of this member or a solid one's predecessors.
    tables: Option<Arc<Tables>>,
    /// Tables that may be free for others.
    used_tables: Vec<Arc<Tables>>,
    /// The header of a large block that did not fit into a job.
    waiting: Option<BlockHeader>,
    /// The bytes of the last block's header.
    block_header: Vec<u8>,
}

/// Where in the archive the source is.
enum Place {
    BeforeMember,
    InStored(Box<FileHeader>),
    InBlocks(Box<FileHeader>),
    /// After the last byte of a member's data that is used.
    AfterData(Box<FileHeader>),
    AtEnd,
}

impl PackedSource {
    pub(crate) fn of_members(archive: Archive, keeps: Keeps) -> Self {
        Self {
            archive,
            keeps,
            place: Place::BeforeMember,
            tables: None,
            used_tables: Vec::new(),
            waiting: None,
            block_header: Vec::new(),
        }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        matches!(self.place, Place::AtEnd)
    }

    /// Fills a job with what comes next.
    pub(crate) fn fill(&mut self, job: &mut Job) {
        debug_assert!(job.items.is_empty() && job.packed.is_empty());
        while job.packed.len() < JOB_BYTES && job.items.len() < JOB_ITEMS && !self.is_at_end() {
            match self.step(job) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    job.items.push(Item::Failed(error));
                    self.place = Place::AtEnd;
                }
            }
        }
        job.packed.resize(job.packed.len() + PADDING_BYTES, 0);
    }

    /// Adds to the job. `false` if what comes next is a job of its own.
    fn step(&mut self, job: &mut Job) -> Result<bool> {
        match std::mem::replace(&mut self.place, Place::AtEnd) {
            Place::BeforeMember => match self.next_member()? {
                Some(file) => {
                    // Checked first: the consumer of the item allocates what the header asks for.
                    self.place = self.begin(file.clone())?;
                    job.items.push(Item::Member(file));
                }
                None => job.items.push(Item::End),
            },
            Place::InStored(file) => {
                let start = job.packed.len();
                let count = self.archive.append_packed(&mut job.packed, STORED_BYTES)?;
                if count == 0 {
                    self.place = Place::AfterData(file);
                } else {
                    job.items.push(Item::Stored(start..start + count));
                    self.place = Place::InStored(file);
                }
            }
            Place::InBlocks(file) => return self.block(job, file),
            Place::AfterData(first) => {
                let last = self.archive.last_part()?.unwrap_or_else(|| first.clone());
                if first.crc32.is_some() != last.crc32.is_some()
                    || first.blake2sp.is_some() != last.blake2sp.is_some()
                {
                    let reason = "the parts of a split file have different checksums";
                    return Err(Error::Header { offset: last.block.offset, reason });
                }
                job.items.push(Item::MemberEnd(last));
                self.place = Place::BeforeMember;
            }
            Place::AtEnd => {}
        }
        Ok(true)
    }

    /// The next member that is read.
    fn next_member(&mut self) -> Result<Option<Box<FileHeader>>> {
        let is_solid = self.archive.main().is_solid;
        loop {
            match self.archive.next_member()? {
                Some(file) if !is_solid && !(self.keeps)(&file) => {}
                next => return Ok(next),
            }
        }
    }

    fn begin(&mut self, file: Box<FileHeader>) -> Result<Place> {
        if file.is_directory || file.redirection.is_some() {
            return Ok(Place::AfterData(file));
        }
        if file.is_encrypted {
            return Err(Error::Encrypted { name: file.name_lossy() });
        }
        let limits = self.archive.limits();
        let bytes = file.unpacked_bytes.unwrap_or(0);
        if bytes > limits.member_bytes {
            return Err(Error::Limit { what: "bytes in a member", limit: limits.member_bytes, got: bytes });
        }
        if file.compression.is_stored() {
            return Ok(Place::InStored(file));
        }
        let dictionary = file.compression.dictionary_bytes;
        if dictionary > limits.dictionary_bytes {
            let limit = limits.dictionary_bytes;
            return Err(Error::Limit { what: "bytes of dictionary", limit, got: dictionary });
        }
        if !file.compression.is_solid {
            self.tables = None;
        }
        Ok(Place::InBlocks(file))
    }

    fn block(&mut self, job: &mut Job, file: Box<FileHeader>) -> Result<bool> {
        let header = match self.waiting.take() {
            Some(header) => Ok(Some(header)),
            None => self.block_header()?,
        };
        let header = match header {
            Ok(Some(header)) => header,
            Ok(None) => {
                self.place = Place::AfterData(file);
                return Ok(true);
            }
            Err(damage) => return Ok(self.damaged(job, damage)),
        };
        if header.bytes > LARGE_BLOCK_BYTES && !job.items.is_empty() {
            self.waiting = Some(header);
            self.place = Place::InBlocks(file);
            return Ok(false);
        }
        let start = job.packed.len();
        let count = self.archive.append_packed(&mut job.packed, header.bytes)?;
        if count < header.bytes {
            return Ok(self.damaged(job, DataError::BlockTruncated));
        }
        job.packed.resize(start + header.bytes + PADDING_BYTES, 0);
        let large = file.compression.has_large_distances;
        match self.tables_of(&job.packed[start..], header, large) {
            Ok((tables, position)) => {
                job.packed.truncate(start + header.bytes);
                let cursor = Cursor { position, end: header.bits, repeats: Repeats::UNSET };
                let bytes = start..start + header.bytes;
                let block = PackedBlock { bytes, tables, cursor, decoded: None, failure: None };
                job.items.push(Item::Block(block));
            }
            Err(damage) => return Ok(self.damaged(job, damage)),
        }
        self.place = if header.is_last { Place::AfterData(file) } else { Place::InBlocks(file) };
        // A large block is a job of its own.
        Ok(header.bytes <= LARGE_BLOCK_BYTES)
    }

    /// What can be read ends here; the items before it are good.
    fn damaged(&mut self, job: &mut Job, damage: DataError) -> bool {
        job.items.push(Item::Damaged(damage));
        self.place = Place::AtEnd;
        true
    }

    /// The next block's header; `None` at the end of the member's packed data.
    fn block_header(&mut self) -> Result<Result<Option<BlockHeader>, DataError>> {
        let mut header = std::mem::take(&mut self.block_header);
        header.clear();
        let result = self.append_block_header(&mut header);
        self.block_header = header;
        result
    }

    fn append_block_header(
        &mut self,
        header: &mut Vec<u8>,
    ) -> Result<Result<Option<BlockHeader>, DataError>> {
        let count = self.archive.append_packed(header, block::HEADER_BYTES_MIN)?;
        if count == 0 {
            return Ok(Ok(None));
        }
        if count < block::HEADER_BYTES_MIN {
            return Ok(Err(DataError::BlockTruncated));
        }
        let whole = match block::header_bytes(header[0]) {
            Ok(whole) => whole,
            Err(damage) => return Ok(Err(damage)),
        };
        let more = whole - block::HEADER_BYTES_MIN;
        if self.archive.append_packed(header, more)? < more {
            return Ok(Err(DataError::BlockTruncated));
        }
        Ok(block::parse(header).map(Some))
    }

    /// The tables of a block, and the bit after them.
    fn tables_of(
        &mut self,
        bytes: &[u8],
        header: BlockHeader,
        has_large_distances: bool,
    ) -> Result<(Arc<Tables>, usize), DataError> {
        if !header.has_tables {
            let tables = self.tables.clone().ok_or(DataError::TablesMissing)?;
            return Ok((tables, 0));
        }
        let (tables, position) = self.read_tables(bytes, header, has_large_distances)?;
        if let Some(before) = self.tables.replace(Arc::clone(&tables)) {
            self.used_tables.push(before);
        }
        Ok((tables, position))
    }

    /// Reads tables into memory that no block uses any more, if there is some.
    fn read_tables(
        &mut self,
        bytes: &[u8],
        header: BlockHeader,
        has_large_distances: bool,
    ) -> Result<(Arc<Tables>, usize), DataError> {
        let free = self.used_tables.iter_mut().position(|tables| Arc::get_mut(tables).is_some());
        let mut tables =
            free.map_or_else(|| Arc::new(Tables::EMPTY), |free| self.used_tables.swap_remove(free));
        let Some(own) = Arc::get_mut(&mut tables) else {
            // Not reached: they are new, or were found to be free, and nothing gives them away in between.
            return Err(DataError::TablesMissing);
        };
        let position = own.read(bytes, header.bits, has_large_distances)?;
        Ok((tables, position))
    }
}
