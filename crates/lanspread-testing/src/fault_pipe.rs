//! A stream with a fault in it: wraps any `AsyncRead + AsyncWrite` and disturbs what passes.
//!
//! Each direction has one [`Fault`] at most. Positions count the bytes of that direction from 0. Time is tokio's, so
//! paused time works. Whatever the fault, bytes keep their order and no byte passes twice.

use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes read from the wrapped stream at once.
const READ_BYTES: usize = 16 * 1024;

/// What happens to one direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: every byte passes.
    None,
    /// The first byte passes after this time.
    Delay(Duration),
    /// The stream ends after this many bytes: a reader sees the end, a writer a broken pipe.
    CutAt(u64),
    /// After this many bytes nothing passes any more, and the stream does not end.
    StallAt(u64),
    /// One bit of the byte `at` is flipped; bit 0 is the lowest.
    FlipBit {
        /// Position of the byte.
        at: u64,
        /// Which of its bits.
        bit: u8,
    },
    /// At most `bytes` pass per `every`.
    Trickle {
        /// Bytes at once.
        bytes: usize,
        /// The interval.
        every: Duration,
    },
}

/// The text does not name a [`Fault`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fault: expected delay=MS, cut=N, stall=N, flip=N:BIT or trickle=BYTES:MS")]
pub struct NoFault(String);

impl FromStr for Fault {
    type Err = NoFault;

    fn from_str(text: &str) -> Result<Self, NoFault> {
        let no_fault = || NoFault(text.to_owned());
        let (kind, values) = text.split_once('=').ok_or_else(no_fault)?;
        let values: Result<Vec<u64>, _> = values.split(':').map(str::parse).collect();
        let values = values.map_err(|_| no_fault())?;
        Ok(match (kind, &values[..]) {
            ("delay", &[ms]) => Self::Delay(Duration::from_millis(ms)),
            ("cut", &[at]) => Self::CutAt(at),
            ("stall", &[at]) => Self::StallAt(at),
            ("flip", &[at, bit @ 0..8]) => {
                Self::FlipBit { at, bit: u8::try_from(bit).map_err(|_| no_fault())? }
            }
            ("trickle", &[bytes, ms]) if bytes > 0 => Self::Trickle {
                bytes: usize::try_from(bytes).map_err(|_| no_fault())?,
                every: Duration::from_millis(ms),
            },
            _ => return Err(no_fault()),
        })
    }
}

/// A stream of which one direction has a fault.
pub struct FaultPipe<S> {
    inner: S,
    reads: Lane,
    writes: Lane,
}

impl<S> FaultPipe<S> {
    /// Disturbs what is written into the wrapped stream.
    pub fn on_writes(inner: S, fault: Fault) -> Self {
        Self { inner, reads: Lane::new(Fault::None), writes: Lane::new(fault) }
    }

    /// Disturbs what is read from the wrapped stream.
    pub fn on_reads(inner: S, fault: Fault) -> Self {
        Self { inner, reads: Lane::new(fault), writes: Lane::new(Fault::None) }
    }

    /// Calls `call` when the fault first takes effect.
    #[must_use]
    pub fn when_felt(mut self, call: impl FnOnce() + Send + 'static) -> Self {
        let lane = if self.reads.fault == Fault::None { &mut self.writes } else { &mut self.reads };
        lane.when_felt = Some(Box::new(call));
        self
    }
}

/// One direction.
struct Lane {
    fault: Fault,
    passed: u64,
    /// The wait before the next bytes, if one has begun.
    wait: Option<Pin<Box<Sleep>>>,
    when_felt: Option<Box<dyn FnOnce() + Send>>,
}

/// What may pass next.
enum Verdict {
    /// At most this many bytes, unchanged.
    Pass(usize),
    /// One byte, changed by this mask.
    Change(u8),
    /// Nothing more.
    End,
}

impl Lane {
    fn new(fault: Fault) -> Self {
        Self { fault, passed: 0, wait: None, when_felt: None }
    }

    fn judge(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<Verdict> {
        let is_felt = match self.fault {
            Fault::None => false,
            Fault::Delay(_) | Fault::Trickle { .. } => true,
            Fault::CutAt(at) | Fault::StallAt(at) | Fault::FlipBit { at, .. } => self.passed >= at,
        };
        if is_felt && let Some(call) = self.when_felt.take() {
            call();
        }
        let left = |at: u64| usize::try_from(at - self.passed).unwrap_or(usize::MAX).min(wanted);
        Poll::Ready(match self.fault {
            Fault::FlipBit { at, .. } if self.passed < at => Verdict::Pass(left(at)),
            Fault::FlipBit { at, bit } if self.passed == at => Verdict::Change(1 << bit),
            Fault::CutAt(at) if self.passed >= at => Verdict::End,
            // No task is woken: this direction is dead.
            Fault::StallAt(at) if self.passed >= at => return Poll::Pending,
            Fault::CutAt(at) | Fault::StallAt(at) => Verdict::Pass(left(at)),
            Fault::Delay(time) if self.passed == 0 => {
                ready!(self.waited(context, time));
                Verdict::Pass(wanted)
            }
            Fault::Trickle { bytes, every } => {
                ready!(self.waited(context, every));
                Verdict::Pass(wanted.min(bytes))
            }
            Fault::None | Fault::Delay(_) | Fault::FlipBit { .. } => Verdict::Pass(wanted),
        })
    }

    fn waited(&mut self, context: &mut Context<'_>, time: Duration) -> Poll<()> {
        self.wait.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(context)
    }

    fn count(&mut self, bytes: usize) {
        self.passed += bytes as u64;
        if bytes > 0 {
            self.wait = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultPipe<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let pipe = self.get_mut();
        let (limit, mask) = match ready!(pipe.reads.judge(context, out.remaining().min(READ_BYTES))) {
            Verdict::Pass(limit) => (limit, 0),
            Verdict::Change(mask) => (1, mask),
            Verdict::End => return Poll::Ready(Ok(())),
        };
        let mut bytes = [0; READ_BYTES];
        let mut taken = ReadBuf::new(&mut bytes[..limit]);
        ready!(Pin::new(&mut pipe.inner).poll_read(context, &mut taken))?;
        let taken = taken.filled_mut();
        for byte in taken.iter_mut() {
            *byte ^= mask;
        }
        out.put_slice(taken);
        pipe.reads.count(taken.len());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FaultPipe<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let pipe = self.get_mut();
        let inner = Pin::new(&mut pipe.inner);
        let count = match ready!(pipe.writes.judge(context, bytes.len())) {
            Verdict::Pass(limit) => ready!(inner.poll_write(context, &bytes[..limit]))?,
            Verdict::Change(mask) => {
                let changed: Vec<u8> = bytes.iter().take(1).map(|byte| byte ^ mask).collect();
                ready!(inner.poll_write(context, &changed))?
            }
            Verdict::End => {
                ready!(inner.poll_shutdown(context))?;
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        };
        pipe.writes.count(count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    const TEXT: &[u8] = b"0123456789";

    /// What arrives of [`TEXT`], and how long it took. `None` if it does not end within an hour.
    async fn through(fault: Fault, faulty_reader: bool) -> Option<(Vec<u8>, Duration)> {
        let (near, far) = duplex(4);
        let begun = Instant::now();
        let transfer = async {
            let mut arrived = Vec::new();
            if faulty_reader {
                let (mut reader, mut writer) = (FaultPipe::on_reads(far, fault), near);
                let write = async move {
                    let _ = writer.write_all(TEXT).await;
                };
                let read = async {
                    let _ = reader.read_to_end(&mut arrived).await;
                    drop(reader);
                };
                tokio::join!(write, read);
            } else {
                let (mut reader, mut writer) = (far, FaultPipe::on_writes(near, fault));
                let write = async move {
                    let _ = writer.write_all(TEXT).await;
                };
                tokio::join!(write, async { reader.read_to_end(&mut arrived).await.unwrap() });
            }
            arrived
        };
        let arrived = timeout(Duration::from_secs(3600), transfer).await.ok()?;
        Some((arrived, begun.elapsed()))
    }

    /// What arrives and after how long; `None` if it does not end.
    type Arrival = Option<(&'static [u8], Duration)>;

    /// Each fault does exactly what its name says, in both directions.
    #[tokio::test(start_paused = true)]
    async fn each_fault_does_what_it_says() {
        let second = Duration::from_secs(1);
        for reader in [false, true] {
            let none = Duration::ZERO;
            let expected: [(Fault, Arrival); 7] = [
                (Fault::None, Some((TEXT, none))),
                (Fault::Delay(second), Some((TEXT, second))),
                (Fault::CutAt(0), Some((b"", none))),
                (Fault::CutAt(7), Some((b"0123456", none))),
                (Fault::StallAt(7), None),
                (Fault::FlipBit { at: 3, bit: 0 }, Some((b"0122456789", none))),
                (Fault::FlipBit { at: 9, bit: 4 }, Some((b"012345678)", none))),
            ];
            for (fault, expected) in expected {
                let expected = expected.map(|(bytes, time)| (bytes.to_vec(), time));
                assert_eq!(through(fault, reader).await, expected, "{fault:?}, reader: {reader}");
            }
        }
        let trickle = Fault::Trickle { bytes: 2, every: second };
        assert_eq!(through(trickle, false).await, Some((TEXT.to_vec(), 5 * second)));
        // A reader waits once more, for the end.
        assert_eq!(through(trickle, true).await, Some((TEXT.to_vec(), 6 * second)));
    }

    /// A fault is reported once, when it takes effect, and not before.
    #[tokio::test(start_paused = true)]
    async fn a_fault_is_reported_when_it_takes_effect() {
        for (fault, felt_after) in [
            (Fault::None, None),
            (Fault::Delay(Duration::from_secs(1)), Some(0)),
            (Fault::CutAt(4), Some(4)),
            (Fault::StallAt(4), Some(4)),
            (Fault::FlipBit { at: 4, bit: 0 }, Some(4)),
            (Fault::Trickle { bytes: 1, every: Duration::from_secs(1) }, Some(0)),
        ] {
            let (near, _far) = duplex(64);
            let (sender, mut felt) = tokio::sync::oneshot::channel();
            let mut pipe = FaultPipe::on_writes(near, fault).when_felt(|| sender.send(()).unwrap());
            for passed in 0..=4 {
                let is_felt = felt.try_recv().is_ok();
                assert!(!is_felt, "{fault:?} is reported after {passed} bytes, before the next is tried");
                let _ = timeout(Duration::from_secs(10), pipe.write_all(b"x")).await;
                if felt_after == Some(passed) {
                    assert!(felt.try_recv().is_ok(), "{fault:?} is not reported at byte {passed}");
                    break;
                }
            }
        }
    }

    #[test]
    fn faults_are_read_as_they_are_written() {
        let ms = Duration::from_millis;
        for (text, fault) in [
            ("delay=1500", Fault::Delay(ms(1500))),
            ("cut=0", Fault::CutAt(0)),
            ("stall=700000", Fault::StallAt(700_000)),
            ("flip=9:7", Fault::FlipBit { at: 9, bit: 7 }),
            ("trickle=4096:100", Fault::Trickle { bytes: 4096, every: ms(100) }),
        ] {
            assert_eq!(text.parse(), Ok(fault));
        }
        for text in
            ["", "cut", "cut=", "cut=x", "cut=-1", "cut=1:2", "flip=1", "flip=1:8", "trickle=0:1", "no=1"]
        {
            assert_eq!(text.parse::<Fault>(), Err(NoFault(text.to_owned())));
        }
    }
}
