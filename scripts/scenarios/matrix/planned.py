"""Rows of the matrix that nothing checks yet. A scenario that is written leaves this list."""

from ..contract import Planned

PLANNED: tuple[Planned, ...] = (
    Planned(
        "S60",
        "Outsider",
        claim="A peer of no party, or of another one, neither lists nor installs from two members, who install from each "
        "other; what it can hear holds no game, name or id of theirs.",
    ),
    Planned(
        "S61",
        "Wrong key",
        claim="A saved address whose machine has a new key is an error with both ids, and nothing is written. Of a "
        "copied state directory both runs are reported, and an install goes on from a third peer.",
    ),
)
