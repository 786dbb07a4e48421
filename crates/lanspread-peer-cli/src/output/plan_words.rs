//! What an operation would do, in words. Nothing here does I/O.

use lanspread_peer::{DecodeAt, OperationPlan, PlannedStep, PlannedUpstream, SeatPlan};

use super::quantities::{bytes, count};

pub(super) fn plan(plan: &OperationPlan) -> String {
    let version = plan.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let mut text = format!("{}{version}: {}", plan.game, done(&plan.steps));
    for part in amounts(plan) {
        text += &format!("; {part}");
    }
    if plan.lost_files > 0 {
        let lost = count(plan.lost_files, "file");
        let names = plan.lost.join(", ");
        let more = if plan.lost_files > plan.lost.len() as u64 { ", …" } else { "" };
        text += &format!("\n  would be lost: {lost} that you added or changed: {names}{more}");
    }
    for (number, source) in (1..).zip(&plan.sources) {
        text += &format!("\n  {number}. {} ({})", source.name, source.addr);
    }
    match (plan.decode_at, plan.memory_bytes) {
        (Some(decode_at), Some(memory_bytes)) => {
            let decoded = decoded(decode_at, &plan.upstreams);
            text += &format!("\n  {decoded}, up to {} of memory here", bytes(memory_bytes));
        }
        _ if !plan.upstreams.is_empty() => text += &format!("\n  servers: {}", names(&plan.upstreams)),
        _ => {}
    }
    for peer in &plan.dropped {
        text += &format!("\n  not a source: {}: {}", peer.peer, peer.reason);
    }
    text
}

/// What an operation would do at another machine.
pub(super) fn seat_plan(plan: &SeatPlan) -> String {
    let version = plan.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let head = format!("{}: {}{version}", plan.name, plan.game);
    if !plan.changed {
        return format!("{head}: nothing would change");
    }
    let mut parts = Vec::new();
    if let Some(of_tree) = plan.bytes.filter(|bytes| *bytes > 0) {
        parts.push(format!("would write {}", bytes(of_tree)));
    }
    if let Some(fetched) = plan.fetched_bytes.filter(|bytes| *bytes > 0) {
        parts.push(format!("fetches {}", bytes(fetched)));
    }
    if plan.needed_bytes.is_none() {
        parts.push("only its sources know what is in it".to_owned());
    }
    if plan.lost_files > 0 {
        parts.push(format!("{} of the user there would be lost", count(plan.lost_files, "file")));
    }
    parts.extend(space(plan.needed_bytes, plan.free_bytes, 0, plan.fits));
    format!("{head}: {}", parts.join("; "))
}

fn space(needed: Option<u64>, free: u64, booked: u64, fits: Option<bool>) -> Option<String> {
    let needed = needed.filter(|needed| *needed > 0)?;
    let booked = match booked {
        0 => String::new(),
        booked => format!(", of which other operations have booked {}", bytes(booked)),
    };
    let fits = if fits == Some(false) { ": DOES NOT FIT" } else { "" };
    Some(format!("needs {}, {} free{booked}{fits}", bytes(needed), bytes(free)))
}

/// The steps, as a sentence.
fn done(steps: &[PlannedStep]) -> String {
    let word = |step: &PlannedStep| match step {
        PlannedStep::Stream => "stream it",
        PlannedStep::Download => "download its archives",
        PlannedStep::Unpack => "unpack its archives",
        PlannedStep::Repair => "repair it",
        PlannedStep::Uninstall => "remove its installed tree",
        PlannedStep::Remove => "remove its archives",
        PlannedStep::Compare => "compare it and change nothing",
        _ => "do something that this version does not know",
    };
    let mut words: Vec<&str> = steps.iter().map(word).collect();
    // The archives and the tree are repaired one after the other.
    words.dedup();
    if words.is_empty() {
        "nothing would change".to_owned()
    } else {
        format!("would {}", words.join(", then "))
    }
}

fn amounts(plan: &OperationPlan) -> Vec<String> {
    let mut parts = Vec::new();
    match (plan.files, plan.bytes) {
        (Some(0), _) => {}
        (Some(files), Some(of_them)) => parts.push(format!("{}, {}", count(files, "file"), bytes(of_them))),
        _ => parts.push("only its sources know what is in it".to_owned()),
    }
    match plan.fetched_bytes {
        Some(0) | None => {}
        Some(fetched) => parts.push(format!("fetches {}", bytes(fetched))),
    }
    if plan.removed_bytes > 0 {
        parts.push(format!("removes {}", bytes(plan.removed_bytes)));
    }
    parts.extend(space(plan.needed_bytes, plan.free_bytes, plan.booked_bytes, plan.fits));
    parts
}

/// Where it would be decoded, and which upstreams would bring the bytes.
fn decoded(decode_at: DecodeAt, upstreams: &[PlannedUpstream]) -> String {
    match decode_at {
        DecodeAt::Receiver => format!(
            "decoded here, from receivers that are placed before it when it joins, then from {}",
            names(upstreams)
        ),
        _ => "decoded at the source".to_owned(),
    }
}

fn names(upstreams: &[PlannedUpstream]) -> String {
    let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.upstream.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The words of a plan with these fields; of the others, there is nothing.
    fn words(fields: Value) -> String {
        let mut object = json!({
            "kind": "update", "game": "g", "version": "1", "changed": true, "steps": [], "fetched_bytes": 0,
            "files": 0, "bytes": 0, "removed_bytes": 0, "lost_files": 0, "lost": [], "sources": [],
            "dropped": [], "needed_bytes": 0, "free_bytes": 3 << 20, "booked_bytes": 0, "needed_inodes": 0,
            "free_inodes": null, "booked_inodes": 0, "fits": true, "decode_at": null, "upstreams": [], "memory_bytes": null,
        });
        let Value::Object(mut fields) = fields else { panic!("no object") };
        object.as_object_mut().unwrap().append(&mut fields);
        plan(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_plan_says_where_it_is_decoded_from_whom_and_what_memory_that_takes() {
        let source =
            json!({ "name": "den", "peer": lanspread_peer::PeerId::from([0; 16]), "addr": "10.0.0.1:4107" });
        let plan_at = |decode_at: &str, upstreams: &[&str]| {
            let upstream = |name: &&str| json!({ "upstream": name, "kind": "source" });
            words(json!({
                "steps": ["stream"], "files": 2, "bytes": 1 << 20, "fetched_bytes": 1 << 19,
                "needed_bytes": 2 << 20, "sources": [source], "decode_at": decode_at,
                "upstreams": upstreams.iter().map(upstream).collect::<Vec<_>>(), "memory_bytes": 96 << 20,
            }))
        };
        let first = "g 1: would stream it; 2 files, 1.00 MiB; fetches 512.00 KiB; needs 2.00 MiB, 3.00 MiB free\n  1. den (10.0.0.1:4107)\n  ";
        assert_eq!(
            plan_at("receiver", &["den", "foyer"]),
            format!(
                "{first}decoded here, from receivers that are placed before it when it joins, then from den, foyer, up to 96.00 MiB of memory here"
            )
        );
        assert_eq!(
            plan_at("source", &[]),
            format!("{first}decoded at the source, up to 96.00 MiB of memory here")
        );
    }

    #[test]
    fn a_plan_says_what_changes_what_is_lost_and_whether_it_fits() {
        let fields = json!({ "steps": [], "changed": false });
        assert_eq!(words(fields), "g 1: nothing would change");
        let fields = json!({
            "steps": ["download", "unpack"], "fetched_bytes": 1 << 20, "removed_bytes": 2048, "files": null,
            "bytes": null, "needed_bytes": 4 << 20, "fits": false,
            "upstreams": [{ "upstream": "http://10.0.0.9", "kind": "http" }],
        });
        assert_eq!(
            words(fields),
            "g 1: would download its archives, then unpack its archives; only its sources know what is in it; fetches 1.00 MiB; removes 2.00 KiB; needs 4.00 MiB, 3.00 MiB free: DOES NOT FIT\n  servers: http://10.0.0.9"
        );
        let beside =
            json!({ "steps": ["unpack"], "needed_bytes": 3 << 20, "booked_bytes": 1 << 20, "fits": false });
        assert_eq!(
            words(beside),
            "g 1: would unpack its archives; needs 3.00 MiB, 3.00 MiB free, of which other operations have booked 1.00 MiB: DOES NOT FIT"
        );
        let lost = json!({
            "version": null, "steps": ["uninstall"], "removed_bytes": 2048, "lost_files": 6,
            "lost": ["save", "level"],
        });
        assert_eq!(
            words(lost),
            "g: would remove its installed tree; removes 2.00 KiB\n  would be lost: 6 files that you added or changed: save, level, …"
        );
        let repaired =
            json!({ "steps": ["repair", "repair"], "files": 1, "bytes": 1024, "fetched_bytes": null });
        assert_eq!(words(repaired), "g 1: would repair it; 1 file, 1.00 KiB");
    }
}
