//! Archives written byte by byte, and what becomes of each.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::process::Command;

use lanspread_archive::ArchiveError;
use lanspread_archive::provider::ProviderChoice;
use lanspread_archive::set::ArchiveSet;
use lanspread_rar::{Header, Headers, Limits};
use lanspread_testing::programs;

use crate::writer::{
    File5, SIGNATURE_4, SIGNATURE_5, STORED_4, end_4, end_5, file_4, file_4_at, header_4, header_5, main_4,
    main_5, main_with_comment_4, plain_4, rar_4, rar_5, vint, with_comment_4,
};
use crate::{agreed, extracted_by_program, unpack, unpack_with};

const DAMAGED: &str = "archive-damaged";
const REFUSED: &str = "archive-refused";

/// Unpacks `bytes` with both providers, and with `unrar x`, which must have no complaint.
fn outcome(label: &str, bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, &'static str> {
    outcome_with(label, bytes, true)
}

fn outcome_with(
    label: &str,
    bytes: &[u8],
    program_is_content: bool,
) -> Result<BTreeMap<String, Vec<u8>>, &'static str> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.eti"), bytes).unwrap();
    let archive = ArchiveSet::single(folder.path(), "x.eti");
    let files = agreed(label, &archive)?.files();
    assert_eq!((files.clone(), program_is_content), extracted_by_program(&archive), "{label}: `unrar x`");
    Ok(files)
}

fn assert_unpacks(label: &str, bytes: &[u8], expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, Vec<u8>> =
        expected.iter().map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec())).collect();
    assert_eq!(outcome(label, bytes), Ok(expected), "{label}");
}

fn assert_refused(label: &str, bytes: &[u8], code: &'static str) {
    assert_eq!(outcome(label, bytes), Err(code), "{label}");
}

fn two_files_5() -> Vec<u8> {
    rar_5(&[File5::new("a.txt", "one\n"), File5::new("b.txt", "two\n")])
}

fn two_files_4() -> Vec<u8> {
    rar_4(&[plain_4("a.txt", "one\n"), plain_4("b.txt", "two\n")])
}

const TWO_FILES: &[(&str, &str)] = &[("a.txt", "one\n"), ("b.txt", "two\n")];

#[test]
fn archives_after_the_program_of_a_self_extracting_one_are_read() {
    let program = [b"MZ".to_vec(), vec![0; 998]].concat();
    assert_unpacks("RAR 5", &[program.clone(), two_files_5()].concat(), TWO_FILES);
    assert_unpacks("RAR 4", &[program.clone(), two_files_4()].concat(), TWO_FILES);
    // Modules compare signatures, so they contain them.
    let with_signatures = [&program[..], SIGNATURE_5, b" and so on"].concat();
    let native_finds_it = [with_signatures, vec![0; 100], two_files_5()].concat();
    assert!(matches!(outcome_of_native(&native_finds_it), Ok(2)));
}

/// What `unrar` takes as it is, although no writer makes it. Where it is lenient, the built-in decoder is strict.
#[test]
fn the_native_provider_is_stricter_with_what_no_writer_makes() {
    let file = File5::new("a.txt", "one\n").bytes();
    let two_main_headers = [SIGNATURE_5, &main_5(), &main_5(), &file, &end_5()].concat();
    assert!(matches!(outcome_of_native(&two_main_headers), Err(ArchiveError::Corrupt { .. })));
    let mut latin_1 = File5::new("", "x");
    latin_1.name = b"Stra\xdfe.txt";
    assert!(matches!(outcome_of_native(&rar_5(&[latin_1])), Err(ArchiveError::Name { .. })));
    let mut fifo = File5::new("fifo", "x");
    fifo.mode = 0o010_644;
    assert!(matches!(outcome_of_native(&rar_5(&[fifo])), Err(ArchiveError::UnsupportedEntry { .. })));
}

/// The number of files that the native provider unpacks.
fn outcome_of_native(bytes: &[u8]) -> Result<usize, ArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.eti"), bytes).unwrap();
    let archive = ArchiveSet::single(folder.path(), "x.eti");
    let unpacked = unpack(&ProviderChoice::Native, &archive)?;
    Ok(unpacked.files().len())
}

/// Whatever is stored in the outer archive is content.
#[test]
fn an_archive_inside_an_archive_is_a_file() {
    let program = vec![0x90; 500];
    let inner = String::from_utf8_lossy(&two_files_5()).into_owned();
    let inner_4 = String::from_utf8_lossy(&two_files_4()).into_owned();
    let outer_4 = rar_4(&[file_4(b"inner.rar", &two_files_5(), 0, 0o100_644), plain_4("a.txt", "one\n")]);
    let outer_5 = |inner: &str| rar_5(&[File5::new("inner.rar", inner), File5::new("a.txt", "one\n")]);
    for (label, outer) in [("5 in 4", outer_4), ("5 in 5", outer_5(&inner)), ("4 in 5", outer_5(&inner_4))] {
        for whole in [outer.clone(), [program.clone(), outer].concat()] {
            let files = outcome(label, &whole).unwrap();
            assert_eq!(files.keys().collect::<Vec<_>>(), ["a.txt", "inner.rar"], "{label}");
        }
    }
}

#[test]
fn old_file_versions_are_left_out() {
    let old = File5::new("game.cfg", "old\n").with_extra(4, &[0, 1]);
    let new = File5::new("game.cfg", "new\n");
    assert_unpacks("RAR 5", &rar_5(&[old, new]), &[("game.cfg", "new\n")]);
    let old = file_4(b"game.cfg;1", b"old\n", 0x0800, 0o100_644);
    let new = plain_4("game.cfg", "new\n");
    assert_unpacks("RAR 4", &rar_4(&[old.clone(), new]), &[("game.cfg", "new\n")]);
    let zero = File5::new("game.cfg", "new\n").with_extra(4, &[0, 0]);
    assert_unpacks("version 0 is none", &rar_5(&[zero]), &[("game.cfg", "new\n")]);
    let only_old = File5::new("game.cfg", "old\n").with_extra(4, &[0, 1]);
    assert_refused("RAR 5, nothing else", &rar_5(&[only_old]), DAMAGED);
    assert_refused("RAR 4, nothing else", &rar_4(&[old]), DAMAGED);
    // Only a flag makes it a version.
    assert_unpacks("a name", &rar_4(&[plain_4("a;1", "x\n")]), &[("a;1", "x\n")]);
}

#[test]
fn archives_without_entries_are_refused() {
    assert_refused("RAR 5", &[SIGNATURE_5, &main_5(), &end_5()].concat(), DAMAGED);
    assert_refused("RAR 4", &rar_4(&[]), DAMAGED);
    assert_refused("RAR 4, cut after its main header", &[SIGNATURE_4, &main_4()].concat(), DAMAGED);
    assert_refused("RAR 5, cut after its main header", &[SIGNATURE_5, &main_5()].concat(), DAMAGED);
}

#[test]
fn a_missing_or_damaged_main_header_is_damage() {
    let file = File5::new("a.txt", "one\n").bytes();
    let damaged = |header: Vec<u8>| {
        let mut header = header;
        *header.last_mut().unwrap() ^= 0x40;
        header
    };
    assert_refused("RAR 5, none", &[SIGNATURE_5, &file, &end_5()].concat(), DAMAGED);
    assert_refused("RAR 5, damaged", &[SIGNATURE_5, &damaged(main_5()), &file, &end_5()].concat(), DAMAGED);
    let file = plain_4("a.txt", "one\n");
    assert_refused("RAR 4, none", &[SIGNATURE_4, &file, &end_4()].concat(), DAMAGED);
    assert_refused("RAR 4, damaged", &[SIGNATURE_4, &damaged(main_4()), &file, &end_4()].concat(), DAMAGED);
}

/// Cut anywhere, an archive is refused, with one exception: RAR 4 needs no end record, so that one that was cut between two
/// files cannot be told from a whole one.
#[test]
fn archives_that_were_cut_anywhere_are_refused() {
    let whole = two_files_5();
    for length in 0..whole.len() {
        assert_refused(&format!("RAR 5, {length} bytes"), &whole[..length], DAMAGED);
    }
    let whole = two_files_4();
    let after_first = SIGNATURE_4.len() + main_4().len() + plain_4("a.txt", "one\n").len();
    let after_second = after_first + plain_4("b.txt", "two\n").len();
    for length in 0..whole.len() {
        let label = format!("RAR 4, {length} bytes");
        if length == after_first {
            assert_unpacks(&label, &whole[..length], &TWO_FILES[..1]);
        } else if length == after_second {
            assert_unpacks(&label, &whole[..length], TWO_FILES);
        } else {
            assert_refused(&label, &whole[..length], DAMAGED);
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused_or_changes_nothing() {
    for (format, whole) in [("RAR 5", two_files_5()), ("RAR 4", two_files_4())] {
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let label = format!("{format}, byte {at}");
            if let Ok(files) = outcome(&label, &damaged) {
                let content: BTreeMap<String, Vec<u8>> = TWO_FILES
                    .iter()
                    .map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec()))
                    .collect();
                assert_eq!(files, content, "{label}");
            }
        }
    }
}

#[test]
fn what_follows_the_end_record_is_not_read() {
    let tail = b"a signature of some store, or padding\0\0\0";
    assert_unpacks("RAR 5", &[&two_files_5()[..], tail].concat(), TWO_FILES);
    assert_unpacks("RAR 4", &[&two_files_4()[..], tail].concat(), TWO_FILES);
}

#[test]
fn a_nul_ends_a_name() {
    for (name, expected) in [("a.txt\0\0\0", "a.txt"), ("a\0b.txt", "a"), ("d/a\0", "d/a")] {
        let expected = [(expected, "one\n")];
        assert_unpacks("RAR 5", &rar_5(&[File5::new(name, "one\n")]), &expected);
        assert_unpacks("RAR 4", &rar_4(&[plain_4(name, "one\n")]), &expected);
    }
    let copy = File5::new("b.txt", "").linked(5, "a.txt\0\0");
    let files = [File5::new("a.txt\0", "one\n"), copy];
    assert_unpacks("a reference", &rar_5(&files), &[("a.txt", "one\n"), ("b.txt", "one\n")]);
}

#[test]
fn links_are_refused() {
    for kind in [1, 2, 3, 6] {
        let files = [File5::new("a", "x"), File5::new("link", "").linked(kind, "a")];
        assert_refused(&format!("RAR 5, kind {kind}"), &rar_5(&files), REFUSED);
    }
    let mut by_mode = File5::new("link", "a");
    by_mode.mode = 0o120_777;
    assert_refused("RAR 5, only its mode says so", &rar_5(&[by_mode]), REFUSED);
    assert_refused("RAR 4", &rar_4(&[file_4(b"link", b"a", 0, 0o120_777)]), REFUSED);
}

/// Damage may be the reason for whatever else looks wrong.
#[test]
fn damage_counts_before_a_refusal() {
    let link = File5::new("link", "").linked(1, "a").bytes();
    let mut damaged = File5::new("b", "").bytes();
    *damaged.last_mut().unwrap() ^= 1;
    let bytes = [SIGNATURE_5, &main_5(), &link, &damaged, &end_5()].concat();
    assert_refused("RAR 5", &bytes, DAMAGED);
    assert_refused("RAR 5, without an end record", &[SIGNATURE_5, &main_5(), &link].concat(), DAMAGED);
}

/// Without its code page, no reader can know which letters these bytes are.
#[test]
fn names_of_an_old_code_page_are_refused() {
    let name = b"Stra\xdfe.txt";
    assert_refused("RAR 4", &rar_4(&[file_4(name, b"x", 0, 0o100_644)]), REFUSED);
    // Linux wrote UTF-8 into the same field.
    assert_unpacks("UTF-8", &rar_4(&[plain_4("Straße.txt", "x")]), &[("Straße.txt", "x")]);
}

#[test]
fn dictionaries_above_the_limit_are_refused() {
    let file = |compression| {
        let mut file = File5::new("a", "not packed");
        file.compression = compression;
        rar_5(&[file])
    };
    let (method, two_gib, three_quarters) = (3 << 7, 14 << 10, 1 | 1 << 20 | 16 << 15);
    assert_refused("2 GiB", &file(method | two_gib), REFUSED);
    assert!(matches!(
        outcome_of_native(&file(method | three_quarters | 13 << 10)),
        Err(ArchiveError::Dictionary { got: 0x6000_0000, .. })
    ));
    assert_unpacks("a stored file uses none", &file(two_gib), &[("a", "not packed")]);
}

/// RAR 7 has dictionaries above 4 GiB; `unrar` 7, which `rar` 7 is too, decodes them only if a switch allows it.
#[test]
fn a_dictionary_that_was_allowed_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let content = "many words, again and again\n".repeat(500);
    fs::write(folder.path().join("a.txt"), &content).unwrap();
    let packed = Command::new(programs::real("rar"))
        .args(["a", "-cfg-", "-idq", "-m3", "packed.rar", "a.txt"])
        .current_dir(folder.path())
        .status();
    assert!(packed.unwrap().success());
    let packed = fs::read(folder.path().join("packed.rar")).unwrap();
    let headers = Headers::seek(Cursor::new(&packed), Limits::default()).unwrap();
    let header = headers.filter_map(Result::ok).find_map(|header| match header {
        Header::File(file) => Some(file),
        _ => None,
    });
    let block = header.unwrap().block;
    let data = usize::try_from(block.offset + block.header_bytes).unwrap();
    let mut file = File5::new("a.txt", &content);
    file.data = &packed[data..data + usize::try_from(block.data_bytes).unwrap()];
    // Method 3, version 1 of the format for data of version 0, and 4 GiB + 1/32.
    file.compression = (3 << 7) | 1 | (1 << 20) | (15 << 10) | (1 << 15);
    fs::write(folder.path().join("x.eti"), rar_5(&[file])).unwrap();
    let archive = ArchiveSet::single(folder.path(), "x.eti");
    let needed = (4 << 30) + (128 << 20);
    for choice in [ProviderChoice::Native, ProviderChoice::Unrar(programs::real("rar"))] {
        let refused = unpack_with(&choice, &archive, needed - 1).unwrap_err();
        assert!(matches!(refused, ArchiveError::Dictionary { got, .. } if got == needed), "{refused}");
        assert_eq!(
            refused.to_string(),
            format!("x.eti needs a dictionary of 4224 MiB; the limit is {} bytes", needed - 1)
        );
        let unpacked = unpack_with(&choice, &archive, needed).unwrap();
        assert_eq!(unpacked.listing.dictionary_bytes, needed);
        assert!(unpacked.files()["a.txt"] == content.as_bytes(), "{choice:?}");
    }
}

/// Found in public archives: what `unrar` passes over is passed over.
#[test]
fn headers_that_are_not_quite_right_are_read_as_unrar_reads_them() {
    let file = || File5::new("a", "x");
    let end_without_flags = header_5(&[5, 4]);
    let bytes = [SIGNATURE_5, &main_5(), &file().bytes(), &end_without_flags].concat();
    assert_unpacks("an end record without its flags", &bytes, &[("a", "x")]);
    let unknown_checksum = file().with_extra(2, &[9, 1, 2, 3]);
    assert_unpacks("a checksum of an unknown type", &rar_5(&[unknown_checksum]), &[("a", "x")]);
    let short_time = file().with_extra(3, &[3, 1]);
    assert_unpacks("a time that is cut short", &rar_5(&[short_time]), &[("a", "x")]);
    // 2025-01-01 with the month, then the day, then both at zero.
    for (month, day) in [(0, 1), (1, 0), (0, 0), (13, 31)] {
        let bytes = rar_4(&[file_4_at("a", "x", (45 << 25) | (month << 21) | (day << 16), STORED_4)]);
        assert_unpacks(&format!("month {month}, day {day}"), &bytes, &[("a", "x")]);
    }
    assert_unpacks("no time", &rar_4(&[file_4_at("a", "x", 0, STORED_4)]), &[("a", "x")]);
    let later_method = rar_4(&[file_4_at("a", "x", 0, [36, 0x33])]);
    assert_unpacks("stored by a later version", &rar_4(&[file_4_at("a", "x", 0, [36, 0x30])]), &[("a", "x")]);
    assert_refused("a method that RAR 4 does not have", &later_method, DAMAGED);
}

/// RAR 1.5 and 2 put comments into headers. `unrar` 6 and 7 unpack such an archive, and then end with a fault that they do
/// not name.
#[test]
fn comments_in_old_headers_are_skipped() {
    let commented = with_comment_4(&plain_4("a", "x"), b"x", b"a comment");
    let files = outcome_with("a file comment", &rar_4(std::slice::from_ref(&commented)), false).unwrap();
    assert_eq!(files, BTreeMap::from([("a".to_owned(), b"x".to_vec())]));
    let archive = [SIGNATURE_4, &main_with_comment_4(b"a comment"), &plain_4("a", "x"), &end_4()].concat();
    assert_eq!(outcome("a comment of the archive", &archive).unwrap(), files);
    // With a damaged header beside it, the same fault means that header.
    let mut end = end_4();
    end[0] ^= 1;
    let damaged = [SIGNATURE_4, &main_4(), &commented, &end].concat();
    assert_eq!(outcome_with("and a damaged end", &damaged, false), Err(DAMAGED));
}

/// `unrar` shows `?` for what it cannot show.
#[test]
fn names_of_rar_4_that_decoders_read_differently_are_refused() {
    // "𝐀" in the compressed UTF-16 of RAR 4: a high byte, then pairs of bits and low bytes.
    let wide = [&b"??"[..], &[0, 0xd8, 0b1010_0000, 0x35, 0xd8, 0x00, 0xdc]].concat();
    assert_refused("two units", &rar_4(&[file_4(&wide, b"x", 0x0200, 0o100_644)]), REFUSED);
    assert_refused("a question mark", &rar_4(&[plain_4("what?.txt", "x")]), REFUSED);
    assert_unpacks("the same in UTF-8", &rar_4(&[plain_4("𝐀.txt", "x")]), &[("𝐀.txt", "x")]);
    assert_unpacks("RAR 5", &rar_5(&[File5::new("what?.txt", "x")]), &[("what?.txt", "x")]);
}

#[test]
fn references_need_an_earlier_file() {
    let reference = || File5::new("b", "").linked(5, "a");
    let both = [("a", "x"), ("b", "x")];
    assert_unpacks("a file copy", &rar_5(&[File5::new("a", "x"), reference()]), &both);
    let hard_link = File5::new("b", "").linked(4, "a");
    assert_unpacks("a hard link", &rar_5(&[File5::new("a", "x"), hard_link]), &both);
    let of_a_copy = File5::new("c", "").linked(5, "b");
    let chain = [File5::new("a", "x"), reference(), of_a_copy];
    assert_unpacks("a copy of a copy", &rar_5(&chain), &[("a", "x"), ("b", "x"), ("c", "x")]);
    assert_refused("a later file", &rar_5(&[reference(), File5::new("a", "x")]), DAMAGED);
    assert_refused("no file", &rar_5(&[reference()]), DAMAGED);
}

#[test]
fn entries_that_cannot_be_checked_are_refused() {
    let mut unknown_size = File5::new("a", "x");
    unknown_size.flags = 8;
    assert_refused("a size that is not known", &rar_5(&[unknown_size]), DAMAGED);
    let mut wrong = File5::new("a", "x");
    wrong.crc32 ^= 1;
    assert_refused("a wrong CRC-32", &rar_5(&[wrong]), DAMAGED);
    let mut unknown_method = File5::new("a", "x");
    unknown_method.compression = 7 << 7;
    assert_refused("a method that does not exist", &rar_5(&[unknown_method]), DAMAGED);
    let mut later = File5::new("a", "x");
    later.compression = (3 << 7) | 2;
    assert_refused("a later version of the format", &rar_5(&[later]), DAMAGED);
}

/// Records of later versions and of other programs.
#[test]
fn headers_of_other_kinds_are_skipped() {
    let unknown = header_5(&[vint(77), vint(4), vec![1, 2, 3]].concat());
    let bytes = [SIGNATURE_5, &main_5(), &unknown, &File5::new("a", "x").bytes(), &end_5()].concat();
    assert_unpacks("RAR 5", &bytes, &[("a", "x")]);
    let unknown = header_4(0x7d, 0x4000, &[1, 2, 3]);
    let bytes = [SIGNATURE_4, &main_4(), &unknown, &plain_4("a", "x"), &end_4()].concat();
    assert_unpacks("RAR 4", &bytes, &[("a", "x")]);
}
