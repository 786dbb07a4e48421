//! Signatures, headers, volumes, listings; and how a caller ends a decoder.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lanspread_rar::{
    ArchiveDecoder, Error, FileHeader, Header, Headers, Host, Limits, RedirectionKind, Result, Timestamp,
};

use crate::encoder::{Op, pack};
use crate::payload::{noise, prose};
use crate::writer::{self, Entry, archive, begin, end, record, service, vint, volumes};
use crate::{Dribble, decode, decode_all_ways, decode_volumes, drain};

fn packed(name: &str, data: &[u8]) -> Entry {
    let ops: Vec<Op> = data.iter().map(|byte| Op::Literal(*byte)).collect();
    Entry::packed(name, pack(&ops, 500, false), data)
}

fn files(headers: Headers<'_>) -> Result<Vec<FileHeader>> {
    let mut files = Vec::new();
    for header in headers {
        if let Header::File(file) = header? {
            files.push(*file);
        }
    }
    Ok(files)
}

#[test]
fn an_archive_without_a_member_is_empty() {
    let bytes = archive(&[]);
    assert!(matches!(decode_all_ways(&bytes), (members, Ok(())) if members.is_empty()));
    // `rarbuild`'s empty archive: nothing but signature, main header and end record.
    assert_eq!(Headers::read(bytes.as_slice(), Limits::default()).unwrap().count(), 2);
}

#[test]
fn what_is_no_archive_of_rar_5_is_named() {
    let error = |bytes: &[u8]| decode(bytes, 1).1.unwrap_err();
    assert!(matches!(error(b""), Error::NotRar { searched: 0 }));
    assert!(matches!(error(&noise(1, 10_000)), Error::NotRar { searched: 10_000 }));
    assert!(matches!(error(b"Rar!\x1a\x07\x00and so on"), Error::Rar4));
    assert!(matches!(error(&[&b"MZ"[..], &[0; 500], b"Rar!\x1a\x07\x00"].concat()), Error::Rar4));
    assert!(matches!(error(&begin(false, None)), Error::EndMissing { .. }));
    let encrypted = [&b"Rar!\x1a\x07\x01\x00"[..], &writer::header(&[4, 0, 0, 0, 15])].concat();
    assert!(matches!(error(&encrypted), Error::EncryptedHeaders));
}

#[test]
fn a_self_extracting_archive_may_have_signatures_in_its_program() {
    let rar = archive(&[packed("a.txt", &prose(1, 2000))]);
    for length in [1, 7, 998, 4095, 4096, 4097, 300_000] {
        let stub =
            [&noise(2, length)[..], b"Rar!\x1a\x07\x00", b"RRar!\x1a\x07\x01\x00Rar!Rar!\x1a\x07\x01\x00"]
                .concat();
        let bytes = [stub.as_slice(), &rar].concat();
        let (members, result) = decode_all_ways(&bytes);
        result.unwrap();
        let offset_inside = members[0].header.block.offset - stub.len() as u64;
        assert_eq!(offset_inside, decode(&rar, 1).0[0].header.block.offset);
        let listed = files(Headers::seek(Cursor::new(&bytes), Limits::default()).unwrap()).unwrap();
        assert_eq!(listed, [members[0].header.clone()]);
    }
    let mut limits = Limits::default();
    limits.prefix_bytes = 100;
    let bytes = [&[0; 200][..], &rar].concat();
    assert!(matches!(decode_volumes(&[bytes], 1, limits).1, Err(Error::NotRar { .. })));
}

/// The first signature with a main header after it is that of the archive; the other one is in the data of a file.
#[test]
fn a_self_extracting_archive_of_rar_4_may_contain_one_of_rar_5() {
    // "technote.txt" of RAR 4: a main header without flags.
    let outer =
        [&b"Rar!\x1a\x07\x00"[..], &[0xcf, 0x90, 0x73, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0], &[7; 50]].concat();
    let inner = archive(&[packed("a.txt", b"abc")]);
    for prefix in [0, 500] {
        let bytes = [&vec![0; prefix][..], &outer, &inner].concat();
        assert!(matches!(decode(&bytes, 1).1, Err(Error::Rar4)), "{prefix}");
    }
}

#[test]
fn a_header_that_is_damaged_says_where() {
    let bytes = archive(&[packed("a.txt", b"abc")]);
    let mut damaged = bytes.clone();
    damaged[10] ^= 1;
    assert!(matches!(decode(&damaged, 1).1, Err(Error::HeaderChecksum { offset: 8, .. })));
    for (size, reason) in [(&[0u8][..], "size"), (&[0xff, 0xff, 0xff, 0], "size")] {
        let broken = [&bytes[..8], &[1, 2, 3, 4], size, &[0; 20]].concat();
        let error = decode(&broken, 1).1.unwrap_err();
        assert!(matches!(error, Error::Header { offset: 8, .. }) && error.to_string().contains(reason));
    }
}

#[test]
fn records_in_the_extra_area_are_read() {
    let time = [&vint(0x13)[..], &7u32.to_le_bytes(), &500u32.to_le_bytes()].concat();
    let link = [&vint(5)[..], &vint(0), &vint(6), b"target"].concat();
    let extra = [
        record(0x63, b"unknown"),
        record(0x03, &time),
        record(0x04, &[&vint(0)[..], &vint(300)].concat()),
        record(0x05, &link),
    ]
    .concat();
    let entry = Entry { extra, packed: Vec::new(), ..Entry::stored("copy", b"") };
    let bytes = [
        begin(false, None),
        service("CMT", b"a comment"),
        entry.header(0, false, false),
        service("QO", &[0; 99]),
        end(false),
    ]
    .concat();
    let (members, result) = decode_all_ways(&bytes);
    result.unwrap();
    let header = &members[0].header;
    assert_eq!(header.modified, Some(Timestamp { seconds: 7, nanoseconds: 500 }));
    assert_eq!(header.version, Some(300));
    assert_eq!(header.host, Host::Unix);
    let redirection = header.redirection.as_ref().unwrap();
    assert_eq!(
        (redirection.kind, redirection.target.as_slice()),
        (RedirectionKind::FileCopy, &b"target"[..])
    );
    let headers: Vec<_> =
        Headers::read(bytes.as_slice(), Limits::default()).unwrap().map(Result::unwrap).collect();
    assert!(
        matches!(&headers[1], Header::Service(service) if service.name == b"CMT" && service.block.data_bytes == 9)
    );
    // A record over the end of its area, and one of a later version.
    for extra in [vec![9, 3, 1], record(0x02, &[1; 33])] {
        let left_out = Entry { extra, ..entry.clone() };
        let (members, result) = decode(&archive(&[left_out]), 1);
        result.unwrap();
        let header = &members[0].header;
        assert_eq!((header.modified, header.blake2sp, header.version), (None, None, None));
    }
    // A redirection that is cut short.
    let broken = Entry { extra: record(0x05, &link[..link.len() - 1]), ..entry };
    assert!(matches!(decode(&archive(&[broken]), 1).1, Err(Error::Header { .. })));
}

#[test]
fn a_blake2sp_digest_is_compared() {
    let data = prose(3, 3000);
    let digest = blake2s_simd::blake2sp::blake2sp(&data);
    let with = |digest: &[u8]| {
        let extra = record(0x02, &[&[0], digest].concat());
        archive(&[Entry { extra, crc32: None, ..packed("a", &data) }])
    };
    decode_all_ways(&with(digest.as_bytes())).1.unwrap();
    assert!(matches!(decode(&with(&[7; 32]), 1).1, Err(Error::Blake2sp { .. })));
}

#[test]
fn a_crc_32_is_compared() {
    for entry in [packed("a", &prose(4, 3000)), Entry::stored("a", &prose(4, 3000))] {
        let entry = Entry { crc32: Some(12_345), ..entry };
        let (members, result) = decode_all_ways(&archive(&[entry]));
        assert!(members.is_empty() && matches!(result, Err(Error::Crc32 { expected: 12_345, .. })));
    }
}

#[test]
fn encrypted_members_are_named() {
    let extra = record(0x01, &[0; 40]);
    let bytes = archive(&[packed("open", b"abc"), Entry { extra, ..packed("closed", b"abc") }]);
    let (members, result) = decode_all_ways(&bytes);
    assert_eq!(members.len(), 1);
    assert!(matches!(result, Err(Error::Encrypted { name }) if name == "closed"));
    assert!(files(Headers::read(bytes.as_slice(), Limits::default()).unwrap()).unwrap()[1].is_encrypted);
}

#[test]
fn headers_are_limited() {
    let bytes = archive(&[packed("a", b"a"), packed("b", b"b"), packed("c", b"c")]);
    let mut limits = Limits::default();
    limits.headers = 3;
    assert!(
        matches!(decode_volumes(std::slice::from_ref(&bytes), 2, limits.clone()), (members, Err(Error::Limit { what: "headers", limit: 3, got: 4 })) if members.len() == 2)
    );
    assert!(Headers::read(bytes.as_slice(), limits.clone()).unwrap().any(|header| header.is_err()));
    limits.headers = 100;
    limits.header_bytes = 60;
    assert!(matches!(decode_volumes(&[bytes], 1, limits).1, Err(Error::Limit { limit: 60, .. })));
}

#[test]
fn listings_are_the_same_from_file_stream_and_map() {
    let mut bytes = [begin(false, None), service("CMT", &noise(5, 20_000))].concat();
    for (name, length) in [("one", 100), ("two", 30_000), ("three", 0)] {
        let entry = Entry::stored(name, &noise(6, length));
        bytes.extend(entry.header(length, false, false));
        bytes.extend(noise(6, length));
    }
    bytes.extend(end(false));
    let seeking: Vec<Header> =
        Headers::seek(Cursor::new(&bytes), Limits::default()).unwrap().map(Result::unwrap).collect();
    let mut reading = Headers::read(Dribble(bytes.as_slice(), 7), Limits::default()).unwrap().with_map();
    let read: Vec<Header> = reading.by_ref().map(Result::unwrap).collect();
    assert_eq!(seeking, read);
    assert_eq!(read.len(), 6);
    let map = reading.header_map().to_vec();
    assert!(map.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < 300);
    let list = |map: &[(u64, Vec<u8>)]| -> Result<Vec<Header>> {
        let parts = map.iter().map(|(offset, bytes)| (*offset, bytes.as_slice()));
        Headers::from_map(parts, Limits::default())?.collect()
    };
    assert_eq!(list(&map).unwrap(), read);
    let mut reversed = map.clone();
    reversed.reverse();
    assert_eq!(list(&reversed).unwrap(), read, "in whatever order");
    // A map says where its headers are, behind a self-extracting archive's program too.
    let program = vec![b'R'; 10_000];
    let mut behind = Headers::seek(Cursor::new([&program[..], &bytes].concat()), Limits::default()).unwrap();
    behind = behind.with_map();
    let moved: Vec<Header> = behind.by_ref().map(Result::unwrap).collect();
    assert_eq!(moved[3].block().offset, read[3].block().offset + 10_000);
    assert_eq!(list(behind.header_map()).unwrap(), moved);
    // Whatever is missing, displaced or changed is an error: nothing is made up for it.
    assert!(matches!(list(&[]), Err(Error::NotRar { .. })));
    for nth in 0..map.len() {
        let mut missing = map.clone();
        missing.remove(nth);
        assert!(list(&missing).is_err(), "without part {nth}");
        let mut displaced = map.clone();
        displaced[nth].0 += 1;
        assert!(list(&displaced).is_err(), "part {nth} displaced");
        let mut changed = map.clone();
        *changed[nth].1.last_mut().unwrap() ^= 1;
        assert!(list(&changed).is_err(), "part {nth} changed");
    }
    // Data that is not all there is noticed without reading it.
    let cut = &bytes[..bytes.len() - 100];
    assert!(Headers::seek(Cursor::new(cut), Limits::default()).unwrap().any(|header| header.is_err()));
}

#[test]
fn volumes_may_be_cut_at_any_byte_of_a_block() {
    // Three blocks with headers of three bytes, cut at every byte, once and twice.
    let data = prose(7, 450);
    let ops: Vec<Op> = data.iter().map(|byte| Op::Literal(*byte)).collect();
    let entry = Entry::packed("split", pack(&ops, 150, false), &data);
    let length = entry.packed.len();
    for cut in 0..=length {
        let parts = volumes(&entry, &[cut]);
        let (members, result) = decode_volumes(&parts, 1, Limits::default());
        result.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert!(members[0].data == data, "cut at {cut}");
        for more in [1, 2, 3, 5] {
            let parts = volumes(&entry, &[cut, (cut + more).min(length)]);
            let (members, result) = decode_volumes(&parts, 2, Limits::default());
            result.unwrap_or_else(|error| panic!("cut at {cut} and {more} later: {error}"));
            assert!(members[0].data == data);
        }
    }
}

#[test]
fn a_set_of_volumes_must_be_whole_and_in_order() {
    let entry = packed("split", &prose(8, 3000));
    let parts = volumes(&entry, &[100, 300, 301]);
    let run = |order: &[usize]| {
        let chosen: Vec<Vec<u8>> = order.iter().map(|number| parts[*number].clone()).collect();
        decode_volumes(&chosen, 2, Limits::default()).1
    };
    run(&[0, 1, 2, 3]).unwrap();
    assert!(matches!(run(&[0, 1, 2]), Err(Error::VolumeMissing { number: 4 })));
    assert!(matches!(run(&[0, 2, 1, 3]), Err(Error::VolumeOrder { expected: 2, got: 3 })));
    assert!(matches!(run(&[1, 2, 3]), Err(Error::VolumeOrder { expected: 1, got: 2 })));
    let other = Entry { name: "other".to_owned(), ..entry.clone() };
    let foreign = volumes(&other, &[100, 300, 301]);
    let mixed = [&parts[..2], &foreign[2..]].concat();
    assert!(matches!(decode_volumes(&mixed, 1, Limits::default()).1, Err(Error::Split { number: 3, .. })));
    let mut limits = Limits::default();
    limits.volumes = 3;
    assert!(matches!(decode_volumes(&parts, 1, limits).1, Err(Error::Limit { what: "volumes", .. })));
    // A volume that ends although the member continues.
    let (header, last) = (entry.header(10, false, true), end(false));
    let ended = [begin(false, Some(0)), header, entry.packed[..10].to_vec(), last].concat();
    assert!(matches!(decode_volumes(&[ended], 1, Limits::default()).1, Err(Error::Split { .. })));
}

#[test]
fn members_can_be_left_out() {
    let data = [prose(9, 400_000), prose(10, 5000)];
    let again = [Op::Match { distance: 5000, length: 500 }];
    for solid in [false, true] {
        let mut entries = vec![packed("one", &data[0]), packed("two", &data[1])];
        if solid {
            let third = Entry::packed("three", pack(&again, 9, false), &data[1][..500]);
            entries.push(third.solid());
        } else {
            entries.push(packed("three", &data[1][..500]));
        }
        let bytes = archive(&entries);
        for (read, threads) in [(0, 1), (1, 1), (2, 2), (0, 3)] {
            let mut decoder =
                ArchiveDecoder::new(Cursor::new(bytes.clone()), Limits::default(), threads).unwrap();
            // Nothing of the first, some of the second.
            assert_eq!(decoder.next_member().unwrap().unwrap().header().name, b"one");
            let mut second = decoder.next_member().unwrap().unwrap();
            for _ in 0..read {
                let _ = second.read(&mut [0; 100]).unwrap();
            }
            let mut third = Vec::new();
            decoder.next_member().unwrap().unwrap().read_to_end(&mut third).unwrap();
            assert_eq!(third, &data[1][..500]);
            assert!(decoder.next_member().unwrap().is_none());
        }
    }
}

#[test]
fn a_solid_member_after_a_gap_is_refused() {
    // The archive does not say that it is solid, so that the first member is not decoded.
    let solid = packed("two", b"abc").solid();
    let mut bytes = begin(false, None);
    for entry in [packed("one", b"abc"), solid] {
        bytes.extend(entry.header(entry.packed.len(), false, false));
        bytes.extend(&entry.packed);
    }
    bytes.extend(end(false));
    decode_all_ways(&bytes).1.unwrap();
    let mut decoder = ArchiveDecoder::new(Cursor::new(bytes), Limits::default(), 1).unwrap();
    decoder.next_member().unwrap();
    assert!(matches!(decoder.next_member(), Err(Error::Skipped { name }) if name == "two"));
    assert!(matches!(decoder.next_member(), Err(Error::Failed)));
}

#[test]
fn reading_and_pushing_give_the_same() {
    let data = prose(11, 1_000_000);
    let bytes = archive(&[packed("a", &data), Entry::stored("b", &data)]);
    let mut decoder = ArchiveDecoder::new(Dribble(Cursor::new(bytes), 1000), Limits::default(), 2).unwrap();
    while let Some(mut member) = decoder.next_member().unwrap() {
        let mut got = Vec::new();
        let mut few = [0; 777];
        loop {
            match member.read(&mut few).unwrap() {
                0 => break,
                count => got.extend_from_slice(&few[..count]),
            }
            if got.len() % 5 == 0 {
                got.extend_from_slice(member.next_piece().unwrap().unwrap_or_default());
            }
        }
        assert!(got == data);
        assert!(member.next_piece().unwrap().is_none(), "the end stays the end");
    }
}

#[test]
fn a_sink_ends_decoding_with_its_error() {
    let data = prose(12, 2_000_000);
    for threads in [1, 3] {
        let bytes = archive(&[packed("a", &data), packed("b", &data)]);
        let mut decoder = ArchiveDecoder::new(Cursor::new(bytes), Limits::default(), threads).unwrap();
        let mut pieces = 0;
        let result = decoder.next_member().unwrap().unwrap().copy_to(|_| {
            pieces += 1;
            if pieces == 2 { Err(io::Error::other("enough")) } else { Ok(()) }
        });
        assert!(matches!(result, Err(Error::Sink(error)) if error.to_string() == "enough"));
        assert_eq!(pieces, 2);
        assert!(matches!(decoder.next_member(), Err(Error::Failed)));
    }
}

/// Fails after some bytes.
struct Failing(Cursor<Vec<u8>>, usize);

impl Read for Failing {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.1 == 0 {
            return Err(io::Error::other("cancelled"));
        }
        let count = out.len().min(self.1);
        self.1 -= count;
        self.0.read(&mut out[..count])
    }
}

#[test]
fn a_reader_ends_decoding_with_its_error() {
    let bytes = archive(&[packed("a", &prose(13, 500_000)), Entry::stored("b", &noise(13, 500_000))]);
    for threads in [1, 3] {
        for length in [0, 5, 20, 1000, 200_000, bytes.len() - 1] {
            let reader = Failing(Cursor::new(bytes.clone()), length);
            let result = ArchiveDecoder::new(reader, Limits::default(), threads)
                .and_then(|decoder| drain(decoder, &mut Vec::new()));
            assert!(matches!(result, Err(Error::Read(error)) if error.to_string() == "cancelled"));
        }
    }
}

#[test]
fn a_decoder_that_is_dropped_ends_its_threads_and_its_reader() {
    struct Counted(Cursor<Vec<u8>>, Arc<AtomicUsize>);
    impl Read for Counted {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0.read(out)
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let bytes = archive(&[Entry::stored("a", &noise(14, 5_000_000))]);
    let dropped = Arc::new(AtomicUsize::new(0));
    for pieces in [0, 1, 5] {
        let reader = Counted(Cursor::new(bytes.clone()), Arc::clone(&dropped));
        let mut decoder = ArchiveDecoder::new(reader, Limits::default(), 4).unwrap();
        let mut member = decoder.next_member().unwrap().unwrap();
        for _ in 0..pieces {
            assert!(member.next_piece().unwrap().is_some());
        }
        drop(decoder);
    }
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
}

/// Panics on any thread but the first, after saying so.
struct Panicking(Dribble<Cursor<Vec<u8>>>, std::sync::mpsc::Sender<()>);

impl Read for Panicking {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if std::thread::current().name() == Some("rar") {
            self.1.send(()).unwrap();
            panic!("a reader that panics, on purpose");
        }
        self.0.read(out)
    }
}

#[test]
fn a_panic_of_a_reader_on_another_thread_is_an_error_and_no_hang() {
    let bytes = archive(&[Entry::stored("a", &noise(15, 1_000_000))]);
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = Panicking(Dribble(Cursor::new(bytes), 1000), sender);
    let decoder = ArchiveDecoder::new(reader, Limits::default(), 2).unwrap();
    receiver.recv().unwrap();
    assert!(matches!(drain(decoder, &mut Vec::new()), Err(Error::Worker)));
}
