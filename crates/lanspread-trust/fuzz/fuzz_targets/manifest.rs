//! Manifests from outside: what is accepted is in its one form, can be installed, and says what it says within limits.
#![no_main]

use std::collections::HashSet;

use lanspread_trust::manifest::{EntryContent, ManifestFile, encode};
use libfuzzer_sys::fuzz_target;

fn fuzz(input: &[u8]) {
    let Ok(read) = ManifestFile::check(input, input.len() as u64, None) else { return };
    let manifest = read.manifest();
    let mut again = Vec::new();
    encode(manifest, &read, &mut again).expect("memory takes everything");
    assert_eq!(again, input, "one content has one form");
    let mut paths = HashSet::new();
    let (mut files, mut folders, mut bytes) = (0, 0, 0);
    for entry in manifest.entries.iter() {
        assert!(!entry.path.starts_with('/') && entry.path.split('/').all(|part| !matches!(part, "" | "." | "..")));
        assert!(paths.insert(entry.path.to_lowercase()), "no system mixes two of them up");
        assert_eq!(manifest.entries.find(entry.path), Some(entry));
        match entry.content {
            EntryContent::Folder => folders += 1,
            EntryContent::File { size, .. } => {
                files += 1;
                bytes += size;
            }
        }
    }
    let totals = manifest.entries.totals();
    assert_eq!((totals.files, totals.directories, totals.bytes), (files, folders, bytes));
    let mut chunks = 0;
    for (index, file) in manifest.root_files.iter().enumerate() {
        assert!(!file.name.contains('/'));
        let of_file = file.size.div_ceil(manifest.chunk_bytes().into());
        if of_file > 0 {
            read.chunk(index, of_file - 1).expect("every chunk has a digest");
        }
        assert!(read.chunk(index, of_file).is_err());
        chunks += of_file;
    }
    assert_eq!(chunks, manifest.chunks());
    assert!(manifest.has_tree() || manifest.archives.iter().all(|archive| !archive.headers.is_empty()));
    let mut list = Vec::new();
    if read.write_packing_list(&mut list).expect("memory takes everything") {
        let listed = ManifestFile::check(&list[..], list.len() as u64, None).expect("what we derive can be read");
        assert_eq!(Some(listed.manifest()), manifest.packing_list().as_ref());
        assert_eq!(listed.digest() == read.digest(), !manifest.has_tree(), "one list of the same files");
    }
    // A part of it is never a whole one.
    let half = &input[..input.len() / 2];
    assert!(ManifestFile::check(half, half.len() as u64, None).is_err());
}

fuzz_target!(|input: &[u8]| fuzz(input));
