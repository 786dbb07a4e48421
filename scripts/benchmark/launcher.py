"""Starts one program and reports what it used. launch.py runs this file as a process of its own, never imports it.

Linux carries the peak memory of a process over to the program that it executes, so that whatever a large process
starts seems large. This process is small, and forks: the peak of what it starts is right above a few MiB (measured as
the `floor`). It also reads the clock next to the fork, so that its own start is never in a figure.

    launcher.py CONTROL CORES COMMAND...

CONTROL is one end of a socket pair. This side sends `r` when it is ready and waits for `g`. When the program has ended,
it sends one line: started, ended (both CLOCK_MONOTONIC, which all processes share), user seconds, system seconds, peak
in KiB, wait status. A `t` ends the program with SIGTERM. If the other end closes, because the benchmark was interrupted
or killed, the program is ended too: nothing is left behind.

CORES are the cores that the program may use, separated by commas, or `-` for all of them.
"""

import os
import select
import signal
import sys
import time

GRACE_SECONDS = 10


def main() -> int:
    control = int(sys.argv[1])
    cores, command = sys.argv[2], sys.argv[3:]
    os.set_inheritable(control, False)
    os.write(control, b"r")
    if os.read(control, 1) != b"g":
        return 0
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        become(command, cores)
    # If this is one end of a pipe, only the program may hold it: the other end must notice when the program has ended.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    supervise(child, control)
    _, status, usage = os.wait4(child, 0)
    ended = time.monotonic()
    report = (started, ended, usage.ru_utime, usage.ru_stime, usage.ru_maxrss, status)
    try:
        os.write(control, (" ".join(map(repr, report)) + "\n").encode())
    except OSError:  # the benchmark has ended; it needs no report
        return 1
    return 0


def become(command: list[str], cores: str) -> None:
    """Never returns: the program takes the place of this process, or it ends like a shell that found no program."""
    try:
        if cores != "-":
            os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
        # Python ignores it, and what is ignored stays so in the program.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def supervise(child: int, control: int) -> None:
    """Returns when the program has ended, by itself or because it was asked to."""
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(control, select.POLLIN)
    patience = None
    while True:
        found = [descriptor for descriptor, _ in poll.poll(patience)]
        if ended in found:
            return
        if control in found:
            os.kill(child, signal.SIGTERM)
            patience = GRACE_SECONDS * 1000
            poll.unregister(control)
        else:
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
