"""Digests of input files: read again when the file may have changed, and only then."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pipeline import digests
from pipeline.digests import DigestCache
from pipeline.files import digest_bytes

pytestmark = pytest.mark.unit

LONG_AGO = 1_700_000_000_000_000_000


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that were read."""
    files: list[Path] = []
    digest = digests.digest_file

    def counted(path: Path) -> str:
        files.append(path)
        return digest(path)

    monkeypatch.setattr(digests, "digest_file", counted)
    return files


def write(path: Path, data: bytes, modified: int = LONG_AGO) -> Path:
    path.write_bytes(data)
    os.utime(path, ns=(modified, modified))
    return path


def test_a_file_is_read_once_also_by_the_next_run(
    tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED_NS", -1)  # as if it had been written long ago
    path = write(tmp_path / "a", b"one")
    first = DigestCache()
    assert first.digest(path) == first.digest(path) == digest_bytes(b"one")
    assert DigestCache(first.fresh).digest(path) == digest_bytes(b"one")
    assert read == [path]


def test_a_file_that_moved_has_the_digest_that_it_had(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"one")
    assert DigestCache().digest(path) == DigestCache().digest(path.rename(tmp_path / "b"))


def test_another_content_of_the_same_size_and_date_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of archives that give all files one date: in place, or as a new file that gets the inode of the old."""
    monkeypatch.setattr(digests, "_SETTLED_NS", -1)
    first = DigestCache()
    path = write(tmp_path / "a", b"one")
    assert first.digest(path) == digest_bytes(b"one")
    time.sleep(0.05)  # the kernel's clock of files ticks a hundred times a second or more
    write(path, b"two")
    assert DigestCache(first.fresh).digest(path) == digest_bytes(b"two")


def test_another_content_is_seen_by_its_size_its_time_or_its_inode(tmp_path: Path) -> None:
    cache = DigestCache()
    path = write(tmp_path / "a", b"one")
    assert cache.digest(path) == digest_bytes(b"one")
    write(path, b"four")
    assert cache.digest(path) == digest_bytes(b"four")
    write(path, b"five", LONG_AGO + 1)
    assert cache.digest(path) == digest_bytes(b"five")
    write(tmp_path / "new", b"nine", LONG_AGO + 1).replace(path)
    assert cache.digest(path) == digest_bytes(b"nine")


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    cache = DigestCache()
    assert cache.digest(tmp_path / "a") == digest_bytes(b"one")
    assert cache.fresh == {}


def test_what_cannot_be_read_is_absent(tmp_path: Path) -> None:
    assert DigestCache().digest(tmp_path / "none") == "absent"
    assert DigestCache().digest(tmp_path) == "absent"
    os.mkfifo(tmp_path / "pipe")
    assert DigestCache().digest(tmp_path / "pipe") == "absent"
