"""Writing the many files of a unit durably without waiting for the disk after each."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from pipeline.files import TEMPORARY_PREFIX, digest_bytes
from pipeline.stage import Output

_THREADS = 8
_AHEAD = 32


class FileBatch:
    """A context manager that writes files under temporary names and renames them all on a clean exit.

    Writing and flushing to disk happen in threads, at most `_AHEAD` files behind: disks flush many files at once far
    faster than one after another. After an exception nothing is renamed and the temporary files are removed.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._mark = uuid4().hex[:12]
        self._files: list[tuple[Path, Path]] = []
        self._pending: list[Future[None]] = []

    def __enter__(self) -> FileBatch:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="write")
        return self

    def add(self, path: str, data: bytes) -> Output:
        """Write `data` to `path`, relative to the workspace, whose folder exists. Raises OSError of earlier writes."""
        target = self._workspace / path
        temporary = target.with_name(f"{TEMPORARY_PREFIX}{self._mark}-{target.name}")
        self._files.append((temporary, target))
        self._pending.append(self._pool.submit(_write, temporary, data))
        if len(self._pending) > _AHEAD:
            self._pending.pop(0).result()
        return Output(path, len(data), digest_bytes(data))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                for future in self._pending:
                    future.result()
                # Replacing an older file waits for the disk too.
                list(self._pool.map(lambda file: file[0].replace(file[1]), self._files))
        finally:
            self._pool.shutdown(cancel_futures=True)
            for temporary, _ in self._files:
                temporary.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())
