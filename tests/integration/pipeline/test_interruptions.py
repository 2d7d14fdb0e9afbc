"""Signals, a locked or unwritable workspace, a full disk: a clear error, nothing harmed, and the run goes on."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_disk import enlarge, tmpfs
from synthetic_recipe import contents

from pipeline.errors import WorkspaceError
from pipeline.files import TEMPORARY_PREFIX
from pipeline.ledger import Ledger, State
from pipeline.workspace import Workspace

pytestmark = pytest.mark.integration

SUPPORT = Path(__file__).resolve().parents[2] / "support"
SLOW = {"list": {"count": 16}, "draw": {"seconds": 0.2}}


def driver(folder: Path, workspace: Path, stages: dict[str, Any], workers: int) -> subprocess.Popen[str]:
    """Start a run in a process group of its own."""
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"name": "test", "stages": stages}))
    return subprocess.Popen(
        [sys.executable, "-m", "synthetic_recipe", str(path), str(workspace), str(workers)],
        env=os.environ | {"PYTHONPATH": str(SUPPORT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def counts(workspace: Path) -> dict[State, int]:
    with Ledger(Workspace(workspace).ledger, read_only=True) as ledger:
        return ledger.counts().get("draw", {})


def wait_until_drawn(workspace: Path, number: int) -> None:
    """Wait until some drawings are done."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(0.05)
        # Before the run has begun there is no workspace, or no ledger in it.
        with suppress(WorkspaceError):
            if counts(workspace).get(State.DONE, 0) >= number:
                return
    pytest.fail("the run does not get on")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return what an uninterrupted run makes."""
    folder = tmp_path_factory.mktemp("expected")
    assert driver(folder, folder / "w", SLOW, 0).wait() == 0
    return contents(folder / "w")


@pytest.fixture
def hang_up_is_heard() -> Iterator[None]:
    """Let children hear a hang-up also where the tests themselves run under `nohup`, which makes them ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hang_up_is_heard")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_stops_cleanly_and_the_run_goes_on(
    tmp_path: Path, expected: dict[str, bytes], number: signal.Signals, workers: int
) -> None:
    workspace = tmp_path / "w"
    running = driver(tmp_path, workspace, SLOW, workers)
    wait_until_drawn(workspace, 1)
    # As a terminal does it: to every process of the group.
    os.killpg(running.pid, number)
    _, messages = running.communicate(timeout=300)
    assert running.returncode == 128 + number, messages
    assert "Traceback" not in messages
    assert State.RUNNING not in counts(workspace)
    assert not list(workspace.rglob(f"{TEMPORARY_PREFIX}*")) or workers, (
        "a unit in this process cleans up behind itself"
    )
    assert f"stopped: Stopped: {number.name}" in next((workspace / "engine/runs").iterdir()).read_text()
    assert driver(tmp_path, workspace, SLOW, workers).wait(300) == 0
    assert contents(workspace) == expected


def test_a_hang_up_that_the_caller_ignores_stops_nothing(tmp_path: Path, expected: dict[str, bytes]) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as `nohup` does it
    try:
        running = driver(tmp_path, tmp_path / "w", SLOW, 0)
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_until_drawn(tmp_path / "w", 1)
    os.killpg(running.pid, signal.SIGHUP)
    assert running.wait(300) == 0
    assert contents(tmp_path / "w") == expected


def test_the_record_of_a_killed_run_is_closed_by_the_next(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    running = driver(tmp_path, workspace, SLOW, 0)
    wait_until_drawn(workspace, 1)
    running.kill()
    running.communicate()
    assert driver(tmp_path, workspace, SLOW, 0).wait(300) == 0
    killed, ended = (json.loads(path.read_text()) for path in sorted((workspace / "engine/runs").iterdir()))
    assert killed["outcome"].startswith("killed before ")
    assert ended["outcome"] == "ended"


def test_a_second_run_on_a_locked_workspace_is_refused(tmp_path: Path, expected: dict[str, bytes]) -> None:
    workspace = tmp_path / "w"
    first = driver(tmp_path, workspace, SLOW, 0)
    wait_until_drawn(workspace, 1)
    second = driver(tmp_path, workspace, SLOW, 0)
    _, message = second.communicate(timeout=300)
    assert second.returncode == 1
    assert f"is in use by a run (process {first.pid} on " in message
    assert first.wait(300) == 0
    assert contents(workspace) == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_stops_the_run_which_goes_on_when_there_is_room(tmp_path: Path, workers: int) -> None:
    stages = {"list": {"count": 12}, "draw": {"size": 200_000}}
    assert driver(tmp_path, tmp_path / "expected", stages, 0).wait(300) == 0
    disk = tmp_path / "disk"
    with tmpfs(disk, "size=3m"):
        running = driver(tmp_path, disk / "w", stages, workers)
        _, messages = running.communicate(timeout=300)
        assert running.returncode == 1
        assert "no space left" in messages
        assert str(disk / "w") in messages
        assert "Make room and run again" in messages
        assert "Traceback" not in messages
        assert 0 < counts(disk / "w").get(State.DONE, 0) < 12
        enlarge(disk, "32m")
        assert driver(tmp_path, disk / "w", stages, workers).wait(300) == 0
        assert contents(disk / "w") == contents(tmp_path / "expected")


def test_a_disk_that_is_full_from_the_start_is_named(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=64k"):
        (tmp_path / "disk" / "filler").write_bytes(bytes(60 * 1024))
        running = driver(tmp_path, tmp_path / "disk" / "w", SLOW, 0)
        _, messages = running.communicate(timeout=300)
    assert running.returncode == 1
    assert "Traceback" not in messages
    assert str(tmp_path / "disk" / "w") in messages
    assert "free" in messages


def test_a_read_only_disk_is_named(tmp_path: Path) -> None:
    with (
        tmpfs(tmp_path / "disk", "ro"),
        pytest.raises(WorkspaceError, match=r"w cannot be written: Read-only.*--workspace"),
    ):
        Workspace(tmp_path / "disk" / "w", create=True)


def test_a_folder_without_the_right_to_write_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o555)
    with pytest.raises(WorkspaceError, match=r"w cannot be written: Permission denied.*--workspace"):
        Workspace(tmp_path / "w", create=True)


def test_a_terminal_gets_bars_with_rate_and_eta(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"name": "test", "stages": {"list": {"count": 3}}}))
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 140, 0, 0))
    ended = subprocess.run(
        [sys.executable, "-m", "synthetic_recipe", str(path), str(tmp_path / "w"), "0"],
        env=os.environ | {"PYTHONPATH": str(SUPPORT), "TERM": "xterm"},
        stderr=its_end,
        check=False,
    )
    os.close(its_end)
    assert ended.returncode == 0
    shown = os.read(terminal, 1_000_000).decode()
    os.close(terminal)
    for words in ("draw", "100%", "3/3 units", "/s", "ETA"):
        assert words in shown
