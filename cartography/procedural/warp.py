"""Street space: a lattice of jittered nodes, and the smooth map from it to the plane."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cartography.hashing import generator, mix
from cartography.procedural.waves import WaveField

SPACING = 290.0
"""Metres between the nodes of the lattice."""

_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))


class Warp:
    """Rotation by an angle of the seed plus displacements of some ten metres over half a kilometre and more."""

    def __init__(self, seed: int) -> None:
        random = generator(seed, 0xA2B)
        angle = random.uniform(0, 2 * np.pi)
        self._rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self._seed = seed
        self._jitter = random.choice([0.03, 0.1, 0.18])
        self._strength = random.choice([4.0, 14.0, 26.0])
        # A node is a corner of four superblocks and an end of four of their edges.
        self.node = lru_cache(maxsize=4096)(self._node)
        self._fields = [WaveField(mix(seed, 0xF0 + k), 450, 2400, 6) for k in range(2)]

    def _node(self, i: int, j: int) -> np.ndarray:
        """Return the position (2,) of a node of the lattice in street space, metres, by its column and row."""
        random = generator(self._seed, 0x40DE, i, j)
        return (np.array([i, j]) + random.uniform(-1, 1, 2) * self._jitter) * SPACING

    def quad(self, i: int, j: int) -> np.ndarray:
        """Return the corners of a superblock in street space, counter-clockwise.

        Args:
            i: Column of the superblock.
            j: Row of the superblock.

        Returns:
            Corners (4, 2) in metres.
        """
        return np.stack([self.node(i + a, j + b) for a, b in _CORNERS])

    def corners(self, i: int, j: int) -> np.ndarray:
        """Return the corners of a superblock in the plane.

        Args:
            i: Column of the superblock.
            j: Row of the superblock.

        Returns:
            Corners (4, 2) in metres.
        """
        return self(self.quad(i, j))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Bend points of street space into the plane.

        Args:
            points: (N, 2) street space, metres.

        Returns:
            (N, 2) plane, metres.
        """
        displacement = np.stack([field(points) for field in self._fields], axis=1)
        return (points + displacement * self._strength) @ self._rotation

    def unrotated(self, points: np.ndarray) -> np.ndarray:
        """Turn positions of the plane back to street space, without undoing the displacements.

        Args:
            points: Positions (N, 2) in metres.

        Returns:
            Positions (N, 2).
        """
        return points @ self._rotation.T

    def rotations(self, points: np.ndarray) -> np.ndarray:
        """Return the rotations closest to the warp's Jacobian.

        Args:
            points: Positions (N, 2) in street space.

        Returns:
            Rotations (N, 2, 2), to be applied to row vectors as `v @ R`.
        """
        east, north = np.array([1.0, 0.0]), np.array([0.0, 1.0])
        along_x = self(points + east) - self(points - east)
        along_y = self(points + north) - self(points - north)
        angle = np.arctan2(along_x[:, 1] - along_y[:, 0], along_x[:, 0] + along_y[:, 1])
        cos, sin = np.cos(angle), np.sin(angle)
        return np.stack([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)], axis=1)
