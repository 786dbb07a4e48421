//! A stream with a fault in it: wraps any `AsyncRead + AsyncWrite` and disturbs what passes.
//!
//! Each direction has one [`Fault`] at most. Positions count the bytes of that direction from 0. Time is tokio's, so
//! paused time works. Whatever the fault, bytes keep their order and no byte passes twice.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes read from the wrapped stream at once.
const READ_BYTES: usize = 16 * 1024;

/// What happens to one direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: every byte passes.
    None,
    /// The first byte passes after this time.
    Delay(Duration),
    /// The stream ends after this many bytes: a reader sees the end, a writer a broken pipe.
    CutAt(u64),
    /// After this many bytes nothing passes any more, and nothing ends either.
    StallAt(u64),
    /// One bit of the byte `at` is turned; bit 0 is the lowest.
    FlipBit { at: u64, bit: u8 },
    /// At most `bytes` pass per `every`.
    Trickle { bytes: usize, every: Duration },
}

/// A stream of which one or both directions have a fault.
pub(crate) struct FaultPipe<S> {
    inner: S,
    reads: Lane,
    writes: Lane,
}

impl<S> FaultPipe<S> {
    /// Disturbs what is written into the wrapped stream.
    pub(crate) fn on_writes(inner: S, fault: Fault) -> Self {
        Self { inner, reads: Lane::new(Fault::None), writes: Lane::new(fault) }
    }

    /// Disturbs what is read from the wrapped stream.
    pub(crate) fn on_reads(inner: S, fault: Fault) -> Self {
        Self { inner, reads: Lane::new(fault), writes: Lane::new(Fault::None) }
    }
}

/// One direction.
struct Lane {
    fault: Fault,
    passed: u64,
    /// The wait before the next bytes, if one has begun.
    wait: Option<Pin<Box<Sleep>>>,
}

/// What may pass next.
enum Verdict {
    /// This many bytes at most, as they are.
    Pass(usize),
    /// One byte, changed by this mask.
    Change(u8),
    /// None any more.
    End,
}

impl Lane {
    fn new(fault: Fault) -> Self {
        Self { fault, passed: 0, wait: None }
    }

    fn judge(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<Verdict> {
        let left = |at: u64| usize::try_from(at - self.passed).unwrap_or(usize::MAX).min(wanted);
        Poll::Ready(match self.fault {
            Fault::FlipBit { at, .. } if self.passed < at => Verdict::Pass(left(at)),
            Fault::FlipBit { at, bit } if self.passed == at => Verdict::Change(1 << bit),
            Fault::CutAt(at) if self.passed >= at => Verdict::End,
            // Nobody is woken: this direction is dead.
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

    /// What arrives of [`TEXT`], and how long it took. `None` when nothing ends within an hour.
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

    /// What arrives and after how long, or nothing when it does not end.
    type Arrival = Option<(&'static [u8], Duration)>;

    /// Each fault does what it says, in both directions, and nothing else.
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
}
