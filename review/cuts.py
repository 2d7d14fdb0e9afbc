"""Pairs as the stage `tile` will cut them: its own code on its own grid, before anything is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.files import read_json
from raster.grid import Grid, georeferenced_homography
from review.documents import Document
from review.errors import Refused
from review.fit import fit_points_of
from review.sites import Site, Sites
from review.views import Views
from stages.align.result import Alignment, Transform
from stages.rasters import SIDES
from stages.review.verdicts import digest_of_points
from stages.tile.cut import Cutter
from stages.tile.encode import TileFormat, encode


class Cuts:
    """Cuts single pairs of tiles."""

    def __init__(self, sites: Sites, views: Views) -> None:
        self._sites = sites
        self._views = views

    def layout(self, site: Site) -> dict[str, Any]:
        """Return how the grid of tiles lies: size and stride (px of the grid), columns, rows, the matrix from pixels of
        the grid to those of the visible raster, and whether that is resampled, too."""
        params, grid = self._sites.tile_params(), self._grid(site)
        stride = params.stride or params.size
        columns, rows = (max(0, (side - params.size) // stride + 1) for side in (grid.width, grid.height))
        visible = site.sides["visible"].grid
        matrix = np.eye(3) if grid == visible else georeferenced_homography(grid, visible)[0]
        return {
            "size": params.size,
            "stride": stride,
            "columns": columns,
            "rows": rows,
            "to_visible": matrix.tolist(),
            "resampled": grid != visible,
        }

    def by(self, site: Site, document: Document, tried: Mapping[str, Any]) -> str:
        """Return what pairs are cut by.

        Args:
            site: The raster pair.
            document: Its points, as they are saved.
            tried: The alignment that was tried with these points, empty where none was.

        Returns:
            `run`: the alignment of the last run, where a further run would find the same; `trial`: that which was tried
            with the points; `points`: their fit, where neither is there, which the run may yet refine or refuse; empty
            where there are no points either.
        """
        if site.alignment is not None and site.alignment[0].is_file():
            trusting = self._sites.align_params().method == "georeference"  # points have no effect then
            if trusting or document.digest_of_points == _aligned_with(*site.alignment):
                return "run"
        if tried:
            return "trial"
        return "points" if document.points else ""

    def alignment(self, site: Site, document: Document, tried: Mapping[str, Any]) -> Alignment | None:
        """Return the alignment that `by` names.

        Args:
            site: As for `by`.
            document: As for `by`.
            tried: As for `by`.

        Returns:
            None where the points imply none.
        """
        found = self.by(site, document, tried)
        if found == "run":
            assert site.alignment is not None
            return read_json(site.alignment[0], Alignment.from_json)
        if found == "trial":
            return Alignment.from_json(tried)
        fit = fit_points_of(site, document.points, self._sites.align_params().manual)
        if fit["homography"] is None:
            return None
        return Alignment(Transform(np.asarray(fit["homography"], np.float64)), "manual")

    def image(self, site: Site, side: str, column: int, row: int, alignment: Alignment | None) -> bytes | None:
        """Return one side of a pair of tiles as PNG.

        Args:
            site: The raster pair.
            side: `map` or `visible`.
            column: Of the tile in the grid.
            row: Of the tile in the grid.
            alignment: Map -> visible, None for none.

        Returns:
            None where nothing will be cut: a side has no data, or the region is refused.

        Raises:
            Refused: 404 where there is no such tile.
        """
        layout = self.layout(site)
        if side not in SIDES or not (0 <= column < layout["columns"] and 0 <= row < layout["rows"]):
            raise Refused(404, "there is no such tile")
        if alignment is None:
            return None
        with self._views.pair(site) as pair:
            cutter = Cutter(pair, alignment, self._grid(site), layout["size"])
            made = cutter.cut(column * layout["stride"], row * layout["stride"])
        if made is None:
            return None
        tile = np.ascontiguousarray(made.map if side == "map" else made.visible)
        return encode(tile, TileFormat.PNG, 0)

    def _grid(self, site: Site) -> Grid:
        return self._sites.tile_params().grid(site.sides["visible"].grid)


@lru_cache(maxsize=64)
def _aligned_with(path: Path, _digest: str) -> str:
    """Return the digest of the manual points that took part in an alignment.

    Args:
        path: Its `alignment.json`.
        _digest: Of that file, by which the answer is remembered.
    """
    names = ["map_x", "map_y", "visible_x", "visible_y"]
    table = path.with_suffix(".parquet")
    if not table.is_file():
        return ""
    return digest_of_points(pq.read_table(table, columns=names, filters=pc.field("origin") == "manual").to_pylist())
