"""A whole run from outside: lock, ledger, record of the run, executor, signals, summary."""

from __future__ import annotations

import os
import platform
import secrets
import signal
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import distributions
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.executors import ONE_THREAD, STOP_SIGNALS, Executor, InlineExecutor, local_cluster, remote_cluster
from pipeline.files import digest_file, sweep_temporary, write_json
from pipeline.ledger import REFUSED, Ledger, Record, State
from pipeline.progress import reporter
from pipeline.retry import RetryPolicy
from pipeline.runner import Runner
from pipeline.stage import Stage
from pipeline.unit_progress import forget_standings
from pipeline.workspace import Workspace, now
from raster.strict_json import read_json

_STAMP = "%Y%m%dT%H%M%S.%f"
"""To the microsecond, so that records sort in the order of the runs."""


@dataclass(frozen=True)
class Request:
    """What is asked of a run. `workers` 0 is inline; `scheduler` is the address of a Dask scheduler, and wins.

    `config` is the resolved configuration, saved with the run beside the digest of `lock_file`.
    """

    config: Mapping[str, Any]
    seed: int = 0
    only: Collection[str] = ()
    workers: int = 0
    scheduler: str | None = None
    lock_file: Path | None = None
    policy: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True)
class Summary:
    """How a run ended: planned units by stage and state, those that failed, and the seconds it took.

    `refused` ended without data or were rejected; `said` is what results say of themselves (see `Result`).
    """

    run_id: str
    counts: Mapping[str, Mapping[State, int]]
    failures: Sequence[Record]
    seconds: float
    refused: Sequence[Record] = ()
    said: Sequence[str] = ()


class Stopped(BaseException):
    """The run was asked to stop by a signal. Like KeyboardInterrupt, no Exception: nothing on the way may catch it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_status = 128 + signal_number


def run(stages: Sequence[Stage[Any]], workspace: Workspace, request: Request) -> Summary:
    """Run stages in a workspace; what ended earlier is not done again.

    Args:
        stages: The stages in order, as a checked configuration gives them.
        workspace: The workspace; it is locked while the run goes on.
        request: What is asked of the run.

    Returns:
        How the run ended. Failures of units are in it; they raise nothing.

    Raises:
        WorkspaceError: The workspace is locked or cannot be written, or its ledger is damaged.
        DiskFullError: Its disk is full.
        ClusterError: The cluster cannot be used, was lost, or has a worker that runs other code.
        Stopped: A signal asked the run to stop. After each of these the same call goes on where it was.
    """
    started = time.monotonic()
    with workspace.lock("a run"), _stopping_on_signals(), reporter(workspace.root) as progress:
        run_id = _new_id(workspace.runs)
        with workspace.writing():
            workspace.hand_over(run_id)
            forget_standings(workspace.root)
            swept = sweep_temporary(workspace.root)
        if swept:
            progress.note(f"removed {swept} unfinished files of an interrupted run")
        with _recorded(workspace, run_id, request), Ledger(workspace.ledger) as ledger:
            ledger.release()
            with _executor(workspace, run_id, request) as executor:
                Runner(workspace, ledger, executor, progress, request.policy).run(stages, request.seed, request.only)
            seconds = time.monotonic() - started
            refused = ledger.in_states(REFUSED)
            return Summary(run_id, ledger.counts(), ledger.failures(), seconds, refused, ledger.said())


def _new_id(runs: Path) -> str:
    """Return an id that sorts behind those of all runs before, also where the clock was set back since."""
    moment = datetime.now(UTC)
    latest = max((path.stem for path in runs.glob("*.json")), default="")
    with suppress(ValueError, OverflowError):  # a file of somebody else
        before = datetime.strptime(latest.partition("Z")[0], _STAMP).replace(tzinfo=UTC)
        moment = max(moment, before + timedelta(microseconds=1))
    return f"{moment:{_STAMP}}Z-{secrets.token_hex(3)}"


def _executor(workspace: Workspace, run_id: str, request: Request) -> AbstractContextManager[Executor]:
    if request.scheduler:
        return remote_cluster(request.scheduler, workspace.root, run_id)
    if request.workers > 0:
        return local_cluster(request.workers, workspace.root, run_id)
    os.environ.update(ONE_THREAD)
    return nullcontext(InlineExecutor(workspace.root, run_id))


@contextmanager
def _recorded(workspace: Workspace, run_id: str, request: Request) -> Iterator[None]:
    """Keep `engine/runs/<run_id>.json`: what ran, with what, and how it ended."""
    with workspace.writing():
        _close_killed(workspace)
    path = workspace.runs / f"{run_id}.json"
    record = {
        "run_id": run_id,
        "started": now(),
        "ended": None,
        "outcome": "running",
        "host": socket.gethostname(),
        "only": sorted(request.only),
        "config": dict(request.config),
        "python": platform.python_version(),
        "packages": dict(sorted((found.name, found.version) for found in distributions())),
        "lock_digest": digest_file(request.lock_file) if request.lock_file and request.lock_file.exists() else None,
    }
    with workspace.writing():
        write_json(path, record)
    outcome = "ended"
    try:
        yield
    except BaseException as error:
        outcome = f"stopped: {type(error).__name__}: {error}"
        raise
    finally:
        # What stopped the run matters more than that this note could not be written.
        with suppress(OSError):
            write_json(path, record | {"ended": now(), "outcome": outcome})


def _close_killed(workspace: Workspace) -> None:
    """Say in the records of runs that could not do it themselves that they were killed. The lock is held: none runs."""
    for path in sorted(workspace.runs.glob("*.json")):
        with suppress(ValueError, AttributeError, OSError):
            record = read_json(path)
            if record.get("outcome") == "running":
                write_json(path, record | {"outcome": f"killed before {now()}: it could not say when"})


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    """Make the signals that end a process raise Stopped, once: a second one must not break the cleaning up.

    A hang-up that the caller ignores, as `nohup` does, stays ignored.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for each in handled:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    handled = [number for number in STOP_SIGNALS if not (kept and number is signal.SIGHUP)]
    before = {number: signal.signal(number, stop) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
