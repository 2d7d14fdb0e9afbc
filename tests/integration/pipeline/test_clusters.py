"""Runs on real Dask clusters: worker counts agree, lost workers, an existing scheduler and its faults."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import pytest
from dask_processes import PROJECT, SUPPORT, run_recipe, scheduler, worker
from distributed import Client
from synthetic_recipe import QUICK, contents

from pipeline import executors
from pipeline.errors import ClusterError, WorkspaceError
from pipeline.executors import local_cluster
from pipeline.ledger import Ledger, State

pytestmark = pytest.mark.integration


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


@contextmanager
def both_workers_of(address: str) -> Iterator[None]:
    """Wait until two workers have joined."""
    with Client(address) as client:
        client.wait_for_workers(2, timeout=300)
        yield


def other_code(folder: Path, module: Path, old: str, new: str) -> tuple[Path, ...]:
    """Make an installation that differs in one place of one module; return where its modules are found."""
    for name in ("catalog", "cartography", "mapdata", "matcher", "pipeline", "raster", "stages"):
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SUPPORT / "synthetic_recipe.py", folder)
    text = (folder / module).read_text()
    assert old in text
    (folder / module).write_text(text.replace(old, new))
    return (folder,)


@pytest.mark.parametrize(
    ("module", "old", "new", "difference"),
    [
        ("synthetic_recipe.py", '"draw", 1,', '"draw", 2,', "package synthetic_recipe is another one"),
        ("raster/homography.py", "np.float64", "np.float32", "package raster is another one"),
        ("pipeline/attempt.py", "def attempt_elsewhere(", "def attempt_nowhere(", "attempt_elsewhere"),
    ],
)
def test_one_of_two_workers_with_other_code_refuses_and_is_named(
    tmp_path: Path, module: str, old: str, new: str, difference: str
) -> None:
    path = other_code(tmp_path / "other", Path(module), old, new)
    stages = {"list": {"count": 12}, "draw": {"seconds": 0.1}}
    with (
        scheduler() as address,
        worker(address),
        worker(address, path=path),
        both_workers_of(address),
        pytest.raises(ClusterError, match=r"(?i)install the same versions? .*on every worker") as raised,
    ):
        run_recipe(tmp_path, "run", stages, scheduler=address)
    assert difference in str(raised.value)
    assert re.search(r"worker tcp://127\.0\.0\.1:\d+ (runs other code|says .*cannot import)", str(raised.value))
    run_recipe(tmp_path, "run", stages)
    run_recipe(tmp_path, "alone", stages)
    assert contents(tmp_path / "run") == contents(tmp_path / "alone"), "nothing was kept of the other code"


def test_a_worker_that_joins_late_is_checked_too(tmp_path: Path) -> None:
    path = other_code(tmp_path / "other", Path("synthetic_recipe.py"), '"draw", 1,', '"draw", 2,')
    ledger, ended = tmp_path / "run/engine/ledger.sqlite", Event()

    def join_late() -> int:
        done = 0
        while done < 3 and not ended.is_set():
            time.sleep(0.1)
            with suppress(WorkspaceError), Ledger(ledger, read_only=True) as opened:
                done = opened.counts().get("draw", {}).get(State.DONE, 0)
        with worker(address, path=path):
            ended.wait(120)
        return done

    with scheduler() as address, worker(address), ThreadPoolExecutor(1) as pool:
        joining = pool.submit(join_late)
        try:
            with pytest.raises(ClusterError, match=r"worker tcp://.* runs other code.*version 2, the run has 1"):
                run_recipe(tmp_path, "run", {"list": {"count": 400}, "draw": {"seconds": 0.2}}, scheduler=address)
        finally:
            ended.set()
        assert joining.result() >= 3, "the run was going on"


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
