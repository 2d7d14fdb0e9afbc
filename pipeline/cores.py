"""How many cores a unit of work may use."""

from __future__ import annotations

import os

VARIABLE = "CORES_A_UNIT"
"""Environment variable of a worker: cores that each of its units may use."""


def cores() -> int:
    """Return how many threads a unit may compute in: what `VARIABLE` says, else all cores of this process."""
    said = os.environ.get(VARIABLE, "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    return len(os.sched_getaffinity(0))


def shared_out(workers: int) -> dict[str, str]:
    """Return the environment of one of so many workers on this machine: they share its cores out."""
    return {VARIABLE: str(max(1, len(os.sched_getaffinity(0)) // max(workers, 1)))}
