//! The plan under any order of events: every chunk is done exactly once, and the download ends while one source works.

use proptest::prelude::*;

use super::*;

/// One event, which is ignored if it cannot happen at that moment.
#[derive(Debug, Clone, Copy)]
enum Event {
    Opened(usize),
    Finished(usize),
    Failed(usize),
    Hopeless(usize),
    Measured(usize, u64),
    /// A source takes too long to open.
    Late(usize),
    /// A span is over in which the source was fast enough, or not.
    Judged(usize, bool),
    Woken(usize),
    /// A source opens and its files have changed: the chunks that it delivered are dropped.
    Changed(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0usize..4).prop_map(Event::Opened),
        6 => (0usize..4).prop_map(Event::Finished),
        2 => (0usize..4).prop_map(Event::Failed),
        1 => (1usize..4).prop_map(Event::Hopeless),
        3 => (0usize..4, 0u64..2000).prop_map(|(source, bytes)| Event::Measured(source, bytes)),
        2 => (0usize..4, any::<bool>()).prop_map(|(source, fast)| Event::Judged(source, fast)),
        1 => (0usize..4).prop_map(Event::Late),
        1 => (0usize..4).prop_map(Event::Woken),
        1 => (0usize..4).prop_map(Event::Changed),
    ]
}

/// The world around a plan: the events decide what the sources do, the plan decides what they are asked to do.
struct World {
    plan: Plan,
    /// Asked to open and not answered yet.
    opening: BTreeSet<usize>,
    open: BTreeSet<usize>,
    /// Asked to close.
    closing: BTreeSet<usize>,
    owed: Vec<VecDeque<usize>>,
    brought: Vec<Option<usize>>,
}

impl World {
    fn new(chunk_count: u64, sources: usize) -> Self {
        Self {
            plan: plan(chunk_count, sources),
            opening: BTreeSet::new(),
            open: BTreeSet::new(),
            closing: BTreeSet::new(),
            owed: vec![VecDeque::new(); sources],
            brought: vec![None; usize::try_from(chunk_count).unwrap()],
        }
    }

    /// Carries out the plan's decisions, as the transfer does.
    fn settle(&mut self) {
        while let Some(source) = self.plan.open_next() {
            assert!(!self.open.contains(&source) && self.opening.insert(source));
        }
        while let Some((source, chunk)) = self.plan.assign() {
            assert!(self.open.contains(&source) && !self.closing.contains(&source));
            assert!(
                self.owed.iter().all(|owed| !owed.contains(&chunk.id)),
                "a chunk is with one source at a time"
            );
            assert_eq!(self.brought[chunk.id], None, "a chunk that is done is not fetched again");
            self.owed[source].push_back(chunk.id);
            assert!(self.owed[source].len() <= limits::CHUNKS_AHEAD);
        }
        while let Some(source) = self.plan.take_over().or_else(|| self.plan.close_next()) {
            assert!(self.open.contains(&source) && self.closing.insert(source));
        }
    }

    fn end(&mut self, source: usize, ending: Ending) {
        self.opening.remove(&source);
        self.open.remove(&source);
        self.closing.remove(&source);
        self.owed[source].clear();
        self.plan.ended(source, ending);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Opened(source) if self.opening.remove(&source) => {
                self.open.insert(source);
                self.plan.opened(source, &[]);
            }
            Event::Changed(source) if self.opening.remove(&source) => {
                self.open.insert(source);
                let dropped: Vec<usize> =
                    (0..self.brought.len()).filter(|chunk| self.brought[*chunk] == Some(source)).collect();
                for chunk in &dropped {
                    self.brought[*chunk] = None;
                }
                self.plan.opened(source, &dropped);
            }
            Event::Finished(source) => match self.owed[source].pop_front() {
                Some(chunk) => {
                    assert!(self.plan.finished(source, chunk));
                    self.brought[chunk] = Some(source);
                }
                None if self.closing.contains(&source) => self.end(source, Ending::Asked),
                None => {}
            },
            Event::Failed(source) if self.opening.contains(&source) || self.open.contains(&source) => {
                self.end(source, Ending::Failed);
            }
            Event::Hopeless(source) if self.opening.contains(&source) || self.open.contains(&source) => {
                self.end(source, Ending::Hopeless);
            }
            Event::Measured(source, bytes) if self.open.contains(&source) => {
                self.plan.arrived(source, bytes / 100);
                self.plan.measured(source, bytes, SECOND);
            }
            Event::Judged(source, fast) if self.open.contains(&source) => {
                let speed = if fast { Speed::Enough } else { Speed::TooSlow };
                if self.plan.judged(source, speed) {
                    assert!(!fast && self.closing.insert(source));
                }
            }
            Event::Late(source) => self.plan.late(source),
            Event::Woken(source) => self.plan.wake(source),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Under any order of events, no chunk is with two sources or fetched again when it is done. Once no more faults
    /// happen, every chunk arrives or no source is left.
    #[test]
    fn every_chunk_arrives_once_under_any_order_of_events(
        chunk_count in 0u64..12,
        sources in 1usize..5,
        events in proptest::collection::vec(event(), 0..120),
    ) {
        let mut world = World::new(chunk_count, sources);
        world.settle();
        for event in events {
            let (Event::Opened(source) | Event::Finished(source) | Event::Failed(source) | Event::Hopeless(source)
                | Event::Measured(source, _) | Event::Judged(source, _) | Event::Late(source) | Event::Woken(source) | Event::Changed(source)) = event;
            if source < sources {
                world.happen(event);
                world.settle();
            }
        }
        // From here on every source works without faults.
        for _ in 0..1000 {
            if world.plan.is_complete() || world.plan.is_hopeless() {
                break;
            }
            for source in 0..sources {
                for event in [Event::Woken(source), Event::Opened(source), Event::Finished(source)] {
                    world.happen(event);
                    world.settle();
                }
            }
        }
        prop_assert!(world.plan.is_complete() || world.plan.is_hopeless(), "the plan is stuck: {:?}", world.plan);
        if world.plan.is_complete() {
            prop_assert!(world.brought.iter().all(Option::is_some));
            let shares: u64 = (0..sources).map(|source| world.plan.share(source).0).sum();
            prop_assert!(shares >= chunk_count);
        }
    }
}
