"""Writing the many files of a unit durably without waiting for the disk after each."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from pipeline.files import TEMPORARY_PREFIX, digest_bytes
from pipeline.stage import Output

_PIECE = 1 << 16
"""Bytes handed to the kernel at once: for larger writes some find memory for the page cache ten times as slowly."""
_MOST_OPEN = 256


class FileBatch:
    """A context manager that writes files under temporary names and renames them all on a clean exit.

    The disk starts to write each file at once, in the background, and is waited for at the end, when most of it is
    done. After an exception nothing is renamed and the temporary files are removed.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._mark = uuid4().hex[:12]
        self._files: list[tuple[Path, Path]] = []
        self._open: deque[int] = deque()

    def __enter__(self) -> FileBatch:
        return self

    def add(self, path: str, data: bytes) -> Output:
        """Write `data` to `path`, relative to the workspace, whose folder exists. Raises OSError."""
        target = self._workspace / path
        temporary = target.with_name(f"{TEMPORARY_PREFIX}{self._mark}-{target.name}")
        self._files.append((temporary, target))
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._open.append(descriptor)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view[:_PIECE]) :]
        # "Not needed" makes the kernel write the pages out, without waiting for it.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        if len(self._open) > _MOST_OPEN:
            self._settle_oldest()
        return Output(path, len(data), digest_bytes(data))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                while self._open:
                    self._settle_oldest()
                while self._files:
                    temporary, target = self._files[-1]
                    temporary.replace(target)
                    self._files.pop()
        finally:
            for descriptor in self._open:
                os.close(descriptor)
            for temporary, _ in self._files:
                temporary.unlink(missing_ok=True)

    def _settle_oldest(self) -> None:
        descriptor = self._open.popleft()
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
