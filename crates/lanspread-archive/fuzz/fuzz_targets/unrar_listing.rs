//! What `unrar lt -v` prints: every listing that is accepted adds up and holds only names that may be used.
//!
//! The text goes through a real program that prints it, so that this holds for the way of production. That makes it
//! slow: some hundred runs a second.
#![no_main]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use lanspread_archive::ArchiveError;
use lanspread_archive::provider::{ArchiveListing, ArchiveProvider, ListedEntry, ProviderChoice};
use lanspread_archive::set::ArchiveSet;
use lanspread_types::content::Totals;
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use lanspread_types::limits;
use lanspread_types::text::is_display_hazard;
use libfuzzer_sys::fuzz_target;
use tokio_util::sync::CancellationToken;

/// A folder with a program that prints the file `listing` beside it.
struct Printer {
    folder: tempfile::TempDir,
    provider: Arc<dyn ArchiveProvider>,
}

static PRINTER: LazyLock<Printer> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let program: PathBuf = folder.path().join("unrar");
    fs::write(&program, "#!/bin/sh\nexec cat listing\n").expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
    fs::write(folder.path().join("a.eti"), "").expect("an archive");
    Printer { provider: lanspread_archive::provider(&ProviderChoice::Unrar(program)), folder }
});

fn fuzz(text: &[u8]) {
    let printer = &*PRINTER;
    fs::write(printer.folder.path().join("listing"), text).expect("a listing");
    let archive = ArchiveSet::single(printer.folder.path(), "a.eti");
    match printer.provider.open(&archive, &CancellationToken::new()) {
        Ok(open) => check(open.listing()),
        Err(ArchiveError::ProgramMissing { .. }) => panic!("the program cannot be run"),
        Err(error) => assert!(!error.to_string().contains(is_display_hazard), "{error:?}"),
    }
}

fn check(listing: &ArchiveListing) {
    assert_eq!(listing.summary.name, "a.eti");
    let mut sum = Totals::default();
    let mut sizes = HashMap::new();
    for entry in &listing.entries {
        let (path, more) = match entry {
            ListedEntry::Directory(folder) => (&folder.path, Totals { directories: 1, ..Totals::default() }),
            ListedEntry::File(file) => {
                sizes.insert(&file.path, file.size);
                (&file.path, Totals { files: 1, bytes: file.size, ..Totals::default() })
            }
            ListedEntry::Copy(copy) => {
                assert_eq!(sizes.get(&copy.original), Some(&copy.size), "a copy of an earlier file");
                sizes.insert(&copy.path, copy.size);
                (&copy.path, Totals { files: 1, bytes: copy.size, ..Totals::default() })
            }
        };
        assert_eq!(EntryPath::parse(path.as_str(), NamePolicy::Native).as_ref(), Ok(path));
        sum = sum.checked_add(more).expect("sums that fit");
    }
    assert_eq!(listing.summary.totals, sum);
    assert!(sum.bytes <= limits::GAME_BYTES_MAX && sum.entries() <= limits::ENTRIES_MAX);
}

fuzz_target!(|text: &[u8]| fuzz(text));
