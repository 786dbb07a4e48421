//! How often content is copied in memory on its way.

use crate::bounds::{
    COPIES_DOWNLOAD_RECEIVER, COPIES_DOWNLOAD_SOURCE, COPIES_LOCAL_INSTALL, COPIES_PACKED_RECEIVER,
    COPIES_PACKED_SOURCE, COPIES_RELAY, COPIES_STREAM_RECEIVER, COPIES_STREAM_SOURCE,
};
use crate::copied::{Copies, Dhat};
use crate::games::{Game, MORE_BYTES, PACKED};
use crate::operations::{Operation, carry_out};

#[track_caller]
fn assert_at_most(what: &str, game: &Game, copies: &Copies, bound: f64) {
    #[allow(clippy::cast_precision_loss, reason = "bytes of some MiB")]
    let per_byte = copies.bytes() as f64 / game.bytes() as f64;
    println!("{what}: {per_byte:.3} copies of each byte, bound {bound}{}", copies.list());
    assert!(
        per_byte <= bound,
        "{what}: each byte is copied {per_byte:.3} times, the bound is {bound}:{}",
        copies.list()
    );
}

#[test]
fn a_streamed_install_copies_content_rarely() {
    let reports = carry_out(Operation::StreamedInstall, &PACKED, &Dhat::find());
    let [source, receiver] = [reports.source(), reports.receiver()].map(|report| Copies::read(&report));
    assert_at_most("source of a stream", &PACKED, &source, COPIES_STREAM_SOURCE);
    assert_at_most("receiver of a stream", &PACKED, &receiver, COPIES_STREAM_RECEIVER);
}

#[test]
fn a_packed_stream_copies_content_rarely() {
    let reports = carry_out(Operation::PackedInstall, &MORE_BYTES, &Dhat::find());
    let [source, receiver] = [reports.source(), reports.receiver()].map(|report| Copies::read(&report));
    assert_at_most("source of a packed stream", &MORE_BYTES, &source, COPIES_PACKED_SOURCE);
    assert_at_most("receiver of a packed stream", &MORE_BYTES, &receiver, COPIES_PACKED_RECEIVER);
}

#[test]
fn a_relay_copies_content_rarely() {
    let reports = carry_out(Operation::RelayedInstall, &MORE_BYTES, &Dhat::find());
    assert_at_most("relay of a packed stream", &MORE_BYTES, &Copies::read(&reports.receiver()), COPIES_RELAY);
}

#[test]
fn an_install_from_archives_copies_content_rarely() {
    let reports = carry_out(Operation::LocalInstall, &MORE_BYTES, &Dhat::find());
    let copies = Copies::read(&reports.receiver());
    assert_at_most("install from archives", &MORE_BYTES, &copies, COPIES_LOCAL_INSTALL);
}

#[test]
fn a_download_copies_content_rarely() {
    let reports = carry_out(Operation::Download, &MORE_BYTES, &Dhat::find());
    let [source, receiver] = [reports.source(), reports.receiver()].map(|report| Copies::read(&report));
    assert_at_most("source of a download", &MORE_BYTES, &source, COPIES_DOWNLOAD_SOURCE);
    assert_at_most("receiver of a download", &MORE_BYTES, &receiver, COPIES_DOWNLOAD_RECEIVER);
}
