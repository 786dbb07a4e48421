"""Rows of the matrix that nothing checks yet. A scenario that is written leaves this list."""

from ..contract import Planned

PLANNED: tuple[Planned, ...] = ()
