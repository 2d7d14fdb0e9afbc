"""What a run says while it goes on: a bar with rate and ETA on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pipeline.ledger import FAILED, State
from pipeline.planning import StagePlan
from pipeline.stage import Unit

_LINE_EVERY_SECONDS = 10.0


class Reporter(Protocol):
    """Is told what happens, in this order: a stage begins, its units end, the next begins."""

    def stage_begins(self, stage: str, plan: StagePlan) -> None:
        """A stage was planned and its due units are about to be done.

        Args:
            stage: Name of the stage, shown as it is.
            plan: Its units, those that are due, and those that failed for good before.
        """

    def unit_ended(self, unit: Unit, state: State) -> None:
        """A unit ended for this run: finished, or given up.

        Args:
            unit: One of the due units of the stage that began last, each told once.
            state: Its last state: DONE, NO_DATA, REJECTED or a failed one, never one between two tries.
        """

    def note(self, text: str) -> None:
        """Something worth a line."""


@contextmanager
def reporter() -> Iterator[Reporter]:
    """Return the reporter that fits stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainReporter()
        return
    with BarReporter(console) as bars:
        yield bars


class _Tally:
    """Counts of the stage at hand. Progress goes by the units' weights."""

    def __init__(self, plan: StagePlan) -> None:
        self.total = len(plan.units)
        self.ended = self.total - len(plan.due)
        self.failed = plan.failed
        self.weight = sum(unit.weight for unit in plan.units)
        self.weight_before = self.weight - sum(unit.weight for unit in plan.due)
        self.weight_ended = self.weight_before
        self._ended_before = self.ended
        self._started = time.monotonic()

    def count(self, unit: Unit, state: State) -> None:
        self.ended += 1
        self.failed += state in FAILED
        self.weight_ended += unit.weight

    @property
    def rate(self) -> float:
        """Units a second since the stage began in this run."""
        return (self.ended - self._ended_before) / max(time.monotonic() - self._started, 1e-9)

    @property
    def seconds_left(self) -> float:
        done = self.weight_ended - self.weight_before
        return (time.monotonic() - self._started) * (self.weight - self.weight_ended) / done if done else float("inf")

    @property
    def failures(self) -> str:
        return f", {self.failed} failed" if self.failed else ""


class PlainReporter:
    """One line when a stage begins, one every ten seconds, one when it ends."""

    def __init__(self) -> None:
        self._stage = ""
        self._tally: _Tally | None = None
        self._next_line = 0.0

    def stage_begins(self, stage: str, plan: StagePlan) -> None:
        self._stage, self._tally = stage, _Tally(plan)
        self._next_line = time.monotonic() + _LINE_EVERY_SECONDS
        before = f", {plan.finished} done before" if plan.finished else ""
        self.note(f"{stage}: {len(plan.units)} units{before}{self._tally.failures}")

    def unit_ended(self, unit: Unit, state: State) -> None:
        tally = self._tally
        assert tally is not None
        tally.count(unit, state)
        if tally.ended == tally.total:
            self.note(f"{self._stage}: {tally.ended}/{tally.total} units, {tally.rate:.2f} units/s{tally.failures}")
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_SECONDS
            self.note(
                f"{self._stage}: {tally.ended}/{tally.total} units ({tally.weight_ended / tally.weight:.0%}), "
                f"{tally.rate:.2f} units/s, about {tally.seconds_left:.0f} s left{tally.failures}"
            )

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class BarReporter:
    """A bar a stage. A context manager: the bars are drawn while it is open."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[units]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = TaskID(0)
        self._tally: _Tally | None = None

    def __enter__(self) -> BarReporter:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def stage_begins(self, stage: str, plan: StagePlan) -> None:
        self._tally = tally = _Tally(plan)
        # A stage without work is full, not empty.
        total = tally.weight or 1.0
        self._task = self._progress.add_task(stage, total=total, units=self._units(tally))
        self._progress.update(self._task, completed=tally.weight_before if plan.due else total)

    def unit_ended(self, unit: Unit, state: State) -> None:
        tally = self._tally
        assert tally is not None
        tally.count(unit, state)
        self._progress.update(self._task, completed=tally.weight_ended, units=self._units(tally))

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    @staticmethod
    def _units(tally: _Tally) -> str:
        return f"{tally.ended}/{tally.total} units, {tally.rate:.1f}/s{tally.failures}"
