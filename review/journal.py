"""The journal: every state that people gave to a raster pair, in order, appended and flushed before files change.

One JSON object a line: number, time, operator, site, what was done, tags of the state before and after, and the state
itself, to which one can go back. Verdicts on pairs of tiles are entries too, of their site, with the whole list.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.workspace import now
from raster.strict_json import parse_json
from review.errors import ReviewError


@dataclass(frozen=True)
class Entry:
    """A line of the journal without its state: `offset` is where it begins in the file."""

    number: int
    offset: int
    time: str
    operator: str
    site: str
    action: str
    before: str
    after: str
    summary: str


class Journal:
    """The open journal of a workspace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without a buffer: what a full disk refused must not be written later.
        self._file = path.open("ab", buffering=0)
        self.entries: list[Entry] = []
        self._last: dict[tuple[str, bool], Entry] = {}
        end = 0
        for offset, line in self._lines():
            try:
                self._add(offset, parse_json(line))
            except (ValueError, KeyError, TypeError) as error:
                raise ReviewError(
                    f"{path}: line {len(self.entries) + 1} is damaged ({error}); move the file away, or repair it"
                ) from error
            end = offset + len(line)
        self._file.truncate(end)  # a line without an end was never acknowledged

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        offset = 0
        with self._path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield offset, line
                offset += len(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def last(self, site: str, tiles: bool = False) -> Entry | None:
        """Return the latest entry of a site.

        Args:
            site: The raster pair.
            tiles: About its pairs of tiles; else about its document.
        """
        return self._last.get((site, tiles))

    def of(self, site: str | None) -> list[Entry]:
        """Return the entries of a site, or all, the latest first."""
        return [entry for entry in reversed(self.entries) if site is None or entry.site == site]

    def append(
        self, operator: str, site: str, action: str, before: str, after: str, state: Any, summary: str = ""
    ) -> Entry:
        """Add an entry; when this returns it is on the disk.

        Args:
            operator: Who did it.
            site: The raster pair.
            action: `points`, `verdict`, `revert`, `outside` (changed by other means than the page), or `tiles`.
            before: Tag of the state before.
            after: Tag of the state after.
            state: The state after, JSON-able.
            summary: What was done, in a few words.

        Raises:
            OSError: The disk is full or broken; the journal is as it was.
        """
        said = {"number": len(self.entries) + 1, "time": now(), "operator": operator, "site": site, "action": action}
        value = said | {"before": before, "after": after, "summary": summary, "state": state}
        offset = self._file.seek(0, os.SEEK_END)
        rest = memoryview(json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(offset)  # the next line must not continue this one
            raise
        return self._add(offset, value)

    @contextmanager
    def entered(
        self, operator: str, site: str, action: str, before: str, after: str, state: Any, summary: str = ""
    ) -> Iterator[Entry]:
        """Add an entry before the block that writes the files; take it back if that fails.

        Args:
            operator: As for `append`, and so are the others.
            site: The raster pair.
            action: What was done.
            before: Tag of the state before.
            after: Tag of the state after.
            state: The state after.
            summary: In a few words.

        Yields:
            The entry.
        """
        entry = self.append(operator, site, action, before, after, state, summary)
        try:
            yield entry
        except BaseException:
            self._take_back(entry)
            raise

    def _take_back(self, entry: Entry) -> None:
        if self.entries[-1] is not entry:
            return  # somebody else's is behind it
        self.entries.pop()
        self._file.truncate(entry.offset)
        key = entry.site, entry.action == "tiles"
        del self._last[key]
        earlier = (each for each in self.of(entry.site) if (each.action == "tiles") == key[1])
        if (last := next(earlier, None)) is not None:
            self._last[key] = last

    def state(self, number: int) -> tuple[Entry, Any] | None:
        """Return an entry and its state; None where there is no such entry."""
        if not 1 <= number <= len(self.entries):
            return None
        entry = self.entries[number - 1]
        with self._path.open("rb") as file:
            file.seek(entry.offset)
            return entry, parse_json(file.readline())["state"]

    def _add(self, offset: int, value: Mapping[str, Any]) -> Entry:
        texts = {key: str(value[key]) for key in ("time", "operator", "site", "action", "before", "after", "summary")}
        entry = Entry(number=int(value["number"]), offset=offset, **texts)
        self.entries.append(entry)
        self._last[entry.site, entry.action == "tiles"] = entry
        return entry
