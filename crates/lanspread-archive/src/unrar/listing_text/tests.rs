//! Captured listings: `unrar` 6.21 prints those marked 6.21, `rar` 7.01 (the same code) those marked 7.01. Some blocks
//! are cut to the fields that matter.

use lanspread_types::checksum::Checksum;
use lanspread_types::content::Totals;
use lanspread_types::entry_path::NameProblem;
use lanspread_types::limits::DICTIONARY_BYTES_DEFAULT;

use super::*;
use crate::provider::ListedEntry;

const BANNER: &str = "\nUNRAR 6.21 freeware      Copyright (c) 1993-2023 Alexander Roshal\n";

/// One block with the fields that every entry has, and `more` in the place of checksums.
fn block(name: &str, kind: &str, more: &str) -> String {
    format!(
        "\n        Name: {name}\n        Type: {kind}\n        Size: 5\n Packed size: 5\n       Ratio: 100%\n       \
         mtime: 2025-01-01 00:00:00,000000000\n  Attributes: -rw-r--r--\n{more}     Host OS: Unix\n \
         Compression: RAR 5.0(v50) -m0 -md=128K\n"
    )
}

fn listing(details: &str, blocks: &[String]) -> String {
    format!("{BANNER}\nArchive: x.eti\nDetails: {details}\n{}\n", blocks.concat())
}

/// Pushes the text in pieces of awkward sizes, which must make no difference.
fn read_set(text: &[u8], volumes: &[&str]) -> Result<ArchiveListing, ArchiveError> {
    let mut results = [1, 7, 4096, usize::MAX].map(|piece_bytes| {
        let mut reader = ListingText::new(Path::new("/opt/unrar"), volumes[0], DICTIONARY_BYTES_DEFAULT);
        for piece in text.chunks(piece_bytes.min(text.len().max(1))) {
            reader.push(piece)?;
        }
        reader.finish(volumes.iter().copied())
    });
    let shown: Vec<String> = results.iter().map(|result| format!("{result:?}")).collect();
    assert!(shown.iter().all(|other| *other == shown[0]), "{shown:#?}");
    std::mem::replace(&mut results[0], Err(ArchiveError::Cancelled))
}

fn read(text: &str) -> Result<ArchiveListing, ArchiveError> {
    read_set(text.as_bytes(), &["x.eti"])
}

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

/// 6.21, RAR 5: a file with all fields, an executable one, an empty directory, a BLAKE2sp file, times with
/// fractions.
#[test]
fn every_field_of_a_rar5_archive_is_read() {
    let text = format!(
        "{BANNER}\nArchive: x.eti\nDetails: RAR 5, solid, SFX, recovery record, lock\n
        Name: bin/arena.exe\n        Type: File\n        Size: 60000\n Packed size: 13630\n       Ratio: 22%
       mtime: 2025-01-01 00:01:00,999999999\n       ctime: 2016-05-22 09:12:33,000000000
       atime: 2016-05-22 09:12:37,000000000\n  Attributes: -rwxr-xr-x\n       CRC32: B6017472
     Host OS: Unix\n Compression: RAR 5.0(v50) -m3 -md=1024M\n       Flags: solid \n  Unix owner: bin:sys\n
        Name:  two  blanks \n        Type: File\n        Size: 0\n Packed size: 0\n       Ratio: 0%
  Attributes: ..A....\n      BLAKE2: d54d570562c67f8a5564711b9e7306076bbce46fa1b56f5b9e14f8146f9829d1
     Host OS: Windows\n Compression: RAR 5.0(v50) -m0 -md=128K\n
        Name: empty directory\n        Type: Directory\n       mtime: 2025-01-01 00:00:00,000000000
  Attributes: drwxr-xr-x\n     Host OS: Unix\n Compression: RAR 5.0(v50) -m0 -md=0K\n\n"
    );
    let listing = read(&text).unwrap();
    assert_eq!(listing.summary.format, ArchiveFormat::Rar5);
    assert!(listing.summary.solid);
    assert_eq!(listing.summary.totals, Totals { files: 2, directories: 1, bytes: 60000 });
    let [ListedEntry::File(arena), ListedEntry::File(blanks), ListedEntry::Directory(directory)] =
        &listing.entries[..]
    else {
        panic!("{listing:?}")
    };
    assert_eq!((arena.path.as_str(), arena.size, arena.executable), ("bin/arena.exe", 60000, true));
    assert_eq!(
        (arena.checksum, arena.modified),
        (Some(Checksum::from_crc32(0xb601_7472)), Some(1_735_689_660)),
        "whole seconds"
    );
    assert_eq!((blanks.path.as_str(), blanks.size, blanks.executable), (" two  blanks ", 0, false));
    assert_eq!((blanks.checksum, blanks.modified), (None, None));
    assert_eq!(directory.path.as_str(), "empty directory");
}

/// 6.21, RAR 4, packed by old versions on DOS and Windows.
#[test]
fn rar4_archives_are_read() {
    let text = format!(
        "{BANNER}\nArchive: x.eti\nDetails: RAR 4, solid\n
        Name: FILE1.TXT\n        Type: File\n        Size: 7\n Packed size: 7\n       Ratio: 100%
       mtime: 2010-11-03 19:49:32,000000000\n  Attributes: ..A....\n       CRC32: E27F07A9\n     Host OS: DOS
 Compression: RAR 1.5(v15) -m3 -md=64K\n
        Name: уииоотивл.txt\n        Type: File\n        Size: 2\n Packed size: 17\n       Ratio: 850%
       mtime: 1980-00-00 00:00:00,000000000\n  Attributes: -rwsr-Sr-t\n       CRC32: 6751FC53\n     Host OS: Unix
 Compression: RAR 1.5(v29) -m5 -md=1M\n       Flags: solid \n\n"
    );
    let listing = read(&text).unwrap();
    assert_eq!((listing.summary.format, listing.summary.solid), (ArchiveFormat::Rar4, true));
    let [ListedEntry::File(first), ListedEntry::File(second)] = &listing.entries[..] else {
        panic!("{listing:?}")
    };
    assert_eq!((first.modified, first.executable), (Some(1_288_813_772), false));
    assert_eq!(second.path.as_str(), "уииоотивл.txt");
    assert_eq!((second.modified, second.executable), (None, true), "a date of zeros is not a date");
}

/// 7.01: small letters for units, gigabytes, metadata after `Details`; 7.x may call its own format RAR 7.
#[test]
fn version_7_listings_are_read() {
    let text = "\nRAR 7.01   Copyright (c) 1993-2024 Alexander Roshal   12 May 2024\n\
                Trial version             Type 'rar -?' for help\n\nArchive: x.eti\nDetails: RAR 5\n\
                Original name: amsv.part1.rar\nOriginal time: 2026-11-22 18:20:48,294284602\n"
        .to_owned()
        + &block("a", "File", "       CRC32: 363A3020\n      Colour: blue\n").replace("128K", "1g");
    let directory = "\n        Name: d\n        Type: Directory\n       mtime: 2025-01-01 00:00:00,000000000\n  \
                     Attributes: drwxr-xr-x\n     Host OS: Unix\n Compression: RAR 5.0(v50) -m0\n\n";
    let text = text + directory;
    let totals = read(&text).unwrap().summary.totals;
    assert_eq!((totals.files, totals.directories), (1, 1), "an unknown field of a later version is ignored");
    assert!(read(&text.replace("RAR 5\n", "RAR 7, something new\n")).is_ok());
    assert!(read(&text.replace("RAR 5\n", "RAR 8\n")).is_err());
}

/// A block of a compressed file with this dictionary.
fn compressed(dictionary: &str) -> String {
    block("a", "File", "").replace("-m0 -md=128K", &format!("-m3 -md={dictionary}"))
}

#[test]
fn the_largest_dictionary_of_compressed_files_is_listed() {
    let stored = block("b", "File", "").replace("128K", "512M");
    let listing =
        listing("RAR 5", &[compressed("32M"), stored, compressed("4M").replace("Name: a", "Name: c")]);
    assert_eq!(read(&listing).unwrap().dictionary_bytes, 32 << 20);
}

#[test]
fn dictionaries_are_bounded() {
    for (size, fits) in
        [("0K", true), ("1024M", true), ("1g", true), ("1025M", false), ("4g", false), ("1.5g", false)]
    {
        let text = listing("RAR 5", &[compressed(size)]);
        match read(&text) {
            Ok(_) => assert!(fits, "{size}"),
            Err(ArchiveError::Dictionary { .. }) => assert!(!fits, "{size}"),
            Err(other) => panic!("{size}: {other}"),
        }
    }
    let unknown = listing("RAR 5", &[compressed("some")]);
    assert!(refusal(&unknown).contains("the dictionary is unknown"), "never taken for none");
}

#[test]
fn references_and_hard_links_are_copies() {
    for kind in ["File reference", "Hard link"] {
        let copy = block("b", kind, "       CRC32: 00000000\n")
            .replace("        Size", "      Target: a\n        Size");
        let listing_text = listing("RAR 5", &[block("a", "File", "       CRC32: 363A3020\n"), copy.clone()]);
        let entries = read(&listing_text).unwrap().entries;
        let ListedEntry::Copy(entry) = &entries[1] else { panic!("{entries:?}") };
        assert_eq!((entry.path.as_str(), entry.original.as_str(), entry.size), ("b", "a", 5));
        assert!(matches!(read(&listing("RAR 5", &[copy])), Err(ArchiveError::DanglingCopy { .. })));
    }
    let no_target = listing("RAR 5", &[block("a", "File", ""), block("b", "Hard link", "")]);
    assert!(refusal(&no_target).contains("a field is missing"));
}

#[test]
fn links_and_unknown_kinds_are_refused() {
    let table = [
        ("Unix symbolic link", "the symbolic link"),
        ("Windows symbolic link", "the symbolic link"),
        ("NTFS junction point", "the junction"),
        ("NTFS alternate data stream", "the entry of an unknown kind"),
        ("", "the entry of an unknown kind"),
    ];
    for (kind, expected) in table {
        let text = listing("RAR 5", &[block("a", kind, "")]);
        assert!(refusal(&text).contains(expected), "{kind}: {}", refusal(&text));
    }
    let unknown_link = listing("RAR 5", &[block("a", "File", "      Target: b\n")]);
    assert!(refusal(&unknown_link).contains("the link of an unknown kind"));
}

/// `p` leaves these out, and so does `x`.
#[test]
fn old_file_versions_are_left_out() {
    let old = block("a;1", "File", "").trim_end().to_owned() + "\nFile version: 1\n";
    let entries = read(&listing("RAR 5", &[old.clone(), block("a", "File", "")])).unwrap().entries;
    let [ListedEntry::File(newest)] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(newest.path.as_str(), "a");
    assert!(matches!(read(&listing("RAR 5", &[old])), Err(ArchiveError::Empty { .. })));
}

/// 6.21: `-p` shows names, `-hp` shows nothing.
#[test]
fn every_sign_of_encryption_is_recognised() {
    let flag = block("a", "File", "").trim_end().to_owned() + "\n       Flags: solid encrypted \n";
    for text in [
        listing("RAR 5, encrypted headers", &[]),
        listing("RAR 4, solid, encrypted headers", &[]),
        listing("RAR 5", &[block("a", "File", "   CRC32 MAC: BE7A0CAE\n")]),
        listing("RAR 5", &[block("a", "File", "  BLAKE2 MAC: d54d\n")]),
        listing("RAR 5", &[flag]),
    ] {
        assert!(matches!(read(&text), Err(ArchiveError::Encrypted { .. })), "{text}");
    }
}

/// Three volumes, of which the middle one holds nothing but a part. The last part has the CRC-32 of the whole file.
fn three_volumes() -> String {
    let part = |name: &str, arrow: &str, label: &str, checksum: &str| {
        block(name, "File", &format!("{label:>12}: {checksum}\n")).replace("100%", arrow)
    };
    [
        format!("{BANNER}\nArchive: x.part1.eti\nDetails: RAR 5, volume 1\n"),
        part("small", "100%", "CRC32", "00000001"),
        part("big", "-->", "Pack-CRC32", "00000002"),
        "\nArchive: x.part2.eti\nDetails: RAR 5, volume 2\n".to_owned(),
        part("big", "<->", "Pack-CRC32", "00000003"),
        "\nArchive: x.part3.eti\nDetails: RAR 5, volume 3\n".to_owned(),
        part("big", "<--", "CRC32", "00000004"),
        part("last", "100%", "CRC32", "00000005"),
        "\n".to_owned(),
    ]
    .concat()
}

#[test]
fn a_split_file_is_one_entry() {
    let volumes = ["x.part1.eti", "x.part2.eti", "x.part3.eti"];
    let listing = read_set(three_volumes().as_bytes(), &volumes).unwrap();
    let files = listing.entries.iter().map(|entry| match entry {
        ListedEntry::File(file) => (file.path.as_str(), file.size, file.checksum),
        other => panic!("{other:?}"),
    });
    let crc = |value| Some(Checksum::from_crc32(value));
    assert_eq!(files.collect::<Vec<_>>(), [("small", 5, crc(1)), ("big", 5, crc(4)), ("last", 5, crc(5))]);
}

#[test]
fn volumes_that_do_not_fit_are_refused() {
    let text = three_volumes();
    let read = |text: &str, volumes: &[&str]| read_set(text.as_bytes(), volumes).unwrap_err();
    let (one, two, three, four) = ("x.part1.eti", "x.part2.eti", "x.part3.eti", "x.part4.eti");
    let up_to_second = text.split_once("\nArchive: x.part3.eti").unwrap().0;
    let from_second =
        &(BANNER.to_owned() + "\nArchive: x.part2" + text.split_once("Archive: x.part2").unwrap().1);
    assert!(
        matches!(read(up_to_second, &[one, two]), ArchiveError::VolumeMissing { .. }),
        "the end is missing"
    );
    assert!(
        matches!(read(from_second, &[two, three]), ArchiveError::VolumeMissing { .. }),
        "the start is missing"
    );
    assert!(
        matches!(read(&text, &[one, two]), ArchiveError::VolumeMissing { .. }),
        "one volume too many was read"
    );
    assert!(
        matches!(read(&text, &[one, three, two]), ArchiveError::VolumeMissing { .. }),
        "another volume was read"
    );
    assert!(
        matches!(read(&text, &[one, two, three, four]), ArchiveError::Corrupt { .. }),
        "one volume was not read"
    );
    let other_file = text.replace(
        "big\n        Type: File\n        Size: 5\n Packed size: 5\n       Ratio: <--",
        "gib\n        Type: File\n        Size: 5\n Packed size: 5\n       Ratio: <--",
    );
    assert!(read(&other_file, &[one, two, three]).to_string().contains("not the rest of the split file"));
    let mixed = text.replace("RAR 5, volume 3", "RAR 4, volume");
    assert!(read(&mixed, &[one, two, three]).to_string().contains("different formats"));
}

/// 6.21 prints every one of these names raw.
#[test]
fn hostile_names_are_refused() {
    use NameProblem::{Absolute, ControlCharacter, NotUnicode, Traversal};
    let table: [(&[u8], NameProblem); 9] = [
        (b"../x", Traversal),
        (b"/etc/passwd", Absolute),
        (b"a\rb", ControlCharacter),
        (b"a\x1b[31mb", ControlCharacter),
        (b"a\0b", ControlCharacter),
        (b"", NameProblem::Empty),
        (b"bad\xff", NotUnicode),
        ("bad\u{fffe}\u{e0ff}\u{e0fe}name".as_bytes(), NotUnicode),
        (b".local.installing/x", NameProblem::OurOwn),
    ];
    for (name, expected) in table {
        let text = listing("RAR 5", &[block("NAME", "File", "")]);
        let (before, after) = text.split_once("NAME").unwrap();
        match read_set(&[before.as_bytes(), name, after.as_bytes()].concat(), &["x.eti"]) {
            Err(ArchiveError::Name { source, .. }) => assert_eq!(source.problem, expected, "{name:?}"),
            other => panic!("{name:?}: {other:?}"),
        }
    }
}

#[test]
fn names_that_imitate_lines_are_detected_or_gain_nothing() {
    let imitates_fields = block("x\n        Type: File\n        Size: 0", "File", "");
    assert!(
        refusal(&listing("RAR 5", &[imitates_fields]))
            .contains("`Type` must be the first field and occur once")
    );
    let imitates_an_end = block("x\n\nArchive: y", "File", "");
    assert!(refusal(&listing("RAR 5", &[imitates_an_end])).contains("the block is cut short"));
    let plain_line_feed = block("x\ny", "File", "");
    assert!(refusal(&listing("RAR 5", &[plain_line_feed])).contains("no field looks like this"));
    // A perfect imitation lists two entries, as an archive with two entries would. The entry before the real one passes
    // the same checks, and a link stays a link.
    let imitation = block("a", "File", "").trim().to_owned() + "\n\n        Name: b";
    let perfect = |kind| listing("RAR 5", &[block(imitation.strip_prefix("Name: ").unwrap(), kind, "")]);
    assert_eq!(read(&perfect("File")).unwrap().summary.totals.files, 2);
    assert!(refusal(&perfect("Unix symbolic link")).contains("the symbolic link"));
    assert!(refusal(&perfect("File").replace("Name: a\n", "Name: ../a\n")).contains("`..`"));
}

#[test]
fn texts_of_another_form_are_refused() {
    let good = listing("RAR 5", &[block("a", "File", "       CRC32: 363A3020\n")]);
    let table = [
        (good.replace("Details: RAR 5", "Details: RAR 1.4"), "this format of RAR is not known"),
        (good.replace("Details: RAR 5\n", "\n"), "this format of RAR is not known"),
        (good.replace("Size: 5\n Packed", "Size: ?\n Packed"), "the size is unknown"),
        (good.replace("Size: 5\n Packed", "Size: -5\n Packed"), "the size is unknown"),
        (good.replace("        Size: 5\n", ""), "a field is missing"),
        (good.replace("        Type: File\n", ""), "`Type` must be the first field and occur once"),
        (good.replace("        Name: a\n", ""), "no entry begins like this"),
        (good.replace("CRC32: 363A3020", "CRC32: 363A302"), "this is not a CRC-32"),
        (good.replace("     Host OS: Unix", "       CRC32: 363A3020"), "twice"),
        (good.replace("     Host OS: Unix", "Host OS: Unix"), "no field looks like this"),
        (good.replace(" Compression", "       mtime"), "twice"),
        (good.split_once(" Compression").unwrap().0.to_owned(), "the block is cut short"),
        (good.clone() + "Reconstruction impossible     ", "no entry begins like this"),
        (good.replace("Name: a", &format!("Name: {}", "a".repeat(LINE_BYTES_MAX))), "it is too long"),
    ];
    for (text, expected) in table {
        let refusal = refusal(&text);
        assert!(refusal.contains(expected), "{expected}: {refusal}");
        assert!(refusal.len() < 400, "{refusal}");
    }
}

#[test]
fn programs_and_files_of_another_kind_are_told_apart() {
    let no_archive = format!("{BANNER}\nx.eti is not RAR archive\n");
    assert!(matches!(read(&no_archive), Err(ArchiveError::NotAnArchive { .. })));
    assert!(matches!(read(BANNER), Err(ArchiveError::NotAnArchive { .. })));
    assert!(matches!(read(""), Err(ArchiveError::NotAnArchive { .. })));
    let other = read("unrar: unknown option\nArchive: x.eti\nDetails: RAR 5\n\n").unwrap_err();
    assert!(matches!(other, ArchiveError::ProgramFailed { .. }), "{other}");
    assert!(matches!(read(&listing("RAR 5, lock", &[])), Err(ArchiveError::Empty { .. })));
}
