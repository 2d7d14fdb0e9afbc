"""Longitudes across the antimeridian, beyond 180 degrees and at the poles.

Two forms are in use. *Wrapped* longitudes lie within -180 to 180: so they are written to files. *Unwrapped* ones run on
across the antimeridian, such as 179.9 to 180.1, so that a ring is a polygon of the plane: so places are computed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyproj
import shapely
import shapely.affinity

from raster.homography import FloatArray

_CYLINDRICAL = (
    "popular visualisation pseudo mercator",
    "mercator (",
    "equidistant cylindrical",
    "plate carr",
    "miller",
)
"""How the names of projections begin whose x is linear in the longitude, so that the globe repeats along it."""


def wrapped(lon: FloatArray | float) -> FloatArray:
    """Return longitudes within -180 to 180 degrees; those that lie there already are left exactly as they are.

    Args:
        lon: Degrees, one or an array of any shape.

    Returns:
        float64 in the shape of `lon`.
    """
    values = np.asarray(lon, np.float64)
    return np.where(np.abs(values) > 180, (values + 180) % 360 - 180, values)


def unwrapped(ring: FloatArray) -> FloatArray:
    """Return a ring (N, 2) of longitude and latitude whose neighbours lie less than 180 degrees apart.

    The ring's middle lies within -180 to 180 degrees. A ring that needs no change is returned exactly as it is, and so
    is one round the whole globe.

    Args:
        ring: (N, 2) degrees, closed or open; each neighbour is taken to be the one that is nearest round the globe.

    Returns:
        (N, 2) float64. Longitudes on one side of the antimeridian may exceed 180, so that x is continuous.
    """
    result = np.array(ring, np.float64)
    steps = np.diff(result[:, 0])
    if np.ptp(result[:, 0]) < 360 and (np.abs(steps) > 180).any():
        result[1:, 0] -= 360 * np.cumsum(np.round(steps / 360))
    middle = (result[:, 0].min() + result[:, 0].max()) / 2
    if abs(middle) > 180:
        result[:, 0] -= 360 * np.floor((middle + 180) / 360)
    return result


def ground_polygon(corners: FloatArray) -> shapely.Polygon:
    """Return the polygon of a ring round a place on the globe, unwrapped.

    Args:
        corners: Ring (N, 2) of longitude and latitude in degrees, open or closed, close enough together to tell on
            which side of the globe the ring runs.

    Returns:
        The polygon; for a ring round a pole the whole cap, from -180 to 180 degrees.
    """
    ring = np.vstack([corners, corners[:1]])
    turns = np.diff(ring[:, 0])
    if abs(np.sum(turns - 360 * np.round(turns / 360))) > 180:
        lat = corners[:, 1]
        south, north = (lat.min(), 90.0) if lat.mean() > 0 else (-90.0, lat.max())
        return shapely.box(-180, south, 180, north)
    return shapely.Polygon(unwrapped(corners))


def wrapped_ring(polygon: shapely.Polygon) -> shapely.Polygon:
    """Return a polygon with wrapped longitudes: across the antimeridian, its ring jumps from 180 to -180 degrees."""
    west, _, east, _ = polygon.bounds
    if west >= -180 and east <= 180:
        return polygon
    dense = shapely.segmentize(polygon, 90.0)  # so that on no side it is as near the other way round the globe
    return shapely.transform(dense, lambda points: np.stack([wrapped(points[:, 0]), points[:, 1]], axis=1))


def split_at_antimeridian(polygon: shapely.Polygon) -> shapely.Polygon | shapely.MultiPolygon:
    """Return an unwrapped polygon as RFC 7946 wants it in GeoJSON: cut in two where it crosses the antimeridian."""
    west, _, east, _ = polygon.bounds
    if west >= -180 and east <= 180:
        return polygon
    parts = []
    for turn in (-360.0, 0.0, 360.0):
        turned = shapely.affinity.translate(polygon, turn)
        parts += [part for part in shapely.get_parts(shapely.clip_by_rect(turned, -180, -90, 180, 90)) if part.area]
    return shapely.MultiPolygon(parts)


def surrounds_pole(polygon: shapely.Polygon) -> bool:
    """Tell whether a polygon of `ground_polygon` is the cap of a pole."""
    west, south, east, north = polygon.bounds
    return bool(east - west == 360 and (north == 90 or south == -90))


@lru_cache(maxsize=64)
def period(crs: str) -> float | None:
    """Return after how many units of x a CRS comes back to the same place; None if it does not repeat."""
    parsed = pyproj.CRS.from_user_input(crs)
    if parsed.is_geographic:
        return 360.0
    operation = (parsed.source_crs if parsed.is_bound and parsed.source_crs else parsed).coordinate_operation
    if operation is None or not operation.method_name.lower().startswith(_CYLINDRICAL):
        return None
    centre = next((float(each.value) for each in operation.params if each.name.startswith("Longitude of")), 0.0)
    to_crs = pyproj.Transformer.from_crs("EPSG:4326", parsed, always_xy=True)
    (x0, x1), _ = to_crs.transform([centre, centre + 1], [0.0, 0.0])
    return float(abs(x1 - x0) * 360)
