//! The chunks of a download, as both sides read them behind a handshake: what is read is what was sent.
#![no_main]

#[path = "../block_on.rs"]
mod block_on;

use lanspread_proto::chunk::{ChunkItem, ChunkMessage, ChunkRequest};
use lanspread_proto::codec;
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Hello, PROTOCOL_VERSION};
use lanspread_types::ids::PeerId;
use lanspread_types::limits::{CONTROL_FRAME_BYTES_MAX, DATA_FRAME_BYTES_MAX};
use libfuzzer_sys::fuzz_target;
use tokio::io::{join, sink};

/// The first byte chooses the side, the others arrive after the handshake.
async fn fuzz(input: &[u8]) {
    let Some((side, sent)) = input.split_first() else { return };
    let peer = PeerId::from([7; 16]);
    let hello = Hello { peer, name: "x".parse().expect("a name"), listen_port: None, instance: 1 };
    let encoded = codec::encode(&hello).expect("a hello");
    let length = u32::try_from(encoded.len()).expect("a short hello").to_be_bytes();
    let arriving =
        [&b"LANSPRD\n"[..], &PROTOCOL_VERSION.to_be_bytes(), &length, &[0], &encoded, sent].concat();
    let stream = join(&arriving[..], sink());
    let mut connection = Connection::open(stream, &hello).await.expect("the handshake");
    assert_eq!(connection.theirs, hello);
    let (mut incoming, _) = connection.halves();
    let mut rest = sent;
    if side % 2 == 0 {
        loop {
            let item = incoming.item(Default::default()).await;
            match (item, next_frame(&mut rest)) {
                (Ok(ChunkItem::Data(data)), Some((1, payload))) => assert_eq!(data, payload),
                (Ok(ChunkItem::Control(message)), Some((0, payload))) => {
                    assert_eq!(message, codec::decode::<ChunkMessage>(payload).expect("a message"));
                }
                (Err(_), Some((0, payload))) => {
                    return assert!(codec::decode::<ChunkMessage>(payload).is_err());
                }
                (Err(_), None) => return,
                (item, frame) => panic!("{item:?} is read and {frame:?} was sent"),
            }
        }
    }
    while incoming.begins().await.expect("bytes or their end") {
        let request = incoming.message::<ChunkRequest>("chunk request").await;
        match (request, next_frame(&mut rest)) {
            (Ok(request), Some((0, payload))) => {
                assert_eq!(request, codec::decode(payload).expect("a request"));
            }
            (Err(_), Some((0, payload))) => {
                return assert!(codec::decode::<ChunkRequest>(payload).is_err());
            }
            (Err(_), Some((1, _)) | None) => return,
            (request, frame) => panic!("{request:?} is read and {frame:?} was sent"),
        }
    }
    assert!(rest.is_empty(), "the end is seen only behind the last byte");
}

/// The next good frame, as the documentation of the wire has it.
fn next_frame<'s>(rest: &mut &'s [u8]) -> Option<(u8, &'s [u8])> {
    let (header, behind) = rest.split_first_chunk::<5>()?;
    let [a, b, c, d, kind] = *header;
    let limit = match kind {
        0 => CONTROL_FRAME_BYTES_MAX,
        1 => DATA_FRAME_BYTES_MAX,
        _ => return None,
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if !(1..=limit).contains(&length) || behind.len() < length {
        return None;
    }
    let (payload, after) = behind.split_at(length);
    *rest = after;
    Some((kind, payload))
}

fuzz_target!(|input: &[u8]| block_on::block_on(fuzz(input)));
