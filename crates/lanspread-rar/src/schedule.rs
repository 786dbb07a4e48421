//! Jobs in order, decoded ahead by other threads.
//!
//! The consumer's thread executes operations, which has to go in order. Workers take jobs from the source in order and
//! decode them; when the next job is not ready, the consumer does the same instead of waiting. Without workers, it
//! always does.
//!
//! Locks: the source's lock is held while a job is read, the state's lock only for moments. A thread that holds the source's
//! may take the state's, never the other way round. The consumer never waits for the source's lock: a worker that holds it
//! brings a job, and the consumer waits for that. A worker reserves its place among the jobs before it takes the
//! source's lock, so that it never waits for the consumer while it holds it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::source::{Job, PackedSource};

/// Packed bytes in jobs that are ready or being decoded. Reached only with blocks that no known writer makes.
const PACKED_BYTES_MAX: usize = 2 << 20;

/// Returns out the jobs of a source.
pub(crate) struct Schedule {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Number of the next job to give out.
    next: u64,
    /// For the second of two blocks that this thread decodes at the same time.
    aside: Box<Batch>,
}

struct Shared {
    source: Mutex<Numbered>,
    state: Mutex<State>,
    /// A job became ready, or a worker failed.
    ready: Condvar,
    /// A job was given out, or everything stops.
    room: Condvar,
    /// How many jobs may be ready or being decoded.
    places: usize,
}

struct Numbered {
    source: PackedSource,
    /// Number of the next job that is read.
    next: u64,
}

#[derive(Default)]
struct State {
    /// Decoded jobs with their numbers: as few as there are places.
    ready: Vec<(u64, Job)>,
    /// Jobs whose memory can be used again.
    spare: Vec<Job>,
    /// Jobs that are ready, being decoded, or about to be read.
    reserved: usize,
    /// Their packed bytes.
    packed_bytes: usize,
    must_stop: bool,
    worker_failed: bool,
}

impl Schedule {
    /// With `workers` threads besides the caller's.
    pub(crate) fn new(source: PackedSource, workers: usize) -> Self {
        let shared = Arc::new(Shared {
            source: Mutex::new(Numbered { source, next: 0 }),
            state: Mutex::default(),
            ready: Condvar::new(),
            room: Condvar::new(),
            // A job for each thread to decode, and as many that wait to be used up.
            places: 2 + 2 * workers,
        });
        let workers = (0..workers)
            .filter_map(|_| {
                let shared = Arc::clone(&shared);
                // Without a further thread, the others do all the work.
                thread::Builder::new().name("rar".to_owned()).spawn(move || shared.work()).ok()
            })
            .collect();
        Self { shared, workers, next: 0, aside: Box::new(Batch::new()) }
    }

    /// The next job, in exchange for the last one. Its blocks may be decoded or not.
    pub(crate) fn next(&mut self, mut used: Job) -> Result<Job> {
        used.clear();
        let number = self.next;
        self.next += 1;
        self.shared.state().spare.push(used);
        loop {
            if let Some(job) = self.shared.take(number)? {
                return Ok(job);
            }
            if let Some(mut source) = try_lock(&self.shared.source) {
                if source.next == number {
                    source.next += 1;
                    let mut job = self.shared.state().spare.pop().unwrap_or_default();
                    source.source.fill(&mut job);
                    drop(source);
                    job.decode(&mut self.aside);
                    return Ok(job);
                }
                // A worker decodes it. Rather than wait, decode one of those after it.
                if !source.source.is_at_end() && self.shared.reserve_now() {
                    self.shared.decode_next(source, &mut self.aside);
                    continue;
                }
            }
            self.shared.wait_for(number);
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.shared.state().must_stop = true;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so in the state already.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under this lock is complete after each statement, so that a panic leaves no half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's whole life.
    fn work(&self) {
        let _alarm = Alarm(self);
        let mut aside = Box::new(Batch::new());
        while self.reserve() {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            if source.source.is_at_end() {
                self.state().reserved -= 1;
                return;
            }
            // Others may have read large blocks in the meantime.
            if self.state().packed_bytes >= PACKED_BYTES_MAX {
                self.state().reserved -= 1;
                continue;
            }
            self.decode_next(source, &mut aside);
        }
    }

    /// Waits for room for another job and reserves it. `false` if everything stops.
    fn reserve(&self) -> bool {
        let mut state = self.state();
        while !state.must_stop {
            if state.has_room(self.places) {
                state.reserved += 1;
                return true;
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        false
    }

    /// Reserves room for another job if there is some.
    fn reserve_now(&self) -> bool {
        let mut state = self.state();
        let has_room = state.has_room(self.places);
        state.reserved += usize::from(has_room);
        has_room
    }

    /// Reads the next job and decodes it, in a place that was reserved.
    fn decode_next(&self, mut source: MutexGuard<'_, Numbered>, aside: &mut Batch) {
        if source.source.is_at_end() {
            self.state().reserved -= 1;
            return;
        }
        let mut job = self.state().spare.pop().unwrap_or_default();
        let number = source.next;
        source.next += 1;
        source.source.fill(&mut job);
        self.state().packed_bytes += job.packed_bytes();
        drop(source);
        job.decode(aside);
        self.state().ready.push((number, job));
        self.ready.notify_one();
    }

    /// The job of this number, if it is ready.
    fn take(&self, number: u64) -> Result<Option<Job>> {
        let mut state = self.state();
        if state.worker_failed {
            return Err(Error::Worker);
        }
        let Some(at) = state.place_of(number) else { return Ok(None) };
        let (_, job) = state.ready.swap_remove(at);
        state.reserved -= 1;
        state.packed_bytes -= job.packed_bytes();
        drop(state);
        self.room.notify_all();
        Ok(Some(job))
    }

    fn wait_for(&self, number: u64) {
        let mut state = self.state();
        while state.place_of(number).is_none() && !state.worker_failed {
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// Where the job of this number is, if it is ready.
    fn place_of(&self, number: u64) -> Option<usize> {
        self.ready.iter().position(|(ready, _)| *ready == number)
    }

    fn has_room(&self, places: usize) -> bool {
        self.reserved < places && self.packed_bytes < PACKED_BYTES_MAX
    }
}

/// `None` if another thread has the lock.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Wakes the consumer if a worker panics, which would be a bug; it must not wait for ever then.
struct Alarm<'a>(&'a Shared);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.state().worker_failed = true;
            self.0.ready.notify_all();
        }
    }
}
