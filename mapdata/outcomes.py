"""What the commands say of units that ended without data or were rejected: the next command for each stage."""

from __future__ import annotations

import shlex
from pathlib import Path

from pipeline.ledger import Record
from pipeline.report import Program

SETTLE = "mapdata review --workspace {workspace}, or mapdata tiepoints import {site} POINTS --workspace {workspace}"
"""The commands by which a person settles an alignment that was refused; `mapdata run` then uses it."""


def next_step(unit: Record, root: Path) -> str | None:
    """Return what to do about a unit that ended without data or was rejected.

    Args:
        unit: Its row.
        root: The workspace.

    Returns:
        The step; "" if none is known; None where the unit only follows from another one that is listed itself.
    """
    workspace = shlex.quote(str(root))
    if unit.stage == "acquire":
        return (
            f"take another source, or another place than {root / 'sample' / 'sites.geojson'} has; once the source has "
            f"it: mapdata retry --state no-data --stage acquire --unit {unit.name} --workspace {workspace}"
        )
    if unit.stage == "align":
        if unit.reason.startswith("no ") and unit.result is not None and not unit.result.outputs:
            return None  # a side was not acquired
        return f"{SETTLE.format(site=unit.name, workspace=workspace)}; then run again"
    return ""


PROGRAM = Program("mapdata", next_step)
