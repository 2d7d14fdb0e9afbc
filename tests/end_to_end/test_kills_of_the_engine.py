"""The synthetic recipe under `kill -9`: of the driver and of its workers, at random moments, 24 times over one run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kills import run_under_kills
from synthetic_recipe import contents

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


def test_a_run_killed_at_random_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    assert start(tmp_path, tmp_path / "expected", 0).wait() == 0

    workspace = tmp_path / "killed"
    killed = run_under_kills(lambda: start(tmp_path, workspace, 2), workspace, DRIVER_KILLS, WORKER_KILLS, 0.6)
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
