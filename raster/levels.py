"""Levels of difficulty: random homographies by which an image is warped, so that a pair gets a known one.

What is kept of the warped image is the largest centred window that lies wholly inside it (but at least half its width),
so that no border reveals where the image was; where a strong warp leaves the window partly outside, the image is
continued by reflection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from raster.homography import Matrix, apply_homography

MIN_WINDOW = 0.5
"""Smallest side of the window, as a share of the image's."""


class HomographyRange(BaseModel):
    """Limits of a random homography about the image's centre, each parameter uniform (the scale in its logarithm)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation_deg: float = Field(ge=0, le=180, description="Largest rotation either way, degrees.")
    scale: float = Field(ge=1, description="Largest scale; the smallest is 1 / scale.")
    shift: float = Field(ge=0, description="Largest shift either way, as a share of width and height.")
    perspective: float = Field(ge=0, description="Largest element of the last row, 1 / px.")

    def sample(self, generator: np.random.Generator, width: int, height: int) -> Matrix:
        """Return a random homography.

        Args:
            generator: Source of the random numbers.
            width: Width of the image, pixels.
            height: Height of the image, pixels.

        Returns:
            3 x 3 float64, pixels of the image -> pixels of the warped image.
        """
        angle = np.deg2rad(generator.uniform(-self.rotation_deg, self.rotation_deg))
        scale = np.exp(generator.uniform(-1, 1) * np.log(self.scale))
        shift_x, shift_y = generator.uniform(-self.shift, self.shift, 2) * (width, height)
        tilt_x, tilt_y = generator.uniform(-self.perspective, self.perspective, 2)
        turn = np.array(
            [
                [scale * np.cos(angle), -scale * np.sin(angle), shift_x],
                [scale * np.sin(angle), scale * np.cos(angle), shift_y],
                [0, 0, 1],
            ]
        )
        tilt = np.array([[1, 0, 0], [0, 1, 0], [tilt_x, tilt_y, 1]])
        centre = _translation((width - 1) / 2, (height - 1) / 2)
        return np.asarray(centre @ turn @ tilt @ np.linalg.inv(centre))


class CornerPerturbation(BaseModel):
    """A random homography by its effect on the corners of the image's central patch, which then fills the image.

    After MINIMA's synthetic test (Ren et al., 2025); its description leaves the distribution open, uniform is our
    choice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch: float = Field(gt=0, le=1, description="Size of the patch, as a share of width and height.")
    amplitude: float = Field(ge=0, description="Largest move of a corner either way, as a share of width and height.")
    angle_deg: float = Field(ge=0, le=180, description="Largest rotation of the patch either way, degrees.")

    def sample(self, generator: np.random.Generator, width: int, height: int) -> Matrix:
        """Return a random homography.

        Args:
            generator: Source of the random numbers.
            width: Width of the image, pixels.
            height: Height of the image, pixels.

        Returns:
            3 x 3 float64, pixels of the image -> pixels of the warped image, whose corners are those of the patch.
        """
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        corners = corners_of(width, height)
        angle = np.deg2rad(generator.uniform(-self.angle_deg, self.angle_deg))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        patch = self.patch * (corners - centre)
        moved = patch + generator.uniform(-self.amplitude, self.amplitude, (4, 2)) * (width, height)
        source = centre + moved @ turn.T
        return np.asarray(cv2.getPerspectiveTransform(source.astype(np.float32), corners.astype(np.float32)))


Level = HomographyRange | CornerPerturbation | None
"""How image 1 is warped; None: not at all."""

LEVELS: dict[str, Level] = {
    "aligned": None,
    "easy": HomographyRange(rotation_deg=10, scale=1.1, shift=0.05, perspective=5e-5),
    "normal": HomographyRange(rotation_deg=45, scale=1.33, shift=0.10, perspective=1.5e-4),
    "hard": HomographyRange(rotation_deg=180, scale=2.0, shift=0.15, perspective=3e-4),
    "minima": CornerPerturbation(patch=0.8, amplitude=0.05, angle_deg=10),
}


class Levels(BaseModel):
    """A file of levels, such as configs/benchmark-levels.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    levels: dict[str, Level] = Field(min_length=1, description="The levels by name; null: the image is not warped.")


def warped_at(
    image: NDArray[np.uint8], level: HomographyRange | CornerPerturbation, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], Matrix]:
    """Warp an image by a random homography of a level.

    Args:
        image: (H, W, 3) uint8 or (H, W).
        level: Limits of the homography.
        generator: Source of the random numbers.

    Returns:
        The window of the warped image, and the homography: pixels of `image` -> pixels of the window, 3 x 3 float64.
    """
    height, width = image.shape[:2]
    matrix, size = _window(level.sample(generator, width, height), width, height)
    warped = cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.uint8), matrix


def seeded(*names: str) -> np.random.Generator:
    """Return a random generator whose numbers depend on the names only."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256("\0".join(names).encode()).digest()[:8], "big"))


def corners_of(width: int, height: int) -> Matrix:
    """Return the centres of the four corner pixels, (4, 2), clockwise from the top left.

    Args:
        width: Of the image, pixels.
        height: Of the image, pixels.

    Returns:
        (4, 2) float64 x, y; `raster.pixels.outline` gives the outer corners, half a pixel beyond.
    """
    return np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)


def _window(matrix: Matrix, width: int, height: int) -> tuple[Matrix, tuple[int, int]]:
    """Return the matrix into the largest window that lies inside the image, and the window's (width, height)."""
    inverse = np.asarray(np.linalg.inv(matrix), np.float64)
    share = _largest(lambda share: _is_inside(inverse, share, width, height))
    left, top, columns, rows = _centred(share, width, height)
    return _translation(-left, -top) @ matrix, (columns, rows)


def _largest(holds: Callable[[float], bool]) -> float:
    """Bisect for the largest share in [MIN_WINDOW, 1] for which `holds`; MIN_WINDOW where none does."""
    if holds(1.0):
        return 1.0
    low, high = MIN_WINDOW, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _is_inside(inverse: Matrix, share: float, width: int, height: int) -> bool:
    left, top, columns, rows = _centred(share, width, height)
    corners = apply_homography(inverse, corners_of(columns, rows) + np.array([left, top]))
    return bool((corners >= 0).all() and (corners <= (width - 1, height - 1)).all())


def _centred(share: float, width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the centred window."""
    columns, rows = max(1, round(share * width)), max(1, round(share * height))
    return (width - columns) // 2, (height - rows) // 2, columns, rows


def _translation(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)
