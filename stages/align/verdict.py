"""Whether an alignment is passed on as good. A wrong one accepted is the one thing that must not happen.

The score of a correlation is no proof: foreign maps reach high ones. What told right from wrong on real maps is that
many windows, most of all windows, agree on one transformation far more closely than their search would let chance do;
that of the reliable windows almost all agree; that they do so all over the raster; that halves that share no pixel, and
a perturbed restart, give the same answer; and that the ground alone, without buildings, lies close to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raster.homography import FloatArray, apply_homography
from stages.align.fine import Windows
from stages.align.model import Fitted

MIN_WINDOWS = 50
MIN_AGREEMENT = 0.6
MIN_RELIABLE = 12
MIN_RELIABLE_AGREEMENT = 0.9
"""More than chance demands: where tall buildings were all displaced one way, 0.83 to 0.86 agreed on an answer 5 to 9 px
off, while on right answers 0.95 and more did."""
TOLERANCE = 3.0
"""Working pixels within which a window agrees with the model."""

MAX_DISAGREEMENT = 2.0
"""Working pixels at the corners of what the windows cover, between two independent answers."""

MAX_BUILDING_LEAN = 6.0
"""Working pixels that building lean may shift the windows against the ground: 3.3 were seen under tall buildings."""

MIN_PER_QUADRANT = 2


@dataclass(frozen=True)
class Check:
    """One acceptance test: what it measured, what it demands, whether it passed."""

    name: str
    value: float
    limit: float
    passed: bool
    text: str


def judge(windows: Windows, fitted: Fitted, reduce: int) -> list[Check]:
    """Run the tests of a fit that its windows alone allow. `reduce`: visible pixels a working pixel."""
    agree = fitted.residuals <= TOLERANCE * reduce
    reliable = windows.reliable
    share = float(agree.mean()) if len(agree) else 0.0
    reliable_share = float(agree[reliable].mean()) if reliable.any() else 0.0
    quadrant = fewest_in_quadrant(windows.expected, agree & reliable)
    return [
        _at_least("windows", len(windows), MIN_WINDOWS, "{value:.0f} windows hold structure, {limit:.0f} are needed"),
        _at_least("agreement", share, MIN_AGREEMENT, "{value:.0%} of all windows agree, {limit:.0%} are needed"),
        _at_least(
            "reliable", int(reliable.sum()), MIN_RELIABLE, "{value:.0f} windows are reliable, {limit:.0f} are needed"
        ),
        _at_least(
            "reliable agreement",
            reliable_share,
            MIN_RELIABLE_AGREEMENT,
            "{value:.0%} of reliable windows agree, {limit:.0%} needed",
        ),
        _at_least(
            "quadrants", quadrant, MIN_PER_QUADRANT, "a quadrant has {value:.0f} inliers, {limit:.0f} are needed"
        ),
    ]


def apart(name: str, distance: float, limit: float = MAX_DISAGREEMENT) -> Check:
    """Test the distance, in working pixels, between two answers."""
    text = f"{name}: {distance:.1f} working px apart, at most {limit:.1f} are allowed"
    return Check(name, distance, limit, distance <= limit, text)


def fewest_in_quadrant(points: FloatArray, chosen: np.ndarray) -> int:
    """Return the smallest number of chosen points in a quadrant of the extent of all points."""
    if not len(points):
        return 0
    middle = (points.min(0) + points.max(0)) / 2
    right, below = (points > middle).T
    return min(int((chosen & (right == x) & (below == y)).sum()) for x in (True, False) for y in (True, False))


def corner_distance(first: FloatArray, second: FloatArray, corners: FloatArray) -> float:
    """Return the largest distance between two corrections at `corners` (N, 2)."""
    apart = apply_homography(first, corners) - apply_homography(second, corners)
    return float(np.linalg.norm(apart, axis=1).max())


def bounding_corners(points: FloatArray) -> FloatArray:
    """Return the corners (4, 2) of the points' bounding box."""
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _at_least(name: str, value: float, limit: float, text: str) -> Check:
    return Check(name, float(value), float(limit), value >= limit, text.format(value=value, limit=limit))
