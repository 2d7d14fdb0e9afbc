"""What manual tie points say alone: a homography, and which of them contradict the rest."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from raster.homography import FloatArray, apply_homography
from raster.least_squares import least_squares
from stages.tiepoints import TiePoint, arrays

TOLERANCE_SHARE = 0.004
MIN_TOLERANCE = 6.0
"""A hand is trusted to this many visible pixels, or to `TOLERANCE_SHARE` of the points' extent if that is more."""

MAX_POINTS_TRIED = 24
"""Pairs are taken from at most this many points, evenly chosen: 276 hypotheses."""


def fit_manual(points: list[TiePoint]) -> tuple[FloatArray | None, NDArray[np.bool_], FloatArray]:
    """Fit map -> visible to manual points; return the matrix, which points agree (N,), and residuals (N,) visible px.

    Every pair of points proposes a similarity; the one with the most agreement (then the least residual) is refined by
    least squares: a similarity of up to four agreeing points, an affine of five or more where it explains them better
    by half. Fewer than two points, or no majority, give no matrix.
    """
    source, target = arrays(points)
    nobody = np.zeros(len(points), bool)
    if len(points) < 2:
        return None, nobody, np.full(len(points), np.nan)
    tolerance = max(MIN_TOLERANCE, TOLERANCE_SHARE * float(np.ptp(target, axis=0).max()))
    tried = np.unique(np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS_TRIED)).round().astype(int))
    best: tuple[int, float, FloatArray] | None = None
    for pair in combinations(tried.tolist(), 2):
        chosen = list(pair)
        if np.linalg.norm(source[chosen[0]] - source[chosen[1]]) < 10:
            continue
        matrix = least_squares("similarity", source[chosen], target[chosen], np.ones(2))
        residuals = np.linalg.norm(apply_homography(matrix, source) - target, axis=1)
        # a similarity through two points misses the others by what the points' errors and a slight skew amount to
        agreeing = residuals <= 3 * tolerance
        rank = int(agreeing.sum()), -float(residuals[agreeing].mean()), matrix
        if best is None or rank[:2] > best[:2]:
            best = rank
    if best is None or (best[0] <= len(points) / 2 and len(points) > 2):
        return None, nobody, np.full(len(points), np.nan)
    matrix = best[2]
    agreeing = np.linalg.norm(apply_homography(matrix, source) - target, axis=1) <= 3 * tolerance
    for _ in range(5):
        matrix = _refine(source[agreeing], target[agreeing])
        residuals = np.linalg.norm(apply_homography(matrix, source) - target, axis=1)
        agreeing = residuals <= max(tolerance, 4 * float(np.median(residuals)))
    return matrix, agreeing, residuals


def _refine(source: FloatArray, target: FloatArray) -> FloatArray:
    weights = np.ones(len(source))
    similarity = least_squares("similarity", source, target, weights)
    if len(source) < 5:
        return similarity
    affine = least_squares("affine", source, target, weights)

    def rms(matrix: FloatArray, freedom: int) -> float:
        return float(np.sum((apply_homography(matrix, source) - target) ** 2) / (2 * len(source) - freedom))

    return affine if rms(affine, 6) < 0.5 * rms(similarity, 4) else similarity
