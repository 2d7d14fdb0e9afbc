"""Where units are done: in this process, or on a Dask cluster. Both hand back attempts in the order they end."""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Protocol

from pipeline.attempt import Attempt, Failure, Kind, attempt, attempt_elsewhere, describe
from pipeline.code import Code
from pipeline.cores import shared_out
from pipeline.errors import ClusterError
from pipeline.stage import Stage, Unit

# Enough that a worker never waits for its next unit, few enough that a lost worker takes little with it.
UNITS_IN_FLIGHT_PER_THREAD = 2
_CLUSTER_WAIT_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 1.0
_WORKERLESS_SECONDS = 120.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# As Dask sets for its workers: one thread a unit, so that results agree to the last bit with any number of workers.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Executor(Protocol):
    """Takes units up to its capacity and hands back how they ended."""

    def capacity(self) -> int:
        """Return how many units may be in flight.

        Raises:
            ClusterError: A cluster has had no workers for long, or its scheduler is gone.
        """

    def submit(self, stage: Stage[Any], unit: Unit) -> None:
        """Accept a unit, to be done at once or later; its attempt comes out of `ended`.

        Args:
            stage: The unit's stage, with its params; pickled where units are done in other processes.
            unit: A unit that is due; the caller has marked it RUNNING and keeps within `capacity`.
        """

    def ended(self, timeout: float) -> list[tuple[Unit, Attempt]]:
        """Return the units that ended, with how; waits for the first of them.

        Args:
            timeout: Seconds to wait at most; then none is returned.

        Raises:
            ClusterError: The scheduler of a cluster is gone.
        """


class InlineExecutor:
    """Does units one by one in this process, for debugging and for small runs."""

    def __init__(self, workspace: Path, run_id: str) -> None:
        """Make an executor of one unit at a time; units are done when `ended` is called.

        Args:
            workspace: Folder under which outputs are written.
            run_id: Of the run, which its units name to the workspace's lock.
        """
        self._workspace = workspace
        self._run_id = run_id
        self._waiting: deque[tuple[Stage[Any], Unit]] = deque()

    def capacity(self) -> int:
        return 1

    def submit(self, stage: Stage[Any], unit: Unit) -> None:
        self._waiting.append((stage, unit))

    def ended(self, timeout: float) -> list[tuple[Unit, Attempt]]:
        if not self._waiting:
            time.sleep(timeout)
            return []
        stage, unit = self._waiting.popleft()
        return [(unit, attempt(stage, unit, self._workspace, self._run_id))]


class DaskExecutor:
    """Does units on the cluster of a `distributed.Client`. Built by `local_cluster` or `remote_cluster`."""

    def __init__(self, client: Any, workspace: Path, run_id: str, tend: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._workspace = workspace
        self._run_id = run_id
        self._tend = tend
        self._ended: queue.SimpleQueue[tuple[Unit, Any]] = queue.SimpleQueue()
        self._futures: dict[tuple[str, str], Any] = {}
        self._submitted = 0
        self._threads = 0
        self._looked_at = float("-inf")
        self._workerless = 0.0

    def capacity(self) -> int:
        self._look_at_workers()
        return self._threads * UNITS_IN_FLIGHT_PER_THREAD

    def _look_at_workers(self) -> None:
        """Count the workers' threads, now and then. Raises ClusterError if there have been none for long."""
        now = time.monotonic()
        if now < self._looked_at + (_LOOK_EVERY_SECONDS if self._threads else 0.1):
            return
        # A machine that sleeps, or is too busy to let anybody look, has not lost its workers.
        self._workerless += min(now - self._looked_at, _LOOK_EVERY_SECONDS)
        self._looked_at = now
        self._tend()
        try:
            self._threads = sum(self._client.nthreads().values())
        except OSError as error:
            raise self._lost_scheduler() from error
        if self._threads:
            self._workerless = 0.0
        elif self._workerless > _WORKERLESS_SECONDS:
            raise ClusterError(
                f"{self._client.scheduler.addr} has had no workers for {_WORKERLESS_SECONDS:.0f} s. "
                "What has ended is kept: start workers, or look why they die, and run again."
            )

    def _lost_scheduler(self) -> ClusterError:
        return ClusterError(
            f"lost the scheduler at {self._client.scheduler.addr}. "
            "What has ended is kept: start a scheduler and run again."
        )

    def submit(self, stage: Stage[Any], unit: Unit) -> None:
        self._submitted += 1
        future = self._client.submit(
            attempt_elsewhere,
            Code.of(stage),
            pickle.dumps((stage, unit)),
            self._workspace,
            self._run_id,
            f"{unit.stage} {unit.name}",
            key=f"{unit.stage}-{unit.name}-{self._run_id}-{self._submitted}",
            pure=False,
        )
        self._futures[unit.stage, unit.name] = future
        future.add_done_callback(lambda done: self._ended.put((unit, done)))

    def ended(self, timeout: float) -> list[tuple[Unit, Attempt]]:
        pairs = []
        try:
            pairs.append(self._ended.get(timeout=timeout))
            while True:
                pairs.append(self._ended.get_nowait())
        except queue.Empty:
            pass
        if self._client.status != "running":
            raise self._lost_scheduler()
        return [(unit, self._attempt_of(unit, future)) for unit, future in pairs]

    def _attempt_of(self, unit: Unit, future: Any) -> Attempt:
        from distributed.scheduler import KilledWorker

        del self._futures[unit.stage, unit.name]
        if future.status == "finished":
            ended: Attempt = future.result()
            return ended
        error = future.exception() if future.status == "error" else None
        if isinstance(error, KilledWorker):
            worker = str(error.last_worker.address)
            reason = f"the worker {worker} died while it had this unit: killed, out of memory, or its machine went away"
            return Attempt(Failure(Kind.LOST_WORKER, reason), worker)
        if error is None:
            return Attempt(Failure(Kind.LOST_WORKER, f"the cluster gave the unit up ({future.status})"), "unknown")
        # A worker that can read its task never raises: see `attempt_elsewhere`.
        failure = describe(error, self._workspace)
        if isinstance(error, (ImportError, AttributeError, TypeError, pickle.UnpicklingError)):
            reason = f"a worker cannot read its task, so it runs other code than this run: {failure.reason}"
            failure = Failure(Kind.OTHER_CODE, reason)
        return Attempt(failure, "unknown")


@contextmanager
def local_cluster(workers: int, workspace: Path, run_id: str) -> Iterator[DaskExecutor]:
    """Start `workers` single-threaded processes on this machine, each replaced when it dies; stop them at the end.

    Args:
        workers: Processes, 1 or more.
        workspace: Folder under which outputs are written.
        run_id: Of the run, which its units name to the workspace's lock.

    Yields:
        An executor whose workers are still starting; a worker that dies is replaced, its units come back as
        LOST_WORKER.
    """
    import dask
    from distributed import Client, LocalCluster

    settings = {
        # A unit that was lost comes back to the ledger at once; the engine counts and retries.
        "distributed.scheduler.allowed-failures": 0,
        "distributed.worker.memory.terminate": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.nanny.pre-spawn-environ": ONE_THREAD | shared_out(workers),
        # Ctrl-C, or a service manager, may signal every process; stopping the workers is the driver's task.
        "distributed.worker.preload": [
            f"import signal; [signal.signal(each, signal.SIG_IGN) for each in {[int(each) for each in STOP_SIGNALS]}]"
        ],
    }
    _start_resource_tracker()
    with (
        dask.config.set(settings),
        LocalCluster(
            # Started by `tend`, which unlike this does not give up when one dies on the way.
            n_workers=0,
            threads_per_worker=1,
            # No dashboard; any free port for the scheduler's own pages, so that runs side by side do not collide.
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            # A lost worker is reported by the engine.
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield DaskExecutor(client, workspace, run_id, lambda: _tend(cluster, workers))


def _start_resource_tracker() -> None:
    """Start the process that watches over what worker processes share, deaf to the signals that stop a run.

    Python makes it so for SIGINT and SIGTERM only; it would die before the workers have ended.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _tend(cluster: Any, workers: int) -> None:
    """Bring a local cluster to its number of workers. A nanny replaces its worker, but closes if that one dies too."""
    from distributed.core import Status

    gone = [name for name, nanny in list(cluster.workers.items()) if nanny.status in (Status.closed, Status.failed)]
    for name in gone:
        del cluster.workers[name]
    if gone or len(cluster.worker_spec) < workers:
        cluster.scale(workers)


@contextmanager
def remote_cluster(address: str, workspace: Path, run_id: str) -> Iterator[DaskExecutor]:
    """Connect to a running scheduler and check that its workers can do the work.

    Args:
        address: Of the scheduler, such as "tcp://host:8786".
        workspace: Folder under which outputs are written; the workers must see it under this path.
        run_id: Of the run, which its units name to the workspace's lock.

    Yields:
        An executor; the cluster is left running when the context ends.

    Raises:
        ClusterError: No scheduler answers, it has no workers, or they do not see the workspace or run other code.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=_CLUSTER_WAIT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {address}: {error}. Start one with `dask scheduler`, or correct --scheduler."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_CLUSTER_WAIT_SECONDS)
        except TimeoutError:
            raise ClusterError(
                f"the scheduler at {address} has no workers. Start some with `dask worker {address}`."
            ) from None
        _check_workers(client, address, workspace)
        yield DaskExecutor(client, workspace, run_id)


def _check_workers(client: Any, address: str, workspace: Path) -> None:
    try:
        client.get_versions(check=True)
        sees = client.run(sees_workspace, workspace, on_error="return")
    except Exception as error:
        raise ClusterError(_unfit(address, str(error))) from error
    for worker, found in sees.items():
        if isinstance(found, Exception):
            raise ClusterError(_unfit(address, f"worker {worker} says {found}"))
    blind = sorted(worker for worker, seen in sees.items() if not seen)
    if blind:
        raise ClusterError(
            f"{len(blind)} of {len(sees)} workers of {address} do not see the workspace {workspace} or cannot write "
            f"to it ({', '.join(blind[:5])}). Put it on a disk that every worker mounts under the same path."
        )


def _unfit(address: str, reason: str) -> str:
    return (
        f"the workers of {address} cannot run this program: {reason}. "
        "Install the same versions of it and of its dependencies on every worker, and restart the workers."
    )


def sees_workspace(workspace: Path) -> bool:
    """Tell whether this process can write to the workspace; run on every worker."""
    return (workspace / "engine" / "workers.lock").is_file() and os.access(workspace, os.W_OK)
