"""Programs of this machine that containers run: each with its libraries beside it, so that no image is made for it."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

from .stage import Run
from .tools import ToolFailed

_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"

# Those of the C library are in every image, and must be of one version with each other.
_OF_THE_C_LIBRARY = ("ld-linux", "libc.", "libdl.", "libm.", "libpthread.", "librt.")

# Copying takes longer than starting.
_COPYING = threading.Lock()


def taken_along(run: Run, name: str, package: str) -> Path:
    """The folder with the program and its libraries; it is made once in a run."""
    folder = run.dir / name
    with _COPYING:
        if not folder.exists():
            draft = run.dir / f"{name}-draft"
            draft.mkdir()
            program = shutil.which(name, path=_PATH)
            if program is None:
                raise ToolFailed(f"{name} is not here: apt-get install {package}")
            for file in (program, *_libraries(program)):
                shutil.copy2(file, draft)
            draft.rename(folder)
    return folder


def _libraries(program: str) -> list[str]:
    """The files of the libraries that a program needs beside the C library."""
    done = subprocess.run(["ldd", program], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise ToolFailed(f"ldd {program}: {done.stderr.strip()}")
    return named_libraries(done.stdout)


def named_libraries(said: str) -> list[str]:
    """The files in what `ldd` says. One that is missing has no file, and the program says so when it starts."""
    found = [line.split(" => ") for line in said.splitlines() if " => /" in line]
    named = [(name.strip(), rest.split(" (")[0]) for name, rest in found]
    return [file for name, file in named if not name.startswith(_OF_THE_C_LIBRARY)]
