"""Runs of the command in processes of their own, and what they published."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def start_run(config: Path, workspace: Path, workers: int) -> subprocess.Popen[bytes]:
    """Start `mapdata run` as the leader of a session; what it says goes to `<workspace>.txt`."""
    command = [sys.executable, "-m", "mapdata", "run", str(config), "--workspace", str(workspace)]
    with said_by(workspace).open("ab") as output:
        return subprocess.Popen(
            [*command, "--workers", str(workers)], stdout=output, stderr=output, start_new_session=True
        )


def said_by(workspace: Path) -> Path:
    """Return the file of what the runs of a workspace said."""
    return workspace.with_name(f"{workspace.name}.txt")


def published(workspace: Path) -> Mapping[str, bytes]:
    """Return the files of the release, and of its page if it has one, by path."""
    return {
        path.relative_to(workspace).as_posix(): path.read_bytes()
        for part in ("release", "release-page")
        for path in (workspace / part).rglob("*")
        if path.is_file()
    }


def assert_same(made: Mapping[str, bytes], expected: Mapping[str, bytes]) -> None:
    """Compare what two runs published, byte by byte; what differs is named."""
    assert made.keys() == expected.keys()
    assert [path for path in made if made[path] != expected[path]] == []


def assert_verifies(workspace: Path) -> None:
    """Run `mapdata verify`."""
    command = [sys.executable, "-m", "mapdata", "verify", "--workspace", str(workspace)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
