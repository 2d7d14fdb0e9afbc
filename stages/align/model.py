"""The lowest-order transformation that explains the tie points, found robustly over the whole raster at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raster.homography import FloatArray, apply_homography, translation
from raster.least_squares import DEGREES_OF_FREEDOM, Kind, least_squares

ITERATIONS = 30
OVERLAP = 12.0
"""Windows overlap, and what displaces one displaces its neighbours: so many count as one independent observation in the
complexity penalty."""

MOST_BENDING = 12.0
"""What the prior counts at most against a transformation that bends: that of five standard deviations."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A correction in the visible frame: `matrix` takes expected positions to found ones. `residuals` (N,) in the units
    of the points; `inliers` (N,) bool, within the tolerance asked for."""

    kind: Kind
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
    lowest: Kind = "shift",
    highest: Kind = "homography",
    bending: float = float("inf"),
    start: FloatArray | None = None,
) -> Fitted | None:
    """Fit shift, similarity, affine and homography, each started from the one before, and choose the order.

    The criterion is Schwarz's (Bayesian information criterion, 1978), residuals being cut at `tolerance`, with a prior
    of what a transformation bends: displaces the corners of the points beyond a similarity. The prior is normal near
    none and flat far from it, as a sheet that has shrunk bends by far more than what it guards against.

    Args:
        expected: Points (N, 2) in the visible frame.
        found: Where they were found (N, 2), same units.
        weights: Weight of each (N,).
        tolerance: Largest residual of an inlier, in the units of the points.
        lowest: Lowest order that may be chosen, a key of `DEGREES_OF_FREEDOM`.
        highest: Highest order that may be chosen.
        bending: Standard deviation of that prior, in the units of the points.
        start: 3x3, a transformation from which each order is fitted, too: a robust fit sees what lies near its start.

    Returns:
        The model of least criterion, None if there are too few points.
    """
    if len(expected) < 2:
        return None
    shift = _mode(found - expected, weights, tolerance)
    matrix = translation(*shift)
    if start is not None:
        left = _mode(found - apply_homography(start, expected), weights, tolerance)
        start = translation(*left) @ start
    best, best_cost = None, np.inf
    count = max(len(expected) / OVERLAP, 1.0)
    low, high = expected.min(0), expected.max(0)
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    straight = corners
    for kind, degrees in DEGREES_OF_FREEDOM.items():
        if len(expected) * 2 < degrees + 2:
            break
        cut = np.inf
        for begin in [matrix] if start is None else [matrix, start]:
            tried = _reweighted(kind, begin, expected, found, weights, tolerance)
            distances = np.linalg.norm(apply_homography(tried, expected) - found, axis=1)
            tried_cut = float(np.average(np.minimum(distances, tolerance) ** 2, weights=weights))
            if tried_cut < cut:
                cut, fitted, residuals = tried_cut, tried, distances
        matrix = fitted
        moved = apply_homography(matrix, corners)
        if degrees <= DEGREES_OF_FREEDOM["similarity"]:
            straight = moved
        bent = float(np.linalg.norm(moved - straight, axis=1).max())
        prior = min((bent / bending) ** 2 / 2, MOST_BENDING)
        cost = count * np.log(cut + 0.01) + degrees * np.log(max(count, 2.0)) / 2 + prior
        if degrees >= DEGREES_OF_FREEDOM[lowest] and cost < best_cost:
            best, best_cost = Fitted(kind, matrix, residuals, residuals <= tolerance), cost
        if kind == highest:
            break
    return best


def _reweighted(
    kind: Kind, matrix: FloatArray, expected: FloatArray, found: FloatArray, weights: FloatArray, tolerance: float
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


def _mode(shifts: FloatArray, weights: FloatArray, tolerance: float) -> FloatArray:
    """Return the shift with the most weight within two tolerances around it, refined to the mean of those."""
    sample = shifts[:: max(1, len(shifts) // 2000)]
    support = [weights[np.linalg.norm(shifts - shift, axis=1) <= 2 * tolerance].sum() for shift in sample]
    near = np.linalg.norm(shifts - sample[int(np.argmax(support))], axis=1) <= 2 * tolerance
    return np.asarray(np.average(shifts[near], axis=0, weights=weights[near]))
