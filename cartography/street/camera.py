"""A pinhole camera that stands in a scene.

Scene coordinates are metres, x east, y north, z up. Pixel coordinates are (x, y), (0, 0) the centre of the top-left
pixel, y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

NEAR = 0.3
"""Metres in front of the camera within which nothing is drawn."""


@dataclass(frozen=True)
class StreetCamera:
    """Where a camera stands, where it looks, and its optics.

    Attributes:
        position: (x, y, z) of the optical centre, metres.
        heading: Degrees clockwise from north.
        pitch: Degrees above the horizon.
        focal_px: Focal length, pixels.
        width: Pixels.
        height: Pixels.
    """

    position: tuple[float, float, float]
    heading: float
    pitch: float
    focal_px: float
    width: int
    height: int

    @cached_property
    def axes(self) -> np.ndarray:
        """Rows (3, 3): unit vectors to the right, downwards and forwards."""
        heading, pitch = np.radians(self.heading), np.radians(self.pitch)
        right = np.array([np.cos(heading), -np.sin(heading), 0.0])
        forward = np.array([np.sin(heading) * np.cos(pitch), np.cos(heading) * np.cos(pitch), np.sin(pitch)])
        return np.stack([right, np.cross(forward, right), forward])

    @cached_property
    def rays(self) -> np.ndarray:
        """Direction of every pixel (H, W, 3) float32, scaled so that a depth of 1 is one metre forwards."""
        x = (np.arange(self.width) - (self.width - 1) / 2) / self.focal_px
        y = (np.arange(self.height) - (self.height - 1) / 2) / self.focal_px
        right, down, forward = self.axes
        rays = x[None, :, None] * right + y[:, None, None] * down + forward
        return np.asarray(rays, np.float32)

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Return scene points (N, 3) as (right, down, depth) metres from the camera.

        Args:
            points: (N, 3) x, y, z in the plane of the scene, metres.

        Returns:
            (N, 3) float64; depths are negative behind the camera.
        """
        return np.asarray((points - np.array(self.position)) @ self.axes.T)

    def to_pixels(self, seen: np.ndarray) -> np.ndarray:
        """Return where points (N, 3) in camera coordinates, all in front of the camera, lie in the image: (N, 2).

        Args:
            seen: (N, 3) right, down, depth in metres, every depth above 0; see `clipped`.

        Returns:
            (N, 2) float64 x, y, (0, 0) the centre of the top-left pixel; also outside the image.
        """
        centre = np.array([(self.width - 1) / 2, (self.height - 1) / 2])
        return np.asarray(seen[:, :2] / seen[:, 2:] * self.focal_px + centre)

    def box(self, points: np.ndarray) -> tuple[slice, slice] | None:
        """Return rows and columns of the pixels that a convex polygon (N, 3) of the scene may cover, None if none.

        Args:
            points: (N, 3) x, y, z in the plane of the scene, metres; what lies nearer than `NEAR`, or behind, is cut
                off.
        """
        seen = clipped(self.to_camera(points))
        if len(seen) < 3:
            return None
        pixels = self.to_pixels(seen)
        low = np.maximum(np.floor(pixels.min(axis=0)), 0).astype(int)
        high = np.minimum(np.ceil(pixels.max(axis=0)) + 1, [self.width, self.height]).astype(int)
        if (low >= high).any():
            return None
        return slice(low[1], high[1]), slice(low[0], high[0])


def clipped(seen: np.ndarray) -> np.ndarray:
    """Return the part of a convex polygon (N, 3), in camera coordinates, that lies beyond the near plane.

    One plane of the algorithm of Sutherland and Hodgman (Reentrant polygon clipping, 1974).

    Args:
        seen: (N, 3) right, down, depth in metres, corners in order.

    Returns:
        (M, 3) corners in the same order, M up to N + 1; (0, 3) where nothing lies beyond the near plane.
    """
    depth = seen[:, 2] - NEAR
    if (depth >= 0).all():
        return seen
    kept = []
    for n in range(len(seen)):
        after = (n + 1) % len(seen)
        if depth[n] >= 0:
            kept.append(seen[n])
        if (depth[n] >= 0) != (depth[after] >= 0):
            kept.append(seen[n] + (seen[after] - seen[n]) * (depth[n] / (depth[n] - depth[after])))
    return np.array(kept).reshape(-1, 3)
