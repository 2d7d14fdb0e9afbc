"""Pairs as the stage `tile` will cut them: its own code on its own grid, before anything is recorded."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from raster.grid import Grid, georeferenced_homography
from raster.homography import Matrix
from review.errors import Refused
from review.sites import Site, Sites
from review.views import Views
from stages.align.result import Alignment, Transform
from stages.rasters import SIDES
from stages.tile.cut import Cutter
from stages.tile.encode import TileFormat, encode


class Cuts:
    """Cuts single pairs of tiles."""

    def __init__(self, sites: Sites, views: Views) -> None:
        self._sites = sites
        self._views = views

    def layout(self, site: Site) -> dict[str, Any]:
        """Return how the grid of tiles lies: size and stride (px of the grid), columns, rows, and the matrix from
        pixels of the grid to those of the visible raster."""
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
            "possible": site.alignment is not None,
        }

    def image(self, site: Site, side: str, column: int, row: int, homography: Matrix | None) -> bytes:
        """Return one side of a pair of tiles as PNG.

        Args:
            site: The raster pair.
            side: `map` or `visible`.
            column: Of the tile in the grid.
            row: Of the tile in the grid.
            homography: Map -> visible px; None for the alignment on disk.

        Raises:
            Refused: 404 where nothing will be cut there.
        """
        layout = self.layout(site)
        if side not in SIDES or not (0 <= column < layout["columns"] and 0 <= row < layout["rows"]):
            raise Refused(404, "there is no such tile")
        alignment = self._alignment(site, homography)
        with self._views.pair(site) as pair:
            cutter = Cutter(pair, alignment, self._grid(site), layout["size"])
            made = cutter.cut(column * layout["stride"], row * layout["stride"])
        if made is None:
            raise Refused(404, "nothing will be cut here: a side has no data, or the region is refused")
        tile = np.ascontiguousarray(made.map if side == "map" else made.visible)
        return encode(tile, TileFormat.PNG, 0)

    def _grid(self, site: Site) -> Grid:
        return self._sites.tile_params().grid(site.sides["visible"].grid)

    def _alignment(self, site: Site, homography: Matrix | None) -> Alignment:
        if homography is not None:
            return Alignment(Transform(homography), "manual")
        if site.alignment is None or not site.alignment[0].is_file():
            raise Refused(404, "this raster pair is not aligned yet")
        return Alignment.from_json(json.loads(site.alignment[0].read_bytes()))
