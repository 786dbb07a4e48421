//! A peer as a source of chunks: agrees on the files, requests chunks ahead of those that have arrived, and receives
//! them.
//!
//! Anything that does not match the requests ends the source, so a chunk is never shorter or longer than requested:
//! more or fewer bytes, data that was not requested, silence, and keep-alives without progress.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::chunk::{Buffers, ChunkItem, ChunkMessage, ChunkRequest, Incoming, Outgoing};
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Reply, Request};
use lanspread_proto::queued::{QueuePosition, QueuedPace};
use lanspread_store::state::chunks::Chunk;
use lanspread_tls::endpoint::Endpoint;
use lanspread_types::content::RootFile;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::receive::arrivals::Arrivals;
use crate::receive::chunk_source::{ChunkSource, FetchError, OpenSource, Wanted};
use crate::receive::chunk_writer::ChunkWrite;
use crate::receive::offences::OffenceRecorder;
use crate::receive::server_chunks::ServerChunks;
use crate::receive::transfer_source::TransferSource;
use crate::task::Tasks;
use crate::traffic::{Downlink, Meter, TrafficKind};
use crate::transport::dial::dial;
use crate::transport::listing;
use crate::transport::socket::Socket;

/// Opens peers and servers as sources of chunks.
pub(crate) struct Dialling {
    pub(crate) ours: Endpoint,
    /// How long a peer may send nothing before it is given up.
    pub(crate) idle_timeout: Duration,
    /// Remembers what sources do wrong.
    pub(crate) offences: OffenceRecorder,
    /// Counts and limits what they send.
    pub(crate) downlink: Downlink,
    pub(crate) tasks: Tasks,
}

impl OpenSource for Dialling {
    type Source = OpenedSource;

    async fn open(
        &self,
        source: &TransferSource,
        wanted: Wanted<'_>,
        queued: impl FnMut(QueuePosition) + Send,
    ) -> Result<OpenedSource, WireError> {
        match source {
            TransferSource::Peer(peer) => {
                let mut connection = dial(&peer.address.into(), &self.ours, Some(peer.id)).await?.connection;
                connection.set_idle_timeout(self.idle_timeout);
                Ok(OpenedSource::Peer(Box::new(
                    PeerChunks::agree(connection, self.downlink.meter(TrafficKind::Download), wanted, queued)
                        .await?,
                )))
            }
            // It says nothing about files before it is asked for one.
            TransferSource::Server(server) => Ok(OpenedSource::Server(ServerChunks::new(
                Arc::clone(server),
                self.tasks.clone(),
                self.downlink.meter(TrafficKind::Http),
                wanted.files,
            ))),
        }
    }

    fn failed(&self, source: &TransferSource, error: &FetchError) -> Option<JoinHandle<()>> {
        match source {
            TransferSource::Peer(peer) => self.offences.after_fetch(peer, error),
            TransferSource::Server(_) => None,
        }
    }
}

/// An open source of either kind.
pub(crate) enum OpenedSource {
    Peer(Box<PeerChunks<Socket>>),
    Server(ServerChunks),
}

impl ChunkSource for OpenedSource {
    fn fingerprints(&self) -> &[u64] {
        match self {
            Self::Peer(peer) => peer.fingerprints(),
            Self::Server(server) => server.fingerprints(),
        }
    }

    async fn fetch(
        &mut self,
        orders: &mut mpsc::Receiver<Chunk>,
        writes: mpsc::Sender<ChunkWrite>,
        buffers: &Buffers,
        arrivals: &Arc<Arrivals>,
    ) -> Result<(), FetchError> {
        match self {
            Self::Peer(peer) => peer.fetch(orders, writes, buffers, arrivals).await,
            Self::Server(server) => server.fetch(orders, writes, buffers, arrivals).await,
        }
    }
}

/// A peer that has agreed to send chunks.
pub(crate) struct PeerChunks<S> {
    connection: Connection<S>,
    meter: Meter,
    agreement: Agreement,
}

impl<S: AsyncRead + AsyncWrite> PeerChunks<S> {
    /// Waits for the turn, and checks that the peer's files are the wanted ones.
    pub(crate) async fn agree(
        mut connection: Connection<S>,
        meter: Meter,
        wanted: Wanted<'_>,
        queued: impl FnMut(QueuePosition),
    ) -> Result<Self, WireError> {
        let Wanted { game, version, files } = wanted;
        connection.send(&Request::Download { game: game.clone(), version: version.clone() }).await?;
        let (first, turn) = first_reply(&mut connection, queued).await?;
        // One deadline for all parts of the list: a part in time does not give the next one more time.
        let after = limits::REPLY_DEADLINE;
        let agreeing = timeout_at(turn + after, agree(&mut connection, first, files));
        let late = |_| WireError::Timeout { what: "whole list of files", after };
        let agreement = agreeing.await.map_err(late)??;
        Ok(Self { connection, meter, agreement })
    }
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> ChunkSource for PeerChunks<S> {
    fn fingerprints(&self) -> &[u64] {
        &self.agreement.fingerprints
    }

    async fn fetch(
        &mut self,
        orders: &mut mpsc::Receiver<Chunk>,
        writes: mpsc::Sender<ChunkWrite>,
        buffers: &Buffers,
        arrivals: &Arc<Arrivals>,
    ) -> Result<(), FetchError> {
        let arriving = (arrivals.as_ref(), &self.meter);
        fetch(&mut self.connection, &self.agreement, orders, writes, buffers, arriving).await
    }
}

/// What a source and the receiver agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// The source's number of each wanted file.
    numbers: Vec<u32>,
    /// The source's fingerprint of each wanted file.
    pub(crate) fingerprints: Vec<u64>,
}

/// The first reply that does not only say that there is no place yet, and since when it was due.
async fn first_reply<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    mut queued: impl FnMut(QueuePosition),
) -> Result<(Reply, Instant), WireError> {
    let mut pace = QueuedPace::default();
    let mut turn = Instant::now();
    loop {
        match connection.receive("reply", limits::REPLY_DEADLINE).await?.ok_or(WireError::Closed)? {
            Reply::Queued(position) => {
                turn = Instant::now();
                pace.said(turn)?;
                queued(position);
            }
            reply => return Ok((reply, turn)),
        }
    }
}

/// Takes the list of files, which begins with the `first` reply, and compares it with the files of the download. If they
/// differ by now, the peer is refused as a source.
async fn agree<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    first: Reply,
    files: &[RootFile],
) -> Result<Agreement, WireError> {
    let mut theirs = BTreeMap::new();
    let mut count: u32 = 0;
    listing::parts(connection, Some(first), limits::REPLY_DEADLINE, |reply| {
        let Reply::DownloadReady { files: part, more } = reply else {
            return Err(listing::other("download ready"));
        };
        listing::check_adds("files", part.len(), more)?;
        for offered in part {
            theirs.insert(offered.file, (count, offered.fingerprint));
            count += 1;
            if count as usize > files.len() {
                return Ok(false);
            }
        }
        Ok(more)
    })
    .await?;
    let agreed: Option<Vec<(u32, u64)>> = files.iter().map(|file| theirs.get(file).copied()).collect();
    match agreed {
        Some(agreed) if count as usize == files.len() => {
            let (numbers, fingerprints) = agreed.into_iter().unzip();
            Ok(Agreement { numbers, fingerprints })
        }
        _ => Err(WireError::Unexpected { expected: "the files it reported before", got: "other files" }),
    }
}

/// Fetches the chunks in `orders`, until `orders` is closed and every ordered chunk has arrived.
async fn fetch<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    agreement: &Agreement,
    orders: &mut mpsc::Receiver<Chunk>,
    writes: mpsc::Sender<ChunkWrite>,
    buffers: &Buffers,
    arriving: (&Arrivals, &Meter),
) -> Result<(), FetchError> {
    let (mut incoming, mut outgoing) = connection.halves();
    let (asked, expected) = mpsc::channel(limits::CHUNK_REQUESTS_MAX);
    tokio::try_join!(
        ask(&mut outgoing, &agreement.numbers, orders, asked),
        take(&mut incoming, expected, writes, buffers, arriving),
    )?;
    Ok(())
}

async fn ask<S: AsyncWrite>(
    outgoing: &mut Outgoing<'_, S>,
    numbers: &[u32],
    orders: &mut mpsc::Receiver<Chunk>,
    asked: mpsc::Sender<Chunk>,
) -> Result<(), FetchError> {
    while let Some(chunk) = orders.recv().await {
        let file = numbers.get(chunk.file).copied().unwrap_or(u32::MAX);
        // The receiving half must expect the chunk first: the answer may arrive before this task continues.
        if asked.send(chunk).await.is_err() {
            return Ok(());
        }
        outgoing.message(&ChunkRequest { file, offset: chunk.offset, length: chunk.length }).await?;
        outgoing.flush().await?;
    }
    Ok(())
}

async fn take<S: AsyncRead>(
    incoming: &mut Incoming<'_, S>,
    mut expected: mpsc::Receiver<Chunk>,
    writes: mpsc::Sender<ChunkWrite>,
    buffers: &Buffers,
    arriving: (&Arrivals, &Meter),
) -> Result<(), FetchError> {
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = expected.recv() => match chunk {
                Some(chunk) => chunk,
                None => return Ok(()),
            },
            // The writer refused the last chunk, and without a next one no failed send would show it.
            () = writes.closed() => return Err(FetchError::WriterStopped),
            begins = incoming.begins() => {
                let got = "data that was not requested";
                return Err(if begins? {
                    WireError::Unexpected { expected: "nothing", got }
                } else {
                    WireError::Closed
                }
                .into());
            }
        };
        take_chunk(incoming, chunk, &writes, buffers, arriving).await?;
    }
}

async fn take_chunk<S: AsyncRead>(
    incoming: &mut Incoming<'_, S>,
    chunk: Chunk,
    writes: &mpsc::Sender<ChunkWrite>,
    buffers: &Buffers,
    (arrivals, meter): (&Arrivals, &Meter),
) -> Result<(), FetchError> {
    let wrong = |got| WireError::Totals { what: "bytes of a chunk", expected: chunk.length, got };
    let mut received = 0;
    let mut moved = Instant::now();
    loop {
        let write = match incoming.item(buffers.take()).await? {
            ChunkItem::Data(data) => {
                let offset = chunk.offset + received;
                received += data.len() as u64;
                if received > chunk.length {
                    return Err(wrong(received).into());
                }
                arrivals.count(data.len() as u64);
                arrivals.pass(meter, data.len() as u64).await;
                ChunkWrite::Data { chunk, offset, data }
            }
            ChunkItem::Control(ChunkMessage::End { checksum }) if received == chunk.length => {
                ChunkWrite::End { chunk, checksum }
            }
            ChunkItem::Control(ChunkMessage::End { .. }) => return Err(wrong(received).into()),
            ChunkItem::Control(ChunkMessage::Failed(refusal)) => {
                return Err(WireError::Refused(refusal).into());
            }
            ChunkItem::Control(ChunkMessage::KeepAlive) => {
                if moved.elapsed() > limits::STREAM_STALL_DEADLINE {
                    let after = limits::STREAM_STALL_DEADLINE;
                    return Err(WireError::Timeout { what: "progress", after }.into());
                }
                continue;
            }
        };
        let is_last = matches!(write, ChunkWrite::End { .. });
        arrivals.deliver(writes, write).await?;
        // After the wait for the disk, which is not the source's fault.
        moved = Instant::now();
        if is_last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
