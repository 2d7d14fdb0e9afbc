"""Fits of transformations to correspondences without outliers: all points count."""

from __future__ import annotations

from typing import Literal

import numpy as np

from raster.homography import FloatArray, Matrix, apply_homography, inverse, normalised

Kind = Literal["shift", "similarity", "affine", "homography"]

DEGREES_OF_FREEDOM: dict[Kind, int] = {"shift": 2, "similarity": 4, "affine": 6, "homography": 8}
"""Of each kind of transformation, in ascending order."""


def least_squares(kind: Kind, source: FloatArray, target: FloatArray, weights: FloatArray) -> FloatArray:
    """Fit a transformation of a kind to correspondences by weighted least squares.

    Args:
        kind: "shift", "similarity", "affine" or "homography"; of the last the algebraic error is minimised.
        source: (N, 2) points, at least half as many as the kind has degrees of freedom.
        target: (N, 2) points that they map to.
        weights: (N,) of the squared errors.

    Returns:
        3x3 matrix source -> target, last element 1.
    """
    centre, scale = np.average(source, axis=0, weights=weights), max(float(np.ptp(source)), 1.0)
    x, y = ((source - centre) / scale).T
    u, v = ((target - centre) / scale).T
    one, zero = np.ones_like(x), np.zeros_like(x)
    columns_x = {
        "shift": [one, zero],
        "similarity": [one, zero, x, -y],
        "affine": [one, zero, x, y, zero, zero],
        "homography": [one, zero, x, y, zero, zero, -u * x, -u * y],
    }[kind]
    columns_y = {
        "shift": [zero, one],
        "similarity": [zero, one, y, x],
        "affine": [zero, one, zero, zero, x, y],
        "homography": [zero, one, zero, zero, x, y, -v * x, -v * y],
    }[kind]
    rows = np.concatenate([np.stack(columns_x, 1), np.stack(columns_y, 1)])
    wanted = np.concatenate([u, v]) - (np.concatenate([x, y]) if kind == "shift" else 0)
    root = np.sqrt(np.concatenate([weights, weights]))
    p = np.linalg.lstsq(rows * root[:, None], wanted * root, rcond=None)[0]
    inner = {
        "shift": lambda: [[1, 0, p[0]], [0, 1, p[1]], [0, 0, 1]],
        "similarity": lambda: [[p[2], -p[3], p[0]], [p[3], p[2], p[1]], [0, 0, 1]],
        "affine": lambda: [[p[2], p[3], p[0]], [p[4], p[5], p[1]], [0, 0, 1]],
        "homography": lambda: [[p[2], p[3], p[0]], [p[4], p[5], p[1]], [p[6], p[7], 1]],
    }[kind]()
    normalise = np.array([[1 / scale, 0, -centre[0] / scale], [0, 1 / scale, -centre[1] / scale], [0, 0, 1]])
    return normalised(inverse(normalise) @ np.array(inner, dtype=np.float64) @ normalise)


def fit_homography(source: FloatArray, target: FloatArray) -> Matrix:
    """Fit a homography to exact or mildly noisy correspondences in the least-squares sense.

    Direct linear transform on normalised points (Hartley and Zisserman, Multiple View Geometry, algorithm 4.2). Ours,
    because OpenCV's rounds points to float32: 1e-4 px in a raster of 20,000 px, where georeferences are exact.

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
    """Return the matrix that moves the mean of points to the origin and their mean distance from it to sqrt(2).

    Equations of points so placed are well conditioned (Hartley, In Defense of the Eight-Point Algorithm, IEEE
    Transactions on Pattern Analysis and Machine Intelligence 19, 1997).

    Args:
        points: (N, 2), not all the same.

    Returns:
        (3, 3) float64, a similarity without rotation.
    """
    centre = points.mean(axis=0)
    scale = np.sqrt(2) / np.linalg.norm(points - centre, axis=1).mean()
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])


def dlt_equations(source: FloatArray, target: FloatArray) -> FloatArray:
    """Return the equations of the direct linear transform: their product with the matrix's elements, row by row, is 0.

    Hartley and Zisserman, Multiple View Geometry, section 4.1.

    Args:
        source: (N, 2) points that the matrix maps; move them by `normalising` first.
        target: (N, 2) where it maps them.

    Returns:
        (2 N, 9) float64: the N rows of x, then those of y, not weighted.
    """
    (x, y), (u, v) = source.T, target.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    return np.concatenate(
        [
            np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u], axis=1),
            np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v], axis=1),
        ]
    )
