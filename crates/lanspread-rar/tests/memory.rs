//! What a hostile archive can make the decoder allocate. A process of its own, as the peak of its memory is measured.
#![cfg(target_os = "linux")]
#![allow(dead_code, missing_docs, unreachable_pub)] // Modules of the other tests.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::precedence,
    clippy::missing_panics_doc
)]

#[path = "decoder/encoder.rs"]
mod encoder;
#[path = "decoder/writer.rs"]
mod writer;

use std::fs;
use std::io::Cursor;

use encoder::{Lengths, Op, TablesFrom, block, frame};
use lanspread_rar::{ArchiveDecoder, Error, Limits, Result};
use writer::{Entry, archive};

const MIB: u64 = 1 << 20;

/// The peak of this process's memory, and then counts it from now on.
fn take_peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let peak = line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10;
    fs::write("/proc/self/clear_refs", "5").unwrap();
    peak
}

/// Decodes and gives by how much memory grew.
fn growth(archive: Vec<u8>, threads: usize) -> (u64, Result<u64>) {
    let reader = Cursor::new(archive);
    take_peak();
    let before = take_peak();
    let mut bytes = 0;
    let result = (|| {
        let mut limits = Limits::default();
        limits.member_bytes = 300 * MIB;
        let mut decoder = ArchiveDecoder::new(reader, limits, threads)?;
        while let Some(member) = decoder.next_member()? {
            member.copy_to(|piece| {
                bytes += piece.len() as u64;
                Ok(())
            })?;
        }
        Ok(bytes)
    })();
    (take_peak().saturating_sub(before), result)
}

/// The largest block that the format allows, of matches with two bits each.
fn block_of_matches(is_last: bool) -> Vec<u8> {
    let mut lengths =
        Lengths { main: vec![0; 306], distance: vec![0; 64], align: vec![0; 16], length: vec![0; 44] };
    lengths.main[262] = 1;
    lengths.main[usize::from(b'a')] = 2;
    lengths.distance[0] = 1;
    let (start, _) = block(&[Op::Literal(b'a')], TablesFrom::Given(&lengths), false, is_last);
    let mut payload = start[3..].to_vec();
    payload.resize((1 << 24) - 1, 0);
    // The last match ends with the block.
    let odd = usize::from(start[0] & 7) + 1;
    frame(&payload, payload.len() * 8 - odd % 2, true, is_last)
}

#[test]
fn hostile_archives_get_no_more_memory_than_is_said() {
    let entry = |packed: Vec<u8>, exponent: u8| Entry {
        size: None,
        crc32: None,
        exponent,
        ..Entry::packed("hostile", packed, &[])
    };

    // A dictionary of 1 GiB, of which nothing is used.
    let (tiny, _) = block(&[Op::Literal(b'a')], TablesFrom::New { others: &[] }, false, true);
    let (grown, result) = growth(archive(&[entry(tiny.clone(), 13)]), 2);
    assert_eq!(result.unwrap(), 1);
    assert!(grown < 24 * MIB, "1 GiB of dictionary: {} MiB", grown / MIB);

    // Two blocks of 16 MiB and 67 million matches each.
    let blocks: Vec<u8> = [false, true].into_iter().flat_map(block_of_matches).collect();
    for threads in [1, 4] {
        let (grown, result) = growth(archive(&[entry(blocks.clone(), 0)]), threads);
        assert!(result.unwrap() > 200 * MIB);
        assert!(grown < 96 * MIB, "large blocks on {threads} threads: {} MiB", grown / MIB);
    }

    // Twelve of them, of which workers read ahead while the first is decoded.
    let one = block_of_matches(false);
    let (grown, result) = growth(archive(&[entry(one.repeat(12), 0)]), 4);
    assert!(matches!(result, Err(Error::Limit { .. })), "{result:?}");
    assert!(grown < 96 * MIB, "large blocks ahead: {} MiB", grown / MIB);

    // Many blocks that are nothing but tables, and many members.
    let (table, _) = block(&[], TablesFrom::New { others: &[Op::Literal(b'a')] }, false, false);
    let tables = [table.repeat(20_000), tiny.clone()].concat();
    let members: Vec<Entry> = (0..5000).map(|_| entry(tiny.clone(), 0)).collect();
    for archive in [archive(&[entry(tables, 0)]), archive(&members)] {
        let (grown, result) = growth(archive, 4);
        result.unwrap();
        assert!(grown < 64 * MIB, "many tables: {} MiB", grown / MIB);
    }
}
