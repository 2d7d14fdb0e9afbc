"""Disks that are soon full, or that are nothing but memory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[None]:
    """Mount a small disk, or skip."""
    with _mounted(folder, "tmpfs", options):
        yield


@contextmanager
def ramfs(folder: Path) -> Iterator[None]:
    """Mount a file system that cannot go past the page cache, or skip."""
    with _mounted(folder, "ramfs", "mode=755"):
        yield


def enlarge(folder: Path, size: str) -> None:
    """Make room on a disk that `tmpfs` mounted."""
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)


def make_read_only(folder: Path) -> None:
    """Make a disk that was mounted here one that nothing can be written to."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


@contextmanager
def _mounted(folder: Path, kind: str, options: str) -> Iterator[None]:
    folder.mkdir()
    if subprocess.run(["mount", "-t", kind, "-o", options, kind, folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
