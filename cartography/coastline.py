"""The sea of OpenStreetMap data, which has no polygon of its own: it lies to the right of every coastline.

Coastlines (`natural=coastline`) are closed round islands and open where the data end. The border of the data closes the
open ones; the faces that arise are sea or land by the side of the coastlines on which they lie.
See https://wiki.openstreetmap.org/wiki/Tag:natural%3Dcoastline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
from shapely import LineString, Polygon

from cartography.scene import Bounds

_ASIDE = 0.01
"""Units of the plane between a coastline and the places beside it that tell on which side a face lies."""
_AT_BORDER = 1.0
"""Units of the plane within which the end of a coastline counts as lying on the border."""


class Sea(NamedTuple):
    """The polygons of the sea, and how many coastlines end inside the data, where the course of the coast is open."""

    polygons: list[Polygon]
    loose_ends: int


def sea(coastlines: Sequence[LineString], bounds: Bounds) -> Sea:
    """Return what the sea covers of an area.

    Args:
        coastlines: Lines and rings in the direction in which they are drawn, the land to their left.
        bounds: The area, in the coordinates of the lines. An end inside it is joined to the nearest point of its
            border, as a coastline that the data do not continue.

    Returns:
        The sea's polygons; none where there is no coastline.
    """
    area = shapely.box(*bounds)
    merged = shapely.get_parts(shapely.line_merge(shapely.MultiLineString(list(coastlines)), directed=True))
    joined = [_joined(line, area) for line in merged if line.length > 0]
    lines = [line for line, _ in joined]
    if not lines or area.is_empty:
        return Sea([], 0)
    border = shapely.union_all([*shapely.intersection(lines, area), area.exterior])
    faces = np.asarray(shapely.get_parts(shapely.polygonize(list(shapely.get_parts(border)))))
    water = faces[_votes(faces, lines, 1.0) > _votes(faces, lines, -1.0)]
    whole = shapely.get_parts(shapely.union_all(water))
    return Sea([part for part in whole if isinstance(part, Polygon)], sum(count for _, count in joined))


def _joined(line: LineString, area: Polygon) -> tuple[LineString, int]:
    """Continue a line's ends inside an area straight to its border; return also how many there were."""
    points = shapely.get_coordinates(line)
    if line.is_closed:
        return line, 0
    count = 0
    for at in (0, -1):
        end = shapely.Point(points[at])
        if area.contains(end):
            nearest = shapely.get_coordinates(shapely.shortest_line(end, area.exterior))[1:]
            points = np.vstack([nearest, points] if at == 0 else [points, nearest])
            count += end.distance(area.exterior) > _AT_BORDER
    return LineString(points), count


def _votes(faces: np.ndarray, lines: Sequence[LineString], side: float) -> np.ndarray:
    """Return the length of coastline (N,) that has each face on its right (`side` 1) or left (-1)."""
    starts = np.concatenate([shapely.get_coordinates(line)[:-1] for line in lines])
    ends = np.concatenate([shapely.get_coordinates(line)[1:] for line in lines])
    along = ends - starts
    lengths = np.hypot(along[:, 0], along[:, 1])
    right = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.maximum(lengths, 1e-12)[:, None]
    beside = shapely.points((starts + ends) / 2 + side * _ASIDE * right)
    # The tree holds the points: so each face, which may have very many vertices, is prepared once for all of them.
    face, segment = shapely.STRtree(beside).query(faces, predicate="contains")
    return np.bincount(face, lengths[segment], minlength=len(faces))
