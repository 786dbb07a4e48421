//! What is taken out of buffers is what was sent, wherever reading is cut, and a frame has one deadline.

use proptest::prelude::*;

use super::*;
use crate::batch::FrameBatch;

fn directory(length: usize) -> StreamMessage {
    StreamMessage::Directory { path: "d".repeat(length) }
}

/// A stream of content (`true`) and messages, and the same as one would like to see it: joined content, and messages.
fn stream(steps: &[(bool, usize)]) -> (Vec<u8>, Vec<Seen>) {
    let (mut batch, mut seen) = (FrameBatch::default(), Vec::new());
    for (index, (is_content, length)) in steps.iter().enumerate() {
        if *is_content {
            let content = vec![u8::try_from(index).unwrap(); *length];
            batch.content(&content).unwrap();
            see_content(&mut seen, &content);
        } else {
            batch.control(&directory(*length)).unwrap();
            seen.push(Seen::Message(directory(*length)));
        }
    }
    (batch.bytes().to_vec(), seen)
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Message(StreamMessage),
    Content(Vec<u8>),
}

fn see_content(seen: &mut Vec<Seen>, content: &[u8]) {
    match seen.last_mut() {
        Some(Seen::Content(before)) => before.extend_from_slice(content),
        _ => seen.push(Seen::Content(content.to_vec())),
    }
}

proptest! {
    /// The stream arrives in pieces of any size, and the buffer is exchanged or compacted at any time.
    #[test]
    fn what_arrives_is_what_was_sent(
        steps in proptest::collection::vec((any::<bool>(), 1..300_usize), 0..20),
        reads in proptest::collection::vec((1..200_usize, 0..4_u8), 1..50),
    ) {
        let (sent, expected) = stream(&steps);
        let (mut inflow, mut buffer, mut seen) = (Inflow::default(), Vec::new(), Vec::new());
        let (mut rest, mut reads) = (&sent[..], reads.iter().cycle());
        while !rest.is_empty() {
            let (length, then) = *reads.next().unwrap();
            let (now, later) = rest.split_at(length.min(rest.len()));
            buffer.extend_from_slice(now);
            rest = later;
            while let Some(taken) = inflow.next(&buffer).unwrap() {
                match taken {
                    Taken::Control(message) => seen.push(Seen::Message(message)),
                    Taken::Content(range) => {
                        prop_assert!(!range.is_empty());
                        see_content(&mut seen, &buffer[range]);
                    }
                }
            }
            match then {
                0 => inflow.compact(&mut buffer),
                1 => {
                    let mut other = Vec::new();
                    inflow.go_on(&buffer, &mut other);
                    buffer = other;
                }
                _ => {}
            }
        }
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(inflow.begun, None, "no frame is open");
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut inflow = Inflow::default();
        while let Ok(Some(_)) = inflow.next(&bytes) {}
    }
}

/// Lengths are checked as soon as a header is there.
#[test]
fn a_frame_that_is_too_long_is_refused_at_its_header() {
    let claimed = u32::try_from(CONTROL_FRAME_BYTES_MAX + 1).unwrap().to_be_bytes();
    let header = [&claimed[..], &[0]].concat();
    assert_eq!(Inflow::default().next(&header[..4]).unwrap(), None);
    assert!(matches!(Inflow::default().next(&header), Err(WireError::FrameTooLong { .. })));
}

/// The deadline of a frame counts from its first byte, whether other frames came with it or not, and time in which the
/// receiver did not read is left out.
#[test]
fn each_frame_has_its_own_deadline() {
    let idle = FRAME_DEADLINE / 3;
    let (begun, second) = (Instant::now(), Duration::from_secs(1));
    let (sent, _) = stream(&[(false, 10), (true, 10), (false, 10)]);
    let mut inflow = Inflow::default();
    assert_eq!(inflow.patience(begun, idle), ("frame", idle, begun + idle));

    // A message and a part of the content.
    inflow.arrived(begun);
    while inflow.next(&sent[..25]).unwrap().is_some() {}
    assert_eq!(inflow.patience(begun, idle), ("next byte of a frame", idle, begun + idle));
    let late = begun + FRAME_DEADLINE - second;
    assert_eq!(inflow.patience(late, idle), ("rest of a frame", FRAME_DEADLINE, begun + FRAME_DEADLINE));
    inflow.excuse(second);
    assert_eq!(inflow.patience(late, idle).2, begun + second + FRAME_DEADLINE);

    // Its end, and a part of the next message, whose time begins now.
    inflow.arrived(late);
    while inflow.next(&sent[..sent.len() - 1]).unwrap().is_some() {}
    assert_eq!(inflow.patience(late, idle), ("next byte of a frame", idle, late + idle));
    inflow.arrived(late);
    while inflow.next(&sent).unwrap().is_some() {}
    assert_eq!(inflow.patience(late, idle), ("frame", idle, late + idle));
}
