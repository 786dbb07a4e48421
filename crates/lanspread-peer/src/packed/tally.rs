//! What the upstreams of one stream brought, for people. Pure.

use std::collections::BTreeMap;

use crate::packed::plan::UpstreamId;
use crate::report::packed_stream::{BytesByKind, UpstreamKind};

/// What was brought so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    by_upstream: BTreeMap<UpstreamId, u64>,
    by_kind: BytesByKind,
    bytes_twice: u64,
    changes: u64,
    changed_at: Option<u64>,
    open: u64,
    /// Whether an upstream has failed after it had brought chunks, and no other one has begun since.
    has_lost_one: bool,
}

impl Tally {
    /// An upstream begins, and `chunk` is wanted.
    pub(crate) fn begins(&mut self, chunk: u64) {
        self.open += 1;
        if std::mem::take(&mut self.has_lost_one) {
            self.changes += 1;
            self.changed_at = Some(chunk);
        }
    }

    /// An upstream brought a chunk.
    pub(crate) fn brought(&mut self, upstream: UpstreamId, kind: UpstreamKind, bytes: u64, is_new: bool) {
        *self.by_upstream.entry(upstream).or_default() += bytes;
        let of_kind = match kind {
            UpstreamKind::Relay => &mut self.by_kind.relay_bytes,
            UpstreamKind::Source => &mut self.by_kind.source_bytes,
            UpstreamKind::Http => &mut self.by_kind.http_bytes,
        };
        *of_kind += bytes;
        if !is_new {
            self.bytes_twice += bytes;
        }
    }

    /// An upstream ended, which had brought so many chunks since it began.
    pub(crate) fn ended(&mut self, chunks: u64, has_failed: bool) {
        self.open = self.open.saturating_sub(1);
        self.has_lost_one |= has_failed && chunks > 0;
    }

    /// How many upstreams bring chunks now.
    pub(crate) fn open(&self) -> u64 {
        self.open
    }

    /// Bytes that each upstream brought, in the order of the upstreams.
    pub(crate) fn by_upstream(&self) -> impl Iterator<Item = (UpstreamId, u64)> + '_ {
        self.by_upstream.iter().map(|(upstream, bytes)| (*upstream, *bytes))
    }

    /// Bytes that the upstreams of each kind brought.
    pub(crate) fn by_kind(&self) -> BytesByKind {
        self.by_kind
    }

    /// Bytes that arrived twice.
    pub(crate) fn bytes_twice(&self) -> u64 {
        self.bytes_twice
    }

    /// How often the stream continued from another upstream because one had failed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// The chunk that was wanted at the last of these changes.
    pub(crate) fn changed_at(&self) -> Option<u64> {
        self.changed_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_by_upstream_and_by_kind_and_those_that_came_twice_also_apart() {
        let mut tally = Tally::default();
        tally.brought(2, UpstreamKind::Source, 10, true);
        tally.brought(0, UpstreamKind::Relay, 20, true);
        tally.brought(2, UpstreamKind::Source, 1, false);
        tally.brought(3, UpstreamKind::Http, 5, true);
        assert_eq!(tally.by_upstream().collect::<Vec<_>>(), [(0, 20), (2, 11), (3, 5)]);
        assert_eq!(tally.by_kind(), BytesByKind { relay_bytes: 20, source_bytes: 11, http_bytes: 5 });
        assert_eq!(tally.bytes_twice(), 1);
    }

    /// A second source beside the first, a source that fills a gap, and one that was only tried are no change.
    #[test]
    fn a_change_of_upstream_is_one_that_begins_after_one_that_brought_something_failed() {
        let mut tally = Tally::default();
        tally.begins(0);
        tally.ended(0, true);
        tally.begins(0);
        tally.begins(3);
        tally.ended(2, false);
        tally.begins(5);
        assert_eq!((tally.changes(), tally.changed_at(), tally.open()), (0, None, 2));
        tally.ended(7, true);
        assert_eq!(tally.changes(), 0, "nothing was found to continue from");
        tally.begins(12);
        tally.begins(13);
        assert_eq!((tally.changes(), tally.changed_at()), (1, Some(12)));
    }
}
