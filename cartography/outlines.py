"""Polygons in fixed point, many at once, and taken apart into what is filled and what is drawn along their edges."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np

Path: TypeAlias = np.ndarray
"""Fixed-point vertices (N, 1, 2) int32 of a line or a ring."""


class Shape(NamedTuple):
    """A polygon ready to be filled, shell before holes: its `rings`, more `lines` to draw along them, its `cores`."""

    rings: list[Path]
    lines: list[Path]
    cores: list[Path]


class Outlines(NamedTuple):
    """Many polygons at once: their vertices in the order of their rings, shells before holes."""

    vertices: np.ndarray
    """(3, V, 2) int32: those of the rings, the second lines and the cores of a `Shape`; (1, V, 2) if not smooth."""
    rings: np.ndarray
    """(R + 1,): the first vertex of every ring, and the end."""
    polygons: np.ndarray
    """(N + 1,): the first ring of every polygon, and the end."""
    broad: np.ndarray
    """(N,) bool: has it lines and cores?"""

    def moved(self, offsets: np.ndarray) -> Outlines:
        """The polygons displaced by a fixed-point vector (N, 2) each.

        Args:
            offsets: Displacements (N, 2) in fixed-point units, y down.

        Returns:
            The same polygons at their new places.
        """
        counts = np.diff(self.rings[self.polygons])
        return self._replace(vertices=self.vertices + np.repeat(offsets, counts, axis=0))

    def shells(self) -> tuple[np.ndarray, np.ndarray]:
        """The first vertex of every shell, and how many corners it has: (N,) each."""
        first = self.rings[self.polygons[:-1]]
        return first, self.rings[self.polygons[:-1] + 1] - first - 1

    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """The sides of the shells, polygon by polygon: first vertex (E,), which the second follows; polygon (E,)."""
        first, counts = self.shells()
        before = np.cumsum(counts) - counts
        return np.arange(counts.sum()) + np.repeat(first - before, counts), np.repeat(np.arange(len(counts)), counts)

    def shapes(self) -> list[Shape]:
        """Every polygon on its own."""
        cuts = self.rings.tolist()
        paths = [[vertices[start:end] for start, end in pairwise(cuts)] for vertices in self.vertices[:, :, None]]
        if len(self.rings) == len(self.polygons):  # no holes
            return [
                Shape(*([path] for path in each)) if broad else Shape([each[0]], [], [])
                for *each, broad in zip(*paths, self.broad.tolist(), strict=True)
            ]
        return [
            Shape(*(path[start:end] for path in paths)) if broad else Shape(paths[0][start:end], [], [])
            for (start, end), broad in zip(pairwise(self.polygons.tolist()), self.broad.tolist(), strict=True)
        ]


def inwards_of(points: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return displacements (N, 2) that move the edges of closed rings by 1 into the polygon, corners kept.

    Args:
        points: Vertices (N, 2) of all rings; the polygon lies to the right of them (y down).
        starts: (R,) the first vertex of every ring.
    """
    if len(points) == 0:
        return points
    ends = np.r_[starts[1:], len(points)] - 1
    after = np.roll(points, -1, axis=0)
    after[ends] = points[starts + 1]
    edge = (after - points).astype(np.float64)
    edge /= np.maximum(np.hypot(edge[:, 0], edge[:, 1]), 1e-9)[:, None]
    normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1)
    before = np.roll(np.arange(len(points)), 1)
    before[starts] = ends - 1
    other = normal[before]
    cosine = (normal * other).sum(axis=1)
    # A needle's tip would run far back: it moves as one of its sides does.
    return np.where((cosine < -0.97)[:, None], normal, (normal + other) / np.maximum(1 + cosine, 0.03)[:, None])
