//! Damaged data: never a panic, never data that the reference or the checksum does not confirm.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::cases::agree;
use crate::encoder::{Op, bonus, frame, pack};
use crate::payload::{code, prose, sound};
use crate::writer::{Entry, archive};
use crate::{decode, real};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop_oneof![Just(b'a'), Just(0xe8), any::<u8>()].prop_map(Op::Literal),
        4 => (prop_oneof![1u64..20, 1u64..3000, 1u64..140_000], prop_oneof![0u32..20, 0u32..4090])
            .prop_map(|(distance, more)| Op::Match { distance, length: 2 + bonus(distance) + more }),
        2 => (0usize..4, 2u32..400).prop_map(|(nth, length)| Op::Repeat { nth, length }),
        1 => Just(Op::Again),
        1 => (0u32..5000, 0u32..9000, 0u8..5, 1u8..33)
            .prop_map(|(start, length, kind, channels)| Op::Filter { start, length, kind, channels }),
    ]
}

/// How many bytes the operations make when none is refused.
fn size(ops: &[Op]) -> u64 {
    let mut last = 0;
    ops.iter()
        .map(|op| {
            match *op {
                Op::Literal(_) => return 1,
                Op::Filter { .. } => return 0,
                Op::Again => {}
                Op::Match { length, .. } | Op::Repeat { length, .. } => last = length,
            }
            u64::from(last)
        })
        .sum()
}

fn member(packed: Vec<u8>, size: Option<u64>, solid: bool) -> Entry {
    Entry { size, crc32: None, exponent: 0, solid, ..Entry::packed("member", packed, &[]) }
}

/// Every run tries the same. The fuzz targets try what is new.
fn bounded(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(9),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(bounded(300))]

    /// Operations that make sense or not, over blocks and solid members, decode as the reference decodes them.
    #[test]
    fn any_operations(
        first in prop::collection::vec(op(), 0..400),
        second in prop::collection::vec(op(), 0..400),
        per_block in 1usize..200,
        solid in any::<bool>(),
        literals in 0usize..3000,
    ) {
        let start: Vec<Op> = prose(1, literals).into_iter().map(Op::Literal).collect();
        let first = [start, first].concat();
        let entries = [
            member(pack(&first, per_block, false), Some(size(&first)), false),
            member(pack(&second, per_block, false), Some(size(&second)), solid),
        ];
        let _ = agree(&entries);
    }

    /// Packed data with wrong bytes and right headers: what both decode is the same, and both refuse the
    /// same.
    #[test]
    fn damaged_blocks(
        ops in prop::collection::vec(op(), 1..300),
        large in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let start: Vec<Op> = prose(2, 500).into_iter().map(Op::Literal).collect();
        let ops = [start, ops].concat();
        let packed = pack(&ops, 10_000, large);
        let header = 3 + usize::from(packed[0] >> 3 & 3);
        let bits = (packed.len() - header) * 8 - 7 + usize::from(packed[0] & 7);
        let mut payload = packed[header..].to_vec();
        for (index, byte) in flips {
            let at = index.index(payload.len());
            payload[at] ^= byte;
        }
        let version_1 = large.then_some((0, false));
        let entry = Entry { version_1, ..member(frame(&payload, bits, true, true), None, false) };
        let _ = agree(&[entry]);
    }

    /// Bytes that are no block at all.
    #[test]
    fn noise_as_a_block(payload in prop::collection::vec(any::<u8>(), 1..600), tables in any::<bool>()) {
        let bits = payload.len() * 8;
        let _ = agree(&[
            member(pack(&[Op::Literal(1), Op::Match { distance: 1, length: 9 }], 9, false), Some(10), false),
            member(frame(&payload, bits, tables, true), None, true),
        ]);
    }
}

/// Changes bytes of an archive anywhere. Every member that is given as complete must be what was packed.
#[test]
fn damaged_archives_give_no_wrong_data() {
    let Some(archives) = real::archives_to_damage() else { return };
    for (name, bytes) in archives {
        let (originals, result) = decode(&bytes, 1);
        result.unwrap_or_else(|error| panic!("{name}: {error}"));
        let strategy = (
            prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            prop::option::weighted(0.2, any::<prop::sample::Index>()),
            1usize..3,
        );
        let mut runner = proptest::test_runner::TestRunner::new(bounded(500));
        runner
            .run(&strategy, |(flips, cut, threads)| {
                let mut damaged = bytes.clone();
                for (index, byte) in flips {
                    let at = index.index(damaged.len());
                    damaged[at] ^= byte;
                }
                if let Some(cut) = cut {
                    damaged.truncate(cut.index(damaged.len()));
                }
                let is_damaged = damaged != bytes;
                let (members, result) = decode(&damaged, threads);
                for member in &members {
                    let original = originals.iter().find(|original| original.header == member.header);
                    if let Some(original) = original {
                        prop_assert!(original.data == member.data, "wrong data of {}", member.name());
                    } else {
                        prop_assert!(false, "a header that never was");
                    }
                }
                prop_assert!(!is_damaged || members.len() <= originals.len());
                prop_assert!(is_damaged || result.is_ok());
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// A cut anywhere is an error.
#[test]
fn an_archive_that_is_cut_is_refused() {
    let entries = [
        Entry::packed(
            "one",
            pack(&prose(3, 300).into_iter().map(Op::Literal).collect::<Vec<_>>(), 100, false),
            &prose(3, 300),
        ),
        Entry::stored("two", &code(3, 100)),
        Entry::stored("three", &sound(3, 10)).solid(),
    ];
    let whole = archive(&entries);
    assert!(decode(&whole, 1).1.is_ok());
    for length in 0..whole.len() {
        assert!(decode(&whole[..length], 1).1.is_err(), "cut at {length} of {}", whole.len());
        assert!(decode(&whole[..length], 2).1.is_err(), "cut at {length} of {}", whole.len());
    }
}
