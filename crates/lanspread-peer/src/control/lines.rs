//! JSON lines over any `AsyncRead + AsyncWrite`: bounded, with deadlines.

use lanspread_types::limits::{CONTROL_LINE_BYTES_MAX, CONTROL_WRITE_DEADLINE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::control::error::ControlError;

fn broken(error: &std::io::Error) -> ControlError {
    ControlError::Broken(format!("the connection broke: {error}"))
}

/// Reads lines.
pub(crate) struct LineReader<R> {
    reader: BufReader<R>,
    /// The part of a line that has arrived, so that [`Self::next`] can resume.
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new() }
    }

    /// The next line; none if the other side closed the connection between two lines. Cancel-safe.
    pub(crate) async fn next<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ControlError> {
        let left = CONTROL_LINE_BYTES_MAX.saturating_sub(self.line.len()) as u64 + 1;
        let mut limited = (&mut self.reader).take(left);
        limited.read_until(b'\n', &mut self.line).await.map_err(|error| broken(&error))?;
        let mut line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return Ok(None);
        }
        if line.pop() != Some(b'\n') {
            let too_long = line.len() >= CONTROL_LINE_BYTES_MAX;
            let what = if too_long { "a line is too long" } else { "a line is cut off" };
            return Err(ControlError::Broken(what.to_owned()));
        }
        serde_json::from_slice(&line).map(Some).map_err(|error| ControlError::Broken(error.to_string()))
    }
}

/// Writes one line. Fails if the other side does not take it within [`CONTROL_WRITE_DEADLINE`].
pub(crate) async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> Result<(), ControlError> {
    let mut line = serde_json::to_vec(message).map_err(|error| ControlError::Broken(error.to_string()))?;
    line.push(b'\n');
    let write = async {
        writer.write_all(&line).await?;
        writer.flush().await
    };
    match timeout(CONTROL_WRITE_DEADLINE, write).await {
        Ok(written) => written.map_err(|error| broken(&error)),
        Err(_) => Err(ControlError::Broken("the other side does not read".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::message::ControlRequest;

    async fn read_request(bytes: &[u8]) -> Result<Option<ControlRequest>, ControlError> {
        LineReader::new(bytes).next().await
    }

    #[tokio::test]
    async fn lines_are_read_whole_or_refused() {
        let mut line = Vec::new();
        write(&mut line, &ControlRequest::Status).await.unwrap();
        assert_eq!(read_request(&line).await.unwrap(), Some(ControlRequest::Status));
        assert_eq!(read_request(b"").await.unwrap(), None);
        for cut in 1..line.len() {
            assert!(read_request(&line[..cut]).await.is_err(), "cut at {cut}");
        }
        let endless = vec![b' '; CONTROL_LINE_BYTES_MAX * 2];
        assert!(read_request(&endless).await.unwrap_err().to_string().contains("too long"));
        assert!(read_request(b"\xff\n").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let (mut ours, _theirs) = tokio::io::duplex(4);
        assert!(write(&mut ours, &ControlRequest::Operations { ended: false }).await.is_err());
    }
}
