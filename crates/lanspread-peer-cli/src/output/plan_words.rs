//! What a streamed install would do, in words. Nothing here does I/O.

use lanspread_peer::{Answer, DecodeAt, PlannedUpstream};

use super::quantities::{bytes, count as counted};

pub(super) fn plan(report: &Answer) -> String {
    let Answer::StreamInstallPlan {
        game,
        version,
        sources,
        dropped,
        files,
        bytes: count,
        needed_bytes,
        free_bytes,
        fits,
        decode_at,
        upstreams,
        memory_bytes,
    } = report
    else {
        return String::new();
    };
    let mut text = format!(
        "{game} {version}: {}, {}; needs {}, {} free{}",
        counted(*files, "file"),
        bytes(*count),
        bytes(*needed_bytes),
        bytes(*free_bytes),
        if *fits { "" } else { ": DOES NOT FIT" }
    );
    for (number, source) in (1..).zip(sources) {
        text += &format!("\n  {number}. {} ({})", source.name, source.addr);
    }
    text += &format!("\n  {}, up to {} of memory here", decoded(*decode_at, upstreams), bytes(*memory_bytes));
    for peer in dropped {
        text += &format!("\n  not a source: {}: {}", peer.peer, peer.reason);
    }
    text
}

/// Where it would be decoded, and which upstreams would bring the bytes.
fn decoded(decode_at: DecodeAt, upstreams: &[PlannedUpstream]) -> String {
    match decode_at {
        DecodeAt::Receiver => {
            let upstreams: Vec<&str> = upstreams.iter().map(|upstream| upstream.upstream.as_str()).collect();
            format!(
                "decoded here, from receivers that are placed before it when it joins, then from {}",
                upstreams.join(", ")
            )
        }
        _ => "decoded at the source".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use lanspread_peer::{PlannedSource, UpstreamKind};

    use super::*;

    #[test]
    fn a_plan_says_where_it_is_decoded_from_whom_and_what_memory_that_takes() {
        let source = |name: &str| PlannedSource {
            name: name.parse().unwrap(),
            peer: lanspread_peer::PeerId::from([0; 16]),
            addr: ([10, 0, 0, 1], 4107).into(),
        };
        let plan_at = |decode_at, upstreams: &[&str]| {
            let upstream = |upstream: &&str| PlannedUpstream {
                upstream: (*upstream).to_owned(),
                kind: UpstreamKind::Source,
            };
            plan(&Answer::StreamInstallPlan {
                game: "g".parse().unwrap(),
                version: "1".parse().unwrap(),
                sources: vec![source("den")],
                dropped: Vec::new(),
                files: 2,
                bytes: 1 << 20,
                needed_bytes: 2 << 20,
                free_bytes: 3 << 20,
                fits: true,
                decode_at,
                upstreams: upstreams.iter().map(upstream).collect(),
                memory_bytes: 96 << 20,
            })
        };
        let first = "g 1: 2 files, 1.00 MiB; needs 2.00 MiB, 3.00 MiB free\n  1. den (10.0.0.1:4107)\n  ";
        assert_eq!(
            plan_at(DecodeAt::Receiver, &["den", "foyer"]),
            format!(
                "{first}decoded here, from receivers that are placed before it when it joins, then from den, foyer, up to 96.00 MiB of memory here"
            )
        );
        assert_eq!(
            plan_at(DecodeAt::Source, &[]),
            format!("{first}decoded at the source, up to 96.00 MiB of memory here")
        );
    }
}
