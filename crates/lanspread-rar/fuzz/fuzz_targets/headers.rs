//! Any bytes as headers, from a stream, a file, and a header map.

#![no_main]

use std::io::Cursor;

use lanspread_rar::{Headers, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = Headers::read(bytes, Limits::default()).map(Iterator::count);
    let sought = Headers::seek(Cursor::new(bytes), Limits::default()).map(Iterator::count);
    assert_eq!(read.ok(), sought.ok());
    let _ = Headers::from_map(bytes, Limits::default()).map(Iterator::count);
});
