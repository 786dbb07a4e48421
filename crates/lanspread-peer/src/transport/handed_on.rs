//! A file that a peer hands on, part by part. The length of the whole is fixed by the first part, each part is as long as
//! the protocol says, and the whole must keep up with a pace: no peer can send more than was asked for, nor drip, nor win
//! time by the length that it claims.

use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Reply, Request};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant, timeout_at};

use crate::transport::listing::other;

/// How long the whole file may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// Exactly so many bytes.
    Exactly(u64),
    /// At most so many.
    AtMost(u64),
}

/// A file that is asked for.
pub(crate) struct Arriving<'c, S, R> {
    connection: &'c mut Connection<S>,
    expected: Expected,
    /// The request for the part that begins here.
    request: R,
    begun: Instant,
    /// How far it may be behind the slowest pace.
    patience: Duration,
    from: u64,
    whole: Option<u64>,
}

impl<'c, S: AsyncRead + AsyncWrite, R: Fn(u64) -> Request> Arriving<'c, S, R> {
    /// With [`limits::HANDED_ON_DEADLINE`] as `patience`, or less if another peer may have the file too.
    pub(crate) fn new(
        connection: &'c mut Connection<S>,
        expected: Expected,
        request: R,
        patience: Duration,
    ) -> Self {
        Self { connection, expected, request, begun: Instant::now(), patience, from: 0, whole: None }
    }

    /// Asks for the next part; none after the last one.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if the answer is wrong; [`WireError::Refused`]; those of the connection.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        if self.whole.is_some_and(|whole| whole == self.from) {
            return Ok(None);
        }
        let after = self.patience + due_in(self.from);
        let late = WireError::Timeout { what: "whole file", after };
        let (total, bytes) = timeout_at(self.begun + after, self.part()).await.unwrap_or(Err(late))?;
        if self.whole.is_none() {
            check_total(self.expected, total)?;
        }
        check_part(*self.whole.get_or_insert(total), total, self.from, bytes.len() as u64)?;
        self.from += bytes.len() as u64;
        Ok(Some(bytes))
    }

    async fn part(&mut self) -> Result<(u64, Vec<u8>), WireError> {
        self.connection.send(&(self.request)(self.from)).await?;
        let reply = self.connection.receive("part of a file", limits::PART_DEADLINE).await?;
        match reply.ok_or(WireError::Closed)? {
            Reply::Part { total, bytes } => Ok((total, bytes)),
            Reply::Refused(refusal) => Err(WireError::Refused(refusal)),
            _ => Err(other("part of a file")),
        }
    }
}

/// How long so many bytes take at the slowest pace.
pub(crate) fn due_in(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / limits::HANDED_ON_BYTES_PER_SECOND_MIN)
}

fn check_total(expected: Expected, total: u64) -> Result<(), WireError> {
    match expected {
        Expected::Exactly(bytes) if total != bytes => {
            Err(WireError::Malformed(format!("{bytes} bytes expected, {total} came")))
        }
        Expected::AtMost(bytes) if total > bytes || total == 0 => {
            Err(WireError::Malformed(format!("1 to {bytes} bytes expected, {total} came")))
        }
        _ => Ok(()),
    }
}

fn check_part(whole: u64, total: u64, from: u64, got: u64) -> Result<(), WireError> {
    if total != whole {
        return Err(WireError::Malformed(format!("a file of {whole} bytes now has {total}")));
    }
    let expected = (whole - from).min(limits::PART_BYTES as u64);
    if got != expected {
        return Err(WireError::Malformed(format!("a part of {expected} bytes expected, one of {got} came")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
