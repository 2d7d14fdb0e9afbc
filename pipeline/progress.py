"""What a run says while it goes on: a bar with rate and ETA on a terminal, plain lines elsewhere. Always on stderr.

Units that tell of themselves (see `pipeline.unit_progress`) get a bar, or a line now and then, of their own.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

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
from pipeline.unit_progress import Standing, read_standings

_LINE_EVERY_SECONDS = 10.0
_BARS_EVERY_SECONDS = 0.5
_SHOWN_UNITS = 8


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
def reporter(root: Path) -> Iterator[Reporter]:
    """Return the reporter that fits stderr.

    Args:
        root: Workspace of the run, in which units tell where they stand.
    """
    if not sys.stderr.isatty():
        plain = PlainReporter()
        with _regularly(lambda: plain.units_stand(read_standings(root)), _LINE_EVERY_SECONDS):
            yield plain
        return
    with (
        _stderr_in_lines() as (terminal, take),
        BarReporter(Console(file=terminal)) as bars,
        _regularly(lambda: bars.units_stand(read_standings(root)), _BARS_EVERY_SECONDS),
    ):
        take(bars.note)
        yield bars


@contextmanager
def _regularly(action: Callable[[], None], seconds: float) -> Iterator[None]:
    """Do something now and then in a thread of its own: units that are done in this process leave no time for it."""
    stopped = threading.Event()

    def go() -> None:
        while not stopped.wait(seconds):
            action()

    thread = threading.Thread(target=go, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


@contextmanager
def _stderr_in_lines() -> Iterator[tuple[TextIO, Callable[[Callable[[str], None]], None]]]:
    """Catch what this process and its workers write to stderr, line by line, so that it does not run into the bars.

    Yields:
        The terminal itself, and a function that is told who takes the lines; what comes before goes to the terminal.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    read, write = os.pipe()
    os.set_inheritable(kept, False)
    terminal = os.fdopen(kept, "w", buffering=1, encoding="utf-8", errors="replace")
    takers: list[Callable[[str], None]] = [lambda line: print(line, file=terminal)]

    def pass_on() -> None:
        with os.fdopen(read, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                takers[-1](line.rstrip("\n"))

    thread = threading.Thread(target=pass_on, name="stderr", daemon=True)
    thread.start()
    os.dup2(write, 2)
    os.close(write)
    try:
        yield terminal, takers.append
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        # A process that a killed worker left behind may still hold the pipe: its last lines are not worth a wait.
        thread.join(timeout=1.0)


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

    def units_stand(self, standings: Sequence[Standing]) -> None:
        """Print a line a unit that tells of itself."""
        for each in standings[:_SHOWN_UNITS]:
            self.note(f"{each.stage} {each.unit}: {each}")
        if len(standings) > _SHOWN_UNITS:
            self.note(f"... and {len(standings) - _SHOWN_UNITS} more units, see status")

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
        self._shown: dict[str, TaskID] = {}

    def __enter__(self) -> BarReporter:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.units_stand(())  # those that were stopped on their way
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

    def units_stand(self, standings: Sequence[Standing]) -> None:
        """Show a bar a unit that tells of itself, below that of its stage."""
        shown = {each.unit: each for each in standings[:_SHOWN_UNITS]}
        for name in self._shown.keys() - shown:
            self._progress.remove_task(self._shown.pop(name))
        for name, each in shown.items():
            if name not in self._shown:
                self._shown[name] = self._progress.add_task(f"  {name}", total=each.total, units="")
            self._progress.update(self._shown[name], completed=each.done, total=each.total, units=_words(each))

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    @staticmethod
    def _units(tally: _Tally) -> str:
        return f"{tally.ended}/{tally.total} units, {tally.rate:.1f}/s{tally.failures}"


def _words(standing: Standing) -> str:
    waiting = f"; {standing.waiting}" if standing.waiting else ""
    return f"{standing.done:,}/{standing.total:,} {standing.noun}, {standing.rate:.1f}/s{waiting}"
