"""Runs a recipe: stage after stage, each planned when the one before has ended, its due units kept in flight."""

from __future__ import annotations

import heapq
import time
from collections import Counter, deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.attempt import Attempt, Failure, Kind
from pipeline.digests import DigestCache
from pipeline.errors import ClusterError, DiskFullError, PipelineError, WorkspaceError
from pipeline.executors import Executor
from pipeline.ledger import Ledger, State
from pipeline.planning import StagePlan, plan_stage
from pipeline.progress import Reporter
from pipeline.retry import RetryPolicy, final_state
from pipeline.stage import Result, RunView, Stage, Unit
from pipeline.workspace import Workspace

_LONGEST_WAIT_SECONDS = 0.5
# A worker takes with it all units it has, and only one of them may be to blame: from so many on, a unit is suspect.
_SUSPICIOUS_LOSSES = 2


@dataclass(frozen=True)
class Runner:
    """The driver: the only writer of the ledger. Must hold the workspace's lock."""

    workspace: Workspace
    ledger: Ledger
    executor: Executor
    reporter: Reporter
    policy: RetryPolicy

    def run(self, stages: Sequence[Stage[Any]], seed: int, only: Collection[str]) -> None:
        """Do what is due of the stages.

        Failures of units are in the ledger and raise nothing. Whatever it is interrupted by, units in flight are left
        PENDING.

        Args:
            stages: All stages of the run, in order.
            seed: The run's seed, which stages see in their `RunView`.
            only: Names of stages to do; the stages before them must be complete, those after the last are left alone.
                Empty does all.

        Raises:
            DiskFullError: The disk of the workspace is full.
            ClusterError: The workers are lost.
            PipelineError: A stage is not done yet that one in `only` needs.
        """
        self.ledger.set_stages([stage.name for stage in stages])
        results: dict[str, dict[str, Result]] = {}
        digests = DigestCache(self.ledger.known_digests())
        last = max((index for index, stage in enumerate(stages) if stage.name in only), default=len(stages) - 1)
        try:
            for stage in stages[: last + 1]:
                view = RunView(self.workspace.root, seed, results, digests=digests).of(stage)
                plan = plan_stage(stage, view, self.ledger)
                self.ledger.remember_digests(digests.fresh)
                self.ledger.replan(stage.name, plan.units, plan.stale)
                self.ledger.refresh(stage.name, plan.refreshed)
                if plan.damaged:
                    self.reporter.note(
                        f"{stage.name}: {len(plan.damaged)} files are not as they were made, such as "
                        f"{plan.damaged[0]}; their units are done again"
                    )
                if not only or stage.name in only:
                    self.reporter.stage_begins(stage.name, plan)
                    _StageRun(self, stage, plan).drive()
                elif plan.due:
                    raise PipelineError(
                        f"{len(plan.due)} of {len(plan.units)} units of stage {stage.name} are not done yet, and what "
                        f"was asked for needs them. Run them first, all stages or with --only {stage.name}."
                    )
                results[stage.name] = self.ledger.results(stage.name)
        finally:
            # On a full disk the ledger may refuse this; the next run does it then.
            with suppress(DiskFullError, WorkspaceError):
                self.ledger.release()


class _StageRun:
    """The units of one stage on their way: due, in flight, or waiting to be tried again.

    Of the units that have lost several workers, only one is in flight at a time: the one that kills them then cannot
    take the others with it time and again until they are given up too.
    """

    def __init__(self, runner: Runner, stage: Stage[Any], plan: StagePlan) -> None:
        self._runner = runner
        self._stage = stage
        self._due = deque(plan.due)
        self._suspects: deque[Unit] = deque()
        self._suspect_in_flight = ""
        self._waiting: list[tuple[float, int, Unit]] = []
        self._in_flight = 0
        self._attempts: Counter[str] = Counter()
        self._failures: Counter[tuple[str, Kind]] = Counter()

    def drive(self) -> None:
        while self._due or self._suspects or self._waiting or self._in_flight:
            self._wake()
            self._submit()
            for unit, attempt in self._runner.executor.ended(self._longest_wait()):
                self._in_flight -= 1
                if unit.name == self._suspect_in_flight:
                    self._suspect_in_flight = ""
                self._record(unit, attempt)

    def _wake(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            unit = heapq.heappop(self._waiting)[2]
            losses = self._failures[unit.name, Kind.LOST_WORKER]
            (self._suspects if losses >= _SUSPICIOUS_LOSSES else self._due).append(unit)

    def _longest_wait(self) -> float:
        until_next = self._waiting[0][0] - time.monotonic() if self._waiting else _LONGEST_WAIT_SECONDS
        return min(max(until_next, 0.01), _LONGEST_WAIT_SECONDS)

    def _submit(self) -> None:
        room = max(0, self._runner.executor.capacity() - self._in_flight)
        units = []
        if room and self._suspects and not self._suspect_in_flight:
            units.append(self._suspects.popleft())
            self._suspect_in_flight = units[0].name
        units += [self._due.popleft() for _ in range(min(room - len(units), len(self._due)))]
        if not units:
            return
        self._runner.ledger.start(units)
        for unit in units:
            self._runner.executor.submit(self._stage, unit)
        self._in_flight += len(units)

    def _record(self, unit: Unit, attempt: Attempt) -> None:
        self._attempts[unit.name] += 1
        if isinstance(attempt.outcome, Result):
            self._runner.ledger.finish(unit, attempt.outcome, attempt.worker)
            self._runner.reporter.unit_ended(unit, State(attempt.outcome.outcome.value))
        else:
            self._record_failure(unit, attempt.outcome, attempt.worker)

    def _record_failure(self, unit: Unit, failure: Failure, worker: str) -> None:
        if failure.kind is Kind.DISK_FULL:
            raise DiskFullError(f"{failure.reason}. Make room and run again: it goes on where it was.")
        if failure.kind is Kind.OTHER_CODE:
            raise ClusterError(
                f"{failure.reason}. What has ended is kept: install the same version on every worker, restart the "
                "workers, and run again."
            )
        ledger, reporter = self._runner.ledger, self._runner.reporter
        attempts = self._attempts[unit.name]
        self._failures[unit.name, failure.kind] += 1
        wait = self._runner.policy.wait(failure.kind, self._failures[unit.name, failure.kind], unit.key)
        if wait is None:
            state = final_state(failure.kind)
            ledger.fail(unit, state, failure.reason, failure.traceback, worker)
            reporter.unit_ended(unit, state)
            return
        ledger.fail(unit, State.FAILED_TRANSIENT, failure.reason, failure.traceback, worker)
        reporter.note(f"{unit.stage} {unit.name}: attempt {attempts} failed, again in {wait:.1f} s: {failure.reason}")
        heapq.heappush(self._waiting, (time.monotonic() + wait, self._attempts.total(), unit))
