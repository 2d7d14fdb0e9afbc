"""Tiles already fetched, kept on disk until the disk budget wants the room: one SQLite file a raster.

Only good answers come in: whole pictures, and the fact that a tile does not exist. A killed process loses at most the
tiles of the last moment, and a run that is repeated asks the service for nothing it has answered.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from types import TracebackType

from pipeline.errors import PermanentError

_COMMIT_EVERY_S = 1.0


class TileCache:
    """Tiles of one service and zoom by (x, y). A context manager; one process writes it at a time.

    `identity` names service, layer and zoom: a file of another identity is started anew.
    """

    def __init__(self, path: Path, identity: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._identity = identity
        self._committed = time.monotonic()

    def __enter__(self) -> TileCache:
        self._database = self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.commit()
        self._database.close()

    def get(self, x: int, y: int) -> tuple[bool, bytes | None]:
        """Return (known, body); body None if the service said that there is no such tile."""
        row = self._database.execute("SELECT body FROM tiles WHERE x = ? AND y = ?", (x, y)).fetchone()
        return (False, None) if row is None else (True, row[0])

    def put(self, x: int, y: int, body: bytes | None) -> None:
        """Remember a tile, or that there is none."""
        self._database.execute("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?)", (x, y, body))
        if time.monotonic() - self._committed > _COMMIT_EVERY_S:
            self._database.commit()
            self._committed = time.monotonic()

    def forget(self, x: int, y: int) -> None:
        """Drop a tile that turned out bad, so that it is asked for again."""
        self._database.execute("DELETE FROM tiles WHERE x = ? AND y = ?", (x, y))

    def _open(self) -> sqlite3.Connection:
        try:
            return self._prepare()
        except sqlite3.DatabaseError:
            # A torn or foreign file: nothing in it can be trusted, and all of it can be fetched again.
            self._remove()
            return self._prepare()

    def _prepare(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path)
        database.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
            "CREATE TABLE IF NOT EXISTS identity (value TEXT PRIMARY KEY);"
            "CREATE TABLE IF NOT EXISTS tiles (x INTEGER, y INTEGER, body BLOB, PRIMARY KEY (x, y));"
        )
        known = database.execute("SELECT value FROM identity").fetchall()
        if known != [(self._identity,)]:
            database.execute("DELETE FROM tiles")
            database.execute("DELETE FROM identity")
            database.execute("INSERT INTO identity VALUES (?)", (self._identity,))
            database.commit()
        return database

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def evict(folder: Path, budget_bytes: int, keep: Path) -> None:
    """Delete the longest unused stores of `folder`, except `keep`, until all fit the budget.

    Raises `PermanentError` if `keep` alone exceeds it.
    """
    # A store may vanish between the listing and a look at it: another worker makes room too.
    files = {path: status for path in folder.rglob("*.sqlite*") if (status := _stat(path)) is not None}
    total = sum(size for size, _ in files.values())
    for path, (size, _) in sorted(files.items(), key=lambda item: item[1][1]):
        if total <= budget_bytes:
            return
        if not path.name.startswith(keep.name):
            path.unlink(missing_ok=True)
            total -= size
    if total > budget_bytes:
        raise PermanentError(
            f"the tile cache {folder} needs {total / 1e9:.2f} GB for one raster but its budget is "
            f"{budget_bytes / 1e9:.2f} GB: raise cache_gb or take smaller sites"
        )


def _stat(path: Path) -> tuple[int, float] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime
