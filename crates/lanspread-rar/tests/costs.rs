//! What decoding allocates, counted: per block, per member, and at its peak. A process of its own, as the allocator
//! counts all of it; and one test, as two at once would count each other.
//!
//! Each test prints what it counted: `cargo test -p lanspread-rar --test costs -- --nocapture`.

#![allow(dead_code, missing_docs, unreachable_pub)] // Modules of the other tests.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::precedence,
    clippy::missing_panics_doc
)]

#[path = "decoder/encoder.rs"]
mod encoder;
#[path = "decoder/payload.rs"]
mod payload;
#[path = "decoder/writer.rs"]
mod writer;

use std::alloc::System;
use std::io::Cursor;
use std::sync::Arc;

use encoder::{Op, TablesFrom, block};
use lanspread_rar::{ArchiveDecoder, Limits};
use payload::{Random, noise};
use peakmem_alloc::{PeakMemAlloc, PeakMemAllocTrait};
use stats_alloc::{INSTRUMENTED_SYSTEM as CALLS, Region, StatsAlloc};
use writer::{Entry, archive};

#[global_allocator]
static PEAK: PeakMemAlloc<&StatsAlloc<System>> = PeakMemAlloc::new(&CALLS);

const MIB: f64 = (1 << 20) as f64;

// The bounds. Each is a little above what is counted today. If an improvement lowers a count, lower its bound in the
// same commit; if a change needs a higher one, say here why.

/// A block, its bytes, its tables, and what it decodes to go into memory that is used again.
const ALLOCATIONS_PER_BLOCK: f64 = 0.1;
/// Far below the 17 KiB of its tables and the packed bytes of a block. On two threads, the longer of the two runs that are
/// compared may have made three jobs of about 1 MiB more, for its 1000 blocks: that depends on which thread is ahead.
const ALLOCATED_BYTES_PER_BLOCK: [f64; 2] = [256.0, 3500.0];
/// Its header with the name, in two copies: one to begin it, one to end it.
const ALLOCATIONS_PER_MEMBER: f64 = 12.1;
/// Stored data goes through memory that is used again. How much of it there is depends on which thread is ahead; one
/// allocation for each piece would be 16.
const ALLOCATIONS_PER_STORED_MIB: f64 = 4.0;
/// At the peak, beside the dictionary: room beside the dictionary (6 MiB), the read buffer,
/// and jobs of about 1 MiB: three, and three more for a further thread.
const PEAK_MIB_BESIDE_DICTIONARY: [f64; 2] = [9.5, 16.0];

/// What one run allocated, beside the archive.
struct Counted {
    /// Calls that allocate, and those that make an allocation larger or smaller.
    calls: usize,
    bytes: usize,
    /// Allocated at one time.
    peak: usize,
    /// What the decoder gave.
    unpacked: usize,
}

fn decode(archive: &Arc<[u8]>, threads: usize) -> Counted {
    PEAK.reset_peak_memory();
    let region = Region::new(&CALLS);
    let mut unpacked = 0;
    let mut decoder =
        ArchiveDecoder::new(Cursor::new(Arc::clone(archive)), Limits::default(), threads).unwrap();
    while let Some(member) = decoder.next_member().unwrap() {
        let counting = |piece: &[u8]| {
            unpacked += piece.len();
            Ok(())
        };
        member.copy_to(counting).unwrap();
    }
    drop(decoder);
    let made = region.change();
    Counted {
        calls: made.allocations + made.reallocations,
        bytes: made.bytes_allocated,
        peak: PEAK.get_peak_memory(),
        unpacked,
    }
}

/// Per unit, by how much the second run allocated more: calls and bytes.
fn growth(base: &Arc<[u8]>, more: &Arc<[u8]>, threads: usize, units: usize) -> (f64, f64) {
    let [base, more] = [base, more].map(|archive| decode(archive, threads));
    assert!(more.unpacked > base.unpacked);
    let per_unit = |base: usize, more: usize| (more as f64 - base as f64) / units as f64;
    (per_unit(base.calls, more.calls), per_unit(base.bytes, more.bytes))
}

/// What was counted, and what of it is above its bound.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn at_most(&mut self, what: &str, threads: usize, got: f64, bound: f64) {
        let line = format!("{what} on {threads} thread(s): {got:.3}, bound {bound}");
        println!("{line}");
        if got > bound {
            self.0.push(line);
        }
    }
}

/// A block as `rar` makes them: about 9 KiB packed, with tables of its own, literals and matches.
fn ordinary_block(is_last: bool) -> Vec<u8> {
    let mut random = Random(7);
    let mut ops: Vec<Op> = noise(1, 64).into_iter().map(Op::Literal).collect();
    for _ in 0..3000 {
        ops.push(Op::Literal(random.below(200) as u8));
        ops.push(Op::Match { distance: 1 + random.below(50), length: 4 + random.below(30) as u32 });
    }
    block(&ops, TablesFrom::New { others: &[] }, false, is_last).0
}

/// A member of this many blocks, whose size is not stated.
fn of_blocks(count: usize, exponent: u8) -> Arc<[u8]> {
    let packed = [ordinary_block(false).repeat(count - 1), ordinary_block(true)].concat();
    let entry = Entry::packed("blocks", packed, &[]);
    archive(&[Entry { size: None, crc32: None, exponent, ..entry }]).into()
}

fn of_members(count: usize) -> Arc<[u8]> {
    let text = noise(2, 100);
    archive(&vec![Entry::stored("folder/a-name-of-usual-length.bin", &text); count]).into()
}

fn of_stored(mib: usize) -> Arc<[u8]> {
    archive(&[Entry::stored("stored", &noise(3, mib << 20))]).into()
}

#[test]
fn decoding_allocates_little() {
    // Dictionaries of 32 MiB, of which the second archive uses all.
    let (few_blocks, many_blocks) = (of_blocks(500, 8), of_blocks(1500, 8));
    let (few_members, many_members) = (of_members(1000), of_members(3000));
    let (little, much) = (of_stored(2), of_stored(18));
    let mut findings = Findings::default();
    for threads in [1, 2] {
        let (calls, bytes) = growth(&few_blocks, &many_blocks, threads, 1000);
        findings.at_most("allocations per block", threads, calls, ALLOCATIONS_PER_BLOCK);
        findings.at_most("allocated bytes per block", threads, bytes, ALLOCATED_BYTES_PER_BLOCK[threads - 1]);
        let (calls, _) = growth(&few_members, &many_members, threads, 2000);
        findings.at_most("allocations per member", threads, calls, ALLOCATIONS_PER_MEMBER);
        let (calls, _) = growth(&little, &much, threads, 16);
        findings.at_most("allocations per stored MiB", threads, calls, ALLOCATIONS_PER_STORED_MIB);
        let whole = decode(&many_blocks, threads);
        assert!(whole.unpacked as f64 > 40.0 * MIB, "the dictionary is not used up");
        let beside = whole.peak as f64 / MIB - 32.0;
        findings.at_most(
            "MiB beside the dictionary",
            threads,
            beside,
            PEAK_MIB_BESIDE_DICTIONARY[threads - 1],
        );
    }
    assert!(findings.0.is_empty(), "{:#?}", findings.0);
}
