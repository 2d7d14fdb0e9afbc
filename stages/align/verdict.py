"""Whether an alignment is passed on as good. A wrong one accepted is the one thing that must not happen.

The score of a correlation is no proof: foreign maps reach high ones. What told right from wrong on real maps is that
many windows, most of all windows, agree on one transformation far more closely than their search would let chance do;
that of the reliable windows most agree, too; and that halves that share no pixel, a perturbed restart and, where all of
the map decides, the ground give the same answer. What is right as a whole is then judged region by region
(see `stages.align.regions`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raster.homography import FloatArray, apply_homography
from stages.align.fine import Windows
from stages.align.limits import Limits


@dataclass(frozen=True)
class Check:
    """One acceptance test: what it measured, what it demands, whether it passed."""

    name: str
    value: float
    limit: float
    passed: bool
    text: str


def judge(windows: Windows, agreeing: NDArray[np.bool_], limits: Limits) -> list[Check]:
    """Run the tests of an answer that its windows alone allow.

    Args:
        windows: What was measured.
        agreeing: Which of them (N,) agree with the answer.
        limits: Of the tests.
    """
    reliable = windows.reliable
    share = windows.share(agreeing, np.ones(len(windows), bool), limits.windows.full_margin)
    reliable_share = float(agreeing[reliable].mean()) if reliable.any() else 0.0
    count = int(reliable.sum())
    return [
        _at_least(
            "windows", len(windows), limits.min_windows, "{value:.0f} windows hold structure, {limit:.0f} needed"
        ),
        _at_least("agreement", share, limits.min_agreement, "{value:.0%} of the windows agree, {limit:.0%} needed"),
        _at_least("reliable", count, limits.min_reliable, "{value:.0f} windows are reliable, {limit:.0f} needed"),
        _at_least(
            "reliable agreement",
            reliable_share,
            limits.min_reliable_agreement,
            "{value:.0%} of reliable windows agree, {limit:.0%} needed",
        ),
    ]


def apart(name: str, distance: float, limit: float) -> Check:
    """Test the distance, in working pixels, between two answers.

    Args:
        name: Of the test; a key of `checks` in `alignment.json`.
        distance: Working pixels; infinite where there was no second answer, which fails the test.
        limit: Largest distance that passes, working pixels.
    """
    text = f"{name}: {distance:.1f} working px apart, at most {limit:.1f} are allowed"
    return Check(name, distance, limit, distance <= limit, text)


def corner_distance(first: FloatArray, second: FloatArray, corners: FloatArray) -> float:
    """Return the largest distance between two corrections at `corners` (N, 2).

    Args:
        first: 3x3, from the frame of `corners` to another.
        second: 3x3, between the same frames.
        corners: (N, 2) pixels, such as the corners of what windows cover.

    Returns:
        Pixels of the target frame.
    """
    apart = apply_homography(first, corners) - apply_homography(second, corners)
    return float(np.linalg.norm(apart, axis=1).max())


def bounding_corners(points: FloatArray) -> FloatArray:
    """Return the corners (4, 2) of the points' bounding box."""
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _at_least(name: str, value: float, limit: float, text: str) -> Check:
    return Check(name, float(value), float(limit), value >= limit, text.format(value=value, limit=limit))
