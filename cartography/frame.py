"""A raster grid in the plane of a scene: the one place where cartography converts metres to pixels.

Pixel coordinates are (x, y) floats, (0, 0) the centre of the top-left pixel, y down; scene coordinates have y up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cartography.scene import Bounds
from raster.pixels import from_corner, to_corner


@dataclass(frozen=True)
class Frame:
    """`width` x `height` square pixels of `gsd` scene units; (`left`, `top`) is the grid's outer top-left corner."""

    left: float
    top: float
    gsd: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.gsd <= 0 or self.width <= 0 or self.height <= 0:
            raise ValueError(
                f"a frame needs a positive gsd, width and height, not {self.gsd}, {self.width}, {self.height}"
            )

    @property
    def bounds(self) -> Bounds:
        """Outer edge of the grid in scene units."""
        return (self.left, self.top - self.height * self.gsd, self.left + self.width * self.gsd, self.top)

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Convert scene coordinates to pixel coordinates.

        Args:
            points: Scene coordinates (N, 2), y up.

        Returns:
            Pixel coordinates (N, 2) float64, (0, 0) the centre of the top-left pixel, y down.
        """
        x, y = (points[..., 0] - self.left) / self.gsd, (self.top - points[..., 1]) / self.gsd
        return from_corner(np.stack([x, y], axis=-1))

    def to_scene(self, pixels: np.ndarray) -> np.ndarray:
        """Convert pixel coordinates to scene coordinates.

        Args:
            pixels: Pixel coordinates (N, 2), (0, 0) the centre of the top-left pixel, y down.

        Returns:
            Scene coordinates (N, 2) float64, y up.
        """
        steps = to_corner(pixels) * self.gsd
        return np.stack([self.left + steps[..., 0], self.top - steps[..., 1]], axis=-1)

    def block(self, column: int, row: int, width: int, height: int) -> Frame:
        """Return the frame of a block of this grid; it may reach beyond the grid, as a margin does.

        Args:
            column: First column of the block in this grid.
            row: First row of the block in this grid.
            width: Width in pixels.
            height: Height in pixels.

        Returns:
            The block's own grid.
        """
        return Frame(self.left + column * self.gsd, self.top - row * self.gsd, self.gsd, width, height)

    def grown(self, margin: int) -> Frame:
        """Return the frame with more pixels on every side.

        Args:
            margin: Pixels added on each side.

        Returns:
            The larger grid.
        """
        return self.block(-margin, -margin, self.width + 2 * margin, self.height + 2 * margin)
