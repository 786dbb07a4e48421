"""The matrix: one module for each group of scenarios, and the rows that are only planned."""

from ..contract import SCENARIOS, Planned, Scenario
from . import connections, formats, hostile, interruptions, local_disk, retries, selection, streamed_install
from .planned import PLANNED

# Importing a module registers its scenarios.
_GROUPS = (streamed_install, formats, selection, retries, interruptions, hostile, local_disk, connections)


def _gather() -> dict[str, Scenario | Planned]:
    rows: list[Scenario | Planned] = [*SCENARIOS.values(), *PLANNED]
    rows.sort(key=lambda row: int(row.id[1:]))
    matrix = {row.id: row for row in rows}
    if len(matrix) != len(rows):
        raise ValueError("a scenario is both written and planned")
    return matrix


MATRIX = _gather()
