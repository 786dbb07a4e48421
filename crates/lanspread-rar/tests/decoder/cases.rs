//! Packed data that `rar` seldom or never writes, decoded as the reference does it or refused.

use lanspread_rar::{DataError, Error, Limits};

use crate::encoder::{self, Lengths, Op, TablesFrom, block, literals, pack};
use crate::payload::{Random, noise, prose};
use crate::reference::{Packed, Reference};
use crate::writer::{Entry, archive};
use crate::{Outcome, decode, decode_all_ways, decode_volumes};

const DICTIONARY: u64 = 128 << 10;

/// Dictionary of 128 KiB, no checksum: success must be right by itself.
fn entry(packed: Vec<u8>, size: usize) -> Entry {
    Entry { size: Some(size as u64), crc32: None, exponent: 0, ..Entry::packed("member", packed, &[]) }
}

fn reference(entries: &[Entry]) -> Vec<Result<Vec<u8>, &'static str>> {
    let mut reference = Reference::default();
    entries
        .iter()
        .map(|entry| {
            reference.decode(&Packed {
                data: entry.packed.clone(),
                size: entry.size,
                solid: entry.solid,
                dictionary: DICTIONARY << entry.exponent,
                large: entry.version_1.is_some_and(|(_, is_0)| !is_0),
            })
        })
        .collect()
}

/// Decodes and compares with the reference: the same data for each member up to the first error of both.
pub fn agree(entries: &[Entry]) -> Outcome {
    let outcome = decode_all_ways(&archive(entries));
    let expected = reference(entries);
    let good = expected.iter().take_while(|result| result.is_ok()).count();
    assert_eq!(outcome.0.len(), good, "{:?}, the reference: {:?}", outcome.1, expected.get(good));
    for (member, expected) in outcome.0.iter().zip(&expected) {
        assert!(member.data == *expected.as_ref().unwrap(), "{} differs", member.name());
    }
    assert_eq!(outcome.1.is_ok(), good == expected.len(), "{:?}", outcome.1);
    outcome
}

/// Decodes one member of these operations as the reference does, and gives its data.
fn agree_on(ops: &[Op], size: usize) -> Vec<u8> {
    let (mut members, result) = agree(&[entry(pack(ops, 4000, false), size)]);
    result.unwrap();
    members.remove(0).data
}

/// The damage found in one member of this packed data.
fn damage(packed: Vec<u8>, size: usize) -> DataError {
    match agree(&[entry(packed, size)]).1 {
        Err(Error::Data { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

fn text(text: &[u8]) -> Vec<Op> {
    literals(text).collect()
}

#[test]
fn every_short_distance_and_length() {
    let mut ops = text(&noise(1, 300));
    let mut size = 300;
    for distance in 1..=70 {
        for length in [2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 200, 4096] {
            ops.push(Op::Match { distance, length });
            ops.push(Op::Literal(distance as u8));
            size += length as usize + 1;
        }
    }
    agree_on(&ops, size);
}

#[test]
fn every_distance_slot_within_the_dictionary() {
    let mut ops = text(&noise(2, 140_000));
    let mut size = 140_000;
    for power in 1..=17 {
        for distance in [(1 << power) - 1, 1 << power, (1 << power) + 1, 3 << (power - 1)] {
            let length = 5 + encoder::bonus(distance);
            if distance <= DICTIONARY {
                ops.push(Op::Match { distance, length });
                size += length as usize;
            }
        }
    }
    agree_on(&ops, size);
}

#[test]
fn the_last_match_before_any_match_is_nothing() {
    assert_eq!(agree_on(&[Op::Again, Op::Literal(b'a'), Op::Again, Op::Literal(b'b')], 2), b"ab");
}

#[test]
fn repetitions_go_over_blocks_and_members() {
    let first =
        [text(b"abcdefgh"), vec![Op::Match { distance: 8, length: 4 }, Op::Match { distance: 3, length: 5 }]];
    let second = [Op::Again, Op::Repeat { nth: 1, length: 3 }, Op::Again, Op::Repeat { nth: 1, length: 2 }];
    let third = [Op::Repeat { nth: 0, length: 9 }, Op::Again, Op::Literal(b'!')];
    let mut packed = block(&first.concat(), TablesFrom::New { others: &[] }, false, false).0;
    packed.extend(block(&second, TablesFrom::New { others: &[] }, false, true).0);
    let (members, result) = agree(&[
        entry(packed, 17 + 13),
        entry(pack(&third, 10, false), 19).solid(),
        entry(pack(&[Op::Again, Op::Literal(b'x')], 1, false), 1),
    ]);
    result.unwrap();
    assert_eq!(members[2].data, b"x", "a member that is not solid begins without a last match");
}

#[test]
fn a_repetition_of_a_distance_never_set_is_refused() {
    for nth in 0..4 {
        let ops = [text(b"abc"), vec![Op::Repeat { nth, length: 2 }]].concat();
        assert_eq!(damage(pack(&ops, 10, false), 5), DataError::Distance { distance: 0, available: 3 });
    }
}

#[test]
fn a_match_before_the_beginning_is_refused() {
    let ops = [text(b"abc"), vec![Op::Match { distance: 4, length: 2 }]].concat();
    assert_eq!(damage(pack(&ops, 10, false), 5), DataError::Distance { distance: 4, available: 3 });
    // What other members have left in the ring is out of reach as well.
    let packed = pack(&ops, 10, false);
    let (members, result) = agree(&[entry(pack(&text(b"secret"), 10, false), 6), entry(packed, 5)]);
    assert_eq!(members.len(), 1);
    assert!(matches!(result, Err(Error::Data { source: DataError::Distance { available: 3, .. }, .. })));
}

#[test]
fn a_match_beyond_the_dictionary_is_refused() {
    let mut ops = text(&noise(3, DICTIONARY as usize + 10));
    ops.push(Op::Match { distance: DICTIONARY, length: 10 });
    agree_on(&ops, DICTIONARY as usize + 20);
    ops.push(Op::Match { distance: DICTIONARY + 1, length: 10 });
    let packed = pack(&ops, 4000, false);
    let expected = DataError::Distance { distance: DICTIONARY + 1, available: DICTIONARY };
    assert_eq!(damage(packed, DICTIONARY as usize + 30), expected);
}

#[test]
fn the_ring_goes_round() {
    // More than twice the ring of 6 MiB and 128 KiB, with matches over its end at many places.
    let mut random = Random(4);
    let mut ops = text(&noise(4, 5000));
    let mut size = 5000u64;
    while size < 13 << 20 {
        let distance = 1 + random.below(size.min(DICTIONARY));
        let length = 300 + random.below(3700) as u32;
        ops.extend([Op::Literal(size as u8), Op::Match { distance, length }]);
        size += u64::from(length) + 1;
    }
    agree_on(&ops, size as usize);
}

#[test]
fn a_tail_block_of_tables_is_for_the_next_member() {
    let second = text(b"second");
    let (tail, lengths) = block(&[], TablesFrom::New { others: &second }, false, true);
    let mut first = block(&text(b"first"), TablesFrom::New { others: &[] }, false, false).0;
    first.extend(tail);
    let packed = block(&second, TablesFrom::Before(&lengths), false, true).0;
    agree(&[entry(first, 5), entry(packed.clone(), 6).solid()]).1.unwrap();
    // Without it, there are other tables or none.
    assert_eq!(damage(packed, 6), DataError::TablesMissing);
}

#[test]
fn blocks_without_a_bit() {
    let (with_tables, lengths) = block(&[], TablesFrom::New { others: &text(b"ab") }, false, false);
    let empty = encoder::frame(&[], 0, false, false);
    let used = block(&text(b"ab"), TablesFrom::Before(&lengths), false, false).0;
    let last = encoder::frame(&[], 0, false, true);
    agree(&[entry([with_tables, empty.clone(), used, empty, last].concat(), 2)]).1.unwrap();
}

#[test]
fn an_empty_member_with_data() {
    agree(&[entry(pack(&[], 1, false), 0), entry(Vec::new(), 0)]).1.unwrap();
}

#[test]
fn a_block_ends_inside_a_pair_of_literals() {
    // Words of one bit, so that every entry of the table is a pair, and blocks of every number of literals.
    let all = text(b"ab");
    for count in 1..40 {
        let ops: Vec<Op> = all.iter().copied().cycle().take(count).collect();
        let (first, lengths) = block(&ops, TablesFrom::New { others: &all }, false, false);
        let second = block(&ops, TablesFrom::Before(&lengths), false, true).0;
        agree(&[entry([first, second].concat(), 2 * count)]).1.unwrap();
    }
}

#[test]
fn words_of_every_length() {
    // Fibonacci counts make the longest words; distances and lengths too.
    let mut ops = Vec::new();
    let mut size = 0;
    let (mut count, mut next) = (1u32, 1u32);
    for nth in 0..15u8 {
        ops.extend(vec![Op::Literal(b'a' + nth); count as usize]);
        size += count as usize;
        (count, next) = (next, count + next);
    }
    let (mut count, mut next) = (1u32, 1u32);
    for nth in 0..15u32 {
        for _ in 0..count {
            ops.push(Op::Match { distance: 1 << (nth % 10), length: 8 + (1 << (nth % 11)) });
            ops.push(Op::Repeat { nth: (nth % 4) as usize, length: 2 + 3 * nth });
            size += 8 + (1 << (nth % 11)) + 2 + 3 * nth as usize;
        }
        (count, next) = (next, count + next);
    }
    let (packed, lengths) = block(&ops, TablesFrom::New { others: &[] }, false, true);
    assert!(lengths.main.iter().max() > Some(&11), "no word is longer than the table looks");
    agree(&[entry(packed, size)]).1.unwrap();
}

#[test]
fn a_code_of_one_symbol_has_one_word() {
    let ops = vec![Op::Literal(b'a'); 100];
    let (packed, lengths) = block(&ops, TablesFrom::New { others: &[] }, false, true);
    assert_eq!(lengths.main.iter().filter(|length| **length > 0).count(), 1);
    agree(&[entry(packed, 100)]).1.unwrap();
    // The other word is not defined.
    let (mut packed, _) = block(&ops, TablesFrom::New { others: &[] }, false, true);
    *packed.last_mut().unwrap() = 0xff;
    assert_eq!(damage(packed, 100), DataError::CodeUndefined);
}

#[test]
fn codes_without_a_word() {
    // A distance when the distance code or the align code is empty.
    let ops = [text(&noise(5, 200)), vec![Op::Match { distance: 150, length: 5 }]].concat();
    let (_, full) = block(&ops, TablesFrom::New { others: &[] }, false, true);
    for (distance, align) in [(true, false), (false, true)] {
        let mut lengths: Lengths = full.clone();
        let (with_tables, _) = block(&text(b""), TablesFrom::Given(&lengths), false, false);
        agree(&[entry(with_tables, 0)]).1.unwrap();
        if distance {
            lengths.distance.fill(0);
        }
        if align {
            lengths.align.fill(0);
        }
        let (tables, _) = block(&[], TablesFrom::Given(&lengths), false, false);
        let payload = block(&ops, TablesFrom::Before(&full), false, true).0;
        assert_eq!(damage([tables, payload].concat(), 205), DataError::CodeUndefined);
    }
}

#[test]
fn an_align_code_of_four_bits_changes_nothing() {
    let ops = [text(&noise(6, 3000)), (17..2900).map(|distance| Op::Match { distance, length: 4 }).collect()]
        .concat();
    let (_, mut lengths) = block(&ops, TablesFrom::New { others: &[] }, false, true);
    lengths.align.fill(4);
    let packed = block(&ops, TablesFrom::Given(&lengths), false, true).0;
    agree(&[entry(packed, 3000 + 4 * 2883)]).1.unwrap();
    // One word of five bits and one of three instead of two of four.
    lengths.align[3] = 5;
    lengths.align[9] = 5;
    lengths.align[12] = 4;
    let packed = block(&ops[..3000], TablesFrom::Given(&lengths), false, true).0;
    agree(&[entry(packed, 3000)]).1.unwrap();
}

#[test]
fn an_oversubscribed_code_is_refused() {
    let lengths = |main: &[u8]| Lengths {
        main: [main, &[0; 306][main.len()..]].concat(),
        distance: vec![0; 64],
        align: vec![0; 16],
        length: vec![0; 44],
    };
    let tables = |main: &[u8]| block(&[], TablesFrom::Given(&lengths(main)), false, true).0;
    agree(&[entry(tables(&[1, 2, 2]), 0)]).1.unwrap();
    assert_eq!(damage(tables(&[1, 1, 1]), 0), DataError::CodeOversubscribed);
    assert_eq!(damage(tables(&[1, 2, 2, 15]), 0), DataError::CodeOversubscribed);
}

#[test]
fn damaged_block_headers_are_refused() {
    let good = pack(&text(b"abcabcabc"), 100, false);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= byte;
        bytes
    };
    assert!(matches!(damage(with(0, 0x20), 9), DataError::BlockChecksum { .. }));
    assert!(matches!(damage(with(1, 1), 9), DataError::BlockChecksum { .. }));
    assert!(matches!(damage(with(2, 1), 9), DataError::BlockChecksum { .. }));
    assert_eq!(damage(with(0, 0x18), 9), DataError::BlockSizeField);
    for length in 1..good.len() {
        assert_eq!(damage(good[..length].to_vec(), 9), DataError::BlockTruncated, "{length}");
    }
    // The last byte has other bits than the header says.
    let (packed, _) = block(&text(b"abcdefgh"), TablesFrom::New { others: &[] }, false, true);
    let bits = (packed.len() - 3) * 8 - 7 + usize::from(packed[0] & 7);
    assert_eq!(damage(encoder::frame(&packed[3..], bits - 1, true, true), 8), DataError::BlockOverrun);
}

#[test]
fn members_of_another_size_are_refused() {
    let packed = pack(&text(b"abcdef"), 100, false);
    for (size, more) in [(5, true), (7, false), (0, true)] {
        let (members, result) = agree(&[entry(packed.clone(), size)]);
        assert!(members.is_empty());
        assert!(
            matches!(result, Err(Error::Size { got: 6, more: is_more, .. }) if is_more == more),
            "{result:?}"
        );
    }
    // A match over the member's end.
    let ops = [text(b"abc"), vec![Op::Match { distance: 3, length: 9 }]].concat();
    assert!(agree(&[entry(pack(&ops, 100, false), 6)]).1.is_err());
}

#[test]
fn a_size_that_is_not_known_is_not_compared_but_limited() {
    let unknown = |packed| Entry { size: None, ..entry(packed, 0) };
    let packed = pack(&text(&prose(7, 5000)), 1000, false);
    agree(&[unknown(packed.clone())]).1.unwrap();
    let mut limits = Limits::default();
    limits.member_bytes = 4999;
    let (_, result) = decode_volumes(&[archive(&[unknown(packed)])], 1, limits);
    assert!(matches!(result, Err(Error::Limit { limit: 4999, got: 5000, .. })), "{result:?}");
}

fn filter(start: u32, length: u32, kind: u8, channels: u8) -> Op {
    Op::Filter { start, length, kind, channels }
}

#[test]
fn every_filter_at_many_places() {
    for kind in 0..4 {
        for (length, channels) in
            [(1, 1), (2, 3), (3, 32), (4, 2), (5, 1), (100, 7), (1000, 4), (40_000, 3), (40_001, 2)]
        {
            let mut bytes = crate::payload::code(u64::from(length), 50_000);
            for at in (0..bytes.len()).step_by(97) {
                bytes[at] = 0xeb;
            }
            let mut ops = text(&bytes[..1234]);
            ops.push(filter(777, length, kind, channels));
            ops.extend(text(&bytes[1234..]));
            agree_on(&ops, 50_000);
        }
    }
}

#[test]
fn filters_over_all_borders() {
    // Longer than a piece of output, over blocks, and over the end of the ring.
    let mut ops = Vec::new();
    let mut size = 0usize;
    let mut random = Random(8);
    ops.extend(text(&noise(8, 1000)));
    size += 1000;
    let mut filtered_until = 0;
    while size < 15 << 20 {
        if size > filtered_until && random.below(3) == 0 {
            let (start, length) = (random.below(5000) as u32, 1 + random.below(900_000) as u32);
            ops.push(filter(start, length, random.below(4) as u8, 1 + random.below(5) as u8));
            filtered_until = size + (start + length) as usize;
        }
        let length = 2000 + random.below(2000) as u32;
        ops.push(Op::Match { distance: 1 + random.below(1000), length });
        ops.push(Op::Literal(0xe8));
        size += length as usize + 1;
    }
    // The last one needs its data.
    while size < filtered_until {
        ops.push(Op::Match { distance: 900, length: 4000 });
        size += 4000;
    }
    agree_on(&ops, size);
}

#[test]
fn a_filter_of_the_longest_length() {
    let limit = 4 << 20;
    let matches = |count: u32| vec![Op::Match { distance: 3, length: 4096 }; count as usize];
    let start = text(b"\xe8\x10\x02");
    let ops = [start.clone(), vec![filter(0, limit, 2, 0)], matches(1024)].concat();
    agree_on(&ops, (limit + 3) as usize);
    let ops = [start, vec![filter(0, limit + 1, 2, 0)], matches(1025)].concat();
    let expected = DataError::FilterLength { got: limit + 1, limit };
    assert_eq!(damage(pack(&ops, 10_000, false), (limit + 4099) as usize), expected);
}

#[test]
fn filters_side_by_side_and_overlapping() {
    let bytes = crate::payload::code(9, 3000);
    let beside =
        [vec![filter(0, 1000, 1, 0), filter(1000, 0, 1, 0), filter(1000, 500, 0, 3)], text(&bytes)].concat();
    agree_on(&beside, 3000);
    for (second, third) in [(999, 1), (0, 1000), (500, 100)] {
        let overlapping = [vec![filter(0, 1000, 1, 0), filter(second, third, 0, 3)], text(&bytes)].concat();
        assert_eq!(damage(pack(&overlapping, 500, false), 3000), DataError::FilterOverlap);
    }
}

#[test]
fn a_filter_over_the_end_of_the_member_is_refused() {
    let bytes = prose(10, 300);
    for (start, length) in [(0, 301), (300, 1), (100, 201), (5000, 10), (u32::MAX, 4 << 20)] {
        let ops = [vec![filter(start, length, 1, 0)], text(&bytes)].concat();
        assert_eq!(damage(pack(&ops, 500, false), 300), DataError::FilterEnd, "{start}+{length}");
    }
    agree_on(&[vec![filter(0, 300, 1, 0)], text(&bytes)].concat(), 300);
}

#[test]
fn filters_of_unknown_types_are_refused() {
    for kind in 4..8 {
        let ops = [vec![filter(0, 10, kind, 0)], text(&prose(11, 30))].concat();
        assert_eq!(damage(pack(&ops, 500, false), 30), DataError::FilterType { got: kind });
    }
}

#[test]
fn too_many_filters_are_refused() {
    let many: Vec<Op> = (0..8193).map(|nth| filter(100 + nth * 2, 1, 1, 0)).collect();
    let result = decode(&archive(&[entry(pack(&many, 10_000, false), 0)]), 1).1;
    assert!(
        matches!(result, Err(Error::Data { source: DataError::FilterCount { limit: 8192 }, .. })),
        "{result:?}"
    );
    let enough = [&many[..8192], &text(&prose(12, 17_000))].concat();
    agree_on(&enough, 17_000);
}

#[test]
fn a_filter_leaves_the_dictionary_alone() {
    let ops = [vec![filter(0, 10, 0, 1)], text(b"0123456789"), vec![Op::Match { distance: 10, length: 10 }]]
        .concat();
    let data = agree_on(&ops, 20);
    assert_eq!(&data[10..], b"0123456789");
    assert_ne!(&data[..10], b"0123456789");
}

#[test]
fn solid_members_with_others_between() {
    let bytes = prose(13, 400);
    let again = [Op::Match { distance: 400, length: 400 }];
    let mut entries = vec![
        entry(pack(&text(&bytes), 100, false), 400),
        entry(pack(&again, 100, false), 400).solid(),
        // Stored: goes by the dictionary.
        Entry { crc32: None, exponent: 0, ..Entry::stored("stored", b"stored") },
        entry(pack(&again, 100, false), 400).solid(),
    ];
    let (members, result) = decode_all_ways(&archive(&entries));
    result.unwrap();
    assert_eq!(members[3].data, bytes);
    // A member that is not solid begins with nothing.
    entries.push(entry(pack(&text(b"new"), 100, false), 3));
    entries.push(entry(pack(&again, 100, false), 400).solid());
    let (members, result) = decode_all_ways(&archive(&entries));
    assert_eq!(members.len(), 5);
    assert!(
        matches!(result, Err(Error::Data { source: DataError::Distance { available: 3, .. }, .. })),
        "{result:?}"
    );
}

#[test]
fn a_dictionary_that_grows_within_a_solid_archive() {
    let bytes = noise(14, 200_000);
    let far = Op::Match { distance: 200_000, length: 50 };
    let near = Op::Match { distance: 120_000, length: 50 };
    let larger = |entry: Entry| Entry { exponent: 7, ..entry };
    // The first 128 KiB are within reach after growing; what was out of reach before stays so.
    let ops = [near, near];
    agree(&[
        entry(pack(&text(&bytes), 9000, false), 200_000),
        larger(entry(pack(&ops, 9, false), 100).solid()),
    ])
    .1
    .unwrap();
    // 8 MiB ring, and 16 MiB of dictionary that fit only into a larger one.
    let long: Vec<Op> = [vec![near], vec![Op::Match { distance: 99_999, length: 4096 }; 2000]].concat();
    agree(&[
        entry(pack(&text(&bytes), 9000, false), 200_000),
        larger(entry(pack(&long, 9000, false), 50 + 4096 * 2000).solid()),
        larger(entry(pack(&[far, Op::Match { distance: 8_000_000, length: 4000 }], 9, false), 4050).solid()),
    ])
    .1
    .unwrap();
}

#[test]
fn compression_of_version_1() {
    // 80 distance symbols, and 64 with the flag that says so; a dictionary of 128 KiB and a half.
    let bytes = noise(15, 150_000);
    let ops = [text(&bytes), vec![Op::Match { distance: 140_000, length: 40 }]].concat();
    for (is_0, large) in [(true, false), (false, true)] {
        let member =
            |fraction| Entry { version_1: Some((fraction, is_0)), ..entry(pack(&ops, 5000, large), 150_040) };
        let (members, result) = decode_all_ways(&archive(&[member(16)]));
        result.unwrap();
        assert!(members[0].data[..150_000] == bytes && members[0].data[150_000..] == bytes[10_000..10_040]);
        let result = decode(&archive(&[member(0)]), 1).1;
        assert!(matches!(result, Err(Error::Data { source: DataError::Distance { .. }, .. })), "{result:?}");
    }
}

#[test]
fn distances_above_4_gib_are_read_right() {
    // No archive of that size: the distance is refused, and says how it was read. Every slot above 32 bits.
    for power in 32..40 {
        for distance in [1 << power, (1 << power) + 12_345, (1u64 << (power + 1)) - 7, 3 << (power - 1)] {
            let ops = [text(&noise(16, 300)), vec![Op::Match { distance, length: 9 }], text(&noise(17, 100))];
            let packed = pack(&ops.concat(), 5000, true);
            let member = Entry { version_1: Some((0, false)), ..entry(packed, 409) };
            let (_, result) = decode_all_ways(&archive(&[member]));
            let Err(Error::Data { source, .. }) = result else { panic!("{result:?}") };
            assert_eq!(source, DataError::Distance { distance, available: 300 });
        }
    }
}

#[test]
fn dictionaries_above_the_limit_are_refused() {
    let member = |exponent| Entry { exponent, ..entry(pack(&text(b"abc"), 9, false), 3) };
    let mut limits = Limits::default();
    limits.dictionary_bytes = 64 << 20;
    decode_volumes(&[archive(&[member(9)])], 1, limits.clone()).1.unwrap();
    let result = decode_volumes(&[archive(&[member(10)])], 1, limits).1;
    assert!(matches!(result, Err(Error::Limit { limit: 0x400_0000, got: 0x800_0000, .. })), "{result:?}");
    // The largest of version 1 is far beyond any limit.
    let largest = Entry { exponent: 31, version_1: Some((31, false)), ..member(0) };
    let result = decode(&archive(&[largest]), 1).1;
    assert!(matches!(result, Err(Error::Limit { .. })), "{result:?}");
}

#[test]
fn blocks_larger_than_a_job() {
    // 2 MiB of noise in one block, and a block with more operations than a batch.
    let bytes = noise(18, 2 << 20);
    let (packed, _) = block(&text(&bytes), TablesFrom::New { others: &[] }, false, true);
    let (members, result) = decode_all_ways(&archive(&[entry(packed.clone(), 2 << 20)]));
    result.unwrap();
    assert!(members[0].data == bytes);
    let matches: Vec<Op> = [
        text(b"abcdefgh"),
        [Op::Match { distance: 8, length: 2 }, Op::Again, Op::Repeat { nth: 0, length: 3 }].repeat(100_000),
    ]
    .concat();
    let (long, lengths) = block(&matches, TablesFrom::New { others: &[] }, false, false);
    let used = block(&[Op::Again, Op::Literal(b'a')], TablesFrom::Before(&lengths), false, true).0;
    agree(&[entry([long, used].concat(), 8 + 700_000 + 4), entry(packed, 2 << 20)]).1.unwrap();
}

#[test]
fn a_batch_that_is_full_of_operations() {
    // The batch's last operation is followed by literals, and in every other place of the pattern.
    for pattern in [
        vec![Op::Literal(b'a'), Op::Match { distance: 3, length: 4 }],
        vec![Op::Match { distance: 3, length: 4 }, Op::Literal(b'b'), Op::Literal(b'c'), Op::Literal(b'd')],
        vec![Op::Match { distance: 2, length: 2 }],
        vec![Op::Repeat { nth: 0, length: 2 }, Op::Literal(b'a'), Op::Match { distance: 1, length: 2 }],
    ] {
        for shift in 1..4 {
            let start = [text(b"abcdefgh"), vec![Op::Match { distance: 8, length: 3 }; shift]].concat();
            let ops = [start, pattern.repeat(70_000)].concat();
            let (packed, lengths) = block(&ops, TablesFrom::New { others: &[Op::Again] }, false, false);
            let used = block(&[Op::Again], TablesFrom::Before(&lengths), false, true).0;
            let member = Entry { size: None, ..entry([packed, used].concat(), 0) };
            agree(&[member]).1.unwrap();
        }
    }
}

/// Noise with few other symbols, which the decoder takes two blocks of at a time.
fn mostly_literals(seed: u64, count: usize) -> Vec<Op> {
    let mut ops = text(&noise(seed, count));
    let others = [
        Op::Match { distance: 700, length: 9 },
        Op::Again,
        Op::Repeat { nth: 0, length: 5 },
        filter(3, 50, 1, 0),
        Op::Match { distance: 90, length: 300 },
    ];
    for (nth, other) in others.iter().cycle().take(count / 2500).enumerate() {
        ops.insert(1000 + nth * 2000, *other);
    }
    ops
}

#[test]
fn blocks_of_literals_side_by_side() {
    let counts = [30_000, 30_000, 100, 5000, 20_000, 1, 40_000, 40_000, 60_000];
    let blocks: Vec<Vec<u8>> = (100..)
        .zip(counts)
        .map(|(seed, count)| {
            block(&mostly_literals(seed, count), TablesFrom::New { others: &[] }, false, true).0
        })
        .collect();
    let member = |packed: &[u8]| Entry { size: None, ..entry(packed.to_vec(), 0) };
    let mut entries: Vec<Entry> = blocks.iter().map(|packed| member(packed).solid()).collect();
    agree(&entries).1.unwrap();
    // Damage in either of two, from its tables to its end.
    for (nth, length) in [(0, blocks[0].len()), (1, blocks[1].len()), (7, blocks[7].len())] {
        for at in [10, 200, 300, length / 3, length / 2, length - 200, length - 1] {
            let good = std::mem::replace(&mut entries[nth].packed[at], 0xff);
            let _ = agree(&entries);
            entries[nth].packed[at] = good;
        }
    }
}

#[test]
fn more_literals_than_a_batch_holds() {
    // Words of one bit: blocks of 200,000 literals have 25 KB, so that several are in a job.
    let entries: Vec<Entry> = (200..206)
        .map(|seed| {
            let bits: Vec<u8> = noise(seed, 200_000).iter().map(|byte| b'a' + (byte & 1)).collect();
            entry(block(&text(&bits), TablesFrom::New { others: &[] }, false, true).0, 200_000).solid()
        })
        .collect();
    agree(&entries).1.unwrap();
}
