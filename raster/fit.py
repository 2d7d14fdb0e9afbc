"""From correspondences with outliers to a transformation.

A fit that cannot be trusted is a result that says why, with no matrix; never a wild matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from raster.homography import FloatArray, Matrix, apply_homography, normalised
from raster.least_squares import dlt_equations, normalising

Model = Literal["homography", "affine", "similarity"]
Estimator = Literal["magsac", "ransac"]

MINIMAL_SAMPLE: dict[Model, int] = {"homography": 4, "affine": 3, "similarity": 2}
MAX_ITERATIONS = 10_000
CONFIDENCE = 0.9999

MAX_FALSE_ALARMS = 1e-3
"""How many models as well supported as this one chance may yield among matches scattered at random."""

# A plausible transformation between two images of the same ground.
MAX_SCALE = 16.0
MAX_ANISOTROPY = 3.0
MAX_PERSPECTIVE = 2.0
MIN_CONDITION = 1e-3
MIN_SPREAD_THRESHOLDS = 2.0


@dataclass(frozen=True, eq=False)
class Fit:
    """What the correspondences say.

    `matrix` (3 x 3 float64, image 0 -> image 1, last element 1) is None when no model can be trusted; `reason` then
    says why, and is empty otherwise. `inliers` is (N,) bool: transfer error in image 1 within the threshold.
    `residual_px` is the inliers' root mean square transfer error in image 1 (NaN without a model).
    """

    matrix: Matrix | None
    inliers: npt.NDArray[np.bool_]
    reason: str = ""
    residual_px: float = float("nan")


def fit(
    points0: npt.ArrayLike,
    points1: npt.ArrayLike,
    model: Model = "homography",
    threshold_px: float = 3.0,
    estimator: Estimator = "magsac",
) -> Fit:
    """Fit a transformation to correspondences with outliers; the same points give the same result, bit for bit.

    The homography's estimator and settings are those of FastMapGlue's public demo: MAGSAC++, 3 px, 10,000 iterations,
    confidence 0.9999. "ransac" is plain RANSAC with the same limits. A similarity is always found by RANSAC and
    refined by least squares, as OpenCV has no MAGSAC for it. At least one correspondence more than the minimal sample
    must agree (any minimal sample agrees with itself), more than chance explains, spread over more than a line or a
    spot, with a transformation that neither mirrors nor distorts beyond reason.

    Args:
        points0: (N, 2) pixel coordinates (x, y) in image 0.
        points1: (N, 2) pixel coordinates in image 1 that correspond to them.
        model: The kind of transformation, image 0 -> image 1.
        threshold_px: Largest transfer error of an inlier, in pixels of image 1.
        estimator: The robust estimator.

    Returns:
        The transformation and its inliers, or the reason why none can be trusted.

    Raises:
        ValueError: The model or the estimator is unknown.
    """
    if model not in MINIMAL_SAMPLE or estimator not in ("magsac", "ransac"):
        raise ValueError(f"no fit of a {model!r} by {estimator!r}: models are {', '.join(MINIMAL_SAMPLE)}")
    source, target = np.asarray(points0, np.float64), np.asarray(points1, np.float64)
    count, needed = len(source), MINIMAL_SAMPLE[model] + 1
    if count < needed:
        return _rejected(count, f"{count} matches: a {model} needs {needed}")
    matrix = _ESTIMATE[model](source, target, threshold_px, estimator)
    if matrix is None:
        return _rejected(count, f"no {model} agrees with the matches")
    errors = np.linalg.norm(apply_homography(matrix, source) - target, axis=1)
    inliers = errors <= threshold_px
    agreeing = len(np.unique(np.hstack([source, target])[inliers], axis=0))
    if agreeing < needed:
        return _rejected(count, f"{agreeing} distinct matches agree: a {model} needs {needed}")
    area = float(np.prod(np.ptp(target, axis=0) + 2 * threshold_px))
    if false_alarms(count, agreeing, needed - 1, np.pi * threshold_px**2 / area) > MAX_FALSE_ALARMS:
        return _rejected(count, f"{agreeing} of {count} matches agree: no more than chance explains")
    reason = _degeneracy(source[inliers], target[inliers], model, threshold_px) or distortion(
        matrix, source, source[inliers].mean(0)
    )
    if reason:
        return _rejected(count, reason)
    return Fit(matrix, inliers, residual_px=float(np.sqrt(np.mean(errors[inliers] ** 2))))


def false_alarms(matches: int, agreeing: int, sample: int, probability: float) -> float:
    """Return how many models with so many agreeing matches are to be expected if all matches were random.

    (n - s) C(n, k) C(k, s) p^(k - s): the a-contrario criterion of Moisan and Stival (2004), with p the probability
    that a random match falls within the threshold of where a model puts it. It is necessary, not sufficient: real
    mismatches are not scattered at random.

    Args:
        matches: n, all matches; more than `sample`.
        agreeing: k, those within the threshold of the model, the `sample` through which it was fitted among them.
        sample: s, matches that fix a model, see `MINIMAL_SAMPLE`.
        probability: p, the disc of the threshold's radius over the area of image 1; above 1 it counts as 1.
    """
    logarithm = math.log(matches - sample) + _log_binomial(matches, agreeing) + _log_binomial(agreeing, sample)
    return math.exp(min(700.0, logarithm + (agreeing - sample) * math.log(min(1.0, probability))))


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _rejected(count: int, reason: str) -> Fit:
    return Fit(None, np.zeros(count, bool), reason)


def _homography(points0: Matrix, points1: Matrix, threshold_px: float, estimator: Estimator) -> Matrix | None:
    method = cv2.USAC_MAGSAC if estimator == "magsac" else cv2.RANSAC
    matrix, _ = cv2.findHomography(
        points0, points1, method, threshold_px, maxIters=MAX_ITERATIONS, confidence=CONFIDENCE
    )
    return _scaled(matrix)


def _affine(points0: Matrix, points1: Matrix, threshold_px: float, estimator: Estimator) -> Matrix | None:
    method = cv2.USAC_MAGSAC if estimator == "magsac" else cv2.RANSAC
    matrix, _ = cv2.estimateAffine2D(
        points0, points1, None, method, threshold_px, maxIters=MAX_ITERATIONS, confidence=CONFIDENCE
    )
    return None if matrix is None else _scaled(np.vstack([matrix, [0.0, 0.0, 1.0]]))


def _similarity(points0: Matrix, points1: Matrix, threshold_px: float, estimator: Estimator) -> Matrix | None:
    matrix, _ = cv2.estimateAffinePartial2D(
        points0, points1, None, cv2.RANSAC, threshold_px, maxIters=MAX_ITERATIONS, confidence=CONFIDENCE
    )
    return None if matrix is None else _scaled(np.vstack([matrix, [0.0, 0.0, 1.0]]))


_ESTIMATE: dict[Model, Callable[[Matrix, Matrix, float, Estimator], Matrix | None]] = {
    "homography": _homography,
    "affine": _affine,
    "similarity": _similarity,
}


def _scaled(matrix: np.ndarray | None) -> Matrix | None:
    """Scale to a last element of 1. The origin of image 0 on the horizon, or no matrix, is no model."""
    if matrix is None or not np.isfinite(matrix).all() or abs(matrix[2, 2]) < 1e-12:
        return None
    return normalised(matrix)


def _degeneracy(points0: Matrix, points1: Matrix, model: Model, threshold_px: float) -> str:
    """Say why the inliers cannot carry a model of this kind, or nothing."""
    axis = 0 if model == "similarity" else -1  # two distant points carry a similarity; the others need an area
    spread = min(np.linalg.svd(points - points.mean(0), compute_uv=False)[axis] for points in (points0, points1))
    spread /= np.sqrt(len(points0))
    if spread < MIN_SPREAD_THRESHOLDS * threshold_px:
        shape = "a spot" if model == "similarity" else "a line or a spot"
        return f"the inliers lie on {shape} (spread {spread:.1f} px): too little to carry a {model}"
    if model == "homography" and _condition(points0, points1) < MIN_CONDITION:
        return "the inliers leave the homography open: too many of them lie on one line"
    return ""


def distortion(matrix: Matrix, points0: FloatArray, centre: FloatArray) -> str:
    """Say how a transformation distorts beyond reason, or nothing.

    Args:
        matrix: The homography.
        points0: (N, 2) points over which the perspective counts, px.
        centre: (2,) the point at which scale and orientation count, px.
    """
    depths = points0 @ matrix[2, :2] + 1
    if depths.min() <= 0 or depths.max() / depths.min() > MAX_PERSPECTIVE:
        return "the perspective is extreme: the matches reach the horizon"
    jacobian = _jacobian(matrix, centre)
    if np.linalg.det(jacobian) <= 0:
        return "the transformation mirrors the image"
    large, small = np.linalg.svd(jacobian, compute_uv=False)
    if large > MAX_SCALE or small < 1 / MAX_SCALE:
        return f"the scale is extreme: {small:.3g} to {large:.3g}"
    if large / small > MAX_ANISOTROPY:
        return f"the transformation squeezes one direction {large / small:.3g} times more than the other"
    return ""


def _jacobian(matrix: Matrix, point: FloatArray) -> Matrix:
    """Return the 2 x 2 derivative of the transformation at a point (x, y)."""
    x, y, depth = matrix @ np.append(point, 1.0)
    return np.asarray((matrix[:2, :2] - np.outer([x, y], matrix[2, :2]) / depth) / depth)


def _condition(points0: Matrix, points1: Matrix) -> float:
    """Return how firmly the points fix a homography: 0 means that several explain them equally well.

    It is the second smallest singular value of the normalised direct linear transform, relative to the largest.
    """
    unit0, unit1 = (apply_homography(normalising(points), points) for points in (points0, points1))
    singular = np.linalg.svd(dlt_equations(unit0, unit1), compute_uv=False)
    return float(singular[-2] / singular[0])
