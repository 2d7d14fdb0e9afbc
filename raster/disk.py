"""Files written whole, and full disks: told by whatever error a library makes of them, or by the room that is left."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

TEMPORARY_PREFIX = ".tmp-"

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system answers where a disk, or what a user may have of it, is full."""

# Libraries in C say this in words only.
_WORDS = re.compile(r"no space left on|disk quota exceeded|disk (is )?full", re.IGNORECASE)
_NEARLY_NOTHING = 64 * 1024


def says_full(error: BaseException) -> bool:
    """Return whether an error, or one that led to it, says that a disk is full.

    Args:
        error: As caught.
    """
    chain: BaseException | None = error
    while chain is not None:
        if (isinstance(chain, OSError) and chain.errno in FULL) or _WORDS.search(str(chain)):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def problem_of_a_disk(error: BaseException) -> str:
    """Return what a disk refused and what to do about it, in words for people; empty where it is something else.

    Args:
        error: That ended a command.
    """
    words, code = str(error), error.errno if isinstance(error, OSError) else None
    if isinstance(error, OSError) and error.filename is not None:
        words = f"{error.filename}: {error.strerror}"
    if says_full(error):
        return f"{words}. Make room on its disk and give the same command again; what was finished before stays."
    remedies = {
        errno.EFBIG: "Raise the limit of the size of files (`ulimit -f`), or write to a disk that takes larger ones",
        errno.EROFS: "Write to another disk",
        errno.EACCES: "Change its permissions, or give another path",
        errno.EPERM: "Change its permissions, or give another path",
        errno.EIO: "Check the disk: it is damaged, or was lost on the network",
    }
    return f"{words}. {remedies[code]}; then give the same command again." if code in remedies else ""


def is_full(path: Path) -> bool:
    """Return whether hardly anything can be written to a disk any more: some libraries fail without saying why.

    Args:
        path: A file or folder, which need not exist.
    """
    return free_bytes(path) < _NEARLY_NOTHING


@contextmanager
def told_of(place: Path, written: Path) -> Iterator[None]:
    """Name what is being made where the disk is full, while what was written so far still fills it.

    Args:
        place: What is made, for the message.
        written: File or folder that is written to.

    Raises:
        OSError: The disk is full, also where the library that writes says something else; it names `place`.
    """
    try:
        yield
    except Exception as error:
        # What a room raises on purpose has another reason, unless it says that this is it.
        if says_full(error) or (is_full(written) and not hasattr(error, "exit_status")):
            what = getattr(error, "strerror", None) or error
            raise OSError(errno.ENOSPC, f"no space left on its disk ({what})", str(place)) from error
        raise


@contextmanager
def atomic_path(path: Path, prefix: str = TEMPORARY_PREFIX) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it to `path`, else remove it.

    Args:
        path: Final name; its folder is made where it is missing, a file of the name is replaced.
        prefix: What the temporary name starts with.

    Yields:
        The name to write to. It keeps the suffix, so that libraries which choose a format by suffix work.

    Raises:
        OSError: The disk is full, also where the library that writes says something else; it names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{prefix}{uuid4().hex[:12]}-{path.name}")
    try:
        with told_of(path, temporary):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def free_bytes(path: Path) -> int:
    """Return the bytes that can still be written on the disk of `path` (or of its nearest parent that exists)."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def format_bytes(count: float) -> str:
    """Return a number of bytes for people: "1.5 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
