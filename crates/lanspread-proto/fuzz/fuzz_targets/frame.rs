//! Frames: what is read is what was sent, within the limits, and the first bad header ends it.
#![no_main]

#[path = "../block_on.rs"]
mod block_on;

use std::time::Duration;

use lanspread_proto::frame::{Frame, read_header, read_payload};
use lanspread_types::limits::{CONTROL_FRAME_BYTES_MAX, DATA_FRAME_BYTES_MAX};
use libfuzzer_sys::fuzz_target;

async fn fuzz(input: &[u8]) {
    let mut rest = input;
    loop {
        let sent = rest;
        let Ok(Some(header)) = read_header(&mut rest).await else {
            assert!(sent.is_empty() || sent.len() < 5 || !is_acceptable(sent), "{sent:?} is refused");
            return;
        };
        assert!(is_acceptable(sent), "{sent:?} is accepted");
        let read = read_payload(&mut rest, header, Duration::from_secs(1)).await;
        let Ok(frame) = read else {
            assert!(sent.len() - 5 < length(sent), "a whole frame is refused");
            return;
        };
        let (kind, payload) = match &frame {
            Frame::Control(payload) => (0, payload),
            Frame::Data(payload) => (1, payload),
        };
        assert_eq!((sent[4], &sent[5..5 + length(sent)]), (kind, &payload[..]));
        assert_eq!(rest, &sent[5 + length(sent)..], "not one byte more is read");
    }
}

fn length(sent: &[u8]) -> usize {
    u32::from_be_bytes([sent[0], sent[1], sent[2], sent[3]]) as usize
}

/// The rule of a header, once more.
fn is_acceptable(sent: &[u8]) -> bool {
    match sent[4] {
        0 => (1..=CONTROL_FRAME_BYTES_MAX).contains(&length(sent)),
        1 => (1..=DATA_FRAME_BYTES_MAX).contains(&length(sent)),
        _ => false,
    }
}

fuzz_target!(|input: &[u8]| block_on::block_on(fuzz(input)));
