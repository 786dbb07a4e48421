//! Any bytes as an archive, with one thread and with two: the same result, and no panic.

#![no_main]

use std::io::Cursor;

use lanspread_rar::{ArchiveDecoder, Limits};
use libfuzzer_sys::fuzz_target;

fn decode(bytes: &[u8], threads: usize) -> (Vec<u32>, String) {
    let mut limits = Limits::default();
    limits.dictionary_bytes = 1 << 22;
    limits.member_bytes = 1 << 24;
    let mut sums = Vec::new();
    let run = || {
        let mut decoder = ArchiveDecoder::new(Cursor::new(bytes.to_vec()), limits, threads)?;
        while let Some(member) = decoder.next_member()? {
            let mut sum = crc32fast::Hasher::new();
            member.copy_to(|piece| {
                sum.update(piece);
                Ok(())
            })?;
            sums.push(sum.finalize());
        }
        Ok::<(), lanspread_rar::Error>(())
    };
    let result = format!("{:?}", run());
    (sums, result)
}

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(decode(bytes, 1), decode(bytes, 2));
});
