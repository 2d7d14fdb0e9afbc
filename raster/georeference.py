"""Where a raster says that it lies: its CRS and geotransform or ground control points, as a grid."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import rasterio
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from raster.errors import RasterError
from raster.grid import Grid
from raster.homography import apply_homography, inverse
from raster.least_squares import least_squares

CONTROL_POINT_PX = 1.0
"""How far, in pixels, ground control points may lie from the affine transformation that stands for them."""


def grid_of(dataset: rasterio.DatasetReader, name: str) -> Grid:
    """Return the grid of an open raster, whichever way its axes point.

    Args:
        dataset: The raster.
        name: How messages call it.

    Raises:
        RasterError: It has no CRS, one with no place on the globe, no geotransform, or ground control points that no
            affine transformation fits.
    """
    points, points_crs = dataset.gcps
    by_points = bool(points) and dataset.transform.is_identity
    crs = points_crs if by_points else dataset.crs
    if not crs:
        raise RasterError(
            f"{name}: this raster has no CRS, so its place on the ground is unknown; "
            "assign the right one, for example with `gdal_edit.py -a_srs EPSG:3857 FILE`"
        )
    transform = _fitted(points, name) if by_points else dataset.transform
    usable = np.isfinite(transform[:6]).all() and np.isfinite(transform.determinant)
    if transform.is_identity or not usable or transform.determinant == 0:
        raise RasterError(
            f"{name}: this raster has no geotransform, so its place on the ground is unknown; "
            "georeference it, for example with `gdal_translate -a_ullr WEST NORTH EAST SOUTH`"
        )
    text = _text(crs)
    if problem := _off_the_globe(text):
        raise RasterError(
            f"{name}: the CRS of this raster has no place on the globe ({problem}); "
            "assign the right one, for example with `gdal_edit.py -a_srs EPSG:3857 FILE`"
        )
    grid = Grid(text, transform, dataset.width, dataset.height)
    with np.errstate(invalid="ignore"):
        if not (np.isfinite(grid.gsd) and grid.gsd > 0):
            raise RasterError(
                f"{name}: the middle of this raster lies outside the domain of its CRS; its geotransform or its CRS is "
                "wrong: assign the right ones, for example with `gdal_edit.py -a_srs EPSG:3857 FILE`"
            )
    return grid


def _text(crs: rasterio.crs.CRS) -> str:
    """Return "EPSG:..." where the file says no more and no less, else WKT: a datum of the file's own must stay."""
    wkt = crs.to_wkt()
    code = None if "TOWGS84[" in wkt else crs.to_epsg(confidence_threshold=100)
    return str(wkt) if code is None else f"EPSG:{code}"


@lru_cache(maxsize=64)
def _off_the_globe(crs: str) -> str:
    """Return why a CRS cannot be expressed in longitude and latitude, or nothing."""
    try:
        known = CRS(crs)
        if not (known.is_projected or known.is_geographic):
            return str(known.name)
        Transformer.from_crs(known, "EPSG:4326")
    except (ProjError, CRSError) as error:  # such as that of another planet
        return str(error)
    return ""


def _fitted(points: list[rasterio.control.GroundControlPoint], name: str) -> Affine:
    """Return the affine geotransform that fits ground control points."""
    # Ground control points count pixels from the outer corner of the top-left one, as geotransforms do.
    pixels = np.array([(point.col, point.row) for point in points], np.float64)
    ground = np.array([(point.x, point.y) for point in points], np.float64)
    if len(points) < 3 or np.linalg.matrix_rank(pixels - pixels.mean(0)) < 2:
        raise RasterError(
            f"{name}: its {len(points)} ground control points do not place it; it takes three or more, not on one line"
        )
    matrix = least_squares("affine", pixels, ground, np.ones(len(points)))
    if abs(np.linalg.det(matrix)) < 1e-12 * max(np.abs(matrix[:2, :2]).max(), 1e-300) ** 2:
        raise RasterError(f"{name}: its ground control points lie on a line on the ground; correct them")
    error = float(np.linalg.norm(apply_homography(inverse(matrix), ground) - pixels, axis=1).max())
    if error > CONTROL_POINT_PX:
        raise RasterError(
            f"{name}: its ground control points are up to {error:.1f} px off an affine transformation; rectify the "
            "raster first, for example with `gdalwarp -tps`"
        )
    return Affine(*matrix.ravel()[:6])
