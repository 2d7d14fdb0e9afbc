"""Progress inside a unit: a small file of the workspace, which the unit's process rewrites and anybody may read.

A unit may take hours, such as 4,000 pictures from a slow service. Its code asks for `current_progress()` and
tells it what it has done and what it waits for; the run's bars, its plain lines and `status` show that.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from pipeline.files import digest_bytes
from raster.strict_json import read_json

FOLDER = "engine/progress"
_WRITE_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Standing:
    """Where a unit stands.

    Attributes:
        stage: Its stage.
        unit: Its name.
        noun: What is counted, such as "pictures".
        done: How many of them are done.
        total: How many there are.
        rate: Newly done a second since the unit began.
        waiting: What it waits for and why, "" if for nothing.
        updated: Seconds since 1970.
    """

    stage: str
    unit: str
    noun: str
    done: int
    total: int
    rate: float
    waiting: str
    updated: float

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the unit is done at this rate; None as long as nothing is done."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    def __str__(self) -> str:
        left = f", about {self.seconds_left:.0f} s left" if self.seconds_left else ""
        waiting = f"; {self.waiting}" if self.waiting else ""
        return f"{self.done:,}/{self.total:,} {self.noun}, {self.rate:.1f}/s{left}{waiting}"


class UnitProgress:
    """What the code of a unit tells of itself. Safe to call from any thread; writes at most once a second.

    Args:
        root: The workspace; None writes nothing.
        stage: The unit's stage.
        unit: The unit's name.
    """

    def __init__(self, root: Path | None = None, stage: str = "", unit: str = "") -> None:
        self._path = (
            root / FOLDER / f"{digest_bytes(f'{stage} {unit}'.encode())[:32]}.json" if root is not None else None
        )
        self._stage, self._unit = stage, unit
        self._lock = threading.Lock()
        self._noun, self._done, self._known, self._total = "", 0, 0, 0
        self._began = self._written = time.monotonic()
        self._waiting = ""

    def begin(self, total: int, noun: str) -> None:
        """Say how many there are of what; counting starts at 0.

        Args:
            total: How many there are to do.
            noun: Plural of what is counted, such as "pictures".
        """
        with self._lock:
            self._noun, self._total, self._done, self._known = noun, total, 0, 0
            self._began, self._waiting = time.monotonic(), ""
            self._write()

    def advance(self, count: int = 1, *, known: bool = False) -> None:
        """Say that more are done: what was waited for has come. Those that were `known` before count in no rate.

        Args:
            count: How many more are done.
            known: They were there already, such as in a cache; counted in the rate they would make the time left too
                short.
        """
        with self._lock:
            self._done += count
            self._known += count if known else 0
            self._waiting = ""
            self._write_now_and_then()

    def waits(self, what: str) -> None:
        """Say what is waited for and why, such as "host:8000: status 503, attempt 2 of 8"."""
        with self._lock:
            self._waiting = what
            self._write_now_and_then()

    def end(self) -> None:
        """Remove the file."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _write_now_and_then(self) -> None:
        if time.monotonic() >= self._written + _WRITE_EVERY_SECONDS:
            self._write()

    def _write(self) -> None:
        self._written = now = time.monotonic()
        if self._path is None:
            return
        rate = (self._done - self._known) / max(now - self._began, 1e-9)
        standing = Standing(
            self._stage, self._unit, self._noun, self._done, self._total, rate, self._waiting, time.time()
        )
        # A unit's work never fails because its progress cannot be told.
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            temporary = self._path.with_name(f".{uuid4().hex}")
            temporary.write_text(json.dumps(asdict(standing)))
            temporary.replace(self._path)


_CURRENT: ContextVar[UnitProgress | None] = ContextVar("unit_progress", default=None)


def current_progress() -> UnitProgress:
    """Return the progress of the unit that this thread does. Other threads do not inherit it: pass it to them."""
    return _CURRENT.get() or UnitProgress()


@contextmanager
def telling(root: Path, stage: str, unit: str) -> Iterator[None]:
    """Make a unit's progress the current one while it is done; its file goes when it has ended.

    Args:
        root: The workspace.
        stage: The unit's stage.
        unit: The unit's name.
    """
    progress = UnitProgress(root, stage, unit)
    token = _CURRENT.set(progress)
    try:
        yield
    finally:
        _CURRENT.reset(token)
        progress.end()


def read_standings(root: Path) -> list[Standing]:
    """Return where the units stand that are being done, by stage and name. What cannot be read is left out."""
    found = []
    for path in (root / FOLDER).glob("*.json"):
        with suppress(OSError, ValueError, TypeError):
            found.append(Standing(**read_json(path)))
    return sorted(found, key=lambda each: (each.stage, each.unit))


def forget_standings(root: Path) -> None:
    """Remove what units of earlier runs told that were killed."""
    for path in (root / FOLDER).glob("*"):
        with suppress(OSError):
            path.unlink()
