"""Rasters made of map tiles: the Web-Mercator tile matrix, and strips put together from tiles row by row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from affine import Affine

from pipeline.errors import PermanentError
from raster.grid import Grid
from raster.image import Image
from raster.pixels import to_corner
from stages.acquire.source import Site, site_outline

_HALF_WORLD_M = 20037508.342789244
_EQUATOR_M = 2 * _HALF_WORLD_M


@dataclass(frozen=True)
class TileMatrix:
    """The tiles of a zoom: `size` px wide and high, x eastward and y southward from the north-west corner."""

    zoom: int
    size: int

    @classmethod
    def nearest(cls, gsd: float, latitude: float, zooms: tuple[int, int], size: int) -> TileMatrix:
        """Return the zoom whose ground sample distance (m) at a latitude is nearest to `gsd`, by ratio.

        Args:
            gsd: Wanted ground sample distance in metres.
            latitude: Latitude in degrees.
            zooms: Least and greatest zoom.
            size: Width of a tile in px.

        Returns:
            The matrix of that zoom.
        """
        finest = _EQUATOR_M * math.cos(math.radians(latitude)) / size
        zoom = round(math.log2(finest / gsd))
        return cls(min(max(zoom, zooms[0]), zooms[1]), size)

    @property
    def grid(self) -> Grid:
        """The grid of the whole world at this zoom, EPSG:3857."""
        width = self.size << self.zoom
        pixel = _EQUATOR_M / width
        return Grid("EPSG:3857", Affine(pixel, 0, -_HALF_WORLD_M, 0, -pixel, _HALF_WORLD_M), width, width)


@dataclass(frozen=True)
class TileWindow:
    """A window of whole pixels of a tile matrix: its grid, its first pixel, and the tiles it touches."""

    matrix: TileMatrix
    grid: Grid
    x: int
    y: int

    @classmethod
    def of_site(cls, site: Site, matrix: TileMatrix, what: str) -> TileWindow:
        """Return the window that covers a site. It may run across the antimeridian, beyond the matrix's last column.

        Args:
            site: The site.
            matrix: The tiles.
            what: How messages call the source of the tiles.

        Raises:
            PermanentError: The site lies beyond 85 degrees of latitude, where Web Mercator ends.
        """
        world = matrix.grid
        outline = site_outline(site, world.crs)
        if not np.isfinite(outline).all():
            raise PermanentError(f"{what}: site {site.name} lies outside of Web Mercator, which ends at 85 degrees")
        corners = to_corner(world.to_pixel(outline))
        left, right = (round(value) for value in (corners[:, 0].min(), corners[:, 0].max()))
        top, bottom = (min(max(0, round(value)), world.height) for value in (corners[:, 1].min(), corners[:, 1].max()))
        width, height = min(right - left, world.width), bottom - top
        if width <= 0 or height <= 0:
            raise PermanentError(f"{what}: site {site.name} lies outside of Web Mercator, which ends at 85 degrees")
        left %= world.width
        return cls(matrix, world.window(left, top, width, height), left, top)

    @property
    def columns(self) -> range:
        """The x of its tiles; those from 2 ** zoom on lie east of the antimeridian, where counting starts anew."""
        return range(self.x // self.matrix.size, (self.x + self.grid.width - 1) // self.matrix.size + 1)

    @property
    def rows(self) -> range:
        """The y of its tiles."""
        return range(self.y // self.matrix.size, (self.y + self.grid.height - 1) // self.matrix.size + 1)

    @property
    def tile_count(self) -> int:
        """How many tiles the window touches: the one count that plans and acquisition share."""
        return len(self.columns) * len(self.rows)

    def wrapped(self, x: int) -> int:
        """Return the column of the matrix that a column of the window is.

        Args:
            x: Column of the window.

        Returns:
            Column from 0 to 2 ** zoom - 1.
        """
        return x % (1 << self.matrix.zoom)

    def strips(self, rows: Iterable[list[Image | None]]) -> Iterator[Image]:
        """Put rows of tiles, each (size, size, 4) RGBA or None for no data, together to strips of the window.

        A strip is valid until the next is asked for.

        Args:
            rows: The tiles of each row, in the order of `rows`.

        Yields:
            Strips (rows, width, 4) of the window, from top to bottom.
        """
        size = self.matrix.size
        left = self.x - self.columns.start * size
        strip = np.empty((size, len(self.columns) * size, 4), np.uint8)
        for tile_y, tiles in zip(self.rows, rows, strict=True):
            for index, tile in enumerate(tiles):
                strip[:, index * size : (index + 1) * size] = 0 if tile is None else tile
            top = max(0, self.y - tile_y * size)
            bottom = min(size, self.y + self.grid.height - tile_y * size)
            yield strip[top:bottom, left : left + self.grid.width]
