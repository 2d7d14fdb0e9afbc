"""Workspaces on disks that cannot be written to: `status` and `verify` say the same as before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_disk import make_read_only, tmpfs

from pipeline.errors import WorkspaceError
from pipeline.ledger import Ledger, State

pytestmark = pytest.mark.integration

SUPPORT = Path(__file__).resolve().parents[2] / "support"


def mapdata(*arguments: str | Path, status: int = 0) -> Any:
    command = [sys.executable, "-m", "mapdata", *map(str, arguments), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
    return json.loads(ended.stdout) if ended.stdout else ended.stderr


def start(workspace: Path, config: Path, **draw: Any) -> subprocess.Popen[bytes]:
    config.write_text(yaml.safe_dump({"name": "test", "stages": {"list": {"count": 8}, "draw": draw}}))
    command = [sys.executable, "-m", "synthetic_recipe", str(config), str(workspace), "0"]
    path = os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.DEVNULL)


def test_a_finished_workspace_is_inspected_and_verified(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=16m"):
        workspace = tmp_path / "disk" / "w"
        assert start(workspace, tmp_path / "run.yaml").wait(300) == 0
        before = mapdata("status", "--workspace", workspace)
        make_read_only(tmp_path / "disk")
        assert mapdata("status", "--workspace", workspace) == before
        assert mapdata("verify", "--workspace", workspace)["faults"] == []
        message = mapdata("retry", "--workspace", workspace, status=2)
        assert "Read-only file system" in message
        assert "--workspace" in message


def test_the_rows_that_a_killed_run_had_not_moved_into_its_file_are_seen(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=16m"):
        workspace = tmp_path / "disk" / "w"
        running = start(workspace, tmp_path / "run.yaml", seconds=0.3)
        drawn = 0
        while drawn < 2:
            time.sleep(0.05)
            with suppress(WorkspaceError), Ledger(workspace / "engine/ledger.sqlite", read_only=True) as ledger:
                drawn = ledger.counts().get("draw", {}).get(State.DONE, 0)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert (workspace / "engine/ledger.sqlite-wal").stat().st_size > 0
        make_read_only(tmp_path / "disk")
        found = mapdata("status", "--workspace", workspace)["stages"]["draw"]
        assert found["done"] >= drawn
        assert sum(found.values()) == 8
        assert mapdata("verify", "--workspace", workspace)["files"] >= 1 + 2 * drawn
