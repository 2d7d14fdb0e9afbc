"""The synthetic recipe under `kill -9`: of the driver and of its workers, at random moments, 24 times over one run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from synthetic_recipe import contents

from pipeline.errors import WorkspaceError
from pipeline.files import TEMPORARY_PREFIX
from pipeline.ledger import Ledger, State
from pipeline.workspace import Workspace

pytestmark = pytest.mark.end_to_end

SUPPORT = Path(__file__).resolve().parents[1] / "support"
STAGES = {"list": {"count": 160}, "draw": {"seconds": 0.25}, "pack": {"batch": 3}}
DRIVER_KILLS = 10
WORKER_KILLS = 14


def start(folder: Path, workspace: Path, workers: int) -> subprocess.Popen[bytes]:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"name": "test", "stages": STAGES}))
    return subprocess.Popen(
        [sys.executable, "-m", "synthetic_recipe", str(path), str(workspace), str(workers)],
        env=os.environ | {"PYTHONPATH": str(SUPPORT)},
        stderr=subprocess.DEVNULL,
    )


def workers_of(driver: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the driver's Dask worker processes."""
    return [child for child in psutil.Process(driver.pid).children() if "spawn_main" in " ".join(child.cmdline())]


def in_flight(workspace: Path) -> int:
    """Return how many units are being done."""
    try:
        with Ledger(Workspace(workspace).ledger, read_only=True) as ledger:
            return sum(counts.get(State.RUNNING, 0) for counts in ledger.counts().values())
    except WorkspaceError:
        return 0


def wait_for_work(driver: subprocess.Popen[bytes], workspace: Path) -> bool:
    """Wait until units are in flight; False if the run ended."""
    while driver.poll() is None:
        if in_flight(workspace):
            return True
        time.sleep(0.05)
    return False


def test_a_run_killed_at_random_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    seed = random.randrange(10_000)
    print(f"random seed {seed}")
    moments = random.Random(seed)
    assert start(tmp_path, tmp_path / "expected", 0).wait() == 0

    workspace = tmp_path / "killed"
    to_kill = ["driver"] * DRIVER_KILLS + ["worker"] * WORKER_KILLS
    moments.shuffle(to_kill)
    driver = start(tmp_path, workspace, 2)
    killed = 0
    for victim in to_kill:
        if not wait_for_work(driver, workspace):
            break
        time.sleep(moments.uniform(0, 0.6))
        if victim == "driver":
            driver.kill()
            driver.wait()
            driver = start(tmp_path, workspace, 2)
        else:
            for worker in workers_of(driver)[:1]:
                worker.kill()
        killed += 1
    assert driver.wait(120) == 0
    assert killed >= 20

    assert contents(workspace) == contents(tmp_path / "expected")
    assert not list(workspace.rglob(f"{TEMPORARY_PREFIX}*"))
    with Ledger(Workspace(workspace).ledger, read_only=True) as ledger:
        assert ledger.counts() == {
            "list": {State.DONE: 1},
            "draw": {State.DONE: 160},
            "pack": {State.DONE: 54},
            "publish": {State.DONE: 1},
        }
        attempts = sum(record.attempts for stage in ledger.stages() for record in ledger.records(stage).values())
    print(f"{killed} kills; {attempts} attempts at 216 units")
    # What had ended was not done again: a kill costs at most the units in flight, two a worker.
    assert attempts <= 216 + 4 * killed
