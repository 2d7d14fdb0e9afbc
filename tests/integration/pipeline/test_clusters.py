"""Runs on real Dask clusters: worker counts agree, lost workers, an existing scheduler and its faults."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic_recipe import QUICK, RECIPE, contents

from pipeline import executors
from pipeline.config import load_config
from pipeline.errors import ClusterError
from pipeline.executors import local_cluster
from pipeline.ledger import State
from pipeline.run import Request, Summary, run
from pipeline.workspace import Workspace

pytestmark = pytest.mark.integration

SUPPORT = Path(__file__).resolve().parents[2] / "support"


def run_recipe(
    folder: Path, name: str, stages: dict[str, Any], workers: int = 0, scheduler: str | None = None
) -> Summary:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "seed": 5, "stages": stages}))
    loaded = load_config(path, RECIPE)
    request = Request(loaded.resolved, loaded.seed, workers=workers, scheduler=scheduler, policy=QUICK)
    return run(loaded.stages, Workspace(folder / name, create=True), request)


@contextmanager
def process(*arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """Run a `dask` command in a process of its own."""
    started = subprocess.Popen(
        [*prefix, sys.executable, "-m", "dask", *arguments],
        env=os.environ | {"PYTHONPATH": str(SUPPORT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@contextmanager
def scheduler() -> Iterator[str]:
    """Run a Dask scheduler; yield its address."""
    with process("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard") as started:
        assert started.stderr is not None
        for line in started.stderr:
            if "Scheduler at:" in line:
                yield line.split("Scheduler at:")[1].strip()
                return
        pytest.fail("the scheduler did not start")


def worker(address: str, **more: Any) -> Any:
    """Run a Dask worker process."""
    return process("worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny", **more)


def test_zero_one_and_two_workers_agree(tmp_path: Path) -> None:
    stages = {"list": {"count": 15}, "draw": {"faults": [{"drawing": "003", "kind": "rejected"}], "scratch": "counted"}}
    for workers in (0, 1, 2):
        summary = run_recipe(tmp_path, f"by{workers}", stages, workers)
        assert summary.counts["draw"] == {State.DONE: 14, State.REJECTED: 1}
    assert contents(tmp_path / "by0") == contents(tmp_path / "by1") == contents(tmp_path / "by2")


def test_a_unit_that_kills_its_workers_is_given_up_and_the_rest_is_done(tmp_path: Path) -> None:
    faults = [{"drawing": "004", "kind": "suicide"}, {"drawing": "006", "kind": "transient", "times": 2}]
    summary = run_recipe(tmp_path, "run", {"list": {"count": 10}, "draw": {"faults": faults, "scratch": "counted"}}, 2)
    assert summary.counts["draw"] == {State.DONE: 9, State.FAILED_PERMANENT: 1}
    (failure,) = summary.failures
    assert (failure.name, failure.attempts) == ("004", QUICK.attempts_after_lost_worker)
    assert "died while it had this unit" in failure.reason
    died = (tmp_path / "counted" / "004-suicide").stat().st_size
    assert died == QUICK.attempts_after_lost_worker, "the engine alone counts the tries"


def test_an_existing_scheduler_does_the_same_work(tmp_path: Path) -> None:
    stages = {"list": {"count": 8}}
    run_recipe(tmp_path, "inline", stages)
    with scheduler() as address, worker(address):
        summary = run_recipe(tmp_path, "cluster", stages, scheduler=address)
    assert summary.failures == []
    assert contents(tmp_path / "cluster") == contents(tmp_path / "inline")


def test_a_scheduler_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_CLUSTER_WAIT_SECONDS", 1.0)
    with pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9.*dask scheduler"):
        run_recipe(tmp_path, "run", {}, scheduler="tcp://127.0.0.1:9")


def test_a_scheduler_without_workers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_CLUSTER_WAIT_SECONDS", 1.0)
    with scheduler() as address, pytest.raises(ClusterError, match=r"has no workers.*dask worker"):
        run_recipe(tmp_path, "run", {}, scheduler=address)


def test_workers_that_do_not_see_the_workspace_are_named(tmp_path: Path) -> None:
    hiding = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {tmp_path} && exec "$@"', "sh")
    if subprocess.run([*hiding, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount, to hide a folder from a worker")
    with (
        scheduler() as address,
        worker(address, prefix=hiding),
        pytest.raises(ClusterError, match=r"1 of 1 workers of .* do not see the workspace .*same path"),
    ):
        run_recipe(tmp_path, "run", {}, scheduler=address)


def test_workers_without_the_program_are_named(tmp_path: Path) -> None:
    # Everything that is installed but the project, which setuptools' editable finder puts on the path.
    (tmp_path / "dask.py").write_text(
        "import sys, runpy; sys.path.pop(0)\n"
        "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in str(finder).lower()]\n"
        "runpy.run_module('dask', run_name='__main__')\n"
    )
    bare = ("env", f"--chdir={tmp_path}", "PYTHONPATH=")
    with (
        scheduler() as address,
        worker(address, prefix=bare),
        pytest.raises(ClusterError, match=r"cannot run this program: .*No module named 'pipeline'.*same versions"),
    ):
        run_recipe(tmp_path, "run", {}, scheduler=address)


def test_a_cluster_without_workers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.executors._WORKERLESS_SECONDS", 2.0)
    with local_cluster(0, tmp_path, "run") as executor:
        assert executor.capacity() == 0
        executor._looked_at -= 86400  # the machine slept for a day: that is no day without workers
        assert executor.capacity() == 0

        def wait() -> None:
            for _ in range(100):
                assert executor.capacity() == 0
                time.sleep(0.1)

        with pytest.raises(ClusterError, match=r"has had no workers for 2 s.*start workers"):
            wait()


def test_clusters_side_by_side_do_not_collide(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with local_cluster(0, tmp_path, "one"), local_cluster(0, tmp_path, "two"):
        assert not [warning for warning in recwarn if "already in use" in str(warning.message)]
