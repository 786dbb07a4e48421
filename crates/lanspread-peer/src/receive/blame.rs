//! Decides whether a failure of this machine may come from what the source sent. Pure.
//!
//! If it may, the attempt has failed, and the next source is tried: it may announce less, or other names. If it cannot,
//! no other source can help, and the install ends. Only the staging of a stream asks: in a download, the names and sizes
//! of all files are those of the validated list, so no single source can cause a failure of the disk.

use std::io;

use lanspread_types::fault::LocalError;

/// Where a failure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Possibly from the names, the number or the size of the entries.
    Content,
    /// From this machine, whatever is sent.
    Machine,
}

/// Where a failure to stage an entry comes from.
pub(crate) fn blame(error: &LocalError) -> Blame {
    let source = match error {
        // There is no room for what was announced.
        LocalError::NotEnoughSpace { .. } | LocalError::NotEnoughInodes { .. } => return Blame::Content,
        LocalError::Unfinished { .. } | LocalError::Foreign(_) => return Blame::Machine,
        LocalError::Io { source, .. } => source,
    };
    let by_kind = matches!(
        source.kind(),
        // Space or inodes. If the disk is really full, the next source's totals are compared with what is left.
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            // Names that this file system does not take, and folders with too many subfolders.
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::TooManyLinks
            // Names that are one name to this file system.
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
    );
    // The standard library has no kind for a name whose bytes a file system does not take.
    let is_bad_name = source.raw_os_error() == Some(rustix::io::Errno::ILSEQ.raw_os_error());
    if by_kind || is_bad_name { Blame::Content } else { Blame::Machine }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn io_error(errno: Errno) -> LocalError {
        LocalError::io("create", "/games/g/.local.installing/x")(io::Error::from(errno))
    }

    #[test]
    fn only_what_names_and_sizes_can_cause_is_the_content_s_fault() {
        let content = [
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::FBIG,
            Errno::NAMETOOLONG,
            Errno::INVAL,
            Errno::ILSEQ,
            Errno::EXIST,
            Errno::ISDIR,
            Errno::NOTDIR,
            Errno::MLINK,
        ];
        for errno in content {
            assert_eq!(blame(&io_error(errno)), Blame::Content, "{errno}");
        }
        let machine = [
            Errno::IO,
            Errno::ROFS,
            Errno::ACCESS,
            Errno::PERM,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::NOENT,
            Errno::STALE,
        ];
        for errno in machine {
            assert_eq!(blame(&io_error(errno)), Blame::Machine, "{errno}");
        }
        let claimed =
            LocalError::NotEnoughSpace { path: "/".into(), needed_bytes: 2, free_bytes: 1, booked_bytes: 0 };
        assert_eq!(blame(&claimed), Blame::Content);
        let claimed = LocalError::NotEnoughInodes {
            path: "/".into(),
            needed_inodes: 2,
            free_inodes: 1,
            booked_inodes: 0,
        };
        assert_eq!(blame(&claimed), Blame::Content);
        let installed = io_error(Errno::NOSPC).after("/games/g/local", "installed");
        assert_eq!(blame(&installed), Blame::Machine, "what was sent is installed");
    }
}
