"""Putting a finished folder in the place of an old one, so that a kill leaves either the old or the new."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raster.disk import told_of

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}


@contextmanager
def filling(place: Path) -> Iterator[Path]:
    """Yield a new folder to fill, which is put in the place of an old one on a clean exit; else nothing changes.

    Args:
        place: Final place; it need not exist.

    Yields:
        An empty folder beside it.

    Raises:
        OSError: The disk is full, also where the library that writes says something else; it names `place`.
    """
    recover(place)
    new = place.with_name(f".tmp-{place.name}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        with told_of(place, new):
            yield new
            swap_in(new, place)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def swap_in(new: Path, place: Path) -> None:
    """Flush the folder `new` to disk and move it to `place`; what was there is removed.

    On Linux the two folders are exchanged in one step. Where the system cannot, the old one is moved aside first and
    `recover` completes what a kill left between the two renames.

    Args:
        new: A complete folder on the same file system as `place`; it is gone afterwards.
        place: Final place; it need not exist.
    """
    flush(new)
    if not place.exists():
        new.rename(place)
    elif _exchange(new, place):
        shutil.rmtree(new)
    else:
        aside = _aside(place)
        place.rename(aside)
        new.rename(place)
        shutil.rmtree(aside)
    _flush_folder(place.parent)


def recover(place: Path) -> None:
    """Undo a move that was cut short: bring the old folder back if none is in place, else remove it."""
    aside = _aside(place)
    if aside.exists():
        if place.exists():
            shutil.rmtree(aside)
        else:
            aside.rename(place)


def flush(folder: Path) -> None:
    """Flush files and folders below `folder` to disk. Hard links are skipped: their content was flushed when made."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.stat().st_nlink == 1:
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        _flush_folder(Path(parent))


def _aside(place: Path) -> Path:
    return place.with_name(f".old-{place.name}")


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders by renameat2(2); False if the C library, kernel or file system does not know how."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))
