"""Cutting one pair: both sides of a tile of the common grid, through the alignment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from raster.grid import Grid, georeferenced_homography
from raster.homography import FloatArray, apply_homography, inverse
from raster.image import Image
from raster.pair import RasterPair
from stages.align.result import Alignment, Transform
from stages.tile.statistics import Thumbnail, thumbnail
from stages.tile.warp import sample_tile


class Pair(NamedTuple):
    """Both sides of a tile (size, size, 3), the transform it was cut by, the bound predicted for its error (px of the
    visible raster), and what each side looks like from afar."""

    map: Image
    visible: Image
    transform: Transform
    predicted_px: float | None
    map_thumbnail: Thumbnail
    visible_thumbnail: Thumbnail


class Cutter:
    """Cuts tiles of `size` px out of a common grid over an aligned raster pair."""

    def __init__(self, rasters: RasterPair, alignment: Alignment, grid: Grid, size: int) -> None:
        """Prepare the cutting of a site.

        Args:
            rasters: Both rasters, open as long as tiles are cut.
            alignment: Map -> visible, with its patches and the regions where it is accepted.
            grid: Of the tiles: that of the visible raster, or another that covers the same ground.
            size: Side of a tile, pixels of the grid.
        """
        self.grid = grid
        self.size = size
        self.method = alignment.method
        self._map = rasters.map
        self._visible = rasters.visible
        self._alignment = alignment
        same = grid == rasters.visible.grid
        self._to_visible = np.eye(3) if same else georeferenced_homography(grid, rasters.visible.grid)[0]
        self._bent = grid.crs != rasters.visible.grid.crs  # no one homography is right for the whole grid
        self._lattice = self._places(alignment)
        self._transform = alignment.transform
        self._from_visible = np.linalg.inv(alignment.transform.homography)

    def cut(self, x: int, y: int) -> Pair | None:
        """Return the pair whose top-left pixel is (x, y) of the grid, or None if a side has no data there or part of it
        lies in a region where the alignment is refused.

        The alignment's patch that holds the tile's centre decides the homography, so a tile is never bent at a seam.

        Args:
            x: Column of the tile's first pixel in the grid.
            y: Row of the tile's first pixel in the grid.

        Returns:
            The pair.
        """
        to_visible = self._placed(x, y)
        places = apply_homography(to_visible, self._lattice)
        if not self._alignment.accepts(places):
            return None
        middle = (self.size - 1) / 2
        x_middle, y_middle, w = to_visible @ (middle, middle, 1)
        transform = self._alignment.at(x_middle / w, y_middle / w)
        if transform is not self._transform:  # most tiles have that of the tile before
            self._transform, self._from_visible = transform, np.linalg.inv(transform.homography)

        map_tile, map_mask = sample_tile(self._map, self._from_visible @ to_visible, self.size)
        if map_mask is not None and not map_mask.any():
            return None
        visible_tile, visible_mask = sample_tile(self._visible, to_visible, self.size)
        if visible_mask is not None and not visible_mask.any():
            return None
        thumbnails = thumbnail(map_tile, map_mask), thumbnail(visible_tile, visible_mask)
        return Pair(map_tile, visible_tile, transform, self._alignment.predicted_px(places), *thumbnails)

    def _placed(self, x: int, y: int) -> FloatArray:
        """Return the matrix from pixels of a tile to those of the visible raster."""
        if not self._bent:
            return self._to_visible @ np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
        tile = self.grid.window(x, y, self.size, self.size)
        return inverse(georeferenced_homography(self._visible.grid, tile)[0])

    def _places(self, alignment: Alignment) -> FloatArray:
        """Return places of a tile (N, 2), its corners among them, of which one lies in every region that it touches."""
        reach = np.ptp(apply_homography(self._to_visible, [[0, 0], [self.size, self.size]]), axis=0).max()
        narrowest = min((region.bounds[2] - region.bounds[0] for region in alignment.regions), default=np.inf)
        along = np.linspace(0, self.size - 1, 2 + int(reach / narrowest))
        return np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
