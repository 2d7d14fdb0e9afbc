"""The lowest-order transformation that explains the tie points, found robustly over the whole raster at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raster.homography import FloatArray, apply_homography, inverse

DEGREES_OF_FREEDOM = {"shift": 2, "similarity": 4, "affine": 6, "homography": 8}
"""Degrees of freedom of each kind of transformation, from the lowest order to the highest."""

ITERATIONS = 30
OVERLAP = 6.0
"""Windows overlap, so this many count as one independent observation in the complexity penalty."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A correction in the visible frame: `matrix` takes expected positions to found ones. `residuals` (N,) in the units
    of the points; `inliers` (N,) bool, within the tolerance asked for."""

    kind: str
    matrix: FloatArray
    residuals: FloatArray
    inliers: NDArray[np.bool_]

    @property
    def rms(self) -> float:
        """Root mean square residual of the inliers; NaN without any."""
        return float(np.sqrt(np.mean(self.residuals[self.inliers] ** 2))) if self.inliers.any() else float("nan")


def fit_lowest_order(
    expected: FloatArray,
    found: FloatArray,
    weights: FloatArray,
    tolerance: float,
    lowest: str = "shift",
    highest: str = "homography",
) -> Fitted | None:
    """Fit shift, similarity, affine and homography, each started from the one before, and choose the order.

    The criterion is Schwarz's (Bayesian information criterion, 1978), residuals being cut at `tolerance`.

    Args:
        expected: Points (N, 2) in the visible frame.
        found: Where they were found (N, 2), same units.
        weights: Weight of each (N,).
        tolerance: Largest residual of an inlier, in the units of the points.
        lowest: Lowest order that may be chosen, a key of `DEGREES_OF_FREEDOM`.
        highest: Highest order that may be chosen.

    Returns:
        The model of least criterion, None if there are too few points.
    """
    if len(expected) < 2:
        return None
    shift = _mode(found - expected, weights, tolerance)
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]], dtype=np.float64)
    best, best_cost = None, np.inf
    count = max(len(expected) / OVERLAP, 1.0)
    for kind, degrees in DEGREES_OF_FREEDOM.items():
        if len(expected) * 2 < degrees + 2:
            break
        matrix = _reweighted(kind, matrix, expected, found, weights, tolerance)
        residuals = np.linalg.norm(apply_homography(matrix, expected) - found, axis=1)
        cut = np.average(np.minimum(residuals, tolerance) ** 2, weights=weights)
        cost = count * np.log(cut + 0.01) + degrees * np.log(max(count, 2.0)) / 2
        if degrees >= DEGREES_OF_FREEDOM[lowest] and cost < best_cost:
            best, best_cost = Fitted(kind, matrix, residuals, residuals <= tolerance), cost
        if kind == highest:
            break
    return best


def _reweighted(
    kind: str, matrix: FloatArray, expected: FloatArray, found: FloatArray, weights: FloatArray, tolerance: float
) -> FloatArray:
    """Iterate least squares with Tukey's biweight, its reach shrinking from three tolerances to one."""
    for iteration in range(ITERATIONS):
        reach = tolerance * max(1.0, 3.0 * 0.8**iteration)
        residuals = np.linalg.norm(apply_homography(matrix, expected) - found, axis=1)
        robust = weights * np.clip(1 - (residuals / reach) ** 2, 0, None) ** 2
        if np.count_nonzero(robust) * 2 < DEGREES_OF_FREEDOM[kind] + 2:
            return matrix
        update = least_squares(kind, expected, found, robust)
        if (
            np.abs(apply_homography(update, expected) - apply_homography(matrix, expected)).max() < 1e-4
            and reach == tolerance
        ):
            return update
        matrix = update
    return matrix


def least_squares(kind: str, source: FloatArray, target: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted least-squares transformation of a kind; a homography minimises the algebraic error.

    Args:
        kind: A key of `DEGREES_OF_FREEDOM`.
        source: Points (N, 2).
        target: Where they shall lie (N, 2).
        weights: Weight of each (N,).

    Returns:
        The matrix (3x3), source -> target.
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
    matrix = inverse(normalise) @ np.array(inner, dtype=np.float64) @ normalise
    return np.asarray(matrix / matrix[2, 2])


def _mode(shifts: FloatArray, weights: FloatArray, tolerance: float) -> FloatArray:
    """Return the shift with the most weight within two tolerances around it, refined to the mean of those."""
    sample = shifts[:: max(1, len(shifts) // 2000)]
    support = [weights[np.linalg.norm(shifts - shift, axis=1) <= 2 * tolerance].sum() for shift in sample]
    near = np.linalg.norm(shifts - sample[int(np.argmax(support))], axis=1) <= 2 * tolerance
    return np.asarray(np.average(shifts[near], axis=0, weights=weights[near]))
