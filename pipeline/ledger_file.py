"""The file of the ledger: how SQLite keeps it on which file system, and what is said where it cannot be used.

On a file system of one machine it is in WAL mode, so that it can be read beside a run at any time. On others, such as
NFS, it keeps a rollback journal, which needs no memory that processes share: a reader may then wait for a moment.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Self

from pipeline.errors import DiskFullError, WorkspaceError
from pipeline.filesystem import is_local
from raster.disk import format_bytes, free_bytes, is_full, says_full

_SCHEMA = """
CREATE TABLE IF NOT EXISTS stages (name TEXT PRIMARY KEY, ordinal INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (
    stage TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL,
    planned INTEGER NOT NULL, ordinal INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', traceback TEXT NOT NULL DEFAULT '', worker TEXT NOT NULL DEFAULT '',
    started TEXT, ended TEXT, result TEXT,
    PRIMARY KEY (stage, name)
);
CREATE TABLE IF NOT EXISTS facts (
    stage TEXT NOT NULL, name TEXT NOT NULL, facts TEXT NOT NULL, PRIMARY KEY (stage, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS digests (file TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replaced (path TEXT PRIMARY KEY, stage TEXT NOT NULL, unit TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS units_by_state ON units (planned, stage, state);
"""


class LedgerFile:
    """The open file, with its tables. Use as a context manager."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the ledger.

        Args:
            path: The SQLite file; made if missing, unless it is only read.
            read_only: Open without the right to change anything; the file must be there.

        Raises:
            WorkspaceError: It is to be read but is not there, is just being made, or is no ledger.
        """
        self._path = path
        self._closing = ExitStack()
        if read_only and not path.exists():
            raise WorkspaceError(f"no run has begun in {path.parent.parent} yet (no {path.name}): run first.")
        with self._named():
            if read_only:
                self._db = self._open_to_read()
            else:
                self._db = sqlite3.connect(f"{path.as_uri()}?mode=rwc", uri=True, timeout=30)
                self._set_journal()
                self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        if read_only and not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'units'"):
            raise WorkspaceError(f"a run is just beginning in {path.parent.parent}: ask again in a moment.")

    def _open_to_read(self) -> sqlite3.Connection:
        """Open the file, or a copy of it where nothing can be written beside it, as SQLite needs to."""
        path = self._path
        if not os.access(path.parent, os.W_OK) or is_full(path.parent):
            folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="ledger-")))
            for suffix in ("", "-wal", "-journal"):
                beside = path.with_name(path.name + suffix)
                if beside.exists():
                    shutil.copyfile(beside, folder / beside.name)
            path = folder / path.name
        mode = "ro" if path is self._path else "rw"
        return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=30)

    def _set_journal(self) -> None:
        if is_local(self._path.parent):
            self._db.execute("PRAGMA journal_mode = WAL")
            # Losing the last rows to a power cut is harmless: their units are done again, to the same bytes.
            self._db.execute("PRAGMA synchronous = NORMAL")
            return
        # A ledger that was in WAL mode, on another disk, is opened without shared memory if this process has it alone.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.execute("PRAGMA locking_mode = NORMAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("SELECT count(*) FROM sqlite_master").fetchall()  # leaves the exclusive mode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._db.close()
        self._closing.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn SQLite's errors, and rows that make no sense, into errors that name the file and the remedy.

        Holds nothing: a stop (see `pipeline.run`) may come between its beginning and the block it is for.
        """
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            free = format_bytes(free_bytes(self._path.parent))
            code = getattr(error, "sqlite_errorcode", None)
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise WorkspaceError(
                    f"the ledger {self._path} is in use by another process ({error}). Try again once it has ended."
                ) from error
            full = code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE) or says_full(error)
            if full or is_full(self._path.parent):  # SQLite may not say why it cannot write beside the file
                raise DiskFullError(
                    f"the ledger {self._path} cannot grow: {error} ({free} free). Make room and run again: it goes on."
                ) from error
            raise WorkspaceError(
                f"the ledger {self._path} cannot be used: {error} ({free} free on its disk). "
                "Check that the file is readable and writable and its disk intact. "
                f"If it is damaged, remove {self._path.name} and what is named {self._path.name}-* beside it: "
                "the units are then done again."
            ) from error

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._named(), closing(self._db.execute(query, values)) as cursor:
            return cursor.fetchall()

    def _rows_if_there(self, table: str, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return rows of a table that ledgers of earlier versions of the program lack until they are written to."""
        there = self._rows("SELECT 1 FROM sqlite_master WHERE name = ?", (table,))
        return self._rows(query, values) if there else []
