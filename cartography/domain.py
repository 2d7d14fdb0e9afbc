"""The domain of a projected coordinate system: what of a dataset of the whole globe can be drawn in it.

Far from the place that a projection is meant for, coordinates have no image or a wrong one. A polygon that reaches
there, such as one of all land or all sea, is cut to the domain first: without its far vertices it would be another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
import shapely

_AROUND = 6.0
"""Degrees round the area of use that belong to the domain: as wide again as a zone of UTM."""
_PIECES = 200
"""Pieces into which the domain's width is divided where edges of cut shapes are bent."""


def within_domain(shapes: np.ndarray, source: Any, target: pyproj.CRS) -> np.ndarray:
    """Cut shapes to the domain of a coordinate system.

    Args:
        shapes: Geometries (N,), in `source`.
        source: Their coordinate system, in any form that pyproj understands.
        target: The system that they are to be drawn in.

    Returns:
        A copy of the array. Shapes inside the domain are the same objects; others are cut, with vertices close enough
        for their edges to bend; those outside are empty.
    """
    result = np.array(shapes, object)
    domain = _domain(pyproj.CRS.from_user_input(source), target)
    if domain is None:
        return result
    x0, y0, x1, y1 = shapely.bounds(result).T
    boxes = [part.bounds for part in shapely.get_parts(domain)]
    inside = [(x0 >= box[0]) & (y0 >= box[1]) & (x1 <= box[2]) & (y1 <= box[3]) for box in boxes]
    reaching = np.flatnonzero(~np.any(inside, axis=0) & np.isfinite(x0))
    if len(reaching):
        step = max(box[2] - box[0] for box in boxes) / _PIECES
        valid = shapely.make_valid(result[reaching])
        result[reaching] = shapely.segmentize(shapely.intersection(valid, domain), step)
    return result


def _domain(source: pyproj.CRS, target: pyproj.CRS) -> shapely.Geometry | None:
    """Return the domain in the source's coordinates, one box or two; None if it is not known."""
    area = target.area_of_use
    if area is None:
        return None
    east = area.east if area.east > area.west else area.east + 360
    west, east = area.west - _AROUND, east + _AROUND
    south, north = max(area.south - _AROUND, -90), min(area.north + _AROUND, 90)
    if east - west >= 360:
        west, east = -180, 180
    spans = [(max(west + turn, -180), min(east + turn, 180)) for turn in (-360, 0, 360)]
    boxes = [(low, south, high, north) for low, high in spans if low < high]
    if not source.is_geographic:
        to_source = pyproj.Transformer.from_crs(source.geodetic_crs, source, always_xy=True)
        boxes = [to_source.transform_bounds(*box, densify_pts=21) for box in boxes]
        if not np.isfinite(boxes).all():
            return None
    return shapely.union_all([shapely.box(*box) for box in boxes])
