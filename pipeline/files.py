"""Durable files: written atomically, identified by digest.

A file under its final name is always whole: it is written beside its place, flushed to disk and renamed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from blake3 import blake3

from pipeline.errors import DiskFullError, PermanentError
from raster import disk, strict_json

T = TypeVar("T")

TEMPORARY_PREFIX = disk.TEMPORARY_PREFIX
SAVING_PREFIX = ".saving-"
"""Of unfinished files that people write beside a run: a run that starts leaves them alone."""


def digest_bytes(data: bytes | memoryview) -> str:
    """Return the BLAKE3 digest of `data` as 64 hexadecimal digits."""
    return blake3(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the BLAKE3 digest of a file's content as 64 hexadecimal digits.

    Args:
        path: The file; it is mapped, not read into memory.

    Raises:
        OSError: It cannot be read.
    """
    hasher = blake3()
    hasher.update_mmap(path)
    return hasher.hexdigest()


def digest_json(value: Any) -> str:
    """Return the digest of a JSON-able value, independent of the order of keys."""
    return digest_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


@contextmanager
def atomic_path(path: Path, prefix: str = TEMPORARY_PREFIX) -> Iterator[Path]:
    """As `disk.atomic_path`, which see, but a full disk is an error of the pipeline.

    Args:
        path: Final name.
        prefix: What the temporary name starts with.

    Yields:
        The name to write to.

    Raises:
        DiskFullError: The disk is full, also where the library that writes says something else.
    """
    try:
        with disk.atomic_path(path, prefix) as temporary:
            yield temporary
    except OSError as error:
        if error.errno in disk.FULL:
            raise DiskFullError(f"{path}: {error.strerror}") from error
        raise


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path` atomically.

    Args:
        path: Final name; its folder is made where it is missing, a file of the name is replaced.
        data: The whole content; an empty file is fine.

    Raises:
        DiskFullError: The disk is full; a file that was there stays as it was.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_saved(path: Path, data: bytes) -> None:
    """Write a file of a person's atomically, so that a run which starts meanwhile does not sweep it away.

    Args:
        path: Final name; its folder is made where it is missing, a file of the name is replaced.
        data: The whole content.

    Raises:
        DiskFullError: The disk is full; a file that was there stays as it was.
    """
    with atomic_path(path, SAVING_PREFIX) as temporary:
        temporary.write_bytes(data)


def read_json(path: Path, parse: Callable[[Any], T]) -> T:
    """Read a JSON file that an earlier stage wrote.

    Args:
        path: The file.
        parse: What makes an object of its value; where it raises, the file is damaged.

    Raises:
        PermanentError: It is missing, or damaged; the message names it.
    """
    try:
        return parse(strict_json.read_json(path))
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise PermanentError(f"{path}: missing or damaged ({error!r}); verify the workspace") from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically: the same value gives the same bytes.

    Args:
        path: Final name; its folder is made where it is missing, a file of the name is replaced.
        value: Of JSON types only.

    Raises:
        ValueError: A number is not finite, which JSON cannot say.
        DiskFullError: The disk is full; a file that was there stays as it was.
    """
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def sweep_temporary(root: Path, prefix: str = TEMPORARY_PREFIX) -> int:
    """Remove what interrupted writers left under `root` (names starting with `prefix`); return how many.

    Only safe while nobody writes such files there.

    Args:
        root: Folder that is searched with all its subfolders; a folder of such a name goes with its content.
        prefix: `TEMPORARY_PREFIX` for what a run's units leave, `SAVING_PREFIX` for what `write_saved` leaves.
    """
    swept = 0
    for folder, subfolders, names in os.walk(root):
        for name in [name for name in subfolders if name.startswith(prefix)]:
            subfolders.remove(name)
            shutil.rmtree(os.path.join(folder, name))
            swept += 1
        for name in names:
            if name.startswith(prefix):
                os.unlink(os.path.join(folder, name))
                swept += 1
    return swept
