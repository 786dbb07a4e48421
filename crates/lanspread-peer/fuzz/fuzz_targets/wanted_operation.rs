//! The files of operations that outlive a daemon. What is read is what would be written, and a file of ours is never larger
//! than what is read.
#![no_main]

use lanspread_peer::{WantedOperation, limits};
use libfuzzer_sys::fuzz_target;

fn fuzz(input: &[u8]) {
    let wanted = match WantedOperation::parse(input) {
        Ok(wanted) => wanted,
        Err(what) => return assert!(!what.contains('\n'), "{what:?}"),
    };
    let again = wanted.clone().with_starts(limits::WANTED_STARTS_MAX);
    assert_eq!(again.request, wanted.request);
    assert_eq!(WantedOperation::parse(&wanted.encode()), Ok(wanted));
}

fuzz_target!(|input: &[u8]| fuzz(input));
