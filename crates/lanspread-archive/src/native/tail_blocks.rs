//! Turns table blocks at the end of files into members of their own, for `rars` 0.12.3.
//!
//! Packed data of RAR 5 is a chain of blocks. In a solid archive a file may end with a block that holds no content,
//! only the Huffman tables with which the next file begins. `rars` leaves a file after its last byte and never reads
//! that block, so the next file fails: about one file in 8,000 of real solid archives. This module shows such a block
//! to the decoder as one more, empty file that follows the file it ends: the decoder reads the tables and writes
//! nothing. Only the parsed archive is changed, before decoding; the listing does not contain the extra file.
//!
//! The block is searched from the end of the packed data, close to the next header, so that finding it costs one small
//! read. It is the last of its chain, has tables, ends exactly where the packed data ends, and its tables take exactly
//! its bits. Block layout: RARLAB's UnRAR source, `unpack50.cpp`, `ReadBlockHeader`; parsed with the decoder's own
//! functions.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use rars::codec::rar50::{parse_compressed_block, read_table_lengths};
use rars::rar50::{Archive, Block, FileHeader};

/// Table blocks are at most about 300 bytes: 20 level lengths and 430 or 482 coded ones.
const TAIL_BYTES: usize = 512;

// Bits of a RAR 5 file header (RARLAB, "RAR 5.0 archive format").
const SPLIT_BEFORE: u64 = 0x08;
const SPLIT_AFTER: u64 = 0x10;
const COMPRESSION_SOLID: u64 = 0x40;

/// Separates the table blocks of one volume of a solid archive, read from `reader`.
pub(super) fn separate(archive: &mut Archive, reader: &mut (impl Read + Seek)) -> io::Result<()> {
    let mut blocks = Vec::with_capacity(archive.blocks.len());
    for block in archive.blocks.drain(..) {
        let tail = match &block {
            Block::File(file) if may_end_in_tables(file) => {
                table_block(file, reader)?.map(|range| member(file, range))
            }
            _ => None,
        };
        blocks.push(block);
        blocks.extend(tail.map(Block::File));
    }
    archive.blocks = blocks;
    Ok(())
}

fn may_end_in_tables(file: &FileHeader) -> bool {
    let is_compressed = !file.is_stored() && !file.is_directory() && !file.is_redirection();
    is_compressed && !file.is_split_after()
}

/// Where the table block at the end of the packed data lies, if there is one.
fn table_block(file: &FileHeader, reader: &mut (impl Read + Seek)) -> io::Result<Option<Range<usize>>> {
    let Range { start, end } = file.block.data_range;
    let Ok(info) = file.decoded_compression_info() else { return Ok(None) };
    let tail_start = start.max(end.saturating_sub(TAIL_BYTES));
    let mut tail = vec![0; end - tail_start];
    reader.seek(SeekFrom::Start(tail_start as u64))?;
    reader.read_exact(&mut tail)?;
    let is_table_block = |candidate: &[u8]| ends_in_tables_only(candidate, info.algorithm_version);
    // If a file is nothing but such a block, the decoder has no last byte to stop at, and reads the block itself.
    let first = usize::from(tail_start == start);
    let found = (first..tail.len()).find(|offset| is_table_block(&tail[*offset..]));
    Ok(found.map(|offset| tail_start + offset..end))
}

/// Whether these bytes are exactly one block that is the last of its chain and holds nothing but tables.
fn ends_in_tables_only(bytes: &[u8], algorithm_version: u8) -> bool {
    let Ok(block) = parse_compressed_block(bytes) else { return false };
    if !block.header.is_last || !block.header.has_tables || block.payload.end != bytes.len() {
        return false;
    }
    read_table_lengths(&bytes[block.payload], algorithm_version)
        .is_ok_and(|(_, table_bits)| table_bits == block.header.payload_bits)
}

/// An empty solid file whose packed data is the table block.
fn member(file: &FileHeader, range: Range<usize>) -> FileHeader {
    let mut member = file.clone();
    member.unpacked_size = 0;
    member.data_crc32 = None;
    member.hash = None;
    member.compression_info |= COMPRESSION_SOLID;
    member.block.flags &= !(SPLIT_BEFORE | SPLIT_AFTER);
    member.block.data_size = Some(range.len() as u64);
    member.block.data_range = range;
    member
}
