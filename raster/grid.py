"""Where the pixels of a raster lie on the ground, and the homography that two georeferences imply.

Geotransforms count from the outer corner of the top-left pixel, pixel coordinates from its centre: see `raster.pixels`.
Affine coefficients are ordered (a, b, c, d, e, f) as in `affine.Affine` and STAC's `proj:transform`:
X = a * column + b * row + c, Y = d * column + e * row + f.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import ArrayLike
from pyproj import Geod, Transformer
from shapely import Polygon

from raster.homography import FloatArray, apply_homography, inverse
from raster.least_squares import fit_homography
from raster.longitude import period, wrapped
from raster.pixels import TO_CORNER, outer_bounds, outline

_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Grid:
    """A raster's lattice of pixels: CRS ("EPSG:3857" or WKT), affine geotransform (GDAL corners), size in pixels."""

    crs: str
    transform: Affine
    width: int
    height: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Grid:
        """Read the keys `crs`, `transform`, `width` and `height`, as `to_json` wrote them."""
        return cls(value["crs"], Affine(*value["transform"]), int(value["width"]), int(value["height"]))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping with `crs`, `transform` (6 numbers), `width` and `height`."""
        return {
            "crs": self.crs,
            "transform": [float(value) for value in self.transform[:6]],
            "width": self.width,
            "height": self.height,
        }

    @cached_property
    def matrix(self) -> FloatArray:
        """3x3 affine: pixel coordinates (centre convention) -> CRS coordinates."""
        corner: FloatArray = np.array(self.transform, dtype=np.float64).reshape(3, 3)
        return np.asarray(corner @ TO_CORNER)

    def to_world(self, points: ArrayLike) -> FloatArray:
        """Return CRS coordinates (N, 2) of pixel coordinates (N, 2).

        Args:
            points: (N, 2) x, y in pixels, (0, 0) the centre of the top-left pixel; they may lie outside the raster.

        Returns:
            (N, 2) float64 in units of the CRS, easting or longitude first, whatever the axis order of its definition.
        """
        return apply_homography(self.matrix, points)

    def to_pixel(self, points: ArrayLike) -> FloatArray:
        """Return pixel coordinates (N, 2) of CRS coordinates (N, 2).

        Args:
            points: (N, 2) in units of the CRS, easting or longitude first. A longitude a turn away is not brought back;
                `project` does that.

        Returns:
            (N, 2) float64 x, y, (0, 0) the centre of the top-left pixel; outside the raster they go on beyond its size.
        """
        return apply_homography(inverse(self.matrix), points)

    def to_lonlat(self, points: ArrayLike) -> FloatArray:
        """Return WGS84 longitude (-180 to 180) and latitude in degrees (N, 2) of pixel coordinates (N, 2).

        Args:
            points: (N, 2) x, y in pixels, (0, 0) the centre of the top-left pixel.

        Returns:
            (N, 2) float64; not finite where the place lies outside the domain of the CRS.
        """
        lonlat = reproject(self.to_world(points), self.crs, "EPSG:4326")
        return np.stack([wrapped(lonlat[:, 0]), lonlat[:, 1]], axis=1)

    def corners(self) -> FloatArray:
        """Return the outer corners (4, 2) in pixel coordinates, clockwise from the top left."""
        return outline(self.width, self.height)

    def footprint(self) -> Polygon:
        """Return the outline on the ground in WGS84 degrees (longitude, latitude)."""
        return Polygon(self.to_lonlat(self.corners()))

    @cached_property
    def gsd(self) -> float:
        """Ground sample distance in metres at the centre, measured on the WGS84 ellipsoid (not in the CRS's units)."""
        x, y = (self.width - 1) / 2, (self.height - 1) / 2
        lon, lat = self.to_lonlat([[x, y], [x + 1, y], [x, y + 1]]).T
        _, _, steps = _GEOD.inv([lon[0], lon[0]], [lat[0], lat[0]], lon[1:], lat[1:])
        return float(np.sqrt(steps[0] * steps[1]))

    def window(self, x: int, y: int, width: int, height: int) -> Grid:
        """Return the grid of a window whose top-left pixel is (x, y) of this one.

        Args:
            x: First column; it may be negative, or beyond the last.
            y: First row; the same.
            width: Of the window, in pixels; it may reach beyond the raster.
            height: Of the window, in pixels; it may reach beyond the raster.
        """
        return Grid(self.crs, self.transform @ Affine.translation(x, y), width, height)

    def reprojected(self, crs: str, gsd: float) -> Grid:
        """Return the north-up grid in another CRS that covers the same ground.

        Args:
            crs: Projected CRS in any form that PROJ reads, such as "EPSG:32632".
            gsd: Ground sample distance at the middle, metres, whatever the units of the CRS.

        Raises:
            ValueError: The ground lies outside the domain of the CRS.
        """
        x, y = (self.width - 1) / 2, (self.height - 1) / 2
        ((left, top),) = reproject(self.to_world([[x, y]]), self.crs, crs)
        # A pixel of one unit of the CRS tells how many metres a unit is on the ground there; none where it has no end.
        unit = Grid(crs, Affine(1, 0, left, 0, -1, top), 1, 1).gsd if np.isfinite([left, top]).all() else 0.0
        step = gsd / unit if unit > 0 else np.inf
        middle = Grid(crs, Affine(step, 0, left, 0, -step, top), 1, 1)
        edge = shapely.get_coordinates(shapely.segmentize(Polygon(self.corners()), max(self.width, self.height) / 16))
        places = project(edge, self, middle) if np.isfinite(step) else np.full_like(edge, np.inf)
        if not np.isfinite(places).all():
            raise ValueError(f"the area lies outside the domain of the CRS {crs!r}")
        first, size = places.min(axis=0), np.ptp(places, axis=0)
        left, top = (round(float(value), 3) for value in middle.to_world(first[None])[0])
        width, height = (max(1, round(float(value))) for value in size)
        return Grid(crs, Affine(step, 0, left, 0, -step, top), width, height)

    def resampled(self, gsd: float) -> Grid:
        """Return the grid over the same ground with pixels of `gsd` metres; the size is rounded down, at least 1."""
        factor = gsd / self.gsd
        width, height = max(1, int(self.width / factor)), max(1, int(self.height / factor))
        return Grid(self.crs, self.transform @ Affine.scale(factor), width, height)


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def reproject(points: FloatArray, source: str, target: str) -> FloatArray:
    """Transform coordinates (N, 2) between CRSs; x is always easting or longitude. What has no image becomes inf.

    Args:
        points: (N, 2) in units of `source`: metres, degrees or whatever its CRS counts in.
        source: CRS in any form that PROJ reads, such as "EPSG:4326" or WKT.
        target: CRS in such a form. The same text as `source` returns the very points, untouched.

    Returns:
        (N, 2) float64 in units of `target`.
    """
    if source == target:
        return points
    return np.stack(_transformer(source, target).transform(points[:, 0], points[:, 1]), axis=1)


def project(points: ArrayLike, source: Grid, target: Grid) -> FloatArray:
    """Return where pixel coordinates (N, 2) of `source` lie in `target`, by georeference alone.

    Where the target's CRS repeats round the globe, a place is taken in the turn that is nearest to the target's middle:
    so rasters across the antimeridian, or of longitudes from 0 to 360, meet those of other longitudes.

    Args:
        points: (N, 2) x, y in pixels of `source`, (0, 0) the centre of its top-left pixel.
        source: Grid of the image in which the points are.
        target: Grid of the other image; its CRS may be another.

    Returns:
        (N, 2) float64 in pixels of `target`, also outside it; infinite or NaN where a place has no image in its CRS.
    """
    with np.errstate(invalid="ignore"):  # what has no image stays without one
        world = reproject(source.to_world(points), source.crs, target.crs)
        repeat = period(target.crs)
        if repeat is not None:
            middle = target.to_world([[(target.width - 1) / 2, (target.height - 1) / 2]])[0, 0]
            turns = np.round((middle - world[:, 0]) / repeat)
            if turns.any():
                world = np.stack([world[:, 0] + np.nan_to_num(turns, posinf=0, neginf=0) * repeat, world[:, 1]], axis=1)
        return target.to_pixel(world)


def georeferenced_homography(
    source: Grid, target: Grid, bounds: tuple[float, float, float, float] | None = None
) -> tuple[FloatArray, float]:
    """Return the homography source -> target that the georeferences imply, and its largest error in target pixels.

    In one CRS it is exactly affine and the error is 0. Across CRSs it is the best homography over a lattice of 15 x 15
    points of `bounds`, the error that of the fit.

    Args:
        source: Grid of the image from whose pixels the homography leads.
        target: Grid of the image to whose pixels it leads.
        bounds: x0, y0, x1, y1 in target pixels, where it is to hold across CRSs; None takes the whole target.

    Returns:
        The 3x3 float64 matrix, whose last element need not be 1 within one CRS, and the error at the worst of the
        points.

    Raises:
        ValueError: The target's ground lies outside the domain of the source's CRS.
    """
    if source.crs == target.crs:
        return inverse(target.matrix) @ source.matrix, 0.0
    x0, y0, x1, y1 = bounds or outer_bounds(0, 0, target.width, target.height)
    lattice = np.stack(np.meshgrid(np.linspace(x0, x1, 15), np.linspace(y0, y1, 15)), axis=-1).reshape(-1, 2)
    origin = project(lattice, target, source)
    if not np.isfinite(origin).all():
        raise ValueError(f"the area cannot be expressed in the CRS {source.crs!r}: it lies outside its domain")
    homography = fit_homography(origin, lattice)
    error = np.linalg.norm(apply_homography(homography, origin) - lattice, axis=1).max()
    return homography, float(error)
