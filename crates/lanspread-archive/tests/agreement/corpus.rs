//! The same for a folder of archives from elsewhere, which are not part of this project.
//!
//! ```sh
//! LANSPREAD_RAR_CORPUS=/a/folder cargo test -p lanspread-archive --test agreement corpus -- --ignored --nocapture
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use lanspread_archive::set::ArchiveSet;

use crate::{agreed, extracted_by_program};

/// Every file below the folder is one archive, or a volume of one if its name says so.
#[test]
#[ignore = "needs a folder of archives: LANSPREAD_RAR_CORPUS"]
fn both_providers_agree_on_a_corpus() {
    let folder = std::env::var_os("LANSPREAD_RAR_CORPUS").expect("LANSPREAD_RAR_CORPUS names a folder");
    let mut folders = vec![PathBuf::from(folder)];
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut disagreements = Vec::new();
    while let Some(folder) = folders.pop() {
        let paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.extend(paths.iter().filter(|path| path.is_dir()).cloned());
        let names: Vec<&str> = paths
            .iter()
            .filter(|path| path.is_file())
            .filter_map(|path| path.file_name()?.to_str())
            .collect();
        for set in sets_of(&folder, &names) {
            match catch_unwind(AssertUnwindSafe(|| outcome(&set))) {
                Ok(outcome) => *counts.entry(outcome).or_default() += 1,
                Err(_) => disagreements.push(set.first_path()),
            }
        }
    }
    println!("{counts:#?}");
    assert!(disagreements.is_empty(), "{disagreements:#?}");
}

/// The volumes of one name are a set; if one is missing, each is an archive of its own.
fn sets_of(folder: &Path, names: &[&str]) -> Vec<ArchiveSet> {
    let mut stems: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names {
        stems.entry(name.split(".part").next().unwrap_or(name)).or_default().push(name);
    }
    let sets = stems.into_values().flat_map(|names| {
        let singles = |_| names.iter().map(|name| ArchiveSet::single(folder, name)).collect();
        ArchiveSet::group(folder, names.iter().copied()).unwrap_or_else(singles)
    });
    sets.collect()
}

fn outcome(set: &ArchiveSet) -> String {
    let label = label(&set.first_path());
    let (files, is_content) = extracted_by_program(set);
    match (agreed(&label, set), is_content) {
        (Ok(unpacked), _) => {
            assert!(unpacked.files() == files, "{label}: `unrar x` unpacks something else");
            if is_content { "equal to `unrar x`" } else { "equal to `unrar x`, which complains" }.to_owned()
        }
        (Err(code), false) => format!("{code}, as `unrar x`"),
        (Err(code), true) => {
            println!("{label}: {code}, but `unrar x` unpacks it");
            format!("{code}, unlike `unrar x`")
        }
    }
}

fn label(path: &Path) -> String {
    path.display().to_string()
}
