"""Full disks, whatever a library calls them."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from raster.disk import format_bytes, free_bytes, is_full, says_full

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), True),
        (OSError(errno.EDQUOT, "Quota"), True),
        (RuntimeError("TIFFAppendToStrip:Write error: No space left on device"), True),
        (RuntimeError("database or disk is full"), True),
        (OSError(errno.EROFS, "Read-only file system"), False),
        (ValueError("diskful"), False),
    ],
)
def test_what_says_that_a_disk_is_full(error: Exception, full: bool) -> None:
    assert says_full(error) is full
    later = KeyError("what it led to")
    later.__context__ = error
    assert says_full(later) is full


def test_bytes_for_people(tmp_path: Path) -> None:
    assert [format_bytes(count) for count in (0, 1023, 1536, 3 * 2**30, 2**43)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "3.0 GiB",
        "8.0 TiB",
    ]
    assert free_bytes(tmp_path / "not" / "there") == free_bytes(tmp_path)
    assert not is_full(tmp_path)
