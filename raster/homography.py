"""3x3 homographies between pixel coordinates: apply, invert, normalise, compose from scales and shifts, fit."""

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
    """Return the inverse of a 3x3 matrix. Raises numpy.linalg.LinAlgError if it has none."""
    return np.linalg.inv(homography).astype(np.float64)


def normalised(homography: NDArray[np.floating]) -> Matrix:
    """Scale a homography so that its last element is 1."""
    return np.asarray(homography / homography[2, 2], np.float64)


def translation(x: float, y: float) -> Matrix:
    """Return the matrix of a shift by (x, y) pixels."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64)


def resizing(scale_x: float, scale_y: float) -> Matrix:
    """Return the matrix from pixels of an image to those of its resized version: corners, not centres, are kept."""
    return np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]], dtype=np.float64)


def fit_homography(source: FloatArray, target: FloatArray) -> Matrix:
    """Fit a homography to exact or mildly noisy correspondences in the least-squares sense.

    Direct linear transform on normalised points (Hartley and Zisserman, Multiple View Geometry, algorithm 4.2).

    Args:
        source: (N, 2) points, N >= 4.
        target: (N, 2) points that they map to.

    Returns:
        3x3 matrix source -> target, last element 1.
    """
    from_unit, to_unit = normalising(source), normalising(target)
    equations = dlt_equations(apply_homography(from_unit, source), apply_homography(to_unit, target))
    solution = np.linalg.svd(equations, full_matrices=False)[2][-1].reshape(3, 3)
    return normalised(inverse(to_unit) @ solution @ from_unit)


def normalising(points: FloatArray) -> Matrix:
    """Return the matrix that moves the mean of points (N, 2) to the origin and their mean distance to sqrt(2)."""
    centre = points.mean(axis=0)
    scale = np.sqrt(2) / np.linalg.norm(points - centre, axis=1).mean()
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])


def dlt_equations(source: FloatArray, target: FloatArray) -> FloatArray:
    """Return the (2 N, 9) equations of the direct linear transform: rows of x, then of y, times the matrix's elements
    row by row give 0."""
    (x, y), (u, v) = source.T, target.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    return np.concatenate(
        [
            np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u], axis=1),
            np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v], axis=1),
        ]
    )
