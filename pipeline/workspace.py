"""The workspace: one folder that holds everything a run makes, with its layout version and its locks.

engine/workspace.json     layout version
engine/lock               held by the one process that may write (flock); names its holder
engine/workers.lock       held, shared, by every process that is doing a unit; names the run they work for
engine/ledger.sqlite      what became of every unit
engine/runs/*.json        resolved config and versions of every run
<stage's folders>/...     outputs of units
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import DiskFullError, TransientError, WorkspaceError
from pipeline.files import write_json
from raster.disk import FULL, format_bytes, free_bytes
from raster.strict_json import read_json

LAYOUT = 1
HAND_OVER_SECONDS = 120.0


class Workspace:
    """A folder of the layout above. `create` makes it where missing; without, a missing one is an error."""

    def __init__(self, root: Path, *, create: bool = False) -> None:
        """Open a workspace.

        Args:
            root: Its folder; kept as an absolute path.
            create: Make what is missing; without, a folder without the layout is an error.

        Raises:
            WorkspaceError: The folder is no workspace, or one of another layout.
        """
        self.root = root.absolute()
        self.engine = self.root / "engine"
        self.runs = self.engine / "runs"
        self.ledger = self.engine / "ledger.sqlite"
        self._version = self.engine / "workspace.json"
        if create:
            self._create()
        self._check_layout()

    def _create(self) -> None:
        with self.writing():
            self.runs.mkdir(parents=True, exist_ok=True)
            if not self._version.exists():
                write_json(self._version, {"layout": LAYOUT})
            with (self.engine / "lock").open("a"), (self.engine / "workers.lock").open("a"):
                pass

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an OSError of the driver's own writes into an error that says what to do.

        Raises:
            DiskFullError: The disk is full.
            WorkspaceError: The workspace cannot be written for another reason.
        """
        try:
            yield
        except OSError as error:
            where = (
                f"workspace {self.root} cannot be written: {error.strerror or error} ({error.filename or self.root})"
            )
            if error.errno in FULL:
                free = format_bytes(free_bytes(self.root))
                raise DiskFullError(
                    f"{where}, {free} free. Make room and run again: it goes on where it was."
                ) from error
            raise WorkspaceError(
                f"{where}. Give another folder with --workspace, or fix its permissions or its disk."
            ) from error

    def _check_layout(self) -> None:
        try:
            layout = read_json(self._version)["layout"]
        except FileNotFoundError:
            raise WorkspaceError(
                f"{self.root} is not a workspace (no {self._version.relative_to(self.root)} in it). "
                "Give the folder of an earlier run with --workspace."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorkspaceError(
                f"{self._version} cannot be read: {error}. Restore it, or start another workspace."
            ) from error
        if layout != LAYOUT:
            raise WorkspaceError(
                f"workspace {self.root} has layout {layout}, this version of the program writes layout {LAYOUT}. "
                "Use the version that made it, or start another workspace."
            )

    @contextmanager
    def lock(self, purpose: str) -> Iterator[None]:
        """Hold the workspace for writing.

        Args:
            purpose: What others are told who want to hold it, such as "a run".

        Raises:
            WorkspaceError: Another process holds it; the message names it.
        """
        with self.writing():
            opened = (self.engine / "lock").open("a+")
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise self._refused(error) from None
            holder = {"purpose": purpose, "pid": os.getpid(), "host": socket.gethostname(), "since": now()}
            with self.writing():
                file.truncate(0)
                os.write(file.fileno(), json.dumps(holder).encode())
            yield

    def holder(self) -> dict[str, str] | None:
        """Return who holds the workspace now (purpose, pid, host, since), or None."""
        path = self.engine / "lock"
        unknown = {"purpose": "another process", "pid": "unknown", "host": "unknown", "since": "unknown"}
        try:
            file = path.open("rb")
        except OSError:
            return None  # nobody has held it yet, or it was removed
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                with suppress(ValueError, AttributeError, OSError):
                    return unknown | {key: str(value) for key, value in read_json(path).items()}
                return unknown
        return None

    def _refused(self, error: OSError) -> WorkspaceError:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            return WorkspaceError(
                f"workspace {self.root} cannot be locked: {error.strerror}. Its file system must support flock; "
                "give a folder on another disk with --workspace."
            )
        held = self.holder() or {"purpose": "another process", "pid": "unknown", "host": "unknown", "since": "just now"}
        return WorkspaceError(
            f"workspace {self.root} is in use by {held['purpose']} (process {held['pid']} on {held['host']}, "
            f"since {held['since']}). Wait until it has ended, stop it, or give another folder with --workspace."
        )

    def hand_over(self, run_id: str) -> None:
        """Make `run_id` the one run that workers may write for, once those of earlier runs have put down their units.

        A driver that was killed may leave workers behind (on a cluster, for as long as their unit takes).

        Args:
            run_id: Of the run that begins; the caller holds `lock`.

        Raises:
            WorkspaceError: Workers of an earlier run still write after `HAND_OVER_SECONDS`.
        """
        with (self.engine / "workers.lock").open("r+") as file:
            deadline = time.monotonic() + HAND_OVER_SECONDS
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise WorkspaceError(
                            f"workers of an earlier run still write to {self.root} after {HAND_OVER_SECONDS:.0f} s. "
                            "Wait until they have ended, or stop them, and run again."
                        ) from None
                    time.sleep(0.1)
            file.truncate()
            file.write(run_id)


@contextmanager
def working_for(root: Path, run_id: str) -> Iterator[None]:
    """Hold the right to write outputs for a run while a unit is done.

    Args:
        root: Folder of the workspace, as the worker sees it.
        run_id: Of the run that the unit belongs to.

    Yields:
        Nothing; a run that takes over waits for a while until all who hold the right have ended.

    Raises:
        TransientError: The workspace is not seen from here, or another run has taken it over.
    """
    path = root / "engine" / "workers.lock"
    try:
        file = path.open()
    except OSError as error:
        raise TransientError(
            f"{socket.gethostname()} does not see the workspace: {path}: {error.strerror}. "
            "Put the workspace on a disk that every worker mounts under the same path."
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        if file.read() != run_id:
            raise TransientError(f"another run has taken over the workspace {root}; this unit is left to it.")
        yield


def now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
