"""What the ground and all of the map say of each other.

Windows of the ground still follow a part of the building lean by learned features; windows of all of the map by
gradients follow most of it. So the way from the latter's answer to the former's tells how much is left.

Where buildings stand close, or a map is generalised, too little is left without buildings for a verdict by windows; all
of the map then decides. But roofs may have shifted its windows, all alike. The ground's windows, however few of them
agree, must say the same together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raster.homography import FloatArray, apply_homography, inverse
from raster.pair import RasterPair
from stages.align.features import Features
from stages.align.fine import measure
from stages.align.model import Fitted, fit_lowest_order
from stages.align.passes import HALVED, Answer, chequered, spread_layout
from stages.align.verdict import Check, apart


def remaining_building_lean(rough: Answer, answer: Answer) -> FloatArray:
    """Return what shift (2,) of the building lean is left in an answer of the ground, visible px.

    Args:
        rough: The answer by gradients of all of the map.
        answer: The answer of the ground.
    """
    places = answer.windows.expected
    on_map = apply_homography(inverse(answer.homography), places)
    apart = np.mean(apply_homography(rough.homography, on_map) - places, axis=0)
    return np.asarray(answer.limits.remaining_building_lean * apart)


def check_ground(pair: RasterPair, answer: Answer, ground: Features) -> tuple[Check, Check, Answer | None]:
    """Measure by the ground's features around an answer that all of the map gave.

    Args:
        pair: The map and the visible raster.
        answer: The answer.
        ground: Features of the ground.

    Returns:
        How far the ground's common shift lies from the answer, and those of two halves of its windows from each other;
        the answer of the ground, None where too few windows agree.
    """
    limits, reduce = answer.limits, answer.reduce
    layout = spread_layout(limits.windows.close, pair.visible, HALVED * reduce, limits.max_early_windows)
    windows = measure(pair, answer.homography, layout, ground, limits.windows)
    weights = windows.weights(limits.windows.full_margin)

    def shifted(chosen: NDArray[np.bool_]) -> Fitted | None:
        ends = windows.expected[chosen], windows.found[chosen], weights[chosen]
        fitted = fit_lowest_order(*ends, limits.tolerance_px * reduce, "shift", "shift")
        return fitted if fitted is not None and fitted.inliers.sum() >= limits.min_ground else None

    half = chequered(windows.expected)
    both, *parts = (shifted(chosen) for chosen in (np.ones(len(windows), bool), half, ~half))
    off, halves = np.inf, np.inf
    if both is not None:
        off = float(np.linalg.norm(both.matrix[:2, 2])) / reduce
    if parts[0] is not None and parts[1] is not None:
        halves = float(np.linalg.norm(parts[0].matrix[:2, 2] - parts[1].matrix[:2, 2])) / reduce
    seen = None
    if both is not None:
        seen = Answer("ground", answer.homography, windows, both, ground, reduce, limits)
    return (
        apart("ground", off, limits.max_ground_px),
        apart("halves of the ground", halves, limits.max_disagreement_px),
        seen,
    )
