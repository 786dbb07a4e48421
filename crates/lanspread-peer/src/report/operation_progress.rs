//! What an operation is doing, as far as its events say. Pure: events and times in, progress out.

use std::collections::VecDeque;
use std::time::Duration;

use lanspread_types::ids::{GameVersion, PeerId, PeerName};
use lanspread_types::limits;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::report::download::DownloadBegin;
use crate::report::event::PeerEvent;
use crate::report::packed_stream::{PackedPlaced, UpstreamBegin, WaveProgress};
use crate::report::queued::QueuedAt;

/// What an operation is busy with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OperationStep {
    /// It looks for sources, or prepares.
    #[default]
    Preparing,
    /// A source has no place for it.
    Waiting,
    /// Bytes arrive and are installed.
    Streaming,
    /// Root files arrive.
    Downloading,
    /// Archives of this machine are unpacked.
    Unpacking,
    /// Files of this machine are read and compared.
    Verifying,
    /// Every byte is here; it makes them durable and moves them into place.
    Finishing,
}

/// How far an operation is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OperationProgress {
    /// What it is busy with.
    pub step: OperationStep,
    /// The version that it brings or reads.
    pub version: Option<GameVersion>,
    /// Bytes so far: unpacked bytes, or those of root files while they are downloaded.
    pub bytes: Option<u64>,
    /// Bytes in all, of the same kind.
    pub bytes_total: Option<u64>,
    /// What of them came in a second, averaged over [`limits::RATE_SPAN`]; none before that has passed.
    pub bytes_per_second: Option<u64>,
    /// Name of the upstream that brings the bytes, or of a server; of several, the one that brings most.
    pub source: Option<String>,
    /// Its identity, if it is a peer.
    pub source_id: Option<PeerId>,
    /// Position in the wave, from 0.
    pub position: Option<u32>,
    /// Places that the wave has.
    pub places: Option<u32>,
    /// The attempt, from 1.
    pub attempt: Option<u64>,
    /// Name of the source that has no place for it, while it waits.
    pub waiting_for: Option<PeerName>,
    /// The identity of that source.
    pub waiting_for_id: Option<PeerId>,
    /// How many have their turn before it.
    pub ahead: Option<u32>,
    /// In how many milliseconds its turn may come.
    pub in_ms: Option<u32>,
}

/// Follows the events of one operation.
#[derive(Debug, Default)]
pub(crate) struct ProgressMeter {
    progress: OperationProgress,
    /// When how many bytes were here, the oldest first: no further back than the rate needs.
    samples: VecDeque<(Instant, u64)>,
}

impl ProgressMeter {
    /// How far the operation is now.
    pub(crate) fn progress(&self, now: Instant) -> OperationProgress {
        OperationProgress { bytes_per_second: self.rate(now), ..self.progress.clone() }
    }

    /// Takes one event of the operation.
    pub(crate) fn take(&mut self, event: &PeerEvent, now: Instant) {
        let progress = &mut self.progress;
        match event {
            PeerEvent::StreamInstallBegin { version, .. } => progress.version = Some(version.clone()),
            PeerEvent::StreamAttemptBegin { attempt, peer, peer_id, .. } => {
                progress.attempt = Some(*attempt as u64);
                (progress.position, progress.places) = (None, None);
                self.comes_from(peer.to_string(), Some(*peer_id));
            }
            PeerEvent::Queued(QueuedAt { peer, peer_id, ahead, in_ms, .. }) => {
                // Of several sources, one may have no place while another one sends.
                if matches!(progress.step, OperationStep::Preparing | OperationStep::Waiting) {
                    progress.step = OperationStep::Waiting;
                    progress.waiting_for = Some(peer.clone());
                    progress.waiting_for_id = *peer_id;
                    (progress.ahead, progress.in_ms) = (Some(*ahead), *in_ms);
                }
            }
            PeerEvent::PackedPlaced(PackedPlaced { position, .. }) => progress.position = Some(*position),
            PeerEvent::WaveProgress(WaveProgress { places, .. }) => {
                progress.places = Some(*places).filter(|places| *places > 0);
            }
            PeerEvent::UpstreamBegin(UpstreamBegin { upstream, peer_id, .. }) => {
                self.comes_from(upstream.clone(), *peer_id);
            }
            PeerEvent::StreamProgress { bytes, bytes_total, .. } => {
                self.advances(OperationStep::Streaming, *bytes, *bytes_total, now);
            }
            PeerEvent::DownloadBegin(DownloadBegin { version, bytes_kept, bytes_total, .. }) => {
                progress.version = Some(version.clone());
                self.advances(OperationStep::Downloading, *bytes_kept, *bytes_total, now);
            }
            PeerEvent::DownloadProgress { bytes, bytes_total, source, source_id, .. } => {
                if let Some(source) = source {
                    self.comes_from(source.clone(), *source_id);
                }
                self.advances(OperationStep::Downloading, *bytes, *bytes_total, now);
            }
            PeerEvent::InstallBegin { version, bytes_total, .. } => {
                progress.version = Some(version.clone());
                (progress.source, progress.source_id) = (None, None);
                self.advances(OperationStep::Unpacking, 0, *bytes_total, now);
            }
            PeerEvent::InstallProgress { bytes, bytes_total, .. } => {
                self.advances(OperationStep::Unpacking, *bytes, *bytes_total, now);
            }
            PeerEvent::VerifyProgress { bytes, bytes_total, .. } => {
                self.advances(OperationStep::Verifying, *bytes, *bytes_total, now);
            }
            PeerEvent::Finishing { bytes, .. } => {
                progress.step = OperationStep::Finishing;
                progress.bytes = Some(*bytes);
                self.samples.clear();
            }
            _ => {}
        }
    }

    fn comes_from(&mut self, source: String, source_id: Option<PeerId>) {
        (self.progress.source, self.progress.source_id) = (Some(source), source_id);
    }

    fn advances(&mut self, step: OperationStep, bytes: u64, bytes_total: u64, now: Instant) {
        let progress = &mut self.progress;
        let goes_on = progress.step == step && progress.bytes.is_some_and(|before| before <= bytes);
        if !goes_on {
            self.samples.clear();
        }
        progress.step = step;
        (progress.bytes, progress.bytes_total) = (Some(bytes), Some(bytes_total));
        (progress.waiting_for, progress.waiting_for_id) = (None, None);
        (progress.ahead, progress.in_ms) = (None, None);
        self.samples.push_back((now, bytes));
        let is_old = |at: Instant| now.duration_since(at) > limits::RATE_SPAN;
        // One sample before the span is kept, so that the span is covered.
        while self.samples.get(1).is_some_and(|(at, _)| is_old(*at)) {
            self.samples.pop_front();
        }
    }

    /// Bytes per second since the oldest sample. Time that has passed since the newest one counts, so that a stall shows.
    fn rate(&self, now: Instant) -> Option<u64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let span = now.duration_since(first.0);
        if span < limits::RATE_SPAN {
            return None;
        }
        // If nothing has come for a whole span, what came before it no longer counts.
        if now.duration_since(last.0) > limits::RATE_SPAN {
            return Some(0);
        }
        per_second(last.1.saturating_sub(first.1), span)
    }
}

fn per_second(bytes: u64, span: Duration) -> Option<u64> {
    let per_second = u128::from(bytes) * 1000 / span.as_millis().max(1);
    u64::try_from(per_second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(bytes: u64) -> PeerEvent {
        let (game, peer) = ("g".parse().unwrap(), "den".parse().unwrap());
        PeerEvent::StreamProgress { game, peer, bytes, bytes_total: 10_000 }
    }

    fn queued(ahead: u32) -> PeerEvent {
        let (game, peer) = ("g".parse().unwrap(), "den".parse().unwrap());
        let peer_id = Some(PeerId::from([7; 16]));
        PeerEvent::Queued(QueuedAt { game, peer, peer_id, ahead, in_ms: None, receivers: None })
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_shows_a_stall() {
        let begin = Instant::now();
        let after = |ms| begin + Duration::from_millis(ms);
        let mut meter = ProgressMeter::default();
        for step in 0..=3 {
            meter.take(&streams(step * 500), after(step * 500));
        }
        assert_eq!(meter.progress(after(1500)).bytes_per_second, None, "two seconds have not passed");
        for step in 4..=20 {
            meter.take(&streams(step * 500), after(step * 500));
        }
        assert_eq!(meter.progress(after(10_000)).bytes_per_second, Some(1000));
        assert!(meter.samples.len() < 8, "old samples are dropped");
        assert_eq!(meter.progress(after(11_500)).bytes_per_second, Some(2500 * 1000 / 4000));
        assert_eq!(meter.progress(after(12_100)).bytes_per_second, Some(0));
    }

    #[test]
    fn another_attempt_begins_a_new_measurement() {
        let begin = Instant::now();
        let mut meter = ProgressMeter::default();
        meter.take(&streams(5000), begin);
        meter.take(&streams(9000), begin + Duration::from_secs(3));
        meter.take(&streams(10), begin + Duration::from_secs(4));
        assert_eq!(meter.progress(begin + Duration::from_secs(4)).bytes_per_second, None);
        assert_eq!(meter.progress(begin + Duration::from_secs(4)).bytes, Some(10));
    }

    #[test]
    fn waiting_is_over_with_the_first_byte_and_a_second_full_source_does_not_hide_it() {
        let now = Instant::now();
        let mut meter = ProgressMeter::default();
        meter.take(&queued(3), now);
        let waiting = meter.progress(now);
        assert_eq!((waiting.step, waiting.ahead), (OperationStep::Waiting, Some(3)));
        assert_eq!(waiting.waiting_for_id, Some(PeerId::from([7; 16])));
        meter.take(&streams(1), now);
        meter.take(&queued(2), now);
        let streaming = meter.progress(now);
        assert_eq!((streaming.step, streaming.ahead), (OperationStep::Streaming, None));
        assert_eq!(streaming.waiting_for, None);
    }
}
