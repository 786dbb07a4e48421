use proptest::prelude::*;

use super::*;

fn problem(name: &str, policy: NamePolicy) -> Option<NameProblem> {
    EntryPath::parse(name, policy).err().map(|error| error.problem)
}

/// Each row is a fault that some extractor had, or a rule of some file system.
#[test]
fn hostile_names_are_refused_under_both_policies() {
    use NameProblem::*;
    let long = "x".repeat(256);
    let deep = vec!["d"; 65].join("/");
    let endless = vec!["dddddddd"; 600].join("/");
    let table: &[(&str, NameProblem, &str)] = &[
        ("", Empty, "no name at all"),
        ("/etc/passwd", Absolute, "zip-slip"),
        ("\\windows", Absolute, "rooted on Windows"),
        ("\\\\server\\share", Absolute, "UNC"),
        ("../x", Traversal, "zip-slip"),
        ("a/../../x", Traversal, "zip-slip below a folder"),
        ("a/./b", Traversal, "second spelling of a/b"),
        ("a//b", Traversal, "empty component"),
        ("a/", Traversal, "trailing separator"),
        (".", Traversal, "staging itself"),
        ("a\0b", ControlCharacter, "a C string ends here"),
        ("a\nb", ControlCharacter, "log injection"),
        ("a\u{7f}", ControlCharacter, "DEL"),
        ("a\u{85}", ControlCharacter, "C1"),
        (&long, ComponentTooLong, "NAME_MAX"),
        (&deep, TooDeep, "nesting bomb"),
        (&endless, PathTooLong, "PATH_MAX"),
        (".local.installing/x", OurOwn, "staging"),
        (".LOCAL.Backup/x", OurOwn, "backup on a case-insensitive disk"),
        (".downloading/x", OurOwn, "partial downloads"),
        (".lanspread", OurOwn, "state"),
        ("LOCAL~1/x", OurOwn, "the short form of staging and backup"),
        ("local~2.bac", OurOwn, "the same with its extension"),
        ("DOWNLO~1", OurOwn, "the short form of partial downloads"),
        ("LANSPR~1/x", OurOwn, "the short form of state"),
        ("a\u{202e}gpj.exe", InvisibleCharacter, "shown as aexe.jpg"),
        ("a\u{61c}b", InvisibleCharacter, "bidi"),
        ("a\u{2066}b/c", InvisibleCharacter, "bidi isolate"),
        ("a\u{200b}", InvisibleCharacter, "zero width: looks like a"),
        ("a\u{2060}", InvisibleCharacter, "word joiner"),
        ("\u{feff}a", InvisibleCharacter, "byte order mark"),
        ("a\u{e0041}", InvisibleCharacter, "tag"),
    ];
    for (name, expected, why) in table {
        for policy in [NamePolicy::Portable, NamePolicy::Native] {
            assert_eq!(problem(name, policy), Some(*expected), "{why}: {name:?}");
        }
    }
}

#[test]
fn names_windows_cannot_hold_are_refused_by_default_only() {
    use NameProblem::*;
    let table = [
        ("C:x", NotPortableCharacter(':')),
        ("file:stream", NotPortableCharacter(':')),
        ("a\\..\\b", NotPortableCharacter('\\')),
        ("what?", NotPortableCharacter('?')),
        ("a/end.", TrailingDotOrSpace),
        ("a /b", TrailingDotOrSpace),
        ("CON", DeviceName),
        ("a/nul.txt", DeviceName),
        ("aux .c", DeviceName),
        ("com0", DeviceName),
        ("LPT9.tar.gz", DeviceName),
        ("COM¹", DeviceName),
        ("conin$", DeviceName),
    ];
    for (name, expected) in table {
        assert_eq!(problem(name, NamePolicy::Portable), Some(expected), "{name}");
        assert_eq!(problem(name, NamePolicy::Native), None, "{name}");
    }
}

#[test]
fn ordinary_names_pass() {
    let names = [
        "a",
        "Data/Maps/de_dust2.bsp",
        "COM10",
        "console.log",
        "…/ü/日本語.txt",
        "a b/.hidden",
        "local/x",
        "~1",
        "local",
        "LOCAL~",
        "LOCAL~1a",
        "saves/LOCAL~1",
        "PROGRA~1/README~1.TXT",
    ];
    for name in names {
        assert_eq!(problem(name, NamePolicy::Portable), None, "{name}");
    }
    let parents: Vec<_> =
        EntryPath::parse("a/b/c", NamePolicy::Native).unwrap().parents().map(String::from).collect();
    assert_eq!(parents, ["a", "a/b"]);
}

fn insert(index: &mut PathIndex, name: &str, kind: EntryKind) -> Result<usize, NameProblem> {
    let path = EntryPath::parse(name, NamePolicy::Native).unwrap();
    index.insert(&path, kind).map(|created| created.len()).map_err(|error| error.problem)
}

#[test]
fn two_entries_never_share_a_name() {
    use EntryKind::{Directory, File};
    let mut index = PathIndex::new(NamePolicy::Portable);
    assert_eq!(insert(&mut index, "a/b/c", File), Ok(2));
    assert_eq!(insert(&mut index, "a/b", Directory), Ok(0), "already added as a parent of its file");
    assert_eq!(insert(&mut index, "a/b/c", File), Err(NameProblem::Duplicate));
    assert_eq!(insert(&mut index, "a/b/c/d", File), Err(NameProblem::Duplicate), "a file is not a folder");
    assert_eq!(insert(&mut index, "a/b", File), Err(NameProblem::Duplicate), "a folder is not a file");
    assert_eq!(
        insert(&mut index, "A/other", File),
        Err(NameProblem::Collision),
        "the folder in another case"
    );
    assert_eq!(insert(&mut index, "a/stra\u{df}e", File), Ok(0));
    assert_eq!(insert(&mut index, "a/STRASSE", File), Err(NameProblem::Collision), "full folding");
    assert_eq!(insert(&mut index, "e\u{301}", File), Ok(0));
    assert_eq!(insert(&mut index, "\u{e9}", File), Err(NameProblem::Collision), "NFC");
}

#[test]
fn native_policy_tells_case_apart_but_not_duplicates() {
    let mut index = PathIndex::new(NamePolicy::Native);
    assert_eq!(insert(&mut index, "a", EntryKind::File), Ok(0));
    assert_eq!(insert(&mut index, "A", EntryKind::File), Ok(0));
    assert_eq!(insert(&mut index, "a", EntryKind::File), Err(NameProblem::Duplicate));
}

proptest! {
    /// A path that is accepted stays below the folder it is joined to.
    #[test]
    fn accepted_paths_never_leave_their_folder(name in "[a./\\\\: C\u{0}-\u{ff}]{0,24}") {
        for policy in [NamePolicy::Portable, NamePolicy::Native] {
            if let Ok(path) = EntryPath::parse(&name, policy) {
                let only_names = std::path::Path::new(path.as_str())
                    .components()
                    .all(|component| matches!(component, std::path::Component::Normal(_)));
                prop_assert!(only_names);
                prop_assert_eq!(path.as_str(), name.as_str());
            }
        }
    }

    /// The portable policy accepts a subset of the native one.
    #[test]
    fn portable_implies_native(name in "\\PC{0,40}") {
        if EntryPath::parse(&name, NamePolicy::Portable).is_ok() {
            prop_assert!(EntryPath::parse(&name, NamePolicy::Native).is_ok());
        }
    }

    /// The short way for names in ASCII folds as the tables do.
    #[test]
    fn ascii_folds_as_by_the_tables(name in "[ -~]{0,64}") {
        prop_assert_eq!(folded(&name), folded_by_tables(&name));
    }

    /// What an index remembers of the last folder changes no answer: each entry is judged as by an index that looks up
    /// every folder.
    #[test]
    fn the_last_folder_is_a_short_way_only(
        names in proptest::collection::vec("[aA]/?[bB]?/?[cC]?", 1..12),
        are_folders in proptest::collection::vec(any::<bool>(), 12),
    ) {
        let (mut index, mut plain) = (PathIndex::new(NamePolicy::Portable), PathIndex::new(NamePolicy::Portable));
        for (name, is_folder) in names.iter().zip(are_folders) {
            let Ok(path) = EntryPath::parse(name, NamePolicy::Portable) else { continue };
            let kind = if is_folder { EntryKind::Directory } else { EntryKind::File };
            // As in no path.
            "/".clone_into(&mut plain.folder);
            prop_assert_eq!(index.insert(&path, kind), plain.insert(&path, kind), "{}", name);
        }
    }
}
