"""Checks the files of a workspace against the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.ledger import Ledger
from pipeline.planning import fault


@dataclass(frozen=True)
class Fault:
    """An output that is not what the ledger says."""

    stage: str
    unit: str
    path: str
    what: str


def verify_outputs(workspace: Path, ledger: Ledger) -> tuple[int, list[Fault]]:
    """Check every output of every planned, finished unit by size and digest; return how many files, and the faults.

    Args:
        workspace: Folder of the run; every file is read whole.
        ledger: Open to read.
    """
    checked, faults = 0, []
    for stage in ledger.stages():
        for unit, result in ledger.results(stage).items():
            for entry in result.outputs:
                checked += 1
                wrong = fault(workspace, entry.path, entry.size, entry.digest)
                if wrong:
                    faults.append(Fault(stage, unit, entry.path, wrong))
    return checked, faults
