//! How many system calls a MiB and a small file cost.

use std::path::PathBuf;

use crate::bounds::{self, Bounds};
use crate::games::{BASE, MORE_BYTES, MORE_FILES};
use crate::operations::{Operation, Reports, carry_out};
use crate::traced::{Calls, Strace};

/// What was counted in a test, and which tables have a number above its bound.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    /// Compares two operations that differ in their number of units.
    fn check(&mut self, what: &str, [base, more]: [PathBuf; 2], (unit, units): (&str, f64), bounds: &Bounds) {
        let got = Calls::read(&more).more_than(&Calls::read(&base), units);
        let mut table = format!("{what}, system calls per {unit}:\n");
        let mut is_good = true;
        for (kind, count) in got.into_iter().filter(|(_, count)| count.abs() > 0.0005) {
            // Every kind has a bound: one that is not named has that of all others.
            let bound =
                bounds.named.iter().find(|named| named.0 == kind).map_or(bounds.unnamed, |named| named.1);
            let mark = if count > bound { "  <-- TOO MANY" } else { "" };
            is_good &= count <= bound;
            table += &format!("  {count:8.3} {kind}, bound {bound}{mark}\n");
        }
        println!("{table}");
        if !is_good {
            self.0.push(table);
        }
    }

    #[track_caller]
    fn assert_none(&self) {
        assert!(self.0.is_empty(), "\n{}", self.0.join("\n"));
    }
}

#[allow(clippy::cast_precision_loss, reason = "a thousand files")]
fn files() -> (&'static str, f64) {
    ("file", (MORE_FILES.small_files - BASE.small_files) as f64)
}

fn mib() -> (&'static str, f64) {
    ("MiB", MORE_BYTES.mib() - BASE.mib())
}

#[test]
fn a_streamed_install_makes_few_system_calls() {
    let Some(strace) = Strace::find() else { return };
    let [base, more_bytes, more_files] =
        [BASE, MORE_BYTES, MORE_FILES].map(|game| carry_out(Operation::StreamedInstall, &game, &strace));
    let mut findings = Findings::default();
    let source = |reports: &Reports| [base.source(), reports.source()];
    findings.check("source of a stream", source(&more_bytes), mib(), &bounds::STREAM_SOURCE_PER_MIB);
    findings.check("source of a stream", source(&more_files), files(), &bounds::STREAM_SOURCE_PER_FILE);
    let receiver = |reports: &Reports| [base.receiver(), reports.receiver()];
    findings.check("receiver of a stream", receiver(&more_bytes), mib(), &bounds::STREAM_RECEIVER_PER_MIB);
    findings.check("receiver of a stream", receiver(&more_files), files(), &bounds::STREAM_RECEIVER_PER_FILE);
    findings.assert_none();
}

#[test]
fn a_packed_stream_makes_few_system_calls() {
    let Some(strace) = Strace::find() else { return };
    let [base, more] = [BASE, MORE_BYTES].map(|game| carry_out(Operation::PackedInstall, &game, &strace));
    let mut findings = Findings::default();
    let sources = [base.source(), more.source()];
    findings.check("source of a packed stream", sources, mib(), &bounds::PACKED_SOURCE_PER_MIB);
    let receivers = [base.receiver(), more.receiver()];
    findings.check("receiver of a packed stream", receivers, mib(), &bounds::PACKED_RECEIVER_PER_MIB);
    findings.assert_none();
}

#[test]
fn a_relay_makes_few_system_calls() {
    let Some(strace) = Strace::find() else { return };
    let [base, more] = [BASE, MORE_BYTES].map(|game| carry_out(Operation::RelayedInstall, &game, &strace));
    let mut findings = Findings::default();
    // However many follow one another, it feeds one of them.
    let sources = [base.source(), more.source()];
    findings.check("source of a relay", sources, mib(), &bounds::PACKED_SOURCE_PER_MIB);
    let relays = [base.receiver(), more.receiver()];
    findings.check("relay of a packed stream", relays, mib(), &bounds::RELAY_PER_MIB);
    findings.assert_none();
}

#[test]
fn an_install_from_archives_makes_few_system_calls() {
    let Some(strace) = Strace::find() else { return };
    let [base, more_bytes, more_files] =
        [BASE, MORE_BYTES, MORE_FILES].map(|game| carry_out(Operation::LocalInstall, &game, &strace));
    let mut findings = Findings::default();
    let what = "install from archives";
    let pair = |reports: &Reports| [base.receiver(), reports.receiver()];
    findings.check(what, pair(&more_bytes), mib(), &bounds::LOCAL_INSTALL_PER_MIB);
    findings.check(what, pair(&more_files), files(), &bounds::LOCAL_INSTALL_PER_FILE);
    findings.assert_none();
}

#[test]
fn a_download_makes_few_system_calls() {
    let Some(strace) = Strace::find() else { return };
    let [base, more] = [BASE, MORE_BYTES].map(|game| carry_out(Operation::Download, &game, &strace));
    let mut findings = Findings::default();
    let sources = [base.source(), more.source()];
    findings.check("source of a download", sources, mib(), &bounds::DOWNLOAD_SOURCE_PER_MIB);
    let receivers = [base.receiver(), more.receiver()];
    findings.check("receiver of a download", receivers, mib(), &bounds::DOWNLOAD_RECEIVER_PER_MIB);
    findings.assert_none();
}
