"""Footprints in WGS84: made valid across the antimeridian, bounded, and written as WKB or GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_EAST = shapely.box(0, -90, 180, 90)
_WEST = shapely.box(180, -90, 360, 90)


def footprints(wkb: pa.ChunkedArray) -> NDArray[np.object_]:
    """Return shapely geometries (N,) of WKB polygons; one wider than 180 degrees is split at the antimeridian.

    A footprint whose corners lie at 179.9 and -179.9 means the narrow strip between them, not the rest of the world.
    """
    shapes: NDArray[np.object_] = np.asarray(shapely.from_wkb(wkb.to_numpy(zero_copy_only=False)), dtype=object)
    xmin, _, xmax, _ = shapely.bounds(shapes).T
    for index in np.flatnonzero(xmax - xmin > 180):
        shapes[index] = _split(shapes[index])
    return shapes


def bounds(shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return (west, south, east, north) of each geometry (N, 4); west > east where it crosses the antimeridian."""
    boxes: NDArray[np.float64] = np.asarray(shapely.bounds(shapes), dtype=np.float64).reshape(-1, 4)
    for index in np.flatnonzero(boxes[:, 2] - boxes[:, 0] > 180):
        parts = np.asarray(shapely.bounds(shapely.get_parts(shapes[index])))
        boxes[index, 0] = parts[parts[:, 0] > 0, 0].min()
        boxes[index, 2] = parts[parts[:, 2] < 0, 2].max()
    return boxes


def enclosing(boxes: NDArray[np.float64]) -> list[float]:
    """Return the bounds of bounds (N, 4), N > 0; all longitudes if one of them crosses the antimeridian."""
    west, south, east, north = boxes.T
    if (west > east).any():
        return [-180.0, float(south.min()), 180.0, float(north.max())]
    return [float(value) for value in (west.min(), south.min(), east.max(), north.max())]


def to_wkb(shapes: NDArray[np.object_]) -> pa.Array:
    """Return geometries as an Arrow column of little-endian WKB."""
    return pa.array(shapely.to_wkb(shapes, byte_order=1), pa.binary())


def geojson(shape: shapely.Geometry) -> dict[str, Any]:
    """Return a geometry as GeoJSON with rings counterclockwise, as RFC 7946 asks."""
    return dict(json.loads(shapely.to_geojson(shapely.orient_polygons(shape))))


def _split(shape: shapely.Geometry) -> shapely.Geometry:
    turned = _shift(shape, 360, lambda lon: lon < 0)
    parts = [shapely.intersection(turned, _EAST), _shift(shapely.intersection(turned, _WEST), -360, np.isfinite)]
    return shapely.union_all(parts)


def _shift(
    shape: shapely.Geometry, degrees: float, where: Callable[[FloatArray], NDArray[np.bool_]]
) -> shapely.Geometry:
    def move(points: FloatArray) -> FloatArray:
        points = points.copy()
        points[where(points[:, 0]), 0] += degrees
        return points

    return shapely.transform(shape, move)
