//! Where the packed bytes of one install come from, and which follower gets them, for the line that shows its progress.
//! Nothing here does I/O.

use lanspread_peer::{
    PackedPlaced, PeerEvent, RelayBegin, SlowestReceiver, UpstreamBegin, UpstreamEnd, WaveProgress,
};

use super::quantities::rate;

/// What is known of the chain in which a game is installed.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Those that bring chunks, in the order in which they began.
    upstreams: Vec<String>,
    /// The one that ended last although nothing was wrong with it.
    before: Option<String>,
    follower: Option<String>,
    /// From 0.
    position: Option<u32>,
    /// How many have a place; 0 if that is not known.
    places: u32,
    slowest: Option<SlowestReceiver>,
    /// Of the whole game.
    packed_bytes: u64,
    is_known: bool,
}

impl Chain {
    /// Whether there is a chain.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Whether an event makes a chain known.
    pub(super) fn begins_with(event: &PeerEvent) -> bool {
        matches!(event, PeerEvent::PackedPlaced(_) | PeerEvent::UpstreamBegin(_))
    }

    /// Takes what an event reports about the chain.
    pub(super) fn hear(&mut self, event: &PeerEvent) {
        self.is_known |= Self::begins_with(event);
        match event {
            PeerEvent::PackedPlaced(PackedPlaced { position, .. }) => self.position = Some(*position),
            PeerEvent::WaveProgress(WaveProgress { places, slowest, packed_bytes, .. }) => {
                (self.places, self.packed_bytes) = (*places, *packed_bytes);
                self.slowest.clone_from(slowest);
            }
            PeerEvent::UpstreamBegin(UpstreamBegin { upstream, .. }) => {
                self.upstreams.retain(|known| known != upstream);
                self.upstreams.push(upstream.clone());
            }
            PeerEvent::UpstreamEnd(UpstreamEnd { upstream, code, .. }) => {
                self.upstreams.retain(|known| known != upstream);
                self.before = Some(upstream.clone()).filter(|_| code.as_ref() == "complete");
            }
            PeerEvent::RelayBegin(RelayBegin { follower, .. }) => self.follower = Some(follower.to_string()),
            PeerEvent::RelayEnd(_) => self.follower = None,
            // Another attempt has upstreams of its own.
            PeerEvent::StreamAttemptBegin { .. } => *self = Self::default(),
            _ => {}
        }
    }

    /// What a line can say of it, from the most to the least; nothing if there is no chain. The rates beside it are of
    /// unpacked bytes, of which the game has so many.
    pub(super) fn words(&self, separator: &str, unpacked_bytes: u64) -> Vec<String> {
        if !self.is_known {
            return Vec::new();
        }
        let from = self.from();
        let feeding = self.follower.as_ref().map(|follower| format!("feeding {follower}"));
        // Alone, a receiver needs no number.
        let number = self.position.filter(|position| *position > 0 || feeding.is_some());
        let number = number.map(|position| ordinal(position.saturating_add(1)));
        let place = number.as_ref().map(|number| match self.places {
            // A receiver hears of those behind it later than of its own place.
            places if Some(places) > self.position => format!("{number} of {places}"),
            _ => format!("{number} of the chain"),
        });
        let slowest = self.slowest(unpacked_bytes);
        let join = |parts: [Option<&String>; 4]| {
            parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(separator)
        };
        let (from, feeding) = (Some(&from), feeding.as_ref());
        let mut words = vec![
            join([from, feeding, place.as_ref(), slowest.as_ref()]),
            join([from, feeding, place.as_ref(), None]),
            join([from, feeding, number.as_ref(), None]),
            join([from, feeding, None, None]),
            join([from, None, None, None]),
        ];
        words.dedup();
        words
    }

    /// The slowest receiver ahead, at the rate of unpacked bytes that its packed ones are on average.
    fn slowest(&self, unpacked_bytes: u64) -> Option<String> {
        let SlowestReceiver { peer, bytes_per_second } = self.slowest.as_ref()?;
        let unpacked = u128::from(*bytes_per_second) * u128::from(unpacked_bytes);
        let unpacked = unpacked.checked_div(self.packed_bytes.into())?;
        let per_second = rate(u64::try_from(unpacked).unwrap_or(u64::MAX));
        Some(format!("slowest ahead {peer} ({per_second})"))
    }

    fn from(&self) -> String {
        match (self.upstreams.as_slice(), &self.before) {
            ([], Some(before)) => format!("from {before}"),
            ([], None) => "waiting for an upstream".to_owned(),
            ([one, other, rest @ ..], _) if !rest.is_empty() => {
                format!("from {one}, {other} and {} more", rest.len())
            }
            (all, _) => format!("from {}", all.join(", ")),
        }
    }
}

/// A number in a row: `1st`, `2nd`, `11th`.
fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
pub(super) mod tests {
    use lanspread_peer::{RelayEnd, UpstreamKind};

    use super::*;

    pub(in super::super) fn placed(position: u32) -> PeerEvent {
        PeerEvent::PackedPlaced(PackedPlaced {
            game: "g".parse().unwrap(),
            peer: "den".parse().unwrap(),
            peer_id: [7; 16].into(),
            position,
            relays: Vec::new(),
            starts_in_ms: 0,
        })
    }

    pub(in super::super) fn from(upstream: &str) -> PeerEvent {
        let (game, upstream) = ("g".parse().unwrap(), upstream.to_owned());
        PeerEvent::UpstreamBegin(UpstreamBegin {
            game,
            upstream,
            peer_id: None,
            kind: UpstreamKind::Relay,
            chunk: 0,
        })
    }

    pub(in super::super) fn of(places: u32, slowest: Option<(&str, u64)>) -> PeerEvent {
        let slowest = slowest.map(|(peer, bytes_per_second)| SlowestReceiver {
            peer: peer.parse().unwrap(),
            bytes_per_second,
        });
        let game = "g".parse().unwrap();
        PeerEvent::WaveProgress(WaveProgress { game, places, slowest, packed_bytes: 100 << 20 })
    }

    fn ended(upstream: &str, code: &'static str) -> PeerEvent {
        PeerEvent::UpstreamEnd(UpstreamEnd {
            game: "g".parse().unwrap(),
            upstream: upstream.to_owned(),
            kind: UpstreamKind::Relay,
            chunk: 1,
            chunks: 1,
            bytes: 1,
            code: code.into(),
            message: String::new(),
        })
    }

    pub(in super::super) fn feeding(follower: &str) -> PeerEvent {
        let (game, follower) = ("g".parse().unwrap(), follower.parse().unwrap());
        PeerEvent::RelayBegin(RelayBegin { game, follower, chunk: 0 })
    }

    fn fed(follower: &str) -> PeerEvent {
        let (game, follower) = ("g".parse().unwrap(), follower.parse().unwrap());
        PeerEvent::RelayEnd(RelayEnd { game, follower, chunks: 1, bytes: 1, outcome: "complete".into() })
    }

    #[test]
    fn a_chain_is_said_with_its_two_neighbours_and_the_place_between_them() {
        let mut chain = Chain::default();
        assert_eq!(
            chain.words(", ", 0),
            [""; 0],
            "nothing is known of a stream that is decoded at its source"
        );
        let mut hear = |events: &[PeerEvent]| {
            for event in events {
                chain.hear(event);
            }
            chain.words(" · ", 300 << 20)
        };
        assert_eq!(hear(&[placed(0), from("den")]), ["from den"], "it is alone");
        assert_eq!(
            hear(&[feeding("seat-2")]),
            [
                "from den · feeding seat-2 · 1st of the chain",
                "from den · feeding seat-2 · 1st",
                "from den · feeding seat-2",
                "from den"
            ]
        );
        assert_eq!(
            hear(&[fed("seat-2"), placed(6), from("seat-6")])[0],
            "from den, seat-6 · 7th of the chain"
        );
        assert_eq!(hear(&[from("foyer"), from("x")]).last().unwrap(), "from den, seat-6 and 2 more");
    }

    #[test]
    fn a_place_is_said_with_the_number_of_places_and_the_slowest_receiver_ahead_at_unpacked_bytes() {
        let mut chain = Chain::default();
        let mut hear = |events: &[PeerEvent]| {
            for event in events {
                chain.hear(event);
            }
            chain.words(" · ", 300 << 20)
        };
        let with_all = hear(&[placed(6), from("seat-6"), of(32, Some(("seat-3", 20 << 20)))]);
        assert_eq!(
            with_all,
            [
                "from seat-6 · 7th of 32 · slowest ahead seat-3 (60.00 MiB/s)",
                "from seat-6 · 7th of 32",
                "from seat-6 · 7th",
                "from seat-6"
            ]
        );
        assert_eq!(hear(&[of(32, None)])[0], "from seat-6 · 7th of 32");
        assert_eq!(hear(&[of(6, None)])[0], "from seat-6 · 7th of the chain", "a relay that has heard less");
    }

    #[test]
    fn an_upstream_that_was_left_is_no_longer_named_and_one_that_has_done_its_part_is() {
        let mut chain = Chain::default();
        let mut hear = |event: &PeerEvent| {
            chain.hear(event);
            chain.words(" · ", 0).pop()
        };
        assert_eq!(hear(&from("seat-6")).unwrap(), "from seat-6");
        assert_eq!(hear(&ended("seat-6", "timeout")).unwrap(), "waiting for an upstream");
        assert_eq!(hear(&from("den")).unwrap(), "from den");
        assert_eq!(hear(&ended("den", "complete")).unwrap(), "from den", "the rest is being decoded");
    }

    #[test]
    fn numbers_have_the_endings_of_english() {
        let numbers = [1, 2, 3, 4, 11, 12, 13, 21, 22, 101, 111].map(ordinal);
        assert_eq!(
            numbers,
            ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "101st", "111th"]
        );
    }
}
