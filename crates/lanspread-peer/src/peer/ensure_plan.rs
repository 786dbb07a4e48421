//! Decides what an *ensure* does, from what is here and what is wanted. Pure.

use std::cmp::Ordering;

use lanspread_types::ids::GameVersion;

use crate::report::ensured::EnsureAction;
use crate::report::wanted::GameForm;

/// The state of a game on this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Here<'a> {
    /// Version of the sentinel.
    pub(super) downloaded: Option<&'a GameVersion>,
    /// Whether no downloaded file is known to be damaged.
    pub(super) download_whole: bool,
    pub(super) installed: bool,
    /// Version of the receipt; nothing for a tree that lanspread did not install.
    pub(super) installed_version: Option<&'a GameVersion>,
    /// Whether no installed file is known to be damaged.
    pub(super) tree_whole: bool,
}

/// Which version counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counts<'a> {
    /// Whatever is here.
    Any,
    This(&'a GameVersion),
}

/// Where a tree comes from that is not here as it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TreeFrom {
    /// It is here.
    Here,
    /// It is streamed.
    Peers,
    /// It is unpacked, once the archives are here.
    Archives,
}

/// What is done, in this order: files are repaired, archives downloaded, the tree installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EnsurePlan {
    pub(super) repair: bool,
    pub(super) download: bool,
    pub(super) tree: TreeFrom,
    /// What all of it is called.
    pub(super) action: EnsureAction,
}

impl EnsurePlan {
    /// Whether it needs nothing but what is on this machine.
    pub(super) fn is_local(self) -> bool {
        !self.repair && !self.download && self.tree != TreeFrom::Peers
    }
}

/// What an *ensure* does.
pub(super) fn decide(here: Here<'_>, counts: Counts<'_>, form: GameForm) -> EnsurePlan {
    let is_right = |version: Option<&GameVersion>| match counts {
        Counts::Any => version.is_some(),
        Counts::This(wanted) => version == Some(wanted),
    };
    let archives_right = is_right(here.downloaded);
    // If the archives are right, a tree without a receipt is left to the user who made it, as an update does.
    let is_left_to_user =
        here.installed_version.is_none() && (archives_right || matches!(counts, Counts::Any));
    let tree_right = here.installed && (is_left_to_user || is_right(here.installed_version));
    let keeps_archives = match form {
        GameForm::Archives => true,
        GameForm::Streamed => false,
        GameForm::AsHere => here.downloaded.is_some(),
    };
    let archives_damaged = archives_right && !here.download_whole;
    let repair = (tree_right && !here.tree_whole) || (keeps_archives && archives_damaged);
    let download = keeps_archives && !archives_right;
    let tree = match (tree_right, keeps_archives || (archives_right && !archives_damaged)) {
        (true, _) => TreeFrom::Here,
        (false, true) => TreeFrom::Archives,
        (false, false) => TreeFrom::Peers,
    };
    let action = match (tree_right, download) {
        (false, _) if !here.installed => EnsureAction::Installed,
        (false, _) => EnsureAction::Updated,
        (true, true) if here.downloaded.is_some() => EnsureAction::Updated,
        (true, true) => EnsureAction::Downloaded,
        (true, false) if repair => EnsureAction::Repaired,
        (true, false) => EnsureAction::None,
    };
    EnsurePlan { repair, download, tree, action }
}

/// Whether a version is newer than another one, as far as their names say it: both consist of the same words, and the
/// first number that differs is larger. Versions that are not alike have no order.
pub(super) fn is_newer(version: &GameVersion, other: &GameVersion) -> bool {
    let (mut ours, mut theirs) = (version.as_str(), other.as_str());
    loop {
        match (first_run(&mut ours), first_run(&mut theirs)) {
            (Some(one), Some(other)) if is_number(one) && is_number(other) => match in_order(one, other) {
                Ordering::Equal => {}
                order => return order == Ordering::Greater,
            },
            (Some(one), Some(other)) if one == other => {}
            // `1.2.1` is newer than `1.2`, and `1.2-beta` is not.
            (Some("."), None) => return ours.starts_with(|character: char| character.is_ascii_digit()),
            _ => return false,
        }
    }
}

/// Cuts the digits, or everything up to a digit, from the beginning of a text.
fn first_run<'t>(text: &mut &'t str) -> Option<&'t str> {
    let is_digit = text.chars().next()?.is_ascii_digit();
    let end = text.find(|character: char| character.is_ascii_digit() != is_digit).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    Some(run)
}

fn is_number(run: &str) -> bool {
    run.starts_with(|character: char| character.is_ascii_digit())
}

/// The order of two numbers of any length.
fn in_order(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests;
