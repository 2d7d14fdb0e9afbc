"""A unit's files: all under their names, or none."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from small_disk import ramfs

from pipeline.files import digest_bytes
from stages.tile.batch import FileBatch

pytestmark = pytest.mark.unit


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write(folder: Path, files: Mapping[str, Any]) -> None:
    with FileBatch(folder) as batch:
        for name, data in files.items():
            batch.add(name, data)


def test_all_files_get_their_names_at_the_end(tmp_path: Path) -> None:
    made = {f"{number}.bin": os.urandom(number * 997) for number in range(300)}
    (tmp_path / "7.bin").write_bytes(b"older")
    with FileBatch(tmp_path) as batch:
        for name, data in made.items():
            entry = batch.add(name, data)
            assert (entry.path, entry.size, entry.digest) == (name, len(data), digest_bytes(data))
        assert set(made) & set(contents(tmp_path)) == {"7.bin"}
    assert contents(tmp_path) == made


def test_files_of_every_length_are_whole(tmp_path: Path) -> None:
    block, buffer = 1 << 12, 1 << 20
    lengths = (0, 1, block - 1, block, block + 1, buffer - 1, buffer, buffer + 1, 3 * buffer + block + 7)
    made = {f"{length}.bin": os.urandom(length) for length in lengths}
    write(tmp_path, made)
    assert contents(tmp_path) == made


def test_a_file_system_of_nothing_but_page_cache_will_do(tmp_path: Path) -> None:
    made = {f"{number}.bin": os.urandom(number * 99_991) for number in range(20)}
    with ramfs(tmp_path / "disk"):
        write(tmp_path / "disk", made)
        assert contents(tmp_path / "disk") == made


def test_after_an_error_nothing_has_changed(tmp_path: Path) -> None:
    (tmp_path / "7.bin").write_bytes(b"older")
    with pytest.raises(TypeError):
        write(tmp_path, {f"{number}.bin": b"newer" for number in range(300)} | {"300.bin": "no bytes"})
    assert contents(tmp_path) == {"7.bin": b"older"}


def test_a_write_that_fails_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path, {"small.bin": bytes(1000), "large.bin": bytes(200_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert contents(tmp_path) == {}
    assert not [name for name in os.listdir("/proc/self/fd") if str(tmp_path) in _target(name)]


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""
