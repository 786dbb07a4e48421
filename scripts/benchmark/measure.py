"""Runs the rounds: every contender of a work once per round, on a machine that others leave alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenarios.tools import ToolFailed

from . import disk, idle
from .contenders import CONTENDERS, Contender, Timed
from .launch import Usage
from .machine import TOOLS, found_tool
from .making import Made, check_space, discard, make
from .samples import Failure, Process, Sample, WorkFacts
from .works import MIB, Work

# A sample that others disturbed is taken again this often; then it is kept, and marked.
REPETITIONS_MAX = 2


@dataclass(frozen=True)
class Options:
    runs: int
    # Contenders to keep; all if it is empty.
    contenders: tuple[str, ...] = ()
    # Go on without contenders whose programs are not installed.
    skips_missing: bool = False
    # Remove each work after it was measured.
    discards: bool = False


class Measurement:
    """Collects what is found, so that an interrupted run still has what it measured."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self.options = options
        self.say = say
        self.patience = idle.Patience(say)
        self.works: list[WorkFacts] = []
        self.samples: list[Sample] = []
        self.failures: list[Failure] = []

    def run(self, works: Sequence[Work]) -> None:
        tools = {name: where for name in TOOLS if (where := found_tool(name)) is not None}
        self.check_tools(works, tools)
        for number, work in enumerate(works):
            try:
                made = make(work)
                check_space(work.running_bytes(), f"measuring {work.name}")
            except ToolFailed as failed:
                self.say(f"{work.name} FAILED: {failed}")
                lacking = {one.contender for one in self.failures if one.work == work.name}
                wanted = [contender.name for contender in self.wanted(work) if contender.name not in lacking]
                self.failures += [Failure(work.name, name, str(failed)) for name in wanted]
                continue
            self.works.append(facts(work, made, disk.wait_until_files_are_cheap(self.say)))
            self.rounds(work, made, tools)
            if self.options.discards:
                discard(work, works[number + 1 :])

    def check_tools(self, works: Iterable[Work], tools: dict[str, str]) -> None:
        """Says which contenders cannot take part. Unless that is wanted, it is an error before anything is made."""
        lacking: dict[str, list[str]] = {}
        for work in works:
            for contender in self.wanted(work):
                for name in contender.needs:
                    if name not in tools:
                        lacking.setdefault(name, []).append(f"{work.name}, {contender.name}")
                        why = f"{name} is missing: apt-get install {TOOLS[name].package}"
                        self.failures.append(Failure(work.name, contender.name, why))
        lines = [f"{name} ({TOOLS[name].package}) is missing for {'; '.join(who)}" for name, who in lacking.items()]
        if lines and not self.options.skips_missing:
            raise ToolFailed("\n".join([*lines, "--skip-missing measures without them and reports them"]))
        for line in lines:
            self.say(line)

    def wanted(self, work: Work) -> list[Contender]:
        """The contenders of a work in the order in which they take turns."""
        cores = len(os.sched_getaffinity(0))
        found = [CONTENDERS[name] for name in work.contenders if CONTENDERS[name].cores_min <= cores]
        kept = self.options.contenders
        return [contender for contender in found if not kept or contender.name in kept]

    def rounds(self, work: Work, made: Made, tools: dict[str, str]) -> None:
        """One that failed is not tried again: it has failed."""
        for number in range(1, self.options.runs + 1):
            for contender in turns(self.wanted(work), number):
                if any((one.work, one.contender) == (work.name, contender.name) for one in self.failures):
                    continue
                try:
                    self.samples.append(self.sample(work, made, contender, tools, number))
                except ToolFailed as failed:
                    disk.put_all_aside()
                    self.failures.append(Failure(work.name, contender.name, str(failed)))
                    self.say(f"{work.name}, {contender.name} FAILED: {failed}")
            latest = [sample for sample in self.samples if (sample.work, sample.round) == (work.name, number)]
            times = ", ".join(
                f"{sample.contender} {sample.seconds:.2f} s{' (disturbed)' if sample.is_disturbed else ''}"
                for sample in latest
            )
            self.say(f"{work.name}, round {number} of {self.options.runs}: {times}")

    def sample(self, work: Work, made: Made, contender: Contender, tools: dict[str, str], number: int) -> Sample:
        """The first sample that was not disturbed, or else the one that was disturbed least."""
        found: list[Sample] = []
        for _ in range(1 + REPETITIONS_MAX):
            # What others wrote must not have pushed the source's files out of the page cache.
            warm(made)
            was_idle = self.patience.until_idle()
            before, own = idle.now(), idle.own_seconds()
            done = contender.run(made, tools)
            share = idle.foreign_share(before, idle.now(), idle.own_seconds() - own, os.cpu_count() or 1)
            disk.put_all_aside()
            is_disturbed = not was_idle or share > idle.FOREIGN_SHARE_MAX
            found.append(sample_of(work, contender, number, done, share, is_disturbed))
            if not is_disturbed or self.patience.is_over:
                break
        return min(found, key=lambda sample: (sample.is_disturbed, sample.foreign_share))


def turns(contenders: list[Contender], number: int) -> list[Contender]:
    """The order in a round: each round begins with the next one, so that none always follows the same other one."""
    first = (number - 1) % max(1, len(contenders))
    return contenders[first:] + contenders[:first]


def sample_of(work: Work, contender: Contender, number: int, done: Timed, share: float, is_disturbed: bool) -> Sample:
    return Sample(
        work.name,
        contender.name,
        number,
        done.seconds,
        done.sync_seconds,
        tuple(map(process_of, done.usages)),
        share,
        is_disturbed,
    )


def process_of(usage: Usage) -> Process:
    return Process(usage.role, usage.wall_seconds, usage.user_seconds, usage.system_seconds, usage.peak_bytes)


def facts(work: Work, made: Made, creation_seconds: float) -> WorkFacts:
    return WorkFacts(
        work.name,
        work.title,
        work.scale,
        made.files,
        made.unpacked_bytes,
        made.packed_bytes,
        work.dictionary_bytes,
        made.archive_sha256,
        made.real_program_bytes,
        creation_seconds,
    )


def warm(made: Made) -> None:
    """Into the page cache: the archive, and the tree that `cp` reads."""
    read(made.archive)
    if made.tree is not None:
        for where, _, names in os.walk(made.tree):
            for name in names:
                read(Path(where, name))


def read(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(MIB):
            pass
