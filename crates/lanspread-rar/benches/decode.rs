//! Throughput on the project's fixtures and on an archive of your own.
//!
//! ```text
//! cargo bench -p lanspread-rar
//! RAR_BENCH_ARCHIVE=/path/to/archive.rar cargo bench -p lanspread-rar
//! ```
//!
//! Bytes are unpacked bytes.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use lanspread_rar::{ArchiveDecoder, Headers, Limits, Result};

fn main() {
    divan::main();
}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn decode(archive: &[u8], threads: usize) -> Result<u64> {
    let mut limits = Limits::default();
    limits.dictionary_bytes = 4 << 30;
    let mut decoder = ArchiveDecoder::new(Cursor::new(archive.to_vec()), limits, threads)?;
    let mut bytes = 0;
    while let Some(member) = decoder.next_member()? {
        member.copy_to(|piece| {
            bytes += black_box(piece).len() as u64;
            Ok(())
        })?;
    }
    Ok(bytes)
}

fn bench_decode(bencher: Bencher<'_, '_>, archive: &[u8], threads: usize) {
    let bytes =
        decode(archive, threads).unwrap_or_else(|error| panic!("the archive cannot be decoded: {error}"));
    bencher.counter(BytesCount::new(bytes)).bench_local(|| decode(archive, threads));
}

const FIXTURES: [&str; 5] = [
    "fixture-solid/cnctw/cnctw.eti",
    "fixture-alpha/alpha-racer/alpha-racer.eti",
    "fixture-bravo/bravo-blocks/bravo-blocks.eti",
    "fixture-edge/edge-stored/edge-stored.eti",
    "fixture-blake2/blake2-plain/blake2-plain.eti",
];

#[divan::bench(args = FIXTURES)]
fn fixtures(bencher: Bencher<'_, '_>, name: &str) {
    bench_decode(bencher, &fixture(name), 1);
}

/// The archive that `RAR_BENCH_ARCHIVE` names, on several numbers of threads.
#[divan::bench(args = [1, 2, 4], max_time = 20, ignore = std::env::var_os("RAR_BENCH_ARCHIVE").is_none())]
fn own_archive(bencher: Bencher<'_, '_>, threads: usize) {
    let Some(path) = std::env::var_os("RAR_BENCH_ARCHIVE") else { return };
    let archive = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    bench_decode(bencher, &archive, threads);
}

#[divan::bench]
fn list(bencher: Bencher<'_, '_>) {
    let archive = fixture("fixture-solid/cnctw/cnctw.eti");
    bencher.bench_local(|| Headers::seek(Cursor::new(&archive), Limits::default()).map(Iterator::count));
}
