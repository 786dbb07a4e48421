//! What a comparison found, what a repair will do and has done, in words.

use lanspread_peer::{InstallTrust, PeerEvent, RepairBegin, RepairFinished, VerifyFinished};

use super::quantities::{bytes, count as counted, duration};

/// One line about an event of a repair.
pub(super) fn repair(event: &PeerEvent) -> Option<String> {
    match event {
        PeerEvent::VerifyFinished(finished) => Some(compared(finished)),
        PeerEvent::RepairBegin(begin) => Some(begins(begin)),
        PeerEvent::RepairFinished(finished) => Some(ended(finished)),
        _ => None,
    }
}

fn compared(finished: &VerifyFinished) -> String {
    let VerifyFinished { game, files, bytes: count, differences, added, trust } = finished;
    let added = if *added > 0 { format!(", {added} added by you") } else { String::new() };
    let found = match differences {
        0 if *trust == Some(InstallTrust::Verified) => "no differences, verified".to_owned(),
        0 => "no differences".to_owned(),
        _ => counted(*differences, "difference"),
    };
    format!("{game}: {}, {} compared: {found}{added}", counted(*files, "file"), bytes(*count))
}

fn begins(begin: &RepairBegin) -> String {
    let RepairBegin { game, version, entries, bytes: count, root_files, root_bytes } = begin;
    let tree = (*entries > 0).then(|| format!("{}, {}", counted(*entries, "installed file"), bytes(*count)));
    let root = (*root_files > 0)
        .then(|| format!("{} of {}", bytes(*root_bytes), counted(*root_files, "downloaded file")));
    let what: Vec<String> = tree.into_iter().chain(root).collect();
    format!("{game} {version}: repairing {}", what.join("; "))
}

fn ended(finished: &RepairFinished) -> String {
    let RepairFinished { game, changed, files, bytes: count, bytes_fetched, duration_ms, .. } = finished;
    if !changed {
        return format!("{game}: nothing to repair");
    }
    let fetched = match bytes_fetched {
        0 => "nothing fetched".to_owned(),
        fetched => format!("{} fetched", bytes(*fetched)),
    };
    let files = counted(*files, "file");
    format!("{game} repaired: {files}, {}; {fetched} in {}", bytes(*count), duration(*duration_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_says_what_it_brings_back_and_what_that_cost() {
        let mut begin = RepairBegin {
            game: "g".parse().unwrap(),
            version: "1".parse().unwrap(),
            entries: 2,
            bytes: 3 << 20,
            root_files: 0,
            root_bytes: 0,
        };
        assert_eq!(begins(&begin), "g 1: repairing 2 installed files, 3.00 MiB");
        (begin.root_files, begin.root_bytes) = (1, 1 << 20);
        assert!(begins(&begin).ends_with("; 1.00 MiB of 1 downloaded file"), "{}", begins(&begin));
        begin.entries = 0;
        assert_eq!(begins(&begin), "g 1: repairing 1.00 MiB of 1 downloaded file");
        let mut finished = RepairFinished {
            game: "g".parse().unwrap(),
            changed: true,
            files: 2,
            bytes: 3 << 20,
            bytes_fetched: 0,
            sources: Vec::new(),
            trust: None,
            duration_ms: 1500,
        };
        assert_eq!(ended(&finished), "g repaired: 2 files, 3.00 MiB; nothing fetched in 1.5 s");
        finished.bytes_fetched = 1 << 20;
        assert!(ended(&finished).contains("; 1.00 MiB fetched in"), "{}", ended(&finished));
        finished.changed = false;
        assert_eq!(ended(&finished), "g: nothing to repair");
    }
}
