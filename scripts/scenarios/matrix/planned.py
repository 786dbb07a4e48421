"""Rows of the matrix that nothing checks yet. A scenario that is written leaves this list."""

from ..contract import Planned

PLANNED: tuple[Planned, ...] = (
    Planned(
        "S60",
        "Outsider",
        "A peer that is not of the party neither lists nor installs from its members, and learns nothing of them.",
    ),
    Planned(
        "S61",
        "Wrong key",
        "A saved address that answers with another key is refused with both ids, and nothing is written.",
    ),
)
