//! The one type for the path of an entry, and the one parser that makes it.
//!
//! Invariants of an [`EntryPath`]: it is relative and `/`-separated. It has no empty, `.` or `..` component, no NUL or
//! other control character, and no invisible character that reorders or hides text. It has at most 64 components of at
//! most 255 bytes each and 4095 bytes in all, and its first component is not a name that lanspread uses itself, nor the
//! short form (`LOCAL~1`) that a Windows file system gives such a name. Other names of that shape are accepted: old
//! games have them, and no file is ever replaced by one that is another name of it. Under [`NamePolicy::Portable`], the default, Windows and
//! macOS can hold it too, so that a game installs on every system or on none.
//!
//! A name is checked exactly as it is used: nothing is normalised, replaced or stripped to make it fit.
//! (`\` is refused rather than converted: CVE-2022-30333 is what happens when the checked and the used form differ.)

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::text::{is_display_hazard, printable};
use crate::{layout, limits};

/// Which names are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamePolicy {
    /// Names that every system can hold. Two names that some system treats as the same are refused.
    #[default]
    Portable,
    /// Names that this system can hold safely, for trees that are not meant for Windows.
    Native,
}

/// A checked path of an entry, relative to the installed tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath(String);

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry name `{name}` is refused: {problem}")]
pub struct NameError {
    /// The name, escaped and cut for display.
    pub name: String,
    /// The rule it breaks.
    pub problem: NameProblem,
}

/// The rules a name can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its documentation
pub enum NameProblem {
    #[error("it is empty")]
    Empty,
    #[error("it is an absolute path")]
    Absolute,
    #[error("it holds an empty, `.` or `..` component")]
    Traversal,
    #[error("it holds a control character")]
    ControlCharacter,
    #[error("it holds an invisible character that hides or reorders text")]
    InvisibleCharacter,
    #[error("it is not valid UTF-8")]
    NotUnicode,
    #[error("it holds a `?`, or a character that some decoders of RAR 4 replace with one")]
    NotExact,
    #[error("a component is longer than {} bytes", limits::COMPONENT_BYTES_MAX)]
    ComponentTooLong,
    #[error("the path is longer than {} bytes", limits::PATH_BYTES_MAX)]
    PathTooLong,
    #[error("it is nested deeper than {} folders", limits::PATH_DEPTH_MAX)]
    TooDeep,
    #[error("this name is reserved for lanspread")]
    OurOwn,
    #[error("it holds `{0}`, which Windows does not allow")]
    NotPortableCharacter(char),
    #[error("a component is a Windows device name")]
    DeviceName,
    #[error("a component ends in a dot or space, which Windows does not allow")]
    TrailingDotOrSpace,
    #[error("another entry has the same name")]
    Duplicate,
    #[error("another entry's name differs only in letter case or Unicode form")]
    Collision,
}

impl NameProblem {
    /// Whether this system could hold the name, and only another system cannot.
    pub fn is_about_other_systems(self) -> bool {
        matches!(
            self,
            Self::NotPortableCharacter(_) | Self::DeviceName | Self::TrailingDotOrSpace | Self::Collision
        )
    }
}

impl EntryPath {
    /// Checks a name that came from an archive or a source.
    pub fn parse(name: &str, policy: NamePolicy) -> Result<Self, NameError> {
        match check(name, policy) {
            Ok(()) => Ok(Self(name.to_owned())),
            Err(problem) => Err(NameError::new(name, problem)),
        }
    }

    /// The path as text, `/`-separated.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The paths of its parent folders, outermost first.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(index, _)| &self.0[..index])
    }
}

impl From<EntryPath> for String {
    fn from(path: EntryPath) -> Self {
        path.0
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&printable(&self.0, 512))
    }
}

impl NameError {
    /// A refusal of `name`.
    pub fn new(name: &str, problem: NameProblem) -> Self {
        Self { name: printable(name, 200), problem }
    }
}

fn check(name: &str, policy: NamePolicy) -> Result<(), NameProblem> {
    if name.is_empty() {
        return Err(NameProblem::Empty);
    }
    if name.len() > limits::PATH_BYTES_MAX {
        return Err(NameProblem::PathTooLong);
    }
    if name.starts_with('/') || name.starts_with('\\') {
        return Err(NameProblem::Absolute);
    }
    if name.chars().any(char::is_control) {
        return Err(NameProblem::ControlCharacter);
    }
    if name.chars().any(is_display_hazard) {
        return Err(NameProblem::InvisibleCharacter);
    }
    for (index, component) in name.split('/').enumerate() {
        if index >= limits::PATH_DEPTH_MAX {
            return Err(NameProblem::TooDeep);
        }
        if matches!(component, "" | "." | "..") {
            return Err(NameProblem::Traversal);
        }
        if component.len() > limits::COMPONENT_BYTES_MAX {
            return Err(NameProblem::ComponentTooLong);
        }
        if index == 0 && is_our_own(component) {
            return Err(NameProblem::OurOwn);
        }
        if policy == NamePolicy::Portable {
            check_portable(component)?;
        }
    }
    Ok(())
}

fn is_our_own(component: &str) -> bool {
    let key = folded(component);
    [layout::STAGING_DIR, layout::BACKUP_DIR, layout::DOWNLOADING_DIR, layout::STATE_DIR]
        .iter()
        .any(|own| *own == key || is_short_form(&key, own))
}

/// Whether a name in lower case is the short form that a Windows file system may give `own`: its first six characters
/// without dots, `~` and a number, with or without an extension. Source: Microsoft, "Naming Files, Paths, and
/// Namespaces". A folder on such a file system can be reached by both names, also over the network.
fn is_short_form(name: &str, own: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let Some((beginning, number)) = stem.split_once('~') else { return false };
    let plain: String =
        own.trim_start_matches('.').split('.').next().unwrap_or_default().chars().take(6).collect();
    beginning == plain && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn check_portable(component: &str) -> Result<(), NameProblem> {
    // `:` marks drives and NTFS streams; Windows reserves the others.
    if let Some(character) =
        component.chars().find(|c| matches!(c, '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*'))
    {
        return Err(NameProblem::NotPortableCharacter(character));
    }
    if component.ends_with('.') || component.ends_with(' ') {
        return Err(NameProblem::TrailingDotOrSpace);
    }
    if is_device_name(component) {
        return Err(NameProblem::DeviceName);
    }
    Ok(())
}

/// Whether this is a device name of Windows, with or without an extension; superscript digits count.
/// Source: Microsoft, "Naming Files, Paths, and Namespaces".
fn is_device_name(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default().trim_end_matches(' ').to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let Some(unit) = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")) else {
        return false;
    };
    let mut characters = unit.chars();
    let is_unit = characters.next().is_some_and(|c| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³'));
    is_unit && characters.next().is_none()
}

/// NFC, full case folding, NFC again (folding can undo it): equal for names that some file system treats as the same.
fn folded(name: &str) -> String {
    // Most names. It is the same, and a tenth of the time.
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    folded_by_tables(name)
}

fn folded_by_tables(name: &str) -> String {
    let composed: String = name.nfc().collect();
    caseless::default_case_fold_str(&composed).nfc().collect()
}

/// All paths of one tree, so that no two entries collide.
///
/// Holds digests of a fixed length instead of the paths, so that a tree of 100,000 files costs a few MiB.
#[derive(Debug)]
pub struct PathIndex {
    policy: NamePolicy,
    seen: HashMap<[u8; 16], Seen>,
    /// The folder of the last entry, which is in `seen` with its parents: most entries are in the same one.
    folder: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    kind: EntryKind,
    /// Digest of the exact spelling: a repeated folder has the same one, a colliding folder has not.
    spelling: [u8; 8],
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file, or a copy of one.
    File,
    /// A folder.
    Directory,
}

impl PathIndex {
    /// An empty tree.
    pub fn new(policy: NamePolicy) -> Self {
        Self { policy, seen: HashMap::new(), folder: String::new() }
    }

    /// Adds an entry and its parent folders. Returns the folders that are new, outermost first, including the entry
    /// itself if it is a new folder. The caller creates exactly these.
    ///
    /// # Errors
    /// [`NameProblem::Duplicate`] or [`NameProblem::Collision`] if another entry already has the name. A folder may
    /// be named again in the same spelling.
    pub fn insert<'p>(&mut self, path: &'p EntryPath, kind: EntryKind) -> Result<Vec<&'p str>, NameError> {
        let mut created = Vec::new();
        let folder = path.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder != self.folder {
            for parent in path.parents() {
                if self.insert_one(parent, EntryKind::Directory)? {
                    created.push(parent);
                }
            }
            folder.clone_into(&mut self.folder);
        }
        if self.insert_one(path.as_str(), kind)? && kind == EntryKind::Directory {
            created.push(path.as_str());
        }
        Ok(created)
    }

    fn insert_one(&mut self, path: &str, kind: EntryKind) -> Result<bool, NameError> {
        let key = match self.policy {
            NamePolicy::Portable => digest(&folded(path)),
            NamePolicy::Native => digest(path),
        };
        let seen = Seen { kind, spelling: digest(path) };
        let before = match self.seen.entry(key) {
            Entry::Occupied(before) => *before.get(),
            Entry::Vacant(place) => {
                place.insert(seen);
                return Ok(true);
            }
        };
        if before.spelling != seen.spelling {
            return Err(NameError::new(path, NameProblem::Collision));
        }
        if before.kind == EntryKind::File || kind == EntryKind::File {
            return Err(NameError::new(path, NameProblem::Duplicate));
        }
        Ok(false)
    }
}

fn digest<const N: usize>(text: &str) -> [u8; N] {
    let full = Sha256::digest(text.as_bytes());
    std::array::from_fn(|index| full[index])
}

#[cfg(test)]
mod tests;
