"""3x3 homographies between pixel coordinates: apply, invert, normalise, shift."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]

Matrix: TypeAlias = NDArray[np.float64]
"""A 3x3 homography."""


def apply_homography(homography: Matrix, points: ArrayLike) -> FloatArray:
    """Map points by a homography.

    Args:
        homography: 3x3 matrix, scaled so that the points in front of the horizon have positive depths; a last element
            of 1 does that for the surroundings of the origin.
        points: (N, 2) coordinates (x, y).

    Returns:
        (N, 2) float64. A point sent to the horizon or beyond becomes infinite.
    """
    x, y = np.asarray(points, dtype=np.float64).T
    u, v, w = homography @ np.stack([x, y, np.ones_like(x)])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((w > 0)[:, None], np.stack([u / w, v / w], axis=1), np.inf)


def inverse(homography: Matrix) -> Matrix:
    """Return the inverse of a 3x3 matrix.

    Args:
        homography: (3, 3) of any scale.

    Returns:
        (3, 3) float64, not scaled: see `normalised`.

    Raises:
        numpy.linalg.LinAlgError: The matrix is singular.
    """
    return np.linalg.inv(homography).astype(np.float64)


def normalised(homography: NDArray[np.floating]) -> Matrix:
    """Scale a homography so that its last element is 1.

    Args:
        homography: (3, 3); its last element is not 0, which would put pixel (0, 0) at the horizon.

    Returns:
        (3, 3) float64.
    """
    return np.asarray(homography / homography[2, 2], np.float64)


def translation(x: float, y: float) -> Matrix:
    """Return the matrix of a shift by (x, y) pixels.

    Args:
        x: To the right, in pixels, fractions too.
        y: Downward, in pixels.

    Returns:
        (3, 3) float64.
    """
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64)
