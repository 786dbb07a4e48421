//! Packed data with valid headers, so that the fuzzer need not find checksums: the payload of a block, a solid second
//! member, and the reference decoder of the tests as oracle.

#![no_main]

use std::io::Cursor;

use lanspread_rar::{ArchiveDecoder, Limits};
use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../tests/decoder/reference.rs"]
mod reference;
#[allow(dead_code)]
#[path = "../../tests/decoder/writer.rs"]
mod writer;

use reference::{Packed, Reference};
use writer::{Entry, archive};

/// A block with a valid header around these bytes.
fn block(payload: &[u8], flags: u8) -> Vec<u8> {
    let size = (payload.len() as u32).to_le_bytes();
    let flags = flags & 0x87 | 0x10 | 0x40;
    let sum = size[..3].iter().fold(0x5a ^ flags, |sum, byte| sum ^ byte);
    [&[flags, sum], &size[..3], payload].concat()
}

fuzz_target!(|input: (u8, Vec<u8>, u8, Vec<u8>, bool)| {
    let (first_flags, first, second_flags, second, large) = input;
    let version_1 = large.then_some((0, false));
    let entry = |packed| Entry { size: None, crc32: None, exponent: 0, version_1, ..Entry::packed("a", packed, &[]) };
    let entries = [entry(block(&first, first_flags)), entry(block(&second, second_flags)).solid()];

    let mut limits = Limits::default();
    limits.member_bytes = 1 << 26;
    let mut members = Vec::new();
    let run = || {
        let mut decoder = ArchiveDecoder::new(Cursor::new(archive(&entries)), limits, 1)?;
        while let Some(member) = decoder.next_member()? {
            let mut data = Vec::new();
            member.copy_to(|piece| {
                data.extend_from_slice(piece);
                Ok(())
            })?;
            members.push(data);
        }
        Ok::<(), lanspread_rar::Error>(())
    };
    let is_good = run().is_ok();

    let mut reference = Reference::default();
    for (at, entry) in entries.iter().enumerate() {
        let packed = Packed {
            data: entry.packed.clone(),
            size: None,
            solid: entry.solid,
            dictionary: 128 << 10,
            large,
        };
        match reference.decode(&packed) {
            Ok(data) => assert!(members.get(at) == Some(&data), "member {at} differs"),
            Err(reason) => {
                assert!(!is_good && members.len() == at, "the reference refuses member {at}: {reason}");
                return;
            }
        }
    }
    assert!(is_good);
});
