"""How bench.py measures: programs and their usage, disturbed samples, failures, and what the works are made of."""

import contextlib
import io
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from benchmark import content, disk, idle, machine, making, measure, works
from benchmark.contenders import CONTENDERS, Contender, Timed, check_tree
from benchmark.launch import Launched, Program, Usage, parse_report, run, run_pipe, run_together
from benchmark.samples import Sample
from scenarios.tools import ToolFailed

MIB = 1024 * 1024
PYTHON = [sys.executable, "-I", "-S", "-c"]


class LaunchTest(unittest.TestCase):
    def test_usage_is_that_of_the_program(self) -> None:
        used = run(Program("busy", [*PYTHON, "x = bytearray(64 << 20)\nfor _ in range(2_000_000): pass"]))
        self.assertEqual(used.role, "busy")
        self.assertGreater(used.user_seconds, 0.005)
        self.assertGreaterEqual(used.wall_seconds, used.user_seconds * 0.9)
        self.assertGreater(used.peak_bytes, 64 * MIB)

    def test_the_peak_of_a_small_program_is_not_that_of_this_one(self) -> None:
        ballast = bytearray(128 * MIB)
        ballast[::4096] = b"x" * len(ballast[::4096])
        self.assertLess(run(Program("small", ["true"])).peak_bytes, 16 * MIB)

    def test_a_failure_names_the_program_its_status_and_its_words(self) -> None:
        with self.assertRaisesRegex(ToolFailed, r"(?s)loser: .*: 3: lost it"):
            run(Program("loser", ["sh", "-c", "echo lost it >&2; exit 3"]))
        with self.assertRaisesRegex(ToolFailed, r"killed: .*: -9: "):
            run(Program("killed", ["sh", "-c", "kill -9 $$"]))
        with self.assertRaisesRegex(ToolFailed, "127: no-such-program: No such file"):
            run(Program("nothing", ["no-such-program"]))

    def test_one_that_fails_ends_the_others(self) -> None:
        started = time.monotonic()
        with self.assertRaisesRegex(ToolFailed, "loser"):
            run_together([Program("loser", ["false"]), Program("sleeper", ["sleep", "60"])])
        self.assertLess(time.monotonic() - started, 30)

    def test_leaving_the_block_ends_the_program(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            note = Path(folder) / "pid"
            script = f"echo $$ > {note}.part; mv {note}.part {note}; exec sleep 60"
            with Launched(Program("sleeper", ["sh", "-c", script])) as one:
                one.go()
                while not note.exists():
                    os.sched_yield()
            self.assertFalse(Path(f"/proc/{int(note.read_text())}").exists())

    def test_a_pipe_ends_when_its_first_program_has(self) -> None:
        first, second = run_pipe(
            Program("writer", ["sh", "-c", "echo words"]), Program("reader", ["sh", "-c", 'test "$(cat)" = words'])
        )
        self.assertEqual((first.role, second.role), ("writer", "reader"))

    def test_a_reader_sees_the_end_when_the_program_closes_its_output(self) -> None:
        first, second = run_pipe(Program("writer", ["sh", "-c", "exec >&-; sleep 1"]), Program("reader", ["cat"]))
        self.assertLess(second.ended, first.ended - 0.5)

    def test_a_writer_ends_like_in_a_shell_when_its_reader_is_content(self) -> None:
        with self.assertRaisesRegex(ToolFailed, "writer: .*: -13: "):
            run_pipe(Program("writer", ["cat", "/dev/zero"]), Program("reader", ["head", "-c", "1"]))

    def test_a_program_that_runs_until_it_is_told_may_end_in_its_own_way(self) -> None:
        script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done"
        with Launched(Program("server", ["sh", "-c", script]), stdout=subprocess.PIPE) as server:
            server.go()
            self.assertEqual(server.first_line(10), b"ready\n")
            self.assertEqual(server.stop().role, "server")

    def test_a_writer_notices_that_its_reader_has_ended(self) -> None:
        with self.assertRaisesRegex(ToolFailed, "reader: .*: 4: "):
            run_pipe(Program("writer", ["cat", "/dev/zero"]), Program("reader", ["sh", "-c", "exit 4"]))

    def test_a_program_is_held_to_its_cores(self) -> None:
        core = min(os.sched_getaffinity(0))
        check = f"import os, sys; sys.exit(os.sched_getaffinity(0) != {{{core}}})"
        run(Program("held", [*PYTHON, check], cores=(core,)))

    def test_a_report_is_read(self) -> None:
        usage, status = parse_report("x", f"1.5 3.0 0.25 0.125 2048 {3 << 8}\n")
        self.assertEqual((usage, status), (Usage("x", 1.5, 3.0, 0.25, 0.125, 2 * MIB), 3))
        self.assertEqual((usage.wall_seconds, usage.cpu_seconds), (1.5, 0.375))


class IdleTest(unittest.TestCase):
    def test_what_others_used_is_what_is_left(self) -> None:
        before = idle.Ticks(10.0, 100.0, 5.0, 50.0)
        after = idle.Ticks(12.0, 104.0, 5.5, 51.0)
        # 4 s were busy: 1 s of the kernel and 2 s of ours. The host took half a second.
        self.assertAlmostEqual(idle.foreign_share(before, after, 2.0, 2), 1.5 / 4)
        self.assertEqual(idle.foreign_share(before, after, 3.5, 2), 0.0)
        self.assertEqual(idle.foreign_share(before, before, 0.0, 2), 0.0)

    def test_only_threads_of_the_kernel_count_as_the_kernel(self) -> None:
        line = "12 (k) w (0:1)) I 2 0 0 0 -1 {flags} 0 0 0 0 7 30 0 0 20 0 1 0 9"
        self.assertEqual(idle.kernel_ticks(line.format(flags=0x0420_8040)), 37)
        self.assertEqual(idle.kernel_ticks(line.format(flags=0x0040_0100)), 0)

    def test_patience_ends_for_one_sample_and_for_all(self) -> None:
        clock = itertools.count(0.0, 5.0)
        said: list[str] = []
        with (
            mock.patch.object(idle.Patience, "_look", lambda patience: 0.5),
            mock.patch.object(time, "monotonic", lambda: next(clock)),
        ):
            patience = idle.Patience(said.append, total_seconds=70.0)
            self.assertFalse(patience.until_idle())
            self.assertFalse(patience.is_over)
            self.assertFalse(patience.until_idle())
            self.assertTrue(patience.is_over)
        self.assertLess(next(clock), 5.0 * 20)
        self.assertEqual(len(said), 2)

    def test_an_idle_machine_costs_no_patience(self) -> None:
        with mock.patch.object(idle.Patience, "_look", lambda patience: 0.0):
            patience = idle.Patience(lambda line: None, total_seconds=1e-9)
            self.assertTrue(patience.until_idle())
            self.assertFalse(patience.is_over)

    def test_own_time_holds_that_of_programs_that_have_ended(self) -> None:
        before = idle.own_seconds()
        used = run(Program("busy", [*PYTHON, "for _ in range(5_000_000): pass"]))
        self.assertGreaterEqual(idle.own_seconds() - before, used.cpu_seconds * 0.8)


WORK = works.Work("small-1000", "a work", works.small(10), works.SOLID_M3, ("stream", "7z"))
MADE = making.Made("/nowhere", None, 1, 1, 1, "", 0)


class MeasurementTest(unittest.TestCase):
    def setUp(self) -> None:
        self.said: list[str] = []
        self.measurement = measure.Measurement(measure.Options(runs=2), self.said.append)
        for target, name, value in (
            (measure, "warm", lambda made: None),
            (idle.Patience, "until_idle", lambda patience: True),
            (disk, "put_all_aside", lambda: None),
            (disk, "wait_until_files_are_cheap", lambda say: 2e-5),
        ):
            patch = mock.patch.object(target, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def sample(self, *shares: float) -> Sample:
        runs = itertools.count(1)
        contender = Contender("stream", "", lambda made, tools: Timed(float(next(runs)), None, ()))
        with mock.patch.object(idle, "foreign_share", side_effect=shares):
            return self.measurement.sample(WORK, MADE, contender, {}, 1)

    def test_a_disturbed_sample_is_repeated(self) -> None:
        found = self.sample(0.5, 0.2, 0.01)
        self.assertEqual((found.seconds, found.is_disturbed), (3.0, False))

    def test_an_undisturbed_sample_is_not_repeated(self) -> None:
        self.assertEqual(self.sample(0.01).seconds, 1.0)

    def test_after_the_last_repetition_the_best_is_kept_and_marked(self) -> None:
        found = self.sample(0.5, 0.2, 0.3)
        self.assertEqual((found.seconds, found.is_disturbed, found.foreign_share), (2.0, True, 0.2))

    def test_without_patience_nothing_is_repeated(self) -> None:
        self.measurement.patience = idle.Patience(self.said.append, total_seconds=0.0)
        found = self.sample(0.5)
        self.assertEqual((found.seconds, found.is_disturbed), (1.0, True))

    def test_a_machine_that_was_never_idle_marks_the_sample(self) -> None:
        with mock.patch.object(idle.Patience, "until_idle", lambda patience: False):
            self.assertTrue(self.sample(0.0, 0.0, 0.0).is_disturbed)

    def test_one_that_fails_is_reported_once_and_the_others_go_on(self) -> None:
        calls = []

        def fails(made: making.Made, tools: dict[str, str]) -> Timed:
            calls.append(made)
            raise ToolFailed("it broke")

        works_well = Contender("7z", "", lambda made, tools: Timed(1.0, None, ()))
        replaced = {"stream": Contender("stream", "", fails), "7z": works_well}
        with (
            mock.patch.dict(CONTENDERS, replaced),
            mock.patch.object(idle, "foreign_share", return_value=0.0),
        ):
            self.measurement.rounds(WORK, MADE, {})
        self.assertEqual(len(calls), 1)
        self.assertEqual([(one.contender, one.why) for one in self.measurement.failures], [("stream", "it broke")])
        self.assertEqual([one.contender for one in self.measurement.samples], ["7z", "7z"])

    def test_each_round_begins_with_another_contender(self) -> None:
        names = ("stream", "unrar", "copy")
        all_three = [CONTENDERS[name] for name in names]
        first = [measure.turns(all_three, number)[0].name for number in range(1, 5)]
        self.assertEqual(first, ["stream", "unrar", "copy", "stream"])
        self.assertEqual({one.name for one in measure.turns(all_three, 2)}, set(names))
        self.assertEqual(measure.turns([], 1), [])

    def test_a_missing_program_is_an_error_before_anything_is_made(self) -> None:
        with (
            mock.patch.object(measure, "found_tool", return_value=None),
            mock.patch.object(measure, "make") as make,
            self.assertRaisesRegex(ToolFailed, "7z .*7zip-rar.* is missing for small-1000, 7z"),
        ):
            self.measurement.run([WORK])
        make.assert_not_called()

    def test_with_skip_missing_it_is_reported_as_failed(self) -> None:
        self.measurement.options = measure.Options(runs=1, skips_missing=True)
        self.measurement.check_tools([WORK], {})
        self.assertEqual([one.contender for one in self.measurement.failures], ["7z"])
        self.assertEqual(len(self.said), 1)

    def test_a_work_that_cannot_be_made_does_not_lose_the_others(self) -> None:
        with (
            mock.patch.object(measure, "found_tool", return_value="/bin/x"),
            mock.patch.object(measure, "make", side_effect=[ToolFailed("no space"), MADE]),
            mock.patch.object(measure, "check_space"),
            mock.patch.object(self.measurement, "rounds") as rounds,
        ):
            other = works.Work("growth", "another", works.small(10), works.SOLID_M3, ("stream",))
            self.measurement.run([WORK, other])
        rounds.assert_called_once()
        self.assertEqual([one.why for one in self.measurement.failures], ["no space", "no space"])
        self.assertEqual([one.name for one in self.measurement.works], ["growth"])


class CheckTest(unittest.TestCase):
    def test_a_tree_that_lacks_a_file_or_a_byte_is_a_failure(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "sub").mkdir()
            (folder / "sub" / "file").write_bytes(b"12345")
            check_tree(folder, making.Made("", None, 1, 5, 0, "", 0))
            for files, size in ((2, 5), (1, 6)):
                with self.assertRaisesRegex(ToolFailed, f"expected {files} files of {size} bytes"):
                    check_tree(folder, making.Made("", None, files, size, 0, "", 0))


class DiskTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name, value in (("OUT_DIR", self.folder / "out"), ("ASIDE_DIR", self.folder / "out" / "aside")):
            patch = mock.patch.object(disk, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def test_what_is_put_aside_keeps_its_inodes_and_no_bytes(self) -> None:
        target = disk.fresh("x")
        (target / "sub").mkdir()
        file = target / "sub" / "file"
        file.write_bytes(b"bytes")
        inode = file.stat().st_ino
        disk.put_all_aside()
        self.assertFalse(target.exists())
        (left,) = (path for path in disk.ASIDE_DIR.rglob("*") if path.is_file())
        self.assertEqual((left.stat().st_ino, left.stat().st_size), (inode, 0))

    def test_another_name_or_a_link_is_never_cut(self) -> None:
        archive, target = self.folder / "archive", disk.fresh("x")
        archive.write_bytes(b"bytes")
        os.link(archive, target / "hard")
        (target / "soft").symlink_to(archive)
        disk.put_all_aside()
        self.assertEqual(archive.read_bytes(), b"bytes")

    def test_a_disk_on_which_files_are_dear_is_given_time(self) -> None:
        said: list[str] = []
        with (
            mock.patch.object(disk, "creation_seconds", side_effect=[5e-4, 3e-4, 2e-5]),
            mock.patch.object(time, "sleep") as sleep,
        ):
            self.assertEqual(disk.wait_until_files_are_cheap(said.append), 2e-5)
        self.assertEqual((sleep.call_count, len(said)), (2, 1))
        with (
            mock.patch.object(disk, "creation_seconds", return_value=5e-4),
            mock.patch.object(disk, "CREATION_WAIT_SECONDS", 0.0),
        ):
            self.assertEqual(disk.wait_until_files_are_cheap(said.append), 5e-4)

    def test_two_benchmarks_do_not_run_at_once(self) -> None:
        with mock.patch.object(disk, "BENCH_DIR", self.folder):
            with disk.alone():
                with self.assertRaisesRegex(ToolFailed, "another bench.py"), disk.alone():
                    pass
            with disk.alone():
                pass


class MachineTest(unittest.TestCase):
    def test_seven_zip_reads_rar_only_with_its_codec(self) -> None:
        formats = " 0 ...F..................  Rar5     rar r00       R a r ! 1A 07 01 00\n"
        codecs = "Codecs:\n 0 4ED   303011B BCJ2\n 1  D     40305 Rar5\n"
        self.assertFalse(machine.reads_rar(formats))
        self.assertTrue(machine.reads_rar(formats + codecs))

    def test_the_file_system_is_that_of_the_nearest_mount(self) -> None:
        mounts = "/dev/a / ext4 rw 0 0\ntmpfs /srv/my\\040games tmpfs rw 0 0\n/dev/b /srv xfs rw 0 0\n"
        self.assertEqual(machine.file_system(mounts, Path("/srv/my games/x")), "tmpfs")
        self.assertEqual(machine.file_system(mounts, Path("/srv/other")), "xfs")
        self.assertEqual(machine.file_system(mounts, Path("/srvother")), "ext4")

    def test_a_processor_has_a_name(self) -> None:
        two = "processor\t: 0\nmodel name\t: Abacus 3\nprocessor\t: 1\nmodel name\t: Abacus 3\n"
        self.assertEqual(machine.processor(two), "Abacus 3")


class WorkTest(unittest.TestCase):
    def test_a_plan_is_the_same_every_time_and_has_the_size_of_its_tree(self) -> None:
        for work in works.WORKS:
            tree = work.tree.scaled(0.1)
            planned = works.plan(tree)
            self.assertEqual(planned, works.plan(tree))
            self.assertEqual(len({file.name for file in planned}), len(planned))
            size = sum(file.length for file in planned)
            self.assertLess(abs(size - tree.size), 0.1 * tree.size, work.name)
            if tree.files:
                self.assertEqual(sum(file.kind == "small" for file in planned), tree.files)

    def test_content_has_the_planned_length_and_is_the_same_every_time(self) -> None:
        for kind in (*content.KINDS, "small", "noise", "table"):
            for length in (4096, 70_001, MIB + 5):
                made = [b"".join(making.content_of(kind, random.Random(7), length)) for _ in range(2)]
                self.assertEqual(made[0], made[1], kind)
                self.assertEqual(len(made[0]), length, kind)

    def test_digits_are_added_without_a_carry_into_the_next(self) -> None:
        self.assertEqual(content.added(b"\x01\x02", b"\x10\xff"), b"\x11\x01")
        self.assertEqual(content.masked(b"\xff\xff\xff", b"\x0f\x00"), b"\x0f\x00\x0f")
        self.assertEqual(content.cut(b"abc", 2, 8), b"cabcabca")

    def test_without_real_programs_made_ones_take_their_place(self) -> None:
        tree = works.Tree("mix", 2 * MIB)
        with (
            tempfile.TemporaryDirectory() as name,
            mock.patch.object(making, "program_folders", return_value=[]),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            self.assertEqual(making.make_tree(tree, Path(name) / "tree"), 0)
            self.assertEqual(making.count(Path(name) / "tree")[1], sum(file.length for file in works.plan(tree)))

    def test_real_programs_are_taken_in_the_order_of_their_names(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file, start in (("b", b"\x7fELF"), ("a", b"!<arch>\n"), ("c", b"#!/bin/sh")):
                (folder / file).write_bytes(start.ljust(20_000, file.encode()))
            (folder / "d").symlink_to("a")
            (folder / "e").write_bytes(b"\x7fELF and too small")
            self.assertEqual([path.name for path in making.elf_files(folder)], ["a", "b"])
            with mock.patch.object(making, "program_folders", return_value=[folder]):
                programs = making.ProgramBytes()
                taken = b"".join(iter(lambda: programs.read(7000), b""))
            self.assertEqual((programs.given, len(taken)), (40_000, 40_000))
            self.assertTrue(taken.startswith(b"!<arch>\n") and taken[20_000:].startswith(b"\x7fELF"))

    def test_a_full_disk_is_noticed_before_anything_is_made(self) -> None:
        with self.assertRaisesRegex(ToolFailed, "making x needs .* GiB"):
            making.check_space(1 << 60, "making x")
