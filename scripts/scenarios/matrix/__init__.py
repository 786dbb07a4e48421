"""The matrix: one module for each group of scenarios, and the rows that are only planned.

An id is a letter and a number. S is the matrix that was planned from the start and whose numbers never change; D are
scenarios of the daemon and its commands, O those that follow what a user does with the whole program.
"""

from ..contract import SCENARIOS, Planned, Scenario
from . import (
    automation,
    catalogs,
    connections,
    daemon,
    discovery,
    download_faults,
    downloads,
    drains,
    entries,
    flood,
    formats,
    hostile,
    identities,
    interruptions,
    library,
    limits,
    links,
    local_disk,
    local_operations,
    manifest_stream,
    neighbour,
    organiser,
    packed_formats,
    party,
    places,
    repairs,
    repeated,
    resumed,
    retries,
    room,
    room_downloads,
    room_faults,
    room_page,
    room_places,
    room_servers,
    selection,
    serve_gate,
    sixty_seats,
    streamed_install,
    throughput,
)
from .planned import PLANNED

# Importing a module registers its scenarios.
_GROUPS = (
    library,
    streamed_install,
    formats,
    selection,
    identities,
    manifest_stream,
    retries,
    room,
    room_downloads,
    room_faults,
    room_page,
    room_places,
    room_servers,
    interruptions,
    links,
    hostile,
    neighbour,
    packed_formats,
    party,
    flood,
    local_disk,
    connections,
    serve_gate,
    discovery,
    downloads,
    download_faults,
    local_operations,
    throughput,
    daemon,
    organiser,
    automation,
    repeated,
    repairs,
    resumed,
    drains,
    limits,
    sixty_seats,
    catalogs,
    entries,
    places,
)

# Scenarios whose claim is checked in the run of another one: a room of machines takes a while to make.
PART_OF = {"S76": "S75", "S79": "S72", "S84": "S74", "S86": "S73", "S88": "S75", "S99": "S97"}

# In this order on every page.
SERIES = "SDO"


def _gather() -> dict[str, Scenario | Planned]:
    rows: list[Scenario | Planned] = [*SCENARIOS.values(), *PLANNED]
    rows.sort(key=lambda row: (SERIES.index(row.id[0]), int(row.id[1:])))
    matrix = {row.id: row for row in rows}
    if len(matrix) != len(rows):
        raise ValueError("a scenario is both written and planned")
    return matrix


MATRIX = _gather()
