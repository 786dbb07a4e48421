//! Whether a receiver waits for the packing list of a game, or has the game streamed decoded. Pure.

use std::time::Duration;

use lanspread_types::limits;

/// What is known about a list that is being made, and about the game.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListWait {
    /// When the sources may have it.
    pub(super) in_ms: u32,
    /// For how long the receiver has waited.
    pub(super) waited: Duration,
    /// Bytes of the archives.
    pub(super) packed_bytes: u64,
    /// Transfers that the first source is sending: a decoded stream shares its processor and its link with them.
    pub(super) transfers: u64,
}

/// What the receiver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListDecision {
    /// Wait so long, and ask again.
    Wait(Duration),
    /// Have it streamed decoded, because of this.
    Decoded(&'static str),
}

/// Whichever ends first.
pub(super) fn decide(wait: &ListWait) -> ListDecision {
    let ListWait { in_ms, waited, packed_bytes, transfers } = *wait;
    let in_time = Duration::from_millis(in_ms.into());
    if waited + in_time > limits::PACKING_LIST_WAIT_MAX {
        return ListDecision::Decoded("its sources need too long for its packing list");
    }
    let packed = in_time + at_rate(packed_bytes, limits::PACKED_RATE_ASSUMED);
    // Others of a room ask in the same moment, and cannot be seen yet. They share a packed stream, and nothing else.
    let receivers = transfers.saturating_add(1).max(limits::ROOM_ASSUMED);
    let decoded = at_rate(packed_bytes, limits::DECODED_RATE_ASSUMED / receivers);
    if packed > decoded {
        return ListDecision::Decoded(
            "that ends sooner than a packed stream, which waits for its packing list",
        );
    }
    // A promise for now that was not kept is no reason to ask without a pause.
    ListDecision::Wait(
        in_time.clamp(limits::PACKING_LIST_ASK_INTERVAL / 10, limits::PACKING_LIST_ASK_INTERVAL),
    )
}

fn at_rate(bytes: u64, bytes_per_second: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / bytes_per_second.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn wait(in_ms: u32, packed_bytes: u64) -> ListWait {
        ListWait { in_ms, waited: Duration::ZERO, packed_bytes, transfers: 0 }
    }

    fn waits(wait: ListWait) -> bool {
        matches!(decide(&wait), ListDecision::Wait(_))
    }

    #[test]
    fn the_way_that_ends_first_is_taken() {
        assert!(waits(wait(5000, GB)), "5 and 12 s against 200 s in a room");
        assert!(!waits(wait(190_000, GB)), "190 and 12 s against 200 s");
        assert!(waits(wait(4000, GB / 40)), "4 s against 5 s in a room");
        assert!(!waits(wait(4000, GB / 100)), "a small game is there before its list");
        assert!(waits(ListWait { transfers: 31, ..wait(4000, GB / 100) }), "not beside 31 other streams");
    }

    #[test]
    fn a_source_that_promises_for_ever_does_not_hold_a_receiver_up() {
        let mut said = wait(60_000, 1000 * GB);
        assert!(waits(said));
        said.waited = limits::PACKING_LIST_WAIT_MAX;
        assert!(!waits(said));
    }

    #[test]
    fn the_sources_are_asked_again_at_intervals() {
        let next = |in_ms| match decide(&wait(in_ms, 100 * GB)) {
            ListDecision::Wait(next) => next.as_millis(),
            ListDecision::Decoded(reason) => panic!("{reason}"),
        };
        assert_eq!([next(0), next(1000), next(100_000)], [200, 1000, 2000]);
    }
}
