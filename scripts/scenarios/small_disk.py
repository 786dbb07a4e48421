"""A disk that is really full at its size."""

from __future__ import annotations

from dataclasses import dataclass

from .docker import DockerError, docker
from .expectations import CheckFailed
from .peer import GAMES, Mount


@dataclass(frozen=True)
class SmallDisk:
    """A games directory that this machine does not see; a container that holds it open looks for us."""

    mount: Mount
    holder: str

    def names(self) -> list[str]:
        """Every path on it, except our own state."""
        listing = docker("exec", self.holder, "find", GAMES, "-mindepth", "1", "-printf", "%P\\n")
        return sorted(path for path in listing.splitlines() if path.split("/")[0] != ".lanspread")

    def fill(self, file: str) -> None:
        """Takes all the space that is left."""
        try:
            docker("exec", self.holder, "dd", "if=/dev/zero", f"of={GAMES}/{file}", "bs=1M")
        except DockerError as error:
            if "No space left" not in error.stderr:
                raise
        else:
            raise CheckFailed("the small disk took everything: it is not small")
