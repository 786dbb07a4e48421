//! Turns a program's exit status and complaints into an error. Pure.
//!
//! `unrar` speaks English only. Where its words are more exact than its exit status, they count first: it exits with 0
//! after listing a set with a missing volume. A name inside the archive can imitate these words, but only changes the
//! kind of refusal.

use std::path::Path;
use std::process::ExitStatus;

use lanspread_types::limits;
use lanspread_types::text::printable;

use crate::error::ArchiveError;

/// Lines of stderr that are shown; the first one is the cause.
const LINES_SHOWN: usize = 3;

/// Exit statuses of `unrar`, from its manual (`rar.txt`, "Exit values").
mod status {
    pub(super) const SUCCESS: i32 = 0;
    pub(super) const WARNING: i32 = 1;
    pub(super) const CHECKSUM: i32 = 3;
    pub(super) const NO_FILES: i32 = 10;
    pub(super) const PASSWORD: i32 = 11;
    /// Not in the manual of 7.01; later versions use it for a file that is not an archive.
    pub(super) const BAD_ARCHIVE: i32 = 13;
}

/// The fault of a run that ended by itself, if there was one.
///
/// `empty` means that there was no content to print, which the program reports as a fault of the request.
pub(super) fn of_ended_run(
    program: &Path,
    archive: &str,
    status: ExitStatus,
    complaints: &[u8],
    empty: bool,
) -> Option<ArchiveError> {
    let archive = archive.to_owned();
    let words = shown(complaints);
    match (first_complaint(complaints), status.code()) {
        (Some(Complaint::Encrypted), _) | (_, Some(status::PASSWORD)) => {
            Some(ArchiveError::Encrypted { archive })
        }
        (Some(Complaint::VolumeMissing), _) => Some(ArchiveError::VolumeMissing { archive, reason: words }),
        (Some(Complaint::TooNew), _) | (_, Some(status::BAD_ARCHIVE)) => {
            Some(ArchiveError::NotAnArchive { archive, reason: words })
        }
        (_, Some(status::SUCCESS)) => None,
        (_, Some(status::NO_FILES)) if empty => None,
        (Some(Complaint::Corrupt), _) | (None, Some(status::WARNING | status::CHECKSUM)) => {
            let reason = if words.is_empty() { format!("unrar ended with {status}") } else { words };
            Some(ArchiveError::Corrupt { archive, entry: None, reason })
        }
        (None, _) => {
            let reason = if words.is_empty() { status.to_string() } else { format!("{status}: {words}") };
            Some(ArchiveError::ProgramFailed { program: program.to_owned(), archive, reason })
        }
    }
}

/// Whether a run ended as it does if only the archive's comment is damaged: a checksum is wrong, and no entry is named.
/// It ends like that with some damaged headers too.
pub(super) fn can_be_about_the_comment(status: ExitStatus, complaints: &[u8]) -> bool {
    status.code() == Some(status::CHECKSUM) && shown(complaints).is_empty()
}

/// The fault that a program had reported before it was stopped because its output did not match the listing.
pub(super) fn of_stopped_run(archive: &str, complaints: &[u8]) -> Option<ArchiveError> {
    let archive = archive.to_owned();
    let reason = shown(complaints);
    Some(match first_complaint(complaints)? {
        Complaint::Encrypted => ArchiveError::Encrypted { archive },
        Complaint::VolumeMissing => ArchiveError::VolumeMissing { archive, reason },
        Complaint::TooNew => ArchiveError::NotAnArchive { archive, reason },
        Complaint::Corrupt => ArchiveError::Corrupt { archive, entry: None, reason },
    })
}

/// The meaning of a complaint, if it is known. The later variant is the more specific one and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Complaint {
    Corrupt,
    /// Packed by a method that the program does not know.
    TooNew,
    VolumeMissing,
    Encrypted,
}

fn first_complaint(complaints: &[u8]) -> Option<Complaint> {
    lines(complaints).filter_map(|line| complaint_of_line(&line)).max()
}

fn complaint_of_line(line: &str) -> Option<Complaint> {
    let starts = |beginnings: &[&str]| beginnings.iter().any(|beginning| line.starts_with(beginning));
    if starts(&[
        "Incorrect password",
        "The specified password is incorrect",
        "Checksum error in the encrypted file",
    ]) {
        Some(Complaint::Encrypted)
    } else if starts(&["Cannot find volume", "WARNING: You need to start extraction from a previous volume"])
    {
        Some(Complaint::VolumeMissing)
    } else if starts(&["Unknown method in"]) {
        Some(Complaint::TooNew)
    } else if line.ends_with("- checksum error")
        || starts(&[
            "Unexpected end of archive",
            "Corrupt",
            "Main archive header is corrupt",
            "Seek error in the file",
        ])
    {
        Some(Complaint::Corrupt)
    } else {
        None
    }
}

fn lines(complaints: &[u8]) -> impl Iterator<Item = String> {
    complaints.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        (!line.is_empty()).then(|| line.to_owned())
    })
}

/// The first lines in one, escaped and cut.
fn shown(complaints: &[u8]) -> String {
    let mut lines = lines(complaints);
    let mut first: Vec<String> = lines.by_ref().take(LINES_SHOWN).collect();
    first.dedup();
    if lines.next().is_some() {
        first.push("…".to_owned());
    }
    printable(&first.join("; "), limits::MESSAGE_BYTES_MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn verdict(code: i32, complaints: &str) -> Option<ArchiveError> {
        let status = ExitStatus::from_raw(code << 8);
        of_ended_run(Path::new("/opt/unrar"), "x.eti", status, complaints.as_bytes(), false)
    }

    /// The complaints are those of unrar 6.21.
    #[test]
    fn words_decide_before_the_status() {
        use ArchiveError::{Corrupt, Encrypted, NotAnArchive, ProgramFailed, VolumeMissing};
        assert!(verdict(0, "").is_none());
        assert!(verdict(0, "\nsome wrapper's warning\n").is_none());
        assert!(matches!(verdict(11, ""), Some(Encrypted { .. })));
        let encrypted = "\nChecksum error in the encrypted file x.eti. Corrupt file or wrong password.";
        assert!(matches!(verdict(3, encrypted), Some(Encrypted { .. })));
        let volume = "\nCannot find volume x.part3.eti\ndata/big.bin         - checksum error";
        assert!(matches!(verdict(0, volume), Some(VolumeMissing { .. })), "as reported while listing");
        assert!(matches!(verdict(3, volume), Some(VolumeMissing { .. })), "as reported while printing");
        assert!(matches!(verdict(1, "\nUnexpected end of archive"), Some(Corrupt { .. })));
        assert!(matches!(verdict(3, "\na - checksum error"), Some(Corrupt { .. })));
        assert!(matches!(verdict(3, ""), Some(Corrupt { .. })));
        let seek = "\nSeek error in the file x.eti\nInvalid argument";
        assert!(matches!(verdict(2, seek), Some(Corrupt { .. })), "a size that no file has");
        assert!(matches!(verdict(13, "no archive"), Some(NotAnArchive { .. })));
        let too_new = "\nUnknown method in mid.txt\nYou may need a newer version of RAR.";
        assert!(matches!(verdict(2, too_new), Some(NotAnArchive { .. })));
        assert!(matches!(verdict(8, "Not enough memory"), Some(ProgramFailed { .. })));
    }

    #[test]
    fn no_files_is_right_when_there_is_nothing_to_print() {
        let status = ExitStatus::from_raw(10 << 8);
        assert!(of_ended_run(Path::new("u"), "x.eti", status, b"", true).is_none());
        assert!(of_ended_run(Path::new("u"), "x.eti", status, b"", false).is_some());
    }

    #[test]
    fn a_signal_is_named() {
        let status = ExitStatus::from_raw(9);
        let error = of_ended_run(Path::new("/opt/unrar"), "x.eti", status, b"", false).unwrap();
        assert_eq!(error.to_string(), "/opt/unrar failed on x.eti: signal: 9 (SIGKILL)");
    }

    #[test]
    fn complaints_are_shown_as_one_safe_line() {
        let error = verdict(2, "\n a\u{1b}[2J \nb\nb\nc\nd\n").unwrap();
        assert_eq!(error.to_string(), "/opt/unrar failed on x.eti: exit status: 2: a\\u{1b}[2J; b; …");
        let long = "x".repeat(10_000);
        assert!(verdict(2, &long).unwrap().to_string().len() < limits::MESSAGE_BYTES_MAX);
    }

    #[test]
    fn a_stopped_run_is_blamed_only_for_what_is_understood() {
        assert!(of_stopped_run("x.eti", b"\nld.so: object cannot be preloaded").is_none());
        let error = of_stopped_run("x.eti", b"\nmissions/mission-01.txt - checksum error\n").unwrap();
        assert_eq!(error.to_string(), "x.eti is damaged: missions/mission-01.txt - checksum error");
    }
}
