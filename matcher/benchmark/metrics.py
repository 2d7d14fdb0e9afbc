"""Metrics of matching with known ground truth. A failure is an infinite error, never a missing row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matcher.benchmark.pairs import ImagePair
from matcher.types import Matches
from raster.fit import Estimator, Fit, Model, fit
from raster.homography import Matrix, apply_homography
from raster.levels import corners_of

Errors = Sequence[float] | npt.NDArray[np.float64]

CORRECT_PX = 3.0
"""Largest error of a correct match."""

SRIF_MIN_CORRECT, SRIF_FAILED_PX = 10, 20.0
"""With fewer correct matches SRIF counts a pair as failed, at this error."""


@dataclass(frozen=True)
class PairScore:
    """The metrics of one pair; lengths in pixels of image 1.

    Attributes:
        corner_error_px: Mean over the corners of image 0, infinite if no homography was found.
        matches: Number of matches.
        correct: Number of matches within 3 px of the truth.
        accuracy_1px: Share of the matches within 1 px, 0 without matches.
        accuracy_3px: Share within 3 px.
        accuracy_5px: Share within 5 px.
        rmse_px: See `srif_rmse`.
        inlier_ratio: Share of the matches that agree with the estimated homography, whether it is right or not.
    """

    corner_error_px: float
    matches: int
    correct: int
    accuracy_1px: float
    accuracy_3px: float
    accuracy_5px: float
    rmse_px: float
    inlier_ratio: float


def score_pair(
    matches: Matches, pair: ImagePair, model: Model = "homography", estimator: Estimator = "magsac"
) -> PairScore:
    """Fit a model to matches and measure both.

    Args:
        matches: The matches.
        pair: The pair with its ground truth.
        model: Transformation model of the fit.
        estimator: Robust estimator of the fit.
    """
    return score_fit(matches, fit(matches.points0, matches.points1, model, estimator=estimator), pair)


def score_fit(matches: Matches, fitted: Fit, pair: ImagePair) -> PairScore:
    """Measure matches and a model that was fitted to them.

    Args:
        matches: The matches.
        fitted: The fit.
        pair: The pair with its ground truth.
    """
    errors = match_errors(matches, pair.homography)
    height, width = pair.image0.shape[:2]
    return PairScore(
        corner_error_px=corner_error(fitted, pair.homography, width, height),
        matches=len(matches),
        correct=int((errors <= CORRECT_PX).sum()),
        accuracy_1px=share_within(errors, 1),
        accuracy_3px=share_within(errors, 3),
        accuracy_5px=share_within(errors, 5),
        rmse_px=srif_rmse(errors),
        inlier_ratio=float(fitted.inliers.mean()) if len(matches) else 0.0,
    )


def corner_error(fitted: Fit, truth: Matrix, width: int, height: int) -> float:
    """Return the mean distance between where a fit and the truth put the corners of image 0.

    Corners are compared each with itself, so an estimate rotated by 90 degrees is wrong.

    Args:
        fitted: The fit.
        truth: 3 x 3, image 0 -> image 1.
        width: Width of image 0, pixels.
        height: Height of image 0, pixels.

    Returns:
        Pixels of image 1; infinite without a matrix.
    """
    return corner_error_of(fitted.matrix, truth, width, height)


def corner_error_of(estimate: Matrix | None, truth: Matrix, width: int, height: int) -> float:
    """Return the corner error of a matrix, see `corner_error`; infinite without one.

    Args:
        estimate: 3 x 3, image 0 -> image 1; None where no model could be fitted.
        truth: 3 x 3, image 0 -> image 1.
        width: Width of image 0, pixels.
        height: Height of image 0, pixels.

    Returns:
        Pixels of image 1; infinite too where the estimate sends a corner to infinity.
    """
    if estimate is None:
        return float("inf")
    corners = corners_of(width, height)
    expected, found = apply_homography(truth, corners), apply_homography(estimate, corners)
    return float(np.linalg.norm(found - expected, axis=1).mean()) if np.isfinite(found).all() else float("inf")


def match_errors(matches: Matches, truth: Matrix) -> npt.NDArray[np.float64]:
    """Return the distance of each match from the truth.

    Args:
        matches: N matches.
        truth: 3 x 3, image 0 -> image 1.

    Returns:
        (N,) pixels of image 1.
    """
    return np.asarray(np.linalg.norm(apply_homography(truth, matches.points0) - matches.points1, axis=1))


def share_within(errors: Errors, threshold_px: float) -> float:
    """Return the share of errors at most a threshold (success rate, matching accuracy).

    Args:
        errors: Errors in pixels, infinite for failures.
        threshold_px: The threshold.

    Returns:
        In [0, 1]; 0 without errors.
    """
    return float(np.mean(np.asarray(errors) <= threshold_px)) if len(errors) else 0.0


def auc(errors: Errors, threshold_px: float) -> float:
    """Return the area under the cumulative curve of errors up to a threshold, as a share of the threshold.

    Args:
        errors: Errors in pixels, infinite for failures.
        threshold_px: The threshold.

    Returns:
        In [0, 1]; 0 without errors.
    """
    x, y = error_curve(errors, threshold_px)
    return float(np.trapezoid(y, x) / threshold_px)


def error_curve(errors: Errors, threshold_px: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the cumulative curve of errors up to a threshold, which `auc` measures and reports draw.

    It is piecewise linear through (error, share of errors up to it), as in SuperGlue's evaluation (Sarlin et al., 2020)
    and those after it.

    Args:
        errors: Errors in pixels, infinite for failures.
        threshold_px: The threshold.

    Returns:
        Pixels from 0 to the threshold, and shares of the errors; all 0 without errors.
    """
    ordered = np.sort(np.asarray(errors, np.float64))
    recall = np.arange(1, len(ordered) + 1) / max(len(ordered), 1)
    ordered, recall = np.append(0.0, ordered), np.append(0.0, recall)
    last = max(1, int(np.searchsorted(ordered, threshold_px)))
    return np.append(ordered[:last], threshold_px), np.append(recall[:last], recall[last - 1])


def auc_step(errors: Errors, threshold_px: float) -> float:
    """Return the area under the empirical distribution of errors, a step curve, as a share of the threshold.

    The other convention: nothing is interpolated, so an error of e counts 1 - e / threshold. `auc` draws lines between
    the errors instead, which gives more where pairs are few.

    Args:
        errors: Errors in pixels, infinite for failures.
        threshold_px: The threshold.

    Returns:
        In [0, 1]; 0 without errors.
    """
    return float(np.clip(1 - np.asarray(errors, np.float64) / threshold_px, 0, None).mean()) if len(errors) else 0.0


def srif_rmse(errors: Errors) -> float:
    """Return the root mean square error of the correct matches (within 3 px), 20 px when there are fewer than ten.

    SRIF's convention (Li, Hu and Zhang, ISPRS Journal 204, 2023).

    Args:
        errors: (N,) distance of each match from the truth, px of image 1.
    """
    correct = np.asarray(errors)[np.asarray(errors) <= CORRECT_PX]
    return float(np.sqrt(np.mean(correct**2))) if len(correct) >= SRIF_MIN_CORRECT else SRIF_FAILED_PX
