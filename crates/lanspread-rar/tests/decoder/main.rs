//! The decoder against the real `rar` and `unrar`, against a reference decoder, and against archives that no known
//! program writes.

// Tests: a panic is a failed test with a line number, and numbers are small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::precedence,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub
)]

mod cases;
mod containers;
mod encoder;
mod mutations;
mod payload;
mod real;
mod reference;
mod writer;

use std::io::{self, Cursor, Read};

use lanspread_rar::{ArchiveDecoder, FileHeader, Limits, Result, VolumeReader};

/// A member and its data.
#[derive(Debug)]
pub struct Unpacked {
    pub header: FileHeader,
    pub data: Vec<u8>,
}

impl Unpacked {
    pub fn name(&self) -> String {
        self.header.name_lossy()
    }
}

/// What is read before an error, and the error.
pub type Outcome = (Vec<Unpacked>, Result<()>);

pub fn decode(archive: &[u8], threads: usize) -> Outcome {
    decode_volumes(&[archive.to_vec()], threads, Limits::default())
}

pub fn decode_volumes(volumes: &[Vec<u8>], threads: usize, limits: Limits) -> Outcome {
    let volumes = volumes.to_vec();
    let open = move |number: u64| -> io::Result<Option<VolumeReader>> {
        let volume = volumes.get(number as usize);
        Ok(volume.map(|bytes| Box::new(Cursor::new(bytes.clone())) as VolumeReader))
    };
    let mut members = Vec::new();
    let result =
        ArchiveDecoder::with_volumes(open, limits, threads).and_then(|decoder| drain(decoder, &mut members));
    (members, result)
}

/// Reads every member to its end.
pub fn drain(mut decoder: ArchiveDecoder, members: &mut Vec<Unpacked>) -> Result<()> {
    while let Some(member) = decoder.next_member()? {
        let header = member.header().clone();
        let mut data = Vec::new();
        member.copy_to(|piece| {
            assert!(!piece.is_empty(), "an empty piece");
            data.extend_from_slice(piece);
            Ok(())
        })?;
        members.push(Unpacked { header, data });
    }
    Ok(())
}

/// Decodes with several numbers of threads, which must not make a difference.
pub fn decode_all_ways(archive: &[u8]) -> Outcome {
    let (members, result) = decode(archive, 1);
    for threads in [2, 4] {
        let (others, other_result) = decode(archive, threads);
        assert_eq!(members.len(), others.len(), "{threads} threads");
        for (one, other) in members.iter().zip(&others) {
            assert_eq!(one.header, other.header);
            assert!(one.data == other.data, "{} with {threads} threads", one.name());
        }
        assert_eq!(format!("{result:?}"), format!("{other_result:?}"), "{threads} threads");
    }
    (members, result)
}

/// A reader that gives few bytes at a time.
pub struct Dribble<R>(pub R, pub usize);

impl<R: Read> Read for Dribble<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(self.1);
        self.0.read(&mut out[..count])
    }
}
