"""Plane faces of a building: walls that stand on its footprint, and the faces of its roof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import Polygon, polygon

from cartography.scene import Building

PITCH = 0.38
"""Height of a ridge above the eaves for each metre of the roof's width."""


@dataclass(frozen=True, eq=False)
class Face:
    """A convex plane polygon.

    Attributes:
        corners: (K, 3) in the scene, counter-clockwise as seen from outside.
        wall: Whether it is a wall; else it is a part of the roof.
    """

    corners: np.ndarray
    wall: bool

    @property
    def normal(self) -> np.ndarray:
        """Unit vector (3,) to the outside, by the formula of Newell, which bears corners that coincide."""
        # Written out: `np.cross` takes longer than all else that a face needs.
        x, y, z = self.corners.T
        p, q, r = self.corners[[*range(1, len(self.corners)), 0]].T
        vector = np.array([y * r - z * q, z * p - x * r, x * q - y * p]).sum(axis=1)
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def faces_of(building: Building) -> Iterator[Face]:
    """Yield the walls and the roof of a building that stands on z = 0. Courtyards are left out."""
    if not isinstance(building.geometry, Polygon) or building.geometry.is_empty:
        return
    ring = shapely.get_coordinates(polygon.orient(building.geometry).exterior)[:-1]
    pitched = building.roof != "flat" and len(ring) == 4
    if pitched and np.linalg.norm(ring[1] - ring[0]) < np.linalg.norm(ring[2] - ring[1]):
        ring = np.roll(ring, -1, axis=0)
    width = float(np.linalg.norm(ring[2] - ring[1])) if pitched else 0.0
    eaves = max(building.height - PITCH * width / 2, 0.6 * building.height) if pitched else building.height
    low = np.column_stack([ring, np.zeros(len(ring))])
    high = np.column_stack([ring, np.full(len(ring), eaves)])
    for n in range(len(ring)):
        after = (n + 1) % len(ring)
        yield Face(np.stack([low[n], low[after], high[after], high[n]]), True)
    if not pitched:
        return
    a, b, c, d = high
    ends = np.stack([(a + d) / 2, (b + c) / 2])
    ends[:, 2] = building.height
    if building.roof == "hipped":
        inwards = (ends[1] - ends[0]) * min(0.45, 0.5 * width / max(float(np.linalg.norm(ends[1] - ends[0])), 1e-6))
        ends = np.stack([ends[0] + inwards, ends[1] - inwards])
    start, end = ends
    yield Face(np.stack([a, b, end, start]), False)
    yield Face(np.stack([c, d, start, end]), False)
    gables_are_walls = building.roof == "gabled"
    yield Face(np.stack([b, c, end]), gables_are_walls)
    yield Face(np.stack([d, a, start]), gables_are_walls)
