"""Tiles already fetched, kept on disk within a budget: one SQLite file a raster.

Only valid responses are kept: whole pictures, and until the raster is complete the fact that a tile does not exist. A
killed process loses at most the tiles of the last second, and a repeated run requests no tile that it has.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from types import TracebackType

from pipeline.errors import PermanentError

_COMMIT_EVERY_S = 1.0
_MAX_ABSENCE_S = 86400.0
"""How long a killed run's knowledge that a tile does not exist is believed."""


class TileCache:
    """Tiles of one service and zoom by (x, y). A context manager; one process writes it at a time.

    Args:
        path: The file; made if there is none.
        identity: Names service, layer and zoom: a file of another identity is emptied.
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
        """Return (known, body); the body is None if the service said lately that there is no such tile.

        Args:
            x: Column of the tile.
            y: Row of the tile.

        Returns:
            Whether the tile is known, and its body.
        """
        row = self._database.execute("SELECT body FROM tiles WHERE x = ? AND y = ?", (x, y)).fetchone()
        return (False, None) if row is None else (True, row[0])

    def put(self, x: int, y: int, body: bytes | None) -> None:
        """Keep a tile, or the fact that there is none.

        Args:
            x: Column of the tile.
            y: Row of the tile.
            body: The response's body; None for a tile that does not exist.
        """
        self._database.execute("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, ?)", (x, y, body, time.time()))
        if time.monotonic() - self._committed > _COMMIT_EVERY_S:
            self._database.commit()
            self._committed = time.monotonic()

    def delete(self, x: int, y: int) -> None:
        """Delete a tile that turned out damaged, so that it is requested again.

        Args:
            x: Column of the tile.
            y: Row of the tile.
        """
        self._database.execute("DELETE FROM tiles WHERE x = ? AND y = ?", (x, y))

    def delete_absences(self) -> None:
        """Delete the facts that tiles do not exist, so that they are requested again."""
        self._database.execute("DELETE FROM tiles WHERE body IS NULL")

    def _open(self) -> sqlite3.Connection:
        try:
            return self._prepare()
        except sqlite3.DatabaseError:
            # Nothing in a damaged or foreign file can be trusted, and all of it can be fetched again.
            self._remove()
            return self._prepare()

    def _prepare(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path)
        database.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
            "CREATE TABLE IF NOT EXISTS identity (value TEXT PRIMARY KEY);"
            "CREATE TABLE IF NOT EXISTS tiles (x INTEGER, y INTEGER, body BLOB, fetched REAL, PRIMARY KEY (x, y));"
        )
        stale = "DELETE FROM tiles WHERE body IS NULL AND abs(? - fetched) > ?"
        database.execute(stale, (time.time(), _MAX_ABSENCE_S))
        database.commit()
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
    """Delete the longest unused caches of a folder until all fit the budget.

    Args:
        folder: Holds the caches, at any depth.
        budget_bytes: Greatest size of all together.
        keep: The cache in use, which is not deleted.

    Raises:
        PermanentError: `keep` alone exceeds the budget.
    """
    # A cache may vanish between the listing and a look at it, because another worker evicts too.
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
