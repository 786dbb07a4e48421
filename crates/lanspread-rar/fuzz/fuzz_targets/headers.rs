//! Any bytes as headers, from a stream, a file, and a header map.

#![no_main]

use std::io::Cursor;

use lanspread_rar::{Headers, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = Headers::read(bytes, Limits::default()).map(Iterator::count);
    let sought = Headers::seek(Cursor::new(bytes), Limits::default()).map(Iterator::count);
    assert_eq!(read.as_ref().ok(), sought.as_ref().ok());
    // As parts of a volume: all of it, and with every second piece left out.
    let whole = Headers::from_map([(0, bytes)], Limits::default()).map(Iterator::count);
    assert_eq!(read.ok(), whole.ok());
    let pieces = (0u64..).step_by(64).zip(bytes.chunks(64)).step_by(2);
    let _ = Headers::from_map(pieces, Limits::default()).map(Iterator::count);
});
