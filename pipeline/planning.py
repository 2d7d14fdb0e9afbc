"""Which units of a stage have to be done: the plan against the ledger and the files that are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.files import digest_file
from pipeline.ledger import FINISHED, Ledger, Record, State
from pipeline.stage import Result, RunView, Stage, Unit


@dataclass(frozen=True)
class StagePlan:
    """A stage's units in order; `stale` have no valid row in the ledger; `due` are all that have to be done now."""

    units: Sequence[Unit]
    stale: Sequence[Unit]
    due: Sequence[Unit]
    failed: int

    @property
    def finished(self) -> int:
        """How many units ended earlier and stand."""
        return len(self.units) - len(self.due) - self.failed


def plan_stage(stage: Stage[Any], run: RunView, ledger: Ledger) -> StagePlan:
    """Plan a stage. A unit stands if the ledger has its key as finished and its outputs are there.

    Units that failed for good under the same key stay so until `retry`; those that failed for a passing reason are due.
    """
    units = list(stage.plan(run))
    _check_names(stage, units)
    records = ledger.records(stage.name)
    stale = [unit for unit in units if not _is_valid(records.get(unit.name), unit, run.workspace)]
    stale_names = {unit.name for unit in stale}
    ended = {
        unit.name
        for unit in units
        if unit.name not in stale_names and records[unit.name].state in FINISHED | {State.FAILED_PERMANENT}
    }
    failed = sum(records[name].state is State.FAILED_PERMANENT for name in ended)
    return StagePlan(units, stale, [unit for unit in units if unit.name not in ended], failed)


def _check_names(stage: Stage[Any], units: Sequence[Unit]) -> None:
    twice = [name for name, count in Counter(unit.name for unit in units).items() if count > 1]
    if twice:
        raise PipelineError(f"stage {stage.name} planned several units named {twice[0]!r}: a mistake in the stage.")


def _is_valid(record: Record | None, unit: Unit, workspace: Path) -> bool:
    """Tell whether a row says something about this unit that still holds."""
    if record is None or record.key != unit.key:
        return False
    if record.result is None:
        return True
    # While a unit was out of the plan, another may have written to its paths: sizes are no proof then.
    return are_intact(record.result, workspace, digests=not record.planned)


def are_intact(result: Result, workspace: Path, *, digests: bool) -> bool:
    """Tell whether a result's files are all there with their sizes and, if asked, their digests."""
    return all(
        fault(workspace, entry.path, entry.size, entry.digest if digests else None) is None for entry in result.outputs
    )


def fault(workspace: Path, path: str, size: int, digest: str | None) -> str | None:
    """Return what is wrong with an output file ("missing", "wrong size", "wrong digest"), or None."""
    try:
        found = (workspace / path).stat().st_size
        if found != size:
            return f"wrong size ({found} bytes, not {size})"
        if digest is not None and digest_file(workspace / path) != digest:
            return "wrong digest"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"unreadable ({error.strerror})"
    return None


def results_before(stages: Sequence[Stage[Any]], ledger: Ledger) -> Mapping[str, Mapping[str, Result]]:
    """Return the results of stages from the ledger, as `RunView.results` holds them."""
    return {stage.name: ledger.results(stage.name) for stage in stages}
