"""Alignment from georeferencing alone: what the CRSs and geotransforms of both rasters say."""

from __future__ import annotations

import numpy as np
from shapely import Polygon

from pipeline.errors import PermanentError
from raster.grid import Grid, georeferenced_homography, project
from raster.homography import FloatArray
from raster.pixels import outer_bounds
from stages.align.result import Alignment, Patch, Transform

PATCH_PX = 1024
TOLERANCE_PX = 0.1


def align_by_georeference(map_grid: Grid, visible_grid: Grid) -> Alignment:
    """Return the alignment that two georeferences imply; its residual is unknown, for nothing is measured.

    Where the CRSs differ so much that one homography is off by more than `TOLERANCE_PX`, patches of `PATCH_PX` have
    their own. Raises PermanentError if the rasters do not overlap on the ground.

    Args:
        map_grid: Grid of the map raster at full resolution.
        visible_grid: Grid of the visible raster; its CRS may be another.

    Returns:
        Accepted, with the share of overlap; neither tie points nor regions.
    """
    outline = project(map_grid.corners(), map_grid, visible_grid)
    overlap = overlap_share(outline, visible_grid.corners())
    if overlap == 0:
        raise PermanentError(
            f"map and visible raster do not overlap: the map covers {_extent(map_grid)}, the visible raster "
            f"{_extent(visible_grid)}; check that both sources are of the same place and their CRSs are right"
        )
    try:
        homography, error = georeferenced_homography(map_grid, visible_grid)
        patches = _patches(map_grid, visible_grid) if error > TOLERANCE_PX else []
    except ValueError as problem:
        raise PermanentError(f"map and visible raster: {problem}; check their CRSs") from problem
    return Alignment(Transform(homography), "georeference", overlap=overlap, patches=patches)


def _patches(map_grid: Grid, visible_grid: Grid) -> list[Patch]:
    patches = []
    for y in range(0, visible_grid.height, PATCH_PX):
        for x in range(0, visible_grid.width, PATCH_PX):
            bounds = outer_bounds(x, y, PATCH_PX, PATCH_PX)
            patches.append(Patch(bounds, Transform(georeferenced_homography(map_grid, visible_grid, bounds)[0])))
    return patches


def overlap_share(outline: FloatArray, frame: FloatArray) -> float:
    """Return the share of a frame's area that lies within an outline.

    Args:
        outline: Corners (N, 2) of the map raster, visible px, in order.
        frame: Corners (4, 2) of the visible raster, visible px.

    Returns:
        The share, 0 to 1; 0 for an outline that crosses itself or is not finite.
    """
    if not np.isfinite(outline).all() or not Polygon(outline).is_valid:
        return 0.0
    return float(Polygon(frame).intersection(Polygon(outline)).area / Polygon(frame).area)


def _extent(grid: Grid) -> str:
    west, south, east, north = grid.footprint().bounds
    return f"{west:.4f} to {east:.4f} E, {south:.4f} to {north:.4f} N"
