"""What was measured: plain values, which the reports read and the JSON file holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """One process of a contender."""

    role: str
    wall_seconds: float
    user_seconds: float
    system_seconds: float
    peak_bytes: int

    @property
    def cpu_seconds(self) -> float:
        return self.user_seconds + self.system_seconds


@dataclass(frozen=True)
class Sample:
    """One contender in one round."""

    work: str
    contender: str
    round: int
    # What was timed, without the sync.
    seconds: float
    # `sync -f` afterwards; `None` for a contender that syncs itself, or that writes nothing.
    sync_seconds: float | None
    processes: tuple[Process, ...]
    # The share of the machine that others used meanwhile, and whether that is too much.
    foreign_share: float
    is_disturbed: bool

    @property
    def synced_seconds(self) -> float:
        return self.seconds + (self.sync_seconds or 0.0)

    def peak_bytes(self, role: str) -> int:
        """The largest peak among the processes of this role; 0 if there is none."""
        return max((process.peak_bytes for process in self.processes if process.role == role), default=0)


@dataclass(frozen=True)
class Failure:
    """A contender that could not do its work. It is reported as this, and has no time."""

    work: str
    contender: str
    why: str


@dataclass(frozen=True)
class WorkFacts:
    """A work as it was on this machine."""

    name: str
    title: str
    scale: float
    files: int
    unpacked_bytes: int
    packed_bytes: int
    dictionary_bytes: int
    archive_sha256: str
    real_program_bytes: int
    # Creating an empty file, before the first round: more than some 50 µs show a disk on which many were deleted.
    creation_seconds: float


@dataclass(frozen=True)
class Results:
    """A whole run."""

    # Words about the machine and the programs, in the order in which they are shown.
    machine: dict[str, str]
    works: tuple[WorkFacts, ...]
    samples: tuple[Sample, ...]
    failures: tuple[Failure, ...]

    def of(self, work: str, contender: str) -> list[Sample]:
        return [sample for sample in self.samples if (sample.work, sample.contender) == (work, contender)]

    def facts(self, work: str) -> WorkFacts | None:
        return next((facts for facts in self.works if facts.name == work), None)

    def failure(self, work: str, contender: str) -> Failure | None:
        return next((one for one in self.failures if (one.work, one.contender) == (work, contender)), None)


def merged(several: list[Results]) -> Results:
    """Several runs as one. Of a work that was run twice, the last counts; the machine is that of the first."""
    works: dict[str, WorkFacts] = {}
    samples: dict[str, list[Sample]] = {}
    failures: dict[str, list[Failure]] = {}
    for results in several:
        works |= {facts.name: facts for facts in results.works}
        for name in dict.fromkeys([facts.name for facts in results.works] + [one.work for one in results.failures]):
            samples[name] = [sample for sample in results.samples if sample.work == name]
            failures[name] = [failure for failure in results.failures if failure.work == name]
    return Results(
        several[0].machine,
        tuple(works.values()),
        tuple(sample for found in samples.values() for sample in found),
        tuple(failure for found in failures.values() for failure in found),
    )
