"""The raster pairs of a workspace, as its ledger lists them. Nothing else of the workspace can be asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.ledger import Ledger, State
from pipeline.stage import Outcome
from pipeline.workspace import Workspace
from raster.grid import Grid
from raster.strict_json import read_json
from review.errors import Refused
from stages.align import AlignParams
from stages.rasters import SIDES
from stages.review import alignment_output
from stages.tile import TileParams

_FRESH_SECONDS = 1.0
"""So long what was read of the ledger is taken for current."""


@dataclass(frozen=True)
class Side:
    """One raster of a pair."""

    path: Path
    digest: str
    grid: Grid

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.grid.width, self.grid.height


@dataclass(frozen=True)
class Site:
    """A raster pair: what the ledger says of it.

    Attributes:
        name: "001/1".
        sides: The rasters, `map` and `visible`.
        state: Of its unit of `align`.
        reason: Why it is refused, or what is to be said of it.
        alignment: Path and digest of `alignment.json`; None where there is none yet.
        aligned: Content of that file, empty where there is none.
        review: Data of its unit of `review`, empty where it was not run yet.
    """

    name: str
    sides: Mapping[str, Side]
    state: str
    reason: str
    alignment: tuple[Path, str] | None
    aligned: Mapping[str, Any]
    review: Mapping[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether its alignment passed the tests."""
        return self.state == State.DONE


class Sites:
    """The raster pairs by name, read again from the ledger when it may have changed."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.root = workspace.root
        self._read = 0.0
        self._stamp: object = None
        self._sites: dict[str, Site] = {}
        self.version = 0
        """Grows whenever the ledger was read again."""

    def all(self) -> Mapping[str, Site]:
        """Return all raster pairs of which both rasters are there, in the order of the plan."""
        if time.monotonic() - self._read > _FRESH_SECONDS:
            stamp = [_stamp(self.workspace.ledger.with_name(self.workspace.ledger.name + end)) for end in ("", "-wal")]
            if stamp != self._stamp:
                self._sites, self._stamp = self._load(), stamp
                self.version += 1
            self._read = time.monotonic()
        return self._sites

    def get(self, name: str) -> Site:
        """Return a raster pair. Raises Refused (404) where the ledger has none of that name."""
        site = self.all().get(name)
        if site is None:
            raise Refused(404, f"there is no raster pair {name[:40]!r} in this workspace")
        return site

    def align_params(self) -> AlignParams:
        """Return the parameters of the latest run's stage `align`, its defaults where no run is on record."""
        return _params(AlignParams, self._recorded("align"))

    def tile_params(self) -> TileParams:
        """Return the parameters of the latest run's stage `tile`, its defaults where no run is on record."""
        return _params(TileParams, self._recorded("tile"))

    def within(self, path: str) -> Path:
        """Return a file of the workspace. Raises Refused (404) where it lies elsewhere, also by a symbolic link."""
        found = (self.root / path).resolve()
        if not found.is_relative_to(self.root.resolve()) or not found.is_file():
            raise Refused(404, "that file is not in the workspace")
        return found

    def _load(self) -> dict[str, Site]:
        with Ledger(self.workspace.ledger, read_only=True) as ledger:
            acquired, records = ledger.results("acquire"), ledger.records("align")
            reviewed = ledger.results("review")
        sites = {}
        for name in dict.fromkeys(name.rpartition("/")[0] for name in acquired):
            both = {side: acquired.get(f"{name}/{side}") for side in SIDES}
            sides = {
                side: Side(self.root / made.data["path"], made.data["digest"], Grid.from_json(made.data))
                for side, made in both.items()
                if made is not None and made.outcome is Outcome.DONE
            }
            if len(sides) < len(SIDES):
                continue
            record = records.get(name)
            result = record.result if record is not None and record.planned else None
            found = alignment_output(result) if result is not None else None
            sites[name] = Site(
                name,
                sides,
                record.state.value if record is not None else State.PENDING.value,
                record.reason if record is not None else "",
                (self.root / found[0], found[1]) if found else None,
                result.data if result is not None else {},
                reviewed[name].data if name in reviewed else {},
            )
        return sites

    def _recorded(self, stage: str) -> Mapping[str, Any]:
        records = sorted(self.workspace.runs.glob("*.json"))
        with suppress(OSError, ValueError, KeyError, TypeError, IndexError):
            found: Mapping[str, Any] = read_json(records[-1])["config"]["stages"][stage]
            return found
        return {}


def _params(model: type[Any], value: Mapping[str, Any]) -> Any:
    assert issubclass(model, BaseModel)
    try:
        return model.model_validate(value)
    except ValidationError:  # of another version of the program
        return model()


def _stamp(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    return None
