use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

fn folder() -> (tempfile::TempDir, File) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "content").unwrap();
    let opened = File::open(folder.path()).unwrap();
    (folder, opened)
}

/// Puts one of everything that is not a file under a name, in turn, and calls `check` with it.
fn each_kind(check: impl Fn(&Path, &File, NotAFile)) {
    let (folder, opened) = folder();
    let name = folder.path().join("name");
    let make = |kind| match kind {
        NotAFile::Folder => fs::create_dir(&name).unwrap(),
        NotAFile::Link => symlink("file", &name).unwrap(),
        NotAFile::Pipe => {
            let mode = Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(CWD, &name, FileType::Fifo, mode, 0).unwrap();
        }
        NotAFile::Socket => drop(UnixListener::bind(&name).unwrap()),
        // Only root may make one.
        NotAFile::Device => unreachable!(),
    };
    for kind in [NotAFile::Folder, NotAFile::Link, NotAFile::Pipe, NotAFile::Socket] {
        make(kind);
        check(&name, &opened, kind);
        if kind == NotAFile::Folder {
            fs::remove_dir(&name).unwrap();
        } else {
            fs::remove_file(&name).unwrap();
        }
    }
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "content");
}

/// This test would never end if opening waited for the other end of a pipe.
#[test]
fn what_is_not_a_file_is_named_and_never_waited_for() {
    each_kind(|_, folder, kind| {
        let refused = |opened: Result<File, FileError>| match opened {
            Err(FileError::NotAFile(found)) => assert_eq!(found, kind),
            other => panic!("{kind}: {other:?}"),
        };
        refused(open_ours(folder, "name"));
        refused(open_ours_to_write(folder, "name"));
        refused(open_or_create_ours(folder, "name", 0o600));
    });
}

/// Between asking and opening, a program may put something else under the name.
#[test]
fn what_takes_the_name_of_a_file_at_the_last_moment_is_not_opened_either() {
    each_kind(|path, folder, kind| {
        let aside = path.with_file_name("aside");
        fs::rename(path, &aside).unwrap();
        fs::write(path, "a file").unwrap();
        let swap = || {
            fs::remove_file(path).unwrap();
            fs::rename(&aside, path).unwrap();
        };
        let (name, mode) = (Path::new("name"), Mode::empty());
        let refused = open_after(folder, name, OFlags::RDONLY, mode, Links::Refused, swap);
        assert!(matches!(refused, Err(FileError::NotAFile(found)) if found == kind), "{kind}: {refused:?}");
    });
}

#[test]
fn a_file_of_the_user_may_be_a_link_but_nothing_else() {
    each_kind(|path, _, kind| match (kind, read_of_user(path, 100)) {
        (NotAFile::Link, Ok(bytes)) => assert_eq!(bytes, b"content"),
        (_, Err(FileError::NotAFile(found))) => assert_eq!(found, kind),
        (_, other) => panic!("{kind}: {other:?}"),
    });
    let device = open_of_user(Path::new("/dev/null")).unwrap_err();
    assert!(matches!(device, FileError::NotAFile(NotAFile::Device)), "{device}");
}

#[test]
fn a_new_file_replaces_a_link_and_never_what_it_leads_to() {
    each_kind(|path, folder, kind| {
        match create_ours(folder, "name", 0o600) {
            Ok(mut file) => {
                assert_eq!(kind, NotAFile::Link);
                file.write_all(b"ours").unwrap();
            }
            Err(FileError::NotAFile(found)) => assert_eq!(found, kind),
            Err(other) => panic!("{kind}: {other}"),
        }
        assert_eq!(path.is_file(), kind == NotAFile::Link);
    });
}

#[test]
fn a_hard_link_is_never_written_through_and_a_new_file_takes_its_place() {
    let (folder, opened) = folder();
    fs::hard_link(folder.path().join("file"), folder.path().join("name")).unwrap();
    for opened in [open_ours_to_write(&opened, "name"), open_or_create_ours(&opened, "name", 0o600)] {
        assert!(matches!(opened, Err(FileError::HardLink)), "{opened:?}");
    }
    create_ours(&opened, "name", 0o600).unwrap().write_all(b"ours").unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "content");
    assert_eq!(fs::read_to_string(folder.path().join("name")).unwrap(), "ours");
    assert!(open_ours_to_write(&opened, "name").is_ok());
}

#[test]
fn a_link_that_leads_nowhere_is_not_created_through() {
    let (folder, opened) = folder();
    let target = folder.path().join("target");
    symlink(&target, folder.path().join("name")).unwrap();
    let refused = open_or_create_ours(&opened, "name", 0o600);
    assert!(matches!(refused, Err(FileError::NotAFile(NotAFile::Link))), "{refused:?}");
    assert!(!target.exists());
}

#[test]
fn a_file_is_read_only_up_to_its_bound_and_a_huge_one_not_at_all() {
    let (folder, opened) = folder();
    let file = open_ours(&opened, "file").unwrap();
    assert!(matches!(read_whole(&file, 6), Err(FileError::TooLarge(6))));
    assert_eq!(read_whole(&file, 7).unwrap(), b"content");
    // Reading this one would take more memory than there is.
    File::create(folder.path().join("huge")).unwrap().set_len(1 << 40).unwrap();
    let huge = open_ours(&opened, "huge").unwrap();
    assert!(matches!(read_whole(&huge, 7), Err(FileError::TooLarge(7))));
    // A file that says it is empty, as in /proc, is bounded too.
    assert!(matches!(read_of_user(Path::new("/proc/self/status"), 7), Err(FileError::TooLarge(7))));
}

#[test]
fn nothing_is_an_error_that_callers_can_tell_from_the_others() {
    let (_folder, opened) = folder();
    assert!(if_present(open_ours(&opened, "absent")).unwrap().is_none());
    assert!(if_present(open_ours(&opened, "file")).unwrap().is_some());
    assert!(if_present(open_ours(&opened, ".")).is_err());
}

#[test]
fn a_file_that_was_replaced_is_no_longer_under_its_name() {
    let (folder, opened) = folder();
    let path = folder.path().join("file");
    let file = open_ours(&opened, "file").unwrap();
    assert!(is_under(&file, &opened, "file"));
    fs::remove_file(&path).unwrap();
    assert!(!is_under(&file, &opened, "file"), "removed");
    fs::write(&path, "content").unwrap();
    assert!(!is_under(&file, &opened, "file"), "replaced by a file with the same content");
    assert!(is_under(&open_ours(&opened, "file").unwrap(), &opened, "file"));
}

#[test]
fn a_folder_of_the_user_may_be_a_link_and_nothing_else_is_waited_for() {
    each_kind(|path, _, kind| {
        let opened = open_folder_of_user(path);
        assert_eq!(opened.is_ok(), kind == NotAFile::Folder, "{kind}: {opened:?}");
    });
    let (folder, _) = folder();
    symlink(".", folder.path().join("name")).unwrap();
    assert!(open_folder_of_user(&folder.path().join("name")).is_ok());
}

#[test]
fn a_folder_of_ours_is_not_opened_through_a_link() {
    let (folder, opened) = folder();
    fs::create_dir(folder.path().join("real")).unwrap();
    symlink("real", folder.path().join("link")).unwrap();
    assert!(open_folder_of_ours(&opened, "real").is_ok());
    for name in ["link", "file"] {
        let refused = open_folder_of_ours(&opened, name);
        assert!(matches!(refused, Err(FileError::NotAFolder)), "{name}: {refused:?}");
    }
    assert!(open_folder_of_ours(&opened, "absent").unwrap_err().is_absent());
    for name in ["link", "file"] {
        let refused = open_or_create_folder_of_ours(&opened, name);
        assert!(matches!(refused, Err(FileError::NotAFolder)), "{name}: {refused:?}");
    }
    open_or_create_folder_of_ours(&opened, "absent").unwrap();
    open_or_create_folder_of_ours(&opened, "absent").unwrap();
    assert!(folder.path().join("absent").is_dir());
}

#[test]
fn the_message_names_what_is_there() {
    let path = Path::new("/games/.lanspread/daemon.json");
    let error = FileError::NotAFile(NotAFile::Pipe).of_ours("read", path);
    assert_eq!(error.code(), "foreign-state");
    assert_eq!(
        error.to_string(),
        "/games/.lanspread/daemon.json is a pipe, not a file made by lanspread; lanspread leaves it alone"
    );
    let error = FileError::Io(io::ErrorKind::PermissionDenied.into()).of_ours("read", path);
    assert_eq!(error.code(), "permission-denied");
}
