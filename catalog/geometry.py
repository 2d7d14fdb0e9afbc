"""Footprints in WGS84: made valid across the antimeridian and round the poles, bounded, written as WKB or GeoJSON."""

from __future__ import annotations

import json
from typing import Any

import antimeridian
import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray


def footprints(wkb: pa.ChunkedArray) -> NDArray[np.object_]:
    """Return footprints as RFC 7946 wants them: split at the antimeridian, led round the pole that they hold.

    An edge of more than 180 degrees of longitude means the short way across the antimeridian: corners at 179.9 and
    -179.9 are the narrow strip between them. Longitudes may be given from -180 to 180 or from 0 to 360. What has been
    through here comes back as it is.

    Args:
        wkb: WKB geometries (N,), WGS84, longitude then latitude.

    Returns:
        Shapely geometries (N,).
    """
    shapes: NDArray[np.object_] = np.asarray(shapely.from_wkb(wkb.to_numpy(zero_copy_only=False)), dtype=object)
    xmin, _, xmax, _ = shapely.bounds(shapes).reshape(-1, 4).T
    for index in np.flatnonzero((xmax - xmin > 180) | (xmin < -180) | (xmax > 180)):
        shapes[index] = _wrap(shapes[index])
    return shapes


def bounds(shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return (west, south, east, north) of each geometry (N, 4); west > east where it crosses the antimeridian.

    Args:
        shapes: (N,) Shapely geometries, longitude and latitude in degrees (WGS84).

    Returns:
        (N, 4) float64 west, south, east, north in degrees.
    """
    boxes: NDArray[np.float64] = np.asarray(shapely.bounds(shapes), dtype=np.float64).reshape(-1, 4)
    for index in np.flatnonzero(boxes[:, 2] - boxes[:, 0] > 180):
        if isinstance(shapes[index], shapely.Polygon | shapely.MultiPolygon):
            boxes[index] = antimeridian.bbox(shapes[index])
    return boxes


def enclosing(boxes: NDArray[np.float64]) -> list[float]:
    """Return the bounds of bounds (N, 4), N > 0; all longitudes if one of them crosses the antimeridian.

    Args:
        boxes: (N, 4) float64 west, south, east, north in degrees, as `bounds` returns them.
    """
    west, south, east, north = boxes.T
    if (west > east).any():
        return [-180.0, float(south.min()), 180.0, float(north.max())]
    return [float(value) for value in (west.min(), south.min(), east.max(), north.max())]


def to_wkb(shapes: NDArray[np.object_]) -> pa.Array:
    """Return geometries as an Arrow column of little-endian WKB.

    Args:
        shapes: (N,) Shapely geometries.

    Returns:
        N values of `binary`.
    """
    return pa.array(shapely.to_wkb(shapes, byte_order=1), pa.binary())


def geojson(shape: shapely.Geometry) -> dict[str, Any]:
    """Return a geometry as GeoJSON with rings counterclockwise, as RFC 7946 asks."""
    return dict(json.loads(shapely.to_geojson(shapely.orient_polygons(shape))))


def _wrap(shape: shapely.Geometry) -> shapely.Geometry:
    if not isinstance(shape, shapely.Polygon):
        return shape
    ring = shapely.get_coordinates(shape.exterior)
    west, _, east, _ = shape.bounds
    turns = 360 if west >= 180 else -360 if east <= -180 else 0
    ring[:, 0] -= turns
    step = np.diff(ring[:, 0])
    # The edge by which a footprint that was led round its pole runs along it is no crossing.
    crossing = (np.abs(step) > 180) & ~(np.abs(ring[:-1, 1] + ring[1:, 1]) == 180)
    if not crossing.any() and (np.abs(ring[:, 0]) <= 180).all():
        return shapely.Polygon(ring)
    pole = np.sign(ring[:, 1].mean()) if crossing.sum() % 2 else 0
    return antimeridian.fix_polygon(
        shapely.Polygon(ring),
        force_north_pole=bool(pole > 0),
        force_south_pole=bool(pole < 0),
        fix_winding=not pole,
        great_circle=False,
    )
