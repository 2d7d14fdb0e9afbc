"""Stage `tile`: an aligned raster pair -> pairs of tiles, both sides cut onto one grid in one pass.

Inputs: both rasters and `alignment/<point>/<site>/alignment.json`. Outputs: `tiles/<point>/<site>/{map,visible}/
<pair_id>.<suffix>` (or one `rows-<first row>.npy` a side and unit if the format is `none`) and
`tiles/<point>/<site>/rows-<first row>.parquet` (see `stages.tables.PAIRS`).

The grid is the visible raster's own, so that its tiles are plain copies, or one over the same ground with a given
sample distance or CRS. Tiles start at its top left, `stride` px apart; what is left over at the right and the bottom is
less than a tile and is dropped. A pair of which a side has no data at all is no pair and is not written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.errors import PermanentError
from pipeline.files import read_json
from pipeline.stage import Estimate, Outcome, Result, RunView, Stage, Unit, output, propagated
from raster.grid import Grid
from stages.acquire.local_grid import local_crs
from stages.align.result import Alignment
from stages.memory import keep_freed_memory
from stages.rasters import SIDES, open_pair
from stages.review import alignment_output, review_of
from stages.tables import PAIRS, write_table
from stages.tile.cut import Cutter
from stages.tile.encode import TileFormat
from stages.tile.rows import Batch, cut_rows, open_store
from stages.tile.statistics import Levels

PAIRS_A_UNIT = 128
"""Rows of tiles are batched up to about this many pairs: a second or so of work."""

METRIC = "metric"
"""Name of the CRS in metres that is each site's own."""

_SECONDS_A_PAIR = 0.01
_BYTES_A_PIXEL = {TileFormat.PNG: 1.6, TileFormat.JPEG: 0.35, TileFormat.WEBP: 1.0, TileFormat.NONE: 3.0}
"""For estimates: as measured on Landquart."""


class TileParams(BaseModel):
    """How tiles are cut and stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(512, ge=16, le=4096, description="Width and height of a tile, px.")
    stride: int | None = Field(None, ge=1, description="Pixels from one tile to the next; default: the size.")
    gsd: float | None = Field(
        None, gt=0, description="Ground sample distance of tiles, metres; default: the visible raster's own pixels."
    )
    crs: str | None = Field(
        None,
        description="CRS that tiles lie in, north up: `metric` for the UTM zone of each site (UPS at the poles), or a "
        "projected one, such as EPSG:2056; default: the visible raster's own. Degrees are not square on the ground.",
    )
    format: TileFormat = Field(
        TileFormat.PNG, description="`png`, `jpeg`, lossless `webp`, or `none`: raw arrays, for a Zarr store only."
    )
    quality: int = Field(90, ge=1, le=100, description="Quality of JPEG.")
    levels: Levels = Field(default=Levels(), description="What the figures that `clean` judges tiles by count.")

    @field_validator("crs")
    @classmethod
    def _projected(cls, crs: str | None) -> str | None:
        try:
            if crs in (None, METRIC) or CRS(crs).is_projected:
                return crs
        except CRSError as error:
            raise ValueError(f"{crs!r} is no CRS that PROJ knows; give {METRIC}, or such as EPSG:2056") from error
        raise ValueError(f"{crs!r} counts in degrees, which are not square on the ground; give {METRIC}")

    def grid(self, visible: Grid) -> Grid:
        """Return the grid that the pairs of a visible raster are cut on.

        Args:
            visible: Grid of that raster.

        Raises:
            PermanentError: The raster lies outside the domain of the CRS asked for.
        """
        crs = self.crs or visible.crs
        if crs == METRIC:
            ((lon, lat),) = visible.to_lonlat([[visible.width / 2, visible.height / 2]])
            crs = local_crs(lon, lat)
        if crs == visible.crs:
            return visible if self.gsd is None else visible.resampled(self.gsd)
        try:
            return visible.reprojected(crs, self.gsd or visible.gsd)
        except ValueError as error:
            raise PermanentError(f"tile.crs: {error}; give {METRIC}, or one that covers every site") from error


class TileStage(Stage[TileParams]):
    """Cut pairs of tiles; a unit is a batch of rows of tiles of one raster pair, such as `001/1/rows-0000`."""

    name: ClassVar[str] = "tile"
    version: ClassVar[int] = 4
    Params: ClassVar[type[BaseModel]] = TileParams
    reads: ClassVar[tuple[str, ...]] = ("acquire", "align", "review")
    roles: ClassVar[tuple[str, ...]] = SIDES

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the units of every pair that is aligned (see `Review.cut`)."""
        units = []
        acquired = run.read("acquire")
        for name, aligned in run.read("align").items():
            alignment = alignment_output(aligned)
            review = review_of(run, name, aligned.outcome is Outcome.DONE)
            if alignment is not None and review.cut:
                rasters = {side: acquired[f"{name}/{side}"].data for side in SIDES}
                path, digest = alignment
                digests = [rasters[side]["digest"] for side in SIDES] + [digest]
                paths = {side: rasters[side]["path"] for side in SIDES} | {"alignment": path}
                units += self._units(name, Grid.from_json(rasters["visible"]), paths, digests)
        return units

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return what cutting costs, from the pixels and raster pairs that the estimate of `acquire` propagates."""
        amounts = propagated(before, "acquire")
        if not amounts.get("pixels"):
            return None
        stride = self.params.stride or self.params.size
        finer = 1.0 if self.params.gsd is None else (amounts["gsd"] / self.params.gsd) ** 2
        pairs = amounts["pixels"] * finer / stride**2
        written = 2 * pairs * self.params.size**2 * _BYTES_A_PIXEL[self.params.format]
        return Estimate(
            units=math.ceil(max(pairs / PAIRS_A_UNIT, amounts["raster_pairs"])),
            written=round(written),
            seconds=pairs * _SECONDS_A_PAIR,
            propagated={**amounts, "pairs": pairs},
        )

    def key_params(self) -> Any:
        """Return the params, without a CRS where none is asked for: tiles that were cut before it could be stay."""
        return self.params.model_dump(mode="json", exclude={"crs"} if self.params.crs is None else None)

    def _units(self, name: str, visible: Grid, paths: dict[str, str], digests: list[str]) -> list[Unit]:
        grid = self.params.grid(visible)
        stride = self.params.stride or self.params.size
        rows, columns = ((side - self.params.size) // stride + 1 for side in (grid.height, grid.width))
        if rows < 1 or columns < 1:
            return []
        batch = max(1, PAIRS_A_UNIT // columns)
        units = []
        for first in range(0, rows, batch):
            count = min(batch, rows - first)
            payload = {"name": name, "first": first, "rows": count, "columns": columns, "grid": grid.to_json()} | paths
            units.append(self.unit(f"{name}/rows-{first:04d}", payload, digests, weight=count * columns))
        return units

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Cut one batch of rows. Raises PermanentError if a raster cannot be read."""
        # Workers are processes: threads of OpenCV beside them would only compete for the same cores.
        cv2.setNumThreads(1)
        keep_freed_memory()
        asked, params = unit.payload, self.params
        batch = Batch(asked["name"], asked["first"], asked["rows"], asked["columns"], params.stride or params.size)
        alignment = read_json(workspace / asked["alignment"], Alignment.from_json)
        with (
            open_pair(workspace / asked["map"], workspace / asked["visible"]) as pair,
            open_store(workspace, batch, params.size, params.format, params.quality) as store,
        ):
            cutter = Cutter(pair, alignment, Grid.from_json(asked["grid"]), params.size)
            rows = cut_rows(cutter, batch, store, params.format.label, params.levels)
        path = workspace / "tiles" / batch.name / f"rows-{batch.first:04d}.parquet"
        write_table(path, rows, PAIRS)
        made = (output(workspace, path), *store.outputs())
        return Result(made, {"pairs": len(rows), "empty": batch.rows * batch.columns - len(rows)})
