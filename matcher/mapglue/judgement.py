"""How likely a homography that was found is right: a logistic regression on what speaks for it.

A search always finds something, and on regular ground, such as the blocks of a city, a wrong answer agrees with much of
an image. No single figure tells it from a right one on other ground; four together do. The weights were fitted by
`benchmarks/confidence.py` on pairs that serve development only, of city maps, drawn maps and a topographic map:
right and wrong answers weigh alike. So the confidence is the share of right answers where both are equally many. Wrong
are answers to negative pairs, and those to positive pairs that are more than 20 px off.
"""

from __future__ import annotations

import math
from typing import NamedTuple

MIN_CONFIDENCE = 0.5
"""A homography of less confidence is taken for chance."""

CELLS_FLOOR = 0.02
"""Added to the cells' score before its logarithm is taken."""


class Evidence(NamedTuple):
    """What speaks for a homography.

    Attributes:
        cells: Hypothesis score of the cells, in [0, 1] (see `matcher.mapglue.refinement.Refined`).
        margin: Mean peak margin of the cells that agree.
        windows: Hypothesis score of the windows (see `matcher.dense.matcher.Followed`).
        near: Share of the windows that peak near the homography.
    """

    cells: float
    margin: float
    windows: float
    near: float


WEIGHTS = Evidence(cells=1.144, margin=12.55, windows=4.59, near=3.312)
"""Change of the log odds by the logarithm of the cells' score, and by the others as they are."""

BIAS = -1.489


def features(evidence: Evidence) -> Evidence:
    """Return what the regression weighs: the cells' score by its logarithm, the rest as it is, finite in any case."""
    return evidence._replace(cells=math.log(evidence.cells + CELLS_FLOOR), windows=max(evidence.windows, 0.0))


def confidence(evidence: Evidence) -> float:
    """Return the probability, in [0, 1], that a homography with this evidence is right."""
    terms = zip(WEIGHTS, features(evidence), strict=True)
    return 1 / (1 + math.exp(-BIAS - sum(weight * value for weight, value in terms)))
