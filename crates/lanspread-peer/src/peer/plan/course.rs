//! What an operation would do, step by step, and how much disk that takes. Pure.

use std::path::Path;

use lanspread_store::install::replace::UserFiles;
use lanspread_store::state::booking::Estimate;
use lanspread_types::content::Totals;
use lanspread_types::ids::GameVersion;

use crate::report::failure::PeerAnswer;
use crate::report::operation::{DecodeAt, OperationRequest};
use crate::report::planned::{OperationPlan, PlannedSource, PlannedStep, PlannedUpstream};

/// One step.
#[derive(Debug, Clone)]
pub(super) struct CourseStep {
    pub(super) step: PlannedStep,
    /// None if only its sources know.
    pub(super) fetched_bytes: Option<u64>,
    /// What it writes; none if only its sources know.
    pub(super) written: Option<Totals>,
    /// Bytes that are on the disk before it and not after it.
    pub(super) removed_bytes: u64,
}

/// Everything that an operation would do.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) steps: Vec<CourseStep>,
    pub(super) version: Option<GameVersion>,
    /// Files of the user that would be lost.
    pub(super) lost: UserFiles,
    pub(super) sources: Vec<PlannedSource>,
    pub(super) upstreams: Vec<PlannedUpstream>,
    pub(super) dropped: Vec<PeerAnswer>,
    /// Of a streamed install: where it is decoded, and the most memory that takes here.
    pub(super) decoding: Option<(DecodeAt, u64)>,
}

/// What the disk must hold at the worst moment, beyond what it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Peak {
    pub(super) bytes: u64,
    pub(super) inodes: u64,
}

/// What one step does to the disk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DiskUse {
    /// What it needs free when it begins, with a margin.
    pub(super) needed_bytes: u64,
    pub(super) needed_inodes: u64,
    pub(super) written_bytes: u64,
    pub(super) written_inodes: u64,
    pub(super) removed_bytes: u64,
}

impl CourseStep {
    /// A step that fetches nothing and writes nothing.
    pub(super) fn local(step: PlannedStep, removed_bytes: u64) -> Self {
        Self { step, fetched_bytes: Some(0), written: Some(Totals::default()), removed_bytes }
    }

    fn changes(&self) -> bool {
        self.step != PlannedStep::Compare
    }

    /// What it does to the disk, with what [`lanspread_store::state::booking::estimate`] says of it.
    pub(super) fn disk_use(&self, written: Totals, estimate: Estimate) -> DiskUse {
        let writes = written.entries() > 0;
        DiskUse {
            needed_bytes: if writes { estimate.needed_bytes } else { 0 },
            needed_inodes: if writes { estimate.needed_inodes } else { 0 },
            written_bytes: written.bytes,
            written_inodes: written.entries(),
            removed_bytes: self.removed_bytes,
        }
    }
}

/// The worst moment of steps that follow each other: each needs its room beside what those before it have left.
pub(super) fn peak(steps: &[DiskUse]) -> Peak {
    let (mut peak, mut left_bytes, mut left_inodes) = (Peak::default(), 0_i128, 0_u64);
    for step in steps {
        let bytes = u64::try_from(left_bytes + i128::from(step.needed_bytes)).unwrap_or(0);
        let inodes = if step.needed_inodes == 0 { 0 } else { left_inodes.saturating_add(step.needed_inodes) };
        peak = Peak { bytes: peak.bytes.max(bytes), inodes: peak.inodes.max(inodes) };
        left_bytes += i128::from(step.written_bytes) - i128::from(step.removed_bytes);
        left_inodes = left_inodes.saturating_add(step.written_inodes);
    }
    peak
}

impl Course {
    /// None if only the sources of a step know.
    pub(super) fn fetched_bytes(&self) -> Option<u64> {
        let mut parts = self.steps.iter().map(|step| step.fetched_bytes);
        parts.try_fold(0_u64, |sum, part| Some(sum.saturating_add(part?)))
    }

    /// Sums it up. `peak` is none if it cannot be told.
    pub(super) fn plan(
        self,
        request: &OperationRequest,
        peak: Option<Peak>,
        free: &Estimate,
    ) -> OperationPlan {
        let fetched_bytes = self.fetched_bytes();
        let of_tree = |step: &CourseStep| step.step != PlannedStep::Download;
        let tree = self.steps.iter().filter(|step| of_tree(step));
        let tree =
            tree.map(|step| step.written).try_fold(Totals::default(), |sum, part| sum.checked_add(part?));
        let plan = OperationPlan {
            kind: request.kind,
            game: request.game.clone(),
            version: self.version,
            changed: self.steps.iter().any(CourseStep::changes),
            fetched_bytes,
            files: tree.map(|tree| tree.files),
            bytes: tree.map(|tree| tree.bytes),
            removed_bytes: self.steps.iter().map(|step| step.removed_bytes).sum(),
            lost_files: self.lost.count,
            lost: self.lost.first,
            needed_bytes: peak.map(|peak| peak.bytes),
            free_bytes: free.free_bytes,
            booked_bytes: free.booked_bytes,
            fits: None,
            needed_inodes: peak.map(|peak| peak.inodes),
            free_inodes: free.free_inodes,
            booked_inodes: free.booked_inodes,
            decode_at: self.decoding.map(|(decode_at, _)| decode_at),
            memory_bytes: self.decoding.map(|(_, memory_bytes)| memory_bytes),
            steps: self.steps.iter().map(|step| step.step).collect(),
            sources: self.sources,
            dropped: self.dropped,
            upstreams: self.upstreams,
        };
        let fits = peak.map(|_| plan.missing_space(Path::new("")).is_none());
        OperationPlan { fits, ..plan }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::operation::{OperationKind, OperationOptions};

    fn request() -> OperationRequest {
        let (kind, options) = (OperationKind::Install, OperationOptions::default());
        OperationRequest { kind, game: "g".parse().unwrap(), options }
    }

    /// Writes that much and has nothing as a margin.
    fn writes(bytes: u64, removed_bytes: u64) -> DiskUse {
        DiskUse {
            needed_bytes: bytes,
            needed_inodes: 1,
            written_bytes: bytes,
            written_inodes: 1,
            removed_bytes,
        }
    }

    #[test]
    fn the_peak_is_the_worst_moment_and_not_the_sum() {
        let bytes = |steps: &[DiskUse]| peak(steps).bytes;
        assert_eq!(bytes(&[]), 0);
        assert_eq!(bytes(&[writes(5, 0)]), 5);
        assert_eq!(bytes(&[writes(5, 0), writes(13, 0)]), 18, "archives and tree are there together");
        assert_eq!(bytes(&[writes(5, 4), writes(13, 12)]), 14, "the old archives are gone when it unpacks");
        assert_eq!(bytes(&[writes(5, 0), writes(2, 0)]), 7);
        assert_eq!(bytes(&[writes(5, 9), writes(2, 0)]), 5, "what is removed later does not help before");
        let removes = DiskUse { removed_bytes: 7, ..DiskUse::default() };
        assert_eq!(peak(&[removes, removes]), Peak::default(), "a removal needs nothing");
        assert_eq!(peak(&[writes(1, 0), writes(1, 0)]).inodes, 2);
    }

    #[test]
    fn too_few_files_are_too_little_space_too() {
        let fits = |bytes, free_inodes| {
            let free = Estimate { free_bytes: 10, free_inodes, ..Estimate::default() };
            Course::default().plan(&request(), Some(Peak { bytes, inodes: 3 }), &free)
        };
        let missing =
            |plan: &OperationPlan| plan.missing_space(Path::new("games")).map(|error| error.to_string());
        assert_eq!((fits(10, None).fits, missing(&fits(10, None))), (Some(true), None));
        assert_eq!(fits(10, Some(3)).fits, Some(true));
        let bytes = fits(11, None);
        assert!(bytes.fits == Some(false) && missing(&bytes).unwrap().contains("11"), "{bytes:?}");
        let inodes = fits(10, Some(2));
        assert!(
            inodes.fits == Some(false) && missing(&inodes).unwrap().contains("3 are needed"),
            "{:?}",
            missing(&inodes)
        );
    }

    #[test]
    fn one_step_whose_size_nobody_knows_makes_the_sum_unknown() {
        let totals = Totals { files: 2, directories: 1, bytes: 9 };
        let step = |step, written| CourseStep { step, fetched_bytes: Some(4), written, removed_bytes: 1 };
        let free = Estimate { free_bytes: 10, ..Estimate::default() };
        let plan = |unpacked| {
            let steps = vec![step(PlannedStep::Download, Some(totals)), step(PlannedStep::Unpack, unpacked)];
            Course { steps, ..Course::default() }.plan(&request(), None, &free)
        };
        let known = plan(Some(totals));
        assert_eq!((known.fetched_bytes, known.files, known.bytes), (Some(8), Some(2), Some(9)), "one tree");
        assert_eq!((known.removed_bytes, known.changed, known.fits), (2, true, None));
        assert_eq!((plan(None).files, plan(None).bytes), (None, None));
        let compared =
            Course { steps: vec![CourseStep::local(PlannedStep::Compare, 0)], ..Course::default() };
        assert!(!compared.plan(&request(), None, &free).changed);
    }
}
