"""A procedural world: superblocks on a jittered lattice, bent by a smooth warp, cut by rivers and railways.

The plane is tiled by quads whose corners depend on (seed, lattice index) alone, and each quad is filled from its own
seed. A window is the union of the quads that touch it, so content never depends on which window asked for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from cartography.hashing import generator
from cartography.procedural.landscape import Landscape, LandscapeName
from cartography.procedural.superblock import superblock
from cartography.procedural.terrain import terrain
from cartography.procedural.warp import SPACING, Warp
from cartography.scene import Bounds, Scene, joined

_REACH = 1.5
"""Lattice cells beyond the window that may reach into it: jitter, warp and tall things at the border."""


class SyntheticScene:
    """An unlimited scene of one seed and landscape; a `SceneSource`."""

    def __init__(self, seed: int, landscape: LandscapeName = "mixed", *, contours: bool = True) -> None:
        """Make a scene; its parts are made when windows ask for them.

        Args:
            seed: The same seed and landscape give the same features in every window, whatever was asked for before.
            landscape: Decides where towns, fields and water lie.
            contours: Whether there are contour lines; only maps show them, and they take a third of the time.
        """
        self.seed, self._contours = seed, contours
        self.landscape = Landscape(seed, landscape)
        self.warp = Warp(seed)
        self._superblock = lru_cache(maxsize=600)(self._make_superblock)
        self._terrain = lru_cache(maxsize=600)(self._make_terrain)
        self._extent = lru_cache(maxsize=6000)(self._measured)

    def window(self, bounds: Bounds) -> Scene:
        """Return every feature that touches `bounds` (metres), whole.

        Args:
            bounds: Left, bottom, right and top in metres.

        Returns:
            The features, in an order that does not depend on the bounds.

        Raises:
            ValueError: The bounds are empty.
        """
        if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
            raise ValueError(
                f"bounds must be (left, bottom, right, top) with left < right and bottom < top, not {bounds}"
            )
        banks = self.landscape.river_width / 2 + 1
        parts = [self._terrain(i, j) for i, j in _cells(bounds, banks)]
        parts += [self._superblock(i, j) for i, j in self._quads(bounds)]
        return joined([part.window(bounds) for part in parts], bounds)

    def _quads(self, bounds: Bounds) -> Iterator[tuple[int, int]]:
        corners = np.array([[bounds[i], bounds[j]] for i in (0, 2) for j in (1, 3)])
        flat = self.warp.unrotated(corners) / SPACING
        low = np.floor(flat.min(axis=0) - _REACH).astype(int)
        high = np.floor(flat.max(axis=0) + _REACH).astype(int)
        for j in range(low[1], high[1] + 1):
            for i in range(low[0], high[0] + 1):
                if self._touches(i, j, bounds):
                    yield i, j

    def _touches(self, i: int, j: int, bounds: Bounds) -> bool:
        left, bottom, right, top = self._extent(i, j)
        return left <= bounds[2] and right >= bounds[0] and bottom <= bounds[3] and top >= bounds[1]

    def _measured(self, i: int, j: int) -> Bounds:
        ring = self.warp.corners(i, j)
        return (*(ring.min(axis=0) - 40).tolist(), *(ring.max(axis=0) + 40).tolist())

    def _make_superblock(self, i: int, j: int) -> Scene:
        return superblock(self.landscape, self.warp, i, j, generator(self.seed, 0xB10C, i, j))

    def _make_terrain(self, i: int, j: int) -> Scene:
        return terrain(self.landscape, i, j, contours=self._contours)


def _cells(bounds: Bounds, reach: float) -> Iterator[tuple[int, int]]:
    """Indices of the square terrain cells that touch the bounds when grown by `reach` metres."""
    low = np.floor((np.array(bounds[:2]) - reach) / SPACING).astype(int)
    high = np.floor((np.array(bounds[2:]) + reach) / SPACING).astype(int)
    for j in range(low[1], high[1] + 1):
        for i in range(low[0], high[0] + 1):
            yield i, j
