"""Which units of a stage have to be done: the plan against the ledger and the files that are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.files import digest_file
from pipeline.ledger import FINISHED, Ledger, Record, State
from pipeline.stage import Output, Result, RunView, Stage, Unit


@dataclass(frozen=True)
class StagePlan:
    """A stage's units in order; `stale` have no valid row in the ledger; `due` are all that have to be done now.

    `damaged` says what is wrong with the outputs of units that had ended ("draw/1.bin: missing"). `refreshed` are the
    results of units whose files have another time of change, but the content they had.
    """

    units: Sequence[Unit]
    stale: Sequence[Unit]
    due: Sequence[Unit]
    failed: int
    damaged: Sequence[str] = ()
    refreshed: Mapping[str, Result] = field(default_factory=dict)

    @property
    def finished(self) -> int:
        """How many units ended earlier and stand."""
        return len(self.units) - len(self.due) - self.failed


def plan_stage(stage: Stage[Any], run: RunView, ledger: Ledger) -> StagePlan:
    """Plan a stage. A unit stands if the ledger has its key as finished and its outputs are as they were made.

    An output of the recorded size and time of change is taken for unchanged; one of another time is read. Units that
    failed for good under the same key stay so until they are set back; those that failed for a passing reason are due.

    Args:
        stage: Its params go into the keys of its units.
        run: What the stage may read; the results of earlier stages are complete.
        ledger: Is read only; `Ledger.replan` records the plan.

    Raises:
        PipelineError: The stage gave two units the same name.
    """
    units = list(stage.plan(run))
    _check_names(stage, units)
    records = ledger.records(stage.name)
    check = _Check(run.workspace)
    stale = [unit for unit in units if not check.is_valid(records.get(unit.name), unit)]
    stale_names = {unit.name for unit in stale}
    ended = {
        unit.name
        for unit in units
        if unit.name not in stale_names and records[unit.name].state in FINISHED | {State.FAILED_PERMANENT}
    }
    failed = sum(records[name].state is State.FAILED_PERMANENT for name in ended)
    due = [unit for unit in units if unit.name not in ended]
    return StagePlan(units, stale, due, failed, check.damaged, check.refreshed)


def _check_names(stage: Stage[Any], units: Sequence[Unit]) -> None:
    twice = [name for name, count in Counter(unit.name for unit in units).items() if count > 1]
    if twice:
        raise PipelineError(f"stage {stage.name} planned several units named {twice[0]!r}: a mistake in the stage.")


class _Check:
    """Compares rows of the ledger with units and the files that are there."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self.damaged: list[str] = []
        self.refreshed: dict[str, Result] = {}

    def is_valid(self, record: Record | None, unit: Unit) -> bool:
        """Tell whether a row says something about this unit that still holds."""
        if record is None or record.key != unit.key:
            return False
        if record.result is None:
            return True
        # While a unit was out of the plan, another may have written to its paths: size and time are no proof then.
        found = [self._current(entry, trusted=record.planned) for entry in record.result.outputs]
        kept = tuple(entry for entry in found if entry is not None)
        if len(kept) < len(found):
            return False
        if kept != record.result.outputs:
            self.refreshed[unit.name] = replace(record.result, outputs=kept)
        return True

    def _current(self, entry: Output, *, trusted: bool) -> Output | None:
        """Return an output as it is now, or None if it is not what it was. It is read only where that is in doubt."""
        try:
            modified = (self._workspace / entry.path).stat().st_mtime_ns
        except OSError:
            modified = -1
        same = entry.modified in (0, modified)
        wrong = fault(self._workspace, entry.path, entry.size, None if trusted and same else entry.digest)
        if wrong is not None:
            if trusted:
                self.damaged.append(f"{entry.path}: {wrong}")
            return None
        return entry if entry.modified == modified else replace(entry, modified=modified)


def fault(workspace: Path, path: str, size: int, digest: str | None) -> str | None:
    """Return what is wrong with an output file ("missing", "wrong size", "wrong digest"), or None.

    Args:
        workspace: Folder that the path starts from.
        path: Of the file, POSIX, relative to the workspace.
        size: Recorded size in bytes, compared first.
        digest: Recorded BLAKE3 digest, for which the file is read; None compares the size alone.
    """
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
    """Return the results of stages from the ledger, as `RunView.results` holds them.

    Args:
        stages: Stages whose units have ended.
        ledger: Open to read.

    Returns:
        By stage name, then unit name in the order of the plan: units that ended DONE, NO_DATA or REJECTED.
    """
    return {stage.name: ledger.results(stage.name) for stage in stages}
