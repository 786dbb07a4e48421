//! Names from an archive: what passes stays below its folder, and two entries never share a name.
#![no_main]

use std::collections::HashSet;
use std::path::{Component, Path};

use lanspread_types::entry_path::{EntryKind, EntryPath, NamePolicy, PathIndex};
use lanspread_types::text::is_display_hazard;
use lanspread_types::{layout, limits};
use libfuzzer_sys::fuzz_target;

/// The whole input is one name, each line of it is another, and all lines are the entries of a tree.
fn fuzz(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    [text].into_iter().chain(text.lines()).for_each(check_name);
    for policy in [NamePolicy::Portable, NamePolicy::Native] {
        check_tree(text, policy);
    }
}

fn check_name(name: &str) {
    for policy in [NamePolicy::Portable, NamePolicy::Native] {
        match EntryPath::parse(name, policy) {
            Ok(path) => check_accepted(name, &path, policy),
            Err(error) => assert!(!error.to_string().contains(is_display_hazard), "{error:?}"),
        }
    }
}

fn check_accepted(name: &str, path: &EntryPath, policy: NamePolicy) {
    assert_eq!(path.as_str(), name, "a name is used as it was judged");
    let components: Vec<Component<'_>> = Path::new(name).components().collect();
    assert!(components.iter().all(|component| matches!(component, Component::Normal(_))), "{name:?}");
    assert!(components.len() <= limits::PATH_DEPTH_MAX && name.len() <= limits::PATH_BYTES_MAX);
    assert_eq!(components.len(), name.split('/').count());
    assert_eq!(path.parents().count(), components.len() - 1);
    assert!(!name.chars().any(char::is_control), "{name:?}");
    for component in name.split('/') {
        assert!(component.len() <= limits::COMPONENT_BYTES_MAX);
        if policy == NamePolicy::Portable {
            assert!(!component.contains(['\\', ':', '<', '>', '"', '|', '?', '*']), "{name:?}");
            assert!(!component.ends_with(['.', ' ']), "{name:?}");
        }
    }
    let first = name.split('/').next().unwrap_or_default().to_ascii_lowercase();
    for own in [layout::STAGING_DIR, layout::BACKUP_DIR, layout::STATE_DIR] {
        assert_ne!(first, own, "one of our own names");
    }
    if policy == NamePolicy::Portable {
        assert!(EntryPath::parse(name, NamePolicy::Native).is_ok(), "portable is a part of native");
    }
}

fn check_tree(text: &str, policy: NamePolicy) {
    let mut index = PathIndex::new(policy);
    let (mut files, mut folders) = (HashSet::new(), HashSet::new());
    // As far as ASCII goes, what a case-insensitive disk takes for one name.
    let mut folded = HashSet::new();
    for line in text.lines() {
        let (name, kind) = match line.strip_suffix('/') {
            Some(name) => (name, EntryKind::Directory),
            None => (line, EntryKind::File),
        };
        let Ok(path) = EntryPath::parse(name, policy) else { continue };
        let Ok(created) = index.insert(&path, kind) else { continue };
        for folder in created {
            assert!(folder == name || name.starts_with(&format!("{folder}/")), "{folder:?} of {name:?}");
            assert!(folders.insert(folder.to_owned()), "{folder:?} is created twice");
        }
        assert!(path.parents().all(|parent| folders.contains(parent) && !files.contains(parent)));
        match kind {
            EntryKind::Directory => assert!(folders.contains(name) && !files.contains(name)),
            EntryKind::File => {
                assert!(!folders.contains(name) && files.insert(name.to_owned()), "{name:?} is there twice");
                let is_new = folded.insert(name.to_ascii_lowercase());
                assert!(is_new || policy == NamePolicy::Native, "{name:?} differs only in case");
            }
        }
    }
}

fuzz_target!(|input: &[u8]| fuzz(input));
