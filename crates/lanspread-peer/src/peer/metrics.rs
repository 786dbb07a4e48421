//! What a peer counts and measures, for databases of such numbers.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use lanspread_proto::message::PROTOCOL_VERSION;
use lanspread_types::content::Availability;
use lanspread_types::fault::LocalError;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::metrics::Metrics;
use crate::report::offender::Offence;
use crate::source::handshake_counts::HandshakeEnd;

impl Peer {
    /// What this peer counts and measures. Reads the games directory.
    ///
    /// Counters begin at 0 with the peer. No label is a word of another peer.
    ///
    /// # Errors
    /// [`PeerError::Local`] if the games directory, or the free space of its disk, cannot be read.
    pub async fn metrics(&self) -> Result<Metrics, PeerError> {
        let mut metrics = Metrics::default();
        let protocol = PROTOCOL_VERSION.to_string();
        metrics
            .gauge("lanspread_build_info", "The program that runs, which is always 1")
            .with(&[("version", env!("CARGO_PKG_VERSION")), ("protocol", &protocol)], 1);
        metrics
            .gauge("lanspread_start_time_seconds", "When the peer started, in seconds since 1970")
            .is(self.inner.started_s);
        self.traffic_metrics(&mut metrics);
        self.operation_metrics(&mut metrics);
        self.serving_metrics(&mut metrics);
        self.peer_metrics(&mut metrics);
        self.disk_metrics(&mut metrics).await?;
        metrics
            .gauge("lanspread_tasks", "Tasks and threads that have not ended")
            .is(self.running_tasks() as u64);
        Ok(metrics)
    }

    fn traffic_metrics(&self, metrics: &mut Metrics) {
        let traffic = &self.inner.source.traffic;
        let sent = metrics.counter("lanspread_sent_bytes_total", "Bytes of games that were sent to peers");
        for (kind, bytes) in traffic.sent() {
            sent.with(&[("kind", kind)], bytes);
        }
        let received = metrics
            .counter("lanspread_received_bytes_total", "Bytes of games that came from peers and servers");
        for (kind, bytes) in traffic.received() {
            received.with(&[("kind", kind)], bytes);
        }
        let limits = self.limits();
        let limit = metrics
            .gauge("lanspread_limit_bytes_per_second", "Limits for what is sent and received, 0 without one");
        for (direction, limited) in [("up", limits.up), ("down", limits.down)] {
            let bytes = limited.bytes_per_second().map_or(0, std::num::NonZeroU64::get);
            limit.with(&[("direction", direction)], bytes);
        }
    }

    fn operation_metrics(&self, metrics: &mut Metrics) {
        let ended = metrics.counter("lanspread_operations_total", "Operations that ended");
        for (kind, outcome, count) in self.inner.operations.counts() {
            ended.with(&[("kind", kind.code()), ("outcome", outcome)], count);
        }
        let running = self.running_operations();
        let (run, wait): (Vec<_>, Vec<_>) = running.into_iter().partition(|operation| operation.running);
        metrics.gauge("lanspread_operations_running", "Operations that run").is(run.len() as u64);
        metrics.gauge("lanspread_operations_waiting", "Operations that wait").is(wait.len() as u64);
    }

    fn serving_metrics(&self, metrics: &mut Metrics) {
        let source = &self.inner.source;
        metrics
            .gauge("lanspread_transfers_active", "Streams and downloads that are being sent")
            .is(source.active_transfers() as u64);
        metrics
            .gauge("lanspread_transfers_max", "Streams and downloads that are sent at once, at most")
            .is(source.streams_max() as u64);
        metrics
            .gauge("lanspread_receivers_waiting", "Receivers that wait for a place")
            .is(source.waiting_transfers() as u64);
        metrics
            .gauge("lanspread_connections", "Connections of other peers to this one")
            .is(source.connections.load(Ordering::Relaxed));
        let handshakes =
            metrics.counter("lanspread_handshakes_total", "Handshakes with peers that connected");
        for end in HandshakeEnd::ALL {
            handshakes.with(&[("outcome", end.code())], source.handshakes.count(end));
        }
    }

    fn peer_metrics(&self, metrics: &mut Metrics) {
        metrics
            .gauge("lanspread_peers", "Peers around this one that answer")
            .is(self.known_peers().len() as u64);
        let penalties =
            metrics.counter("lanspread_penalties_total", "Offences of peers for which they are not believed");
        for offence in [Offence::Lied, Offence::BrokeProtocol, Offence::FailedHandshake] {
            penalties.with(&[("offence", offence.code())], self.inner.penalties.given(offence));
        }
    }

    async fn disk_metrics(&self, metrics: &mut Metrics) -> Result<(), PeerError> {
        let games = self.local_games().await?;
        let family = metrics.gauge("lanspread_games", "Games on this machine");
        for (word, state) in [
            ("ready", Availability::Ready),
            ("local-only", Availability::LocalOnly),
            ("incomplete", Availability::Incomplete),
        ] {
            let count = games.iter().filter(|game| game.availability() == state).count();
            family.with(&[("state", word)], count as u64);
        }
        let games_dir = self.inner.games_dir.clone();
        let free = self.blocking("free space", move || {
            let stat = rustix::fs::statvfs(&games_dir)
                .map_err(|error| LocalError::io("read the free space of", &games_dir)(error.into()))?;
            Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
        });
        metrics
            .gauge("lanspread_free_bytes", "Bytes that may still be written to the disk of the games")
            .is(free.await?);
        Ok(())
    }
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a time of day that is written down, not a duration")]
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
